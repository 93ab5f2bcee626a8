"""Answers about one certificate by its CA or by whom the CA named for it (RFC 6960)."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta

from asn1crypto import core
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from sync.core.certificate import Certificate, MalformedCertificateError
from sync.core.codes import Code
from sync.core.der import content, elements
from sync.core.policy import Policy
from sync.core.signatures import Seal
from sync.core.standing import GOOD, Status

_OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
_MAX_RESPONDERS = 8
WITHOUT_NEXT_UPDATE = timedelta(days=1)
"""How long an answer counts that does not say when the next one comes (newer ones are always to be had)."""


def question(certificate: Certificate, issuer: Certificate) -> bytes:
    """The DER of a request for the status of `certificate`. SHA-1 names the issuer: all responders know it, and nothing
    rests upon it (RFC 6960, B.1; RFC 5019, 2.1.1)."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate.parsed, issuer.parsed, hashes.SHA1())  # noqa: S303
    return builder.build().public_bytes(Encoding.DER)


def lasts_until(response: bytes, asked: datetime) -> datetime | None:
    """When the answer should be asked for again; None when it is no answer worth keeping."""
    try:
        parsed = _load(response)
    except ValueError:
        return None
    ends = [each.next_update_utc or asked + WITHOUT_NEXT_UPDATE for each in parsed.responses]
    return min(ends, default=None)


def counts_until(response: bytes) -> datetime | None:
    """When the first answer of a response ceases to count (UTC); None where it cannot be read."""
    try:
        return min((_end(each) for each in _load(response).responses), default=None)
    except ValueError:
        return None


def spans(response: bytes) -> list[tuple[datetime, datetime]]:
    """From when until when (UTC) each answer of a response counts, and each certificate that came with it; none where
    it cannot be read."""
    try:
        parsed = _load(response)
        answers = [(each.this_update_utc, _end(each)) for each in parsed.responses]
        return answers + [(each.not_valid_before_utc, each.not_valid_after_utc) for each in parsed.certificates]
    except ValueError:
        return []


def answer(response: bytes, certificate: Certificate, issuer: Certificate, *, policy: Policy, now: datetime) -> Status:
    """What a response says of `certificate`, which `issuer` issued. Raises nothing: what cannot be used is unknown.

    1 read it; 2 find who signed it; 3 find the answer about this certificate; 4 see that it is of now. A nonce is not
    asked for: answers are cached (RFC 6960, 4.4.1; RFC 5019, 4).
    """
    # 1
    try:
        parsed = _load(response)
        singles = list(parsed.responses)
        seal = Seal.of(parsed, parsed.tbs_response_bytes)
    except (ValueError, UnsupportedAlgorithm) as error:
        return Status.unknown(Code.REVOCATION_UNKNOWN, f"the OCSP answer cannot be used: {str(error)[:120]}")
    # 2
    if policy.objection_to(seal.algorithm) is not None:
        return Status.unknown(Code.CRL_SIGNATURE, f"the OCSP answer is signed by {seal.algorithm}")
    if not any(seal.holds(signer) for signer in _signers(parsed, issuer, policy, now)):
        return Status.unknown(Code.CRL_SIGNATURE, "the OCSP answer is signed neither by the CA nor by whom it named")
    # 3
    mine = [single for single in singles if _is_about(single, certificate, issuer)]
    if not mine:
        return Status.unknown(Code.REVOCATION_UNKNOWN, "the OCSP answer is about another certificate")
    # 4
    single = max(mine, key=lambda each: each.this_update_utc)
    return _current(single, policy, now)


def _current(single: ocsp.OCSPSingleResponse, policy: Policy, now: datetime) -> Status:
    begins = single.this_update_utc
    if begins > now + policy.clock_skew:
        return Status.unknown(Code.REVOCATION_UNKNOWN, f"the OCSP answer is of {begins:%Y-%m-%d %H:%M} UTC, not yet")
    if single.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        # Old or not: what is revoked stays so.
        at, reason = single.revocation_time_utc, single.revocation_reason
        return Status.revoked(at or begins, reason.value if reason else None)
    if now > _end(single) + policy.clock_skew:
        return Status.unknown(Code.CRL_STALE, f"the OCSP answer of {begins:%Y-%m-%d %H:%M} UTC is too old")
    if single.certificate_status is ocsp.OCSPCertStatus.GOOD:
        return GOOD
    return Status.unknown(Code.REVOCATION_UNKNOWN, "the OCSP responder does not know the certificate")


def _end(single: ocsp.OCSPSingleResponse) -> datetime:
    return single.next_update_utc or single.this_update_utc + WITHOUT_NEXT_UPDATE


def _load(response: bytes) -> ocsp.OCSPResponse:
    """Read DER that holds an answer. Raises ValueError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = ocsp.load_der_ocsp_response(response)
    if parsed.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise ValueError(f"the responder says {parsed.response_status.name.lower().replace('_', ' ')}")
    if any(extension.critical for extension in parsed.extensions):
        raise ValueError("it has a critical extension")
    return parsed


def _signers(parsed: ocsp.OCSPResponse, issuer: Certificate, policy: Policy, now: datetime) -> Iterator[Certificate]:
    """Who may have signed: the CA itself, or whom it certified for that (RFC 6960, 4.2.2.2)."""
    if _is_named(parsed, issuer):
        yield issuer
    for each in parsed.certificates[:_MAX_RESPONDERS]:
        try:
            responder = Certificate.parse(each.public_bytes(Encoding.DER))
        except MalformedCertificateError:
            continue
        if (
            _is_named(parsed, responder)
            and responder.issuer == issuer.subject
            and _OCSP_SIGNING in (responder.purposes or ())
            and (responder.key_usage is None or responder.key_usage.digital_signature)
            and responder.not_before - policy.clock_skew <= now <= responder.not_after
            and policy.objection_to(responder.signature) is None
            and Seal.of(responder.parsed, responder.parsed.tbs_certificate_bytes).holds(issuer)
        ):
            yield responder


def _is_named(parsed: ocsp.OCSPResponse, signer: Certificate) -> bool:
    if parsed.responder_name is not None:
        return parsed.responder_name.public_bytes() == signer.subject
    return parsed.responder_key_hash == hashlib.sha1(_key(signer), usedforsecurity=False).digest()


def _is_about(single: ocsp.OCSPSingleResponse, certificate: Certificate, issuer: Certificate) -> bool:
    """RFC 6960, 4.1.1: serial number, and the hashes of the issuer's name and key."""
    try:
        algorithm = single.hash_algorithm
    except UnsupportedAlgorithm:
        return False
    return single.serial_number == certificate.serial and (single.issuer_name_hash, single.issuer_key_hash) == (
        _digest(algorithm, issuer.subject),
        _digest(algorithm, _key(issuer)),
    )


def _digest(algorithm: hashes.HashAlgorithm, value: bytes) -> bytes:
    hasher = hashes.Hash(algorithm)
    hasher.update(value)
    return hasher.finalize()


def _key(certificate: Certificate) -> bytes:
    """The bits of the public key, without tag, length and the count of unused bits."""
    bits = elements(content(certificate.public_key.encoded))[1]
    encoded: bytes = core.OctetBitString.load(bits).native
    return encoded
