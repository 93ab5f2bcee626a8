"""What our own eyes check along a chain that OpenSSL verified: one rule, one function, one citation, one code.

pyOpenSSL exposes no security level, so OpenSSL alone takes MD5, SHA-1 and RSA-1024. The anchor is trusted because
somebody configured it; only whether it is still valid is asked of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sync.core.certificate import Certificate, KeyKind
from sync.core.codes import Code
from sync.core.findings import Finding
from sync.core.policy import Policy

_EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4"
_ANY_PURPOSE = "2.5.29.37.0"


def chain_findings(authorities: Sequence[Certificate], policy: Policy, now: datetime) -> Iterator[Finding]:
    """Check the CAs of one chain, from the leaf's issuer up to the anchor, which comes last."""
    if len(authorities) > policy.max_depth:
        yield policy.finding(Code.CHAIN_BUDGET, f"{len(authorities)} CAs, at most {policy.max_depth} are allowed")
    for authority in authorities[:-1]:
        for rule in _CA_RULES:
            yield from rule(authority, policy)
        yield from _valid_at(authority, Code.CHAIN_CA_EXPIRED, policy, now)
    for anchor in authorities[-1:]:
        yield from _valid_at(anchor, Code.CHAIN_ANCHOR_EXPIRED, policy, now)


def _valid_at(authority: Certificate, code: Code, policy: Policy, now: datetime) -> Iterator[Finding]:
    """RFC 5280, 6.1.3 (a) (2)."""
    if now > authority.not_after:
        yield policy.finding(code, f"{authority.subject_text} was valid until {authority.not_after:%Y-%m-%d %H:%M} UTC")
    elif now < authority.not_before - policy.clock_skew:
        yield policy.finding(code, f"{authority.subject_text} is valid from {authority.not_before:%Y-%m-%d %H:%M} UTC")


def _is_ca(authority: Certificate, policy: Policy) -> Iterator[Finding]:
    """RFC 5280, 6.1.4 (k)."""
    if not (authority.basic_constraints and authority.basic_constraints.ca):
        yield policy.finding(Code.CHAIN_NOT_CA, f"{authority.subject_text} is no CA")


def _may_sign_certificates(authority: Certificate, policy: Policy) -> Iterator[Finding]:
    """RFC 5280, 6.1.4 (n)."""
    if authority.key_usage is not None and not authority.key_usage.key_cert_sign:
        yield policy.finding(Code.CHAIN_KU, f"{authority.subject_text} may not sign certificates")


def _may_issue_for_email(authority: Certificate, policy: Policy) -> Iterator[Finding]:
    """S/MIME BR 7.1.2.2: an extended key usage in a CA certificate restricts what is issued below it."""
    if authority.purposes is not None and not {_EMAIL_PROTECTION, _ANY_PURPOSE} & set(authority.purposes):
        yield policy.finding(Code.CHAIN_EKU, f"{authority.subject_text} may not issue certificates for e-mail")


def _key_size(authority: Certificate, policy: Policy) -> Iterator[Finding]:
    """S/MIME BR 6.1.5."""
    key = authority.public_key
    if (key.kind is KeyKind.RSA and key.bits < policy.min_rsa_bits) or (key.kind is KeyKind.EC and key.bits < 256):
        yield policy.finding(Code.CHAIN_KEY_TOO_SMALL, f"{authority.subject_text} has the key {key.name}")


def _signature_algorithm(authority: Certificate, policy: Policy) -> Iterator[Finding]:
    """S/MIME BR 7.1.3.2; RFC 8550, 4.3."""
    if policy.objection_to(authority.signature) is not None:
        yield policy.finding(Code.CHAIN_WEAK_HASH, f"{authority.subject_text} is signed by {authority.signature}")


_CA_RULES = (_is_ca, _may_sign_certificates, _may_issue_for_email, _key_size, _signature_algorithm)
