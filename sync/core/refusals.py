"""OpenSSL's reasons for refusing a path, in our codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sync.core.certificate import Certificate
from sync.core.codes import Code
from sync.core.findings import Finding
from sync.core.policy import Policy

# X509_V_ERR_ numbers of openssl/x509_vfy.h, the same since OpenSSL 3.0.
_NO_ISSUER = frozenset({2, 20, 21})
_UNHANDLED_CRITICAL_EXTENSION = 34
_INVALID_CA = 79
_CODES: Mapping[int, Code] = MappingProxyType(
    {
        1: Code.CHAIN_BUDGET,  # "unspecified": more than 2**20 comparisons of name constraints with names
        4: Code.CHAIN_SIGNATURE,  # the signature cannot be decrypted
        6: Code.CHAIN_SIGNATURE,  # the issuer's public key cannot be decoded
        7: Code.CHAIN_SIGNATURE,
        17: Code.CHAIN_BUDGET,  # out of memory
        18: Code.CHAIN_UNTRUSTED,  # the leaf is self-signed
        19: Code.CHAIN_UNTRUSTED,  # a self-signed certificate that is no anchor
        22: Code.CHAIN_BUDGET,  # too long
        24: Code.CHAIN_SIGNATURE,  # the issuer has no public key
        25: Code.CHAIN_PATHLEN,
        32: Code.CHAIN_KU,
        34: Code.CHAIN_CRITICAL_EXT,
        41: Code.CHAIN_CRITICAL_EXT,  # invalid or inconsistent extension
        42: Code.CHAIN_POLICY,  # invalid policy extension
        43: Code.CHAIN_POLICY,  # no explicit policy
        47: Code.NC_NOT_PERMITTED,
        48: Code.NC_EXCLUDED,
        49: Code.NC_UNSUPPORTED,  # minimum or maximum
        51: Code.NC_UNSUPPORTED,  # form
        52: Code.NC_UNSUPPORTED,  # syntax of the constraint
        53: Code.NC_UNSUPPORTED,  # syntax of the name
        76: Code.CHAIN_SIGNATURE,  # the signature algorithm is unknown
        77: Code.CHAIN_SIGNATURE,  # algorithm and issuer's key do not fit
        78: Code.CHAIN_SIGNATURE,  # inner and outer algorithm differ
        _INVALID_CA: Code.CHAIN_NOT_CA,
    }
)


def refusal(
    number: int, words: str, *, failing: Certificate | None, depth: int, issuers: Sequence[Certificate], policy: Policy
) -> Finding:
    """Say why OpenSSL refused: its error `number` and `words`, over the certificate `failing` at `depth` (0: the leaf).

    `issuers` are the certificates known under the name of the failing one's issuer.
    """
    if number in _NO_ISSUER and failing is not None:
        return _no_issuer(failing, issuers, policy)
    if depth == 0 and number == _UNHANDLED_CRITICAL_EXTENSION:
        return policy.finding(Code.EXT_UNKNOWN_CRITICAL, words)
    if number == _INVALID_CA and failing is not None and failing.basic_constraints and failing.basic_constraints.ca:
        # One number for both: what is marked as a CA can only lack the right to sign certificates.
        return policy.finding(Code.CHAIN_KU, f"{failing.subject_text} may not sign certificates")
    name = failing.subject_text if failing is not None else "a certificate of the path"
    return policy.finding(_CODES.get(number, Code.CHAIN_UNTRUSTED), f"{name}: {words}")


def _no_issuer(failing: Certificate, issuers: Sequence[Certificate], policy: Policy) -> Finding:
    """Tell an unknown CA from a known one that OpenSSL did not take: it says the same of both."""
    if not issuers:
        return policy.finding(Code.CHAIN_NO_ISSUER, f"no certificate of {failing.issuer_text} is known")
    for issuer in issuers:
        if issuer.malformed or len(issuer.oids) != len(set(issuer.oids)):
            detail = f"{issuer.subject_text} has an extension that cannot be read or occurs twice"
            return policy.finding(Code.CHAIN_CRITICAL_EXT, detail)
        if issuer.key_usage is not None and not issuer.key_usage.key_cert_sign:
            return policy.finding(Code.CHAIN_KU, f"{issuer.subject_text} may not sign certificates")
    detail = f"no certificate of {failing.issuer_text} that is known has the key that signed {failing.subject_text}"
    return policy.finding(Code.CHAIN_NO_ISSUER, detail)
