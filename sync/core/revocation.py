"""Whether a certificate or a CA of its path was revoked (rules.md, B16; RFC 5280, 6.3; RFC 6960).

Nothing is fetched here: all that is known of revocation comes in as a value. What was fetched for which CA is the
administrator's configuration; a certificate's own addresses (CRL distribution points, OCSP) are never followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from types import MappingProxyType

from cryptography import x509

from sync.core import ocsp
from sync.core.certificate import Certificate
from sync.core.codes import Code
from sync.core.findings import Finding, Level
from sync.core.list_scope import ALL_REASONS, covers, only_by_ldap, reasons_of
from sync.core.names import same_name
from sync.core.path import TrustStore, find_path
from sync.core.policy import Policy
from sync.core.revocation_list import Entry, RevocationList
from sync.core.standing import GOOD, Standing, Status

_MAX_SIGNERS = 4  # other certificates of the CA's name that are tried for the signature of a list
_MAX_DEPTH = 2  # a list's signer may need a list itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """All that is known of revocation at a moment.

    `lists` are revocation lists by the DER of their issuer's name; `answers` OCSP responses by the fingerprint of the
    certificate that was asked for; `troubles` say, by the DER of a CA's name, what could not be had and why (under an
    empty name: what belongs to no CA). `responders` are the names of the CAs (DER) of whose certificates a responder is
    asked.
    """

    lists: Mapping[bytes, tuple[RevocationList, ...]] = field(default_factory=lambda: MappingProxyType({}))
    answers: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    troubles: Mapping[bytes, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    responders: frozenset[bytes] = frozenset()

    @classmethod
    def of(
        cls,
        lists: Iterable[RevocationList] = (),
        answers: Mapping[str, bytes] | None = None,
        troubles: Mapping[bytes, tuple[str, ...]] | None = None,
        responders: Iterable[bytes] = (),
    ) -> Knowledge:
        """Sort lists by their issuers, the newest first."""
        by_issuer: dict[bytes, tuple[RevocationList, ...]] = {}
        for each in sorted(lists, key=lambda each: (each.this_update, each.number or 0), reverse=True):
            by_issuer[each.issuer] = (*by_issuer.get(each.issuer, ()), each)
        return cls(
            lists=MappingProxyType(by_issuer),
            answers=MappingProxyType(dict(answers or {})),
            troubles=MappingProxyType(dict(troubles or {})),
            responders=frozenset(responders),
        )

    def lists_of(self, name: bytes) -> tuple[RevocationList, ...]:
        """The lists of the CA with this name (DER); where none bears just it, those that spell it in another way."""
        if name in self.lists:
            return self.lists[name]
        return tuple(each for issuer, group in self.lists.items() if same_name(issuer, name) for each in group)


NOTHING_KNOWN = Knowledge()


def revocation_findings(
    leaf: Certificate,
    authorities: Sequence[Certificate],
    *,
    knowledge: Knowledge,
    trust: TrustStore,
    policy: Policy,
    now: datetime,
) -> Iterator[Finding]:
    """Ask of the leaf and of each CA below the anchor, along the verified path `authorities` (which ends with it)."""
    inquiry = Inquiry(anchor=authorities[-1], knowledge=knowledge, trust=trust, policy=policy, now=now)
    for certificate, issuer in pairwise((leaf, *authorities)):
        status = inquiry.status(certificate, issuer)
        whose = "" if certificate is leaf else f"{certificate.subject_text}: "
        if status.standing is Standing.REVOKED:
            code = Code.REVOKED if certificate is leaf else Code.CA_REVOKED
            since = f"on {status.at:%Y-%m-%d}" if status.at else "at an unknown time"
            yield policy.finding(code, f"{whose}{since}, reason {status.reason or 'not stated'}")
        elif status.standing is Standing.UNKNOWN and status.code is not None:
            yield policy.finding(status.code, whose + status.detail)
        elif status.code is not None:
            yield Finding(status.code, Level.WARN, whose + status.detail)
        if certificate is not leaf and only_by_ldap(certificate):
            yield policy.finding(Code.CRL_LDAP_ONLY, certificate.subject_text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """Looks for the status of certificates that stand on paths to one trust anchor."""

    anchor: Certificate
    knowledge: Knowledge
    trust: TrustStore
    policy: Policy
    now: datetime
    depth: int = 0

    def status(self, certificate: Certificate, issuer: Certificate) -> Status:
        """The status of `certificate`, issued by `issuer`: by OCSP where that has an answer, else by lists."""
        response = self.knowledge.answers.get(certificate.fingerprint)
        asked = None
        if response is not None:
            asked = ocsp.answer(response, certificate, issuer, policy=self.policy, now=self.now)
            if asked.standing is not Standing.UNKNOWN:
                return asked
        listed = self._by_lists(certificate, issuer)
        # A list that knows goes before a responder that does not; where neither knows, both reasons count.
        if asked is None or listed.standing is not Standing.UNKNOWN:
            return listed
        return (
            asked
            if not self.knowledge.lists_of(issuer.subject)
            else replace(listed, detail=f"{listed.detail}; {asked.detail}")
        )

    def _by_lists(self, certificate: Certificate, issuer: Certificate) -> Status:
        """RFC 5280, 6.3.3. 1 which lists may be used, 2 each complete one with its delta, 3 whether that is all."""
        # 1
        usable: list[RevocationList] = []
        objections: list[Status] = []
        for each in self.knowledge.lists_of(issuer.subject):
            objection = self._objection(each, certificate, issuer)
            if objection is None:
                usable.append(each)
            else:
                objections.append(objection)
        # 2
        reasons: frozenset[x509.ReasonFlags] = frozenset()
        remark: Status | None = None
        scopes: set[bytes] = set()
        for complete in (each for each in usable if not each.is_delta):
            if complete.scope in scopes:
                continue  # a newer one of the same scope was looked at
            scopes.add(complete.scope)
            entry = self._entry(certificate, complete, [each for each in usable if each.is_delta])
            if entry is not None:
                return Status.revoked(entry.at, entry.reason)
            stale = self._stale(complete)
            if stale is not None and stale.standing is Standing.UNKNOWN:
                objections.append(stale)
                continue
            remark = remark or stale
            reasons |= reasons_of(complete)
        # 3
        if reasons >= ALL_REASONS:
            return remark or GOOD
        if reasons:
            return Status.unknown(Code.REVOCATION_UNKNOWN, f"the lists of {issuer.subject_text} tell some reasons only")
        if objections:
            return min(objections, key=_telling)
        return Status.unknown(Code.REVOCATION_UNKNOWN, self._nothing(issuer))

    def _objection(self, each: RevocationList, certificate: Certificate, issuer: Certificate) -> Status | None:
        """Why a list says nothing of a certificate, if that is so."""
        if each.unusable:
            return Status.unknown(Code.REVOCATION_UNKNOWN, f"the list cannot be used: {each.unusable}")
        if (outside := covers(each, certificate)) is not None:
            return Status.unknown(Code.REVOCATION_UNKNOWN, f"the list of {issuer.subject_text} {outside}")
        if each.this_update > self.now + self.policy.clock_skew:
            detail = f"the list of {issuer.subject_text} is of {each.this_update:%Y-%m-%d %H:%M} UTC, not yet"
            return Status.unknown(Code.REVOCATION_UNKNOWN, detail)
        if self.policy.objection_to(each.signature) is not None:
            detail = f"the list of {issuer.subject_text} is signed by {each.signature}"
            return Status.unknown(Code.CRL_SIGNATURE, detail)
        if each.seal.holds(issuer):
            if _may_sign_lists(issuer):
                return None
            detail = f"{issuer.subject_text} may not sign revocation lists"
            return Status.unknown(Code.CRL_SIGNATURE, detail)
        if any(each.seal.holds(signer) and self._trusted(signer) for signer in self._namesakes(issuer)):
            return None
        return Status.unknown(Code.CRL_SIGNATURE, f"the list is not signed by {issuer.subject_text}")

    def _namesakes(self, issuer: Certificate) -> list[Certificate]:
        """Other certificates of the CA: its former or next key, or one for lists alone."""
        known = (authority.certificate for authority in (*self.trust.anchors, *self.trust.intermediates))
        same = (each for each in known if each.subject == issuer.subject and each.fingerprint != issuer.fingerprint)
        return [each for each, _ in zip(same, range(_MAX_SIGNERS), strict=False) if _may_sign_lists(each)]

    def _trusted(self, signer: Certificate) -> bool:
        """RFC 5280, 6.3.3 (f): a path to the same anchor, still valid, itself not revoked."""
        if signer.fingerprint == self.anchor.fingerprint:
            return True
        if self.depth >= _MAX_DEPTH or not signer.not_before - self.policy.clock_skew <= self.now <= signer.not_after:
            return False
        path = find_path(signer, (), trust=self.trust, policy=self.policy, now=self.now).authorities
        if not path or path[-1].fingerprint != self.anchor.fingerprint:
            return False
        return replace(self, depth=self.depth + 1).status(signer, path[0]).standing is not Standing.REVOKED

    def _entry(
        self, certificate: Certificate, complete: RevocationList, deltas: Iterable[RevocationList]
    ) -> Entry | None:
        """RFC 5280, 6.3.3 (i) and (j): what the newest delta of the same scope says goes before the complete list."""
        for delta in deltas:
            if _belongs(delta, complete) and self._stale(delta) is None:
                changed = delta.find(certificate.serial)
                if changed is not None:
                    return None if changed.removed else changed
                break
        return complete.find(certificate.serial)

    def _stale(self, each: RevocationList) -> Status | None:
        """RFC 5280, 5.1.2.5: past the next update it is unknown, within the grace it is good with a remark."""
        if each.next_update is None or self.now <= each.next_update + self.policy.clock_skew:
            return None
        detail = f"the next list was due on {each.next_update:%Y-%m-%d %H:%M} UTC"
        if self.now <= each.next_update + self.policy.crl_grace:
            return replace(GOOD, code=Code.CRL_STALE, detail=detail)
        return Status.unknown(Code.CRL_STALE, detail)

    def _nothing(self, issuer: Certificate) -> str:
        troubles = (*self.knowledge.troubles.get(issuer.subject, ()), *self.knowledge.troubles.get(b"", ()))
        return "; ".join(troubles) or f"no revocation list of {issuer.subject_text} is known"


def _telling(status: Status) -> int:
    """Of several reasons the one that came furthest is told of."""
    order = (Code.CRL_STALE, Code.CRL_SIGNATURE, Code.REVOCATION_UNKNOWN)
    return order.index(status.code) if status.code in order else len(order)


def _may_sign_lists(signer: Certificate) -> bool:
    """RFC 5280, 6.3.3 (f)."""
    return signer.key_usage is None or signer.key_usage.crl_sign


def _belongs(delta: RevocationList, complete: RevocationList) -> bool:
    """RFC 5280, 5.2.4: of the same scope, for a base that this list is or comes after, and newer than it."""
    return (
        delta.scope == complete.scope
        and delta.base is not None
        and complete.number is not None
        and delta.number is not None
        and delta.base <= complete.number <= delta.number
    )
