"""Paths from a person's certificate to a configured trust anchor (rules.md, B13 and B14).

OpenSSL validates, through pyOpenSSL: signatures, names, basic constraints, key usage, path lengths, policies and name
constraints. It is asked without a purpose (its S/MIME purpose refuses every elliptic curve key that only agrees) and
without a time: whether each CA is valid *now*, its signature algorithm, key size and purposes are checked by
`chain_rules` along the chain that OpenSSL verified. So a store never changes once it is made, threads may share it,
and a finding can name the CA. Nothing is ever fetched, and nothing that came with the value is trusted.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from OpenSSL import crypto

from sync.core.certificate import Certificate, MalformedCertificateError
from sync.core.chain_rules import chain_findings
from sync.core.codes import Code
from sync.core.findings import Finding
from sync.core.known_paths import KnownPaths
from sync.core.name_constraints import excluded_mailboxes
from sync.core.policy import Policy
from sync.core.refusals import refusal
from sync.core.signatures import verify_issued

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, for which pyOpenSSL has no name
_FLAGS = crypto.X509StoreFlags.PARTIAL_CHAIN | crypto.X509StoreFlags.POLICY_CHECK | _NO_CHECK_TIME
# Of several paths the one that came furthest is told of: not the one that only bears the right names.
_SAYS_LITTLE = {Code.CHAIN_UNTRUSTED: 1, Code.CHAIN_SIGNATURE: 2, Code.CHAIN_NO_ISSUER: 3}
_MAX_STEPS = 1_000  # of the search for paths, dead ends included; each costs about a microsecond


class TrustStoreError(ValueError):
    """The trust store cannot be used; the message says which certificate is to blame."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA certificate, or what is offered as one, as both libraries hold it."""

    certificate: Certificate
    openssl: crypto.X509 = field(repr=False, compare=False)

    @classmethod
    def parse(cls, der: bytes) -> Authority:
        """Read DER. Raises MalformedCertificateError."""
        certificate = Certificate.parse(der)
        return cls(certificate, _openssl(certificate))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustStore:
    """The trust anchors, and intermediates that help to reach them and are not trusted by themselves.

    `fingerprint` is a SHA-256 over all of them: when it changes, any judgement may.
    """

    anchors: tuple[Authority, ...]
    intermediates: tuple[Authority, ...] = ()
    fingerprint: str
    store: crypto.X509Store = field(repr=False, compare=False)
    pool: _Pool = field(repr=False, compare=False)
    known: KnownPaths = field(default_factory=KnownPaths, repr=False, compare=False)

    @classmethod
    def of(cls, anchors: Iterable[bytes], intermediates: Iterable[bytes] = ()) -> TrustStore:
        """Make one of DER certificates. Raises TrustStoreError when there is no anchor or one cannot be read."""
        trusted = _authorities(anchors, "trust anchor")
        if not trusted:
            raise TrustStoreError("there is no trust anchor")
        helping = tuple(each for each in _authorities(intermediates, "intermediate") if each not in trusted)
        marks = ("\n".join(sorted(each.certificate.fingerprint for each in group)) for group in (trusted, helping))
        return cls(
            anchors=trusted,
            intermediates=helping,
            fingerprint=hashlib.sha256("\n\n".join(marks).encode("ascii")).hexdigest(),
            store=_store(trusted),
            pool=_Pool.of(trusted, helping),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """What the search for a path came to.

    `authorities` is the chain that OpenSSL verified and our own rules passed, from the leaf's issuer up to the anchor;
    it is empty when there is none, and `findings` then say why.
    """

    authorities: tuple[Certificate, ...] = ()
    findings: tuple[Finding, ...] = ()


def find_path(leaf: Certificate, offered: Sequence[bytes], *, trust: TrustStore, policy: Policy, now: datetime) -> Path:
    """Find a path from `leaf` to a trust anchor, or tell what keeps it from one (RFC 5280, 6.1).

    `offered` are certificates that came with the value. 1 A path that is known already, and good by our own rules,
    needs the leaf's signature only. 2 OpenSSL chooses the issuers. 3 Where that fails, every path that names and
    signatures allow is tried by itself, since OpenSSL takes one issuer of a name and never comes back for another (a CA
    renewed with a new key under the old name, an old cross-certificate beside the current one).
    """
    # 1
    if not offered and (known := trust.known.recall(leaf, policy, now)):
        return Path(authorities=known)
    try:
        subject = Authority(leaf, _openssl(leaf))
    except MalformedCertificateError as error:
        return Path(findings=(policy.finding(Code.CERT_MALFORMED, str(error)),))
    pool = trust.pool.joined_by(_readable(offered)) if offered else trust.pool
    search = _Search(leaf=subject, pool=pool, policy=policy, now=now)
    # 2
    attempts = [search.attempt(trust.store, pool.untrusted)]
    if not attempts[0].findings:
        if not offered:
            trust.known.learn(leaf, attempts[0].authorities, policy)
        return attempts[0]
    # 3
    paths, exhausted = search.paths()
    for *between, anchor in paths:
        attempts.append(search.attempt(_store([anchor]), between))
        if not attempts[-1].findings:
            if not offered:
                trust.known.learn(leaf, attempts[-1].authorities, policy)
            return attempts[-1]
    told = min((each.findings for each in attempts), key=lambda findings: _SAYS_LITTLE.get(findings[0].code, 0))
    if exhausted:
        told += (policy.finding(Code.CHAIN_BUDGET, f"more paths are possible by name than the {len(paths)} tried"),)
    return Path(findings=told)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pool:
    """All CA certificates at hand: the anchors, then the configured ones, then those offered."""

    anchors: frozenset[str]
    untrusted: tuple[Authority, ...]
    by_subject: Mapping[bytes, tuple[Authority, ...]]
    by_fingerprint: Mapping[str, Certificate]

    @classmethod
    def of(cls, anchors: Sequence[Authority], untrusted: Iterable[Authority]) -> _Pool:
        empty = cls(
            anchors=frozenset(anchor.certificate.fingerprint for anchor in anchors),
            untrusted=(),
            by_subject=MappingProxyType({}),
            by_fingerprint=MappingProxyType({}),
        )
        return replace(empty.joined_by(anchors), untrusted=()).joined_by(untrusted)

    def joined_by(self, more: Iterable[Authority]) -> _Pool:
        """This pool with further certificates, which are not trusted."""
        joining = tuple(more)
        by_subject = {name: list(known) for name, known in self.by_subject.items()}
        by_fingerprint = dict(self.by_fingerprint)
        for authority in joining:
            certificate = authority.certificate
            if certificate.fingerprint not in by_fingerprint:
                by_fingerprint[certificate.fingerprint] = certificate
                by_subject.setdefault(certificate.subject, []).append(authority)
        return replace(
            self,
            untrusted=(*self.untrusted, *joining),
            by_subject=MappingProxyType({name: tuple(known) for name, known in by_subject.items()}),
            by_fingerprint=MappingProxyType(by_fingerprint),
        )

    def issuers(self, certificate: Certificate) -> tuple[Authority, ...]:
        return self.by_subject.get(certificate.issuer, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """The search for a path from one leaf."""

    leaf: Authority
    pool: _Pool
    policy: Policy
    now: datetime

    def attempt(self, store: crypto.X509Store, untrusted: Sequence[Authority]) -> Path:
        """Let OpenSSL build and verify a chain from these, and check it; nothing found means that it is good."""
        context = crypto.X509StoreContext(store, self.leaf.openssl, [each.openssl for each in untrusted])
        try:
            chain = context.get_verified_chain()
        except crypto.X509StoreContextError as error:
            return Path(findings=(self._refusal(error),))
        authorities = tuple(self.pool.by_fingerprint[_fingerprint(each)] for each in chain[1:])
        findings = (
            *chain_findings(authorities, self.policy, self.now),
            *excluded_mailboxes(self.leaf.certificate, authorities, self.policy),
        )
        return Path(authorities=authorities if not findings else (), findings=findings)

    def paths(self) -> tuple[list[tuple[Authority, ...]], bool]:
        """Paths of CAs to an anchor, the short ones first, and whether the budget cut the search off.

        By name, and where a signature shows that a namesake issued nothing here, not through that one.
        """
        signed: dict[tuple[str, str], bool] = {}
        found: list[tuple[Authority, ...]] = []
        waiting: deque[tuple[Authority, ...]] = deque([()])
        steps = 0
        while waiting:
            path = waiting.popleft()
            below = (path[-1] if path else self.leaf).certificate
            for issuer in self.pool.issuers(below):
                steps += 1
                if steps > _MAX_STEPS or len(found) == self.policy.max_paths:
                    return found, True
                if issuer in path:
                    continue
                pair = below.fingerprint, issuer.certificate.fingerprint
                if pair not in signed:
                    if len(signed) == self.policy.max_signatures:
                        return found, True
                    signed[pair] = _may_have_signed(issuer.certificate, below)
                if not signed[pair]:
                    continue
                if issuer.certificate.fingerprint in self.pool.anchors:
                    found.append((*path, issuer))
                elif len(path) + 1 < self.policy.max_depth:
                    waiting.append((*path, issuer))
        return found, False

    def _refusal(self, error: crypto.X509StoreContextError) -> Finding:
        number, depth, words = error.errors
        failing = self._known(error.certificate)
        issuers = [issuer.certificate for issuer in self.pool.issuers(failing)] if failing else []
        return refusal(number, words, failing=failing, depth=depth, issuers=issuers, policy=self.policy)

    def _known(self, certificate: crypto.X509) -> Certificate | None:
        """The certificate over which OpenSSL stumbled; pyOpenSSL gives an empty one where there is none."""
        try:
            mark = _fingerprint(certificate)
        except crypto.Error:
            return None
        leaf = self.leaf.certificate
        return leaf if mark == leaf.fingerprint else self.pool.by_fingerprint.get(mark)


def _may_have_signed(issuer: Certificate, certificate: Certificate) -> bool:
    """Whether it did, or whether that is for OpenSSL to say, which knows more algorithms."""
    try:
        verify_issued(certificate, issuer)
    except InvalidSignature:
        return False
    except (UnsupportedAlgorithm, ValueError, TypeError):
        return True
    return True


def _authorities(encoded: Iterable[bytes], role: str) -> tuple[Authority, ...]:
    """Read them all, each once. Raises TrustStoreError with the place of the first that cannot be read."""
    found: dict[str, Authority] = {}
    for place, der in enumerate(encoded, start=1):
        try:
            authority = Authority.parse(der)
        except MalformedCertificateError as error:
            raise TrustStoreError(f"{role} number {place} is not a certificate: {error}") from error
        found.setdefault(authority.certificate.fingerprint, authority)
    return tuple(found.values())


def _readable(offered: Iterable[bytes]) -> Iterator[Authority]:
    for der in offered:
        try:
            yield Authority.parse(der)
        except MalformedCertificateError:
            continue  # it can help nobody


def _store(anchors: Iterable[Authority]) -> crypto.X509Store:
    store = crypto.X509Store()
    store.set_flags(_FLAGS)
    for anchor in anchors:
        store.add_cert(anchor.openssl)
    return store


def _openssl(certificate: Certificate) -> crypto.X509:
    """Hand a certificate over to OpenSSL. Raises MalformedCertificateError."""
    try:
        return crypto.load_certificate(crypto.FILETYPE_ASN1, certificate.der)
    except crypto.Error as error:
        raise MalformedCertificateError("OpenSSL cannot read it") from error


def _fingerprint(certificate: crypto.X509) -> str:
    return hashlib.sha256(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)).hexdigest()
