"""The SignedData that Outlook publishes in userSMIMECertificate: its certificates, its signature, its preference.

It may be BER: not only Outlook writes them. What the signature proves is only that the person's own signing key stood
behind the preference; whether a certificate is good is judged as for any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from asn1crypto import cms
from asn1crypto import parser as asn1_parser
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa

from sync.core.certificate import Certificate, MalformedCertificateError
from sync.core.codes import Code
from sync.core.der import SEQUENCE, MalformedDerError, content, elements, wrap
from sync.core.findings import Finding
from sync.core.policy import Policy

_ENCRYPTION_KEY_PREFERENCE = "1.2.840.113549.1.9.16.2.11"
_MICROSOFT_ENCRYPTION_KEY_PREFERENCE = "1.3.6.1.4.1.311.16.4"  # an IssuerAndSerialNumber, written by Outlook
_SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
_HASHES: Mapping[str, hashes.HashAlgorithm] = MappingProxyType(
    {
        "sha1": hashes.SHA1(),  # noqa: S303 - Outlook's old default; a preference only orders what is judged anyway
        "sha224": hashes.SHA224(),
        "sha256": hashes.SHA256(),
        "sha384": hashes.SHA384(),
        "sha512": hashes.SHA512(),
    }
)
_UNREADABLE = (ValueError, TypeError, IndexError)  # what asn1crypto raises over malformed input, and an empty SET


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedData:
    """The person's `leaf` and the `others` (DER each); `preferred` when a verified signature names the leaf."""

    leaf: bytes | None = None
    others: tuple[bytes, ...] = ()
    preferred: bool = False
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Name:
    """How CMS names a certificate: by issuer (DER) and serial number, or by subject key identifier."""

    issuer: bytes = b""
    serial: int = 0
    key_identifier: bytes | None = None

    def fits(self, certificate: Certificate) -> bool:
        if self.key_identifier is None:
            return (certificate.issuer, certificate.serial) == (self.issuer, self.serial)
        identifier = certificate.extensions.get(_SUBJECT_KEY_IDENTIFIER)
        return isinstance(identifier, x509.SubjectKeyIdentifier) and identifier.digest == self.key_identifier


def read(value: bytes, policy: Policy) -> SignedData:
    """Read one value (rules.md, A3 to A5). Raises nothing.

    1 certificates, 2 signature, 3 the person's leaf: the verified preference, else the signer, else the newest of
    those that issued none of the others.
    """
    findings: list[Finding] = []
    # 1
    try:
        _, _, _, header, body, trailer = asn1_parser.parse(value)
        ended = len(header) + len(body) + len(trailer)
        message = cms.ContentInfo.load(value[:ended])
        if message["content_type"].native != "signed_data":
            return _refused(policy.finding(Code.CMS_MALFORMED, f"is {message['content_type'].native}, not SignedData"))
        signed = message["content"]
        encoded = _certificates(signed)
    except _UNREADABLE as error:
        return _refused(policy.finding(Code.CMS_MALFORMED, _first_line(error)))
    if ended < len(value):
        findings.append(policy.finding(Code.CMS_TRAILING_DATA, f"{len(value) - ended} bytes after its end"))
    if len(encoded) > policy.max_certificates:
        detail = f"holds {len(encoded)} certificates, at most {policy.max_certificates} are looked at"
        return _refused(*findings, policy.finding(Code.CMS_MALFORMED, detail))
    if not encoded:
        return _refused(*findings, policy.finding(Code.CMS_NO_CERTIFICATE, "holds no certificate"))
    certificates = _parsed(encoded)
    # 2
    signer, preference, trouble = _signer(signed, certificates)
    if trouble:
        findings.append(policy.finding(Code.CMS_SIGNATURE_INVALID, trouble))
    # 3
    choice = _choose(certificates, signer, preference, policy)
    leaf = choice.leaf
    return replace(
        choice,
        others=tuple(other for other in encoded if other != leaf) if leaf else (),
        findings=(*findings, *choice.findings),
    )


def _choose(
    certificates: Sequence[Certificate], signer: Certificate | None, preference: _Name | None, policy: Policy
) -> SignedData:
    if preference is not None:
        named = next((certificate for certificate in certificates if preference.fits(certificate)), None)
        if named is None:
            # Outlook would find nothing here either; to encrypt to the signing key instead would be a guess.
            detail = "names an encryption certificate that it does not hold"
            return _refused(policy.finding(Code.CMS_NO_USER_LEAF, detail))
        return SignedData(leaf=named.der, preferred=True)
    if signer is not None:
        return SignedData(leaf=signer.der)
    leaves = sorted(_nobodys_issuer(certificates), key=lambda c: (c.not_before, c.fingerprint), reverse=True)
    if not leaves:
        detail = "every certificate in it is another's issuer, or none can be read"
        return _refused(policy.finding(Code.CMS_NO_USER_LEAF, detail))
    ambiguous = policy.finding(Code.CMS_AMBIGUOUS_LEAF, f"{len(leaves)} certificates could be the person's")
    return SignedData(leaf=leaves[0].der, findings=(ambiguous,) if len(leaves) > 1 else ())


def _nobodys_issuer(certificates: Sequence[Certificate]) -> list[Certificate]:
    issuers = {certificate.issuer for certificate in certificates if certificate.issuer != certificate.subject}
    leaves = [certificate for certificate in certificates if certificate.subject not in issuers]
    return [c for c in leaves if not (c.basic_constraints and c.basic_constraints.ca)]


def _certificates(signed: Any) -> list[bytes]:
    return [choice.chosen.dump() for choice in signed["certificates"] if choice.name == "certificate"]


def _parsed(encoded: Iterable[bytes]) -> list[Certificate]:
    parsed = []
    for der in dict.fromkeys(encoded):
        try:
            parsed.append(Certificate.parse(der))
        except MalformedCertificateError:
            continue  # it can be neither the leaf nor of help
    return parsed


def _signer(signed: Any, certificates: Sequence[Certificate]) -> tuple[Certificate | None, _Name | None, str | None]:
    """The first signer; what it prefers, if its signature verifies; and why it does not count, if it does not."""
    signer = None
    try:
        infos = list(signed["signer_infos"])
        if not infos:
            return None, None, "bears no signature"
        name = _signer_name(infos[0]["sid"])
        signer = next((certificate for certificate in certificates if name.fits(certificate)), None)
        if signer is None:
            return None, None, "does not hold the certificate of its signer"
        _verify(infos[0], signed, signer)
        return signer, _preference(infos[0]), None
    except (InvalidSignature, UnsupportedAlgorithm):
        return signer, None, "the signature does not verify"
    except _UNREADABLE as error:
        return signer, None, f"the signature or what it signs cannot be read: {_first_line(error)}"


def _signer_name(identifier: Any) -> _Name:
    if identifier.name == "subject_key_identifier":
        return _Name(key_identifier=identifier.chosen.native)
    return _issuer_and_serial(identifier.chosen.dump())


def _issuer_and_serial(encoded: bytes) -> _Name:
    issuer, serial = elements(content(encoded))
    return _Name(issuer=issuer, serial=int.from_bytes(content(serial), "big", signed=True))


def _preference(info: Any) -> _Name | None:
    """RFC 8551, 2.5.3; the standard attribute goes before Microsoft's. Raises MalformedDerError."""
    values = {attribute["type"].dotted: attribute["values"].contents for attribute in info["signed_attrs"]}
    standard, microsoft = values.get(_ENCRYPTION_KEY_PREFERENCE), values.get(_MICROSOFT_ENCRYPTION_KEY_PREFERENCE)
    if standard:
        inside = content(standard)
        match standard[0]:
            case 0xA0:
                return _issuer_and_serial(wrap(SEQUENCE, inside))
            case 0xA1 if parts := elements(inside):
                return _Name(key_identifier=content(parts[0]))
            case 0x82:
                return _Name(key_identifier=inside)
        raise MalformedDerError("an encryption key preference of unknown form")
    return _issuer_and_serial(microsoft) if microsoft else None


def _verify(info: Any, signed: Any, signer: Certificate) -> None:
    """RFC 5652, 5.4 and 5.6. Raises InvalidSignature, UnsupportedAlgorithm, and what asn1crypto raises.

    Content that is absent cannot be compared, and need not be: consumers ignore it (RFC 2798, 2.8).
    """
    algorithm = _HASHES.get(name := info["digest_algorithm"]["algorithm"].native)
    if algorithm is None:
        raise UnsupportedAlgorithm(str(name))
    inner = signed["encap_content_info"]["content"]
    body = inner.native if isinstance(inner.native, bytes | None) else inner.contents
    if not info["signed_attrs"]:
        _verify_bytes(info, signer, body or b"", algorithm)
        return
    digests = [a["values"][0].native for a in info["signed_attrs"] if a["type"].native == "message_digest"]
    if len(digests) != 1 or (body is not None and digests[0] != hashlib.new(name, body).digest()):
        raise InvalidSignature
    _verify_bytes(info, signer, info["signed_attrs"].untag().dump(), algorithm)


def _verify_bytes(info: Any, signer: Certificate, signed: bytes, algorithm: hashes.HashAlgorithm) -> None:
    signature = info["signature"].native
    match signer.parsed.public_key():
        case rsa.RSAPublicKey() as key if info["signature_algorithm"]["algorithm"].native == "rsassa_pss":
            scheme = padding.PSS(padding.MGF1(algorithm), padding.PSS.AUTO)
            key.verify(signature, signed, scheme, algorithm)
        case rsa.RSAPublicKey() as key:
            key.verify(signature, signed, padding.PKCS1v15(), algorithm)
        case ec.EllipticCurvePublicKey() as key:
            key.verify(signature, signed, ec.ECDSA(algorithm))
        case dsa.DSAPublicKey() as key:
            key.verify(signature, signed, algorithm)
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey() as key:
            key.verify(signature, signed)
        case _:
            raise UnsupportedAlgorithm(signer.public_key.name)


def _refused(*findings: Finding) -> SignedData:
    return SignedData(findings=findings)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
