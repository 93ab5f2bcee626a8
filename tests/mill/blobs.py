"""What stands in userSMIMECertificate: a SignedData as Outlook publishes it, and the older MAPI tag/length blob."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.mill import keys
from tests.mill.certificates import NOW, Issued
from tests.mill.der import explicit, integer, null, octet_string, oid, sequence, time, tlv
from tests.mill.keys import Hash

Preference = Literal["issuer-and-serial", "recipient-key-id", "microsoft", "subject-key-id", "empty", "unknown"]

_DATA = "1.2.840.113549.1.7.1"
_SIGNED_DATA = "1.2.840.113549.1.7.2"
_DIGEST_OIDS = {
    "md5": "1.2.840.113549.2.5",
    "sha1": "1.3.14.3.2.26",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
}
_AES256_CBC = "2.16.840.1.101.3.4.1.42"
_AES128_CBC = "2.16.840.1.101.3.4.1.2"
_TRIPLE_DES = "1.2.840.113549.3.7"


def smime_blob(
    signing: Issued,
    encryption: Issued | None = None,
    *,
    certificates: Iterable[Issued | bytes] = (),
    preference: Preference | None = "issuer-and-serial",
    include: bool = True,
    content: bytes | None = None,
    signed_attributes: bool = True,
    digest: Hash = "sha256",
    signed_at: datetime = NOW,
    broken_signature: bool = False,
    broken_digest: bool = False,
    trailing: bytes = b"",
) -> bytes:
    """Make a SignedData signed with `signing` that names `encryption` (by default the same) as the key to encrypt to.

    It holds both certificates unless `include` is False, and `certificates` (the issuing CA, as Outlook adds it), has
    no content (RFC 2798, 2.8), and carries the attributes SMIMEEncryptionKeyPreference and SMIMECapabilities
    (RFC 8551, 2.5).
    """
    encryption = encryption or signing
    named = {issued.der: None for issued in (signing, encryption)} if include else {}
    others = (extra if isinstance(extra, bytes) else extra.der for extra in certificates)
    plain = digest.removesuffix("-pss")
    digest_algorithm = sequence(oid(_DIGEST_OIDS[plain]), null())
    message_digest = hashlib.new(plain, content or b"").digest()
    attributes = [
        _attribute("1.2.840.113549.1.9.3", oid(_DATA)),
        _attribute(
            "1.2.840.113549.1.9.4", octet_string(bytes(len(message_digest)) if broken_digest else message_digest)
        ),
        _attribute("1.2.840.113549.1.9.5", time(signed_at)),
        _attribute("1.2.840.113549.1.9.15", _capabilities()),
        *([] if preference is None else [_preference(encryption, preference)]),
    ]
    body = b"".join(sorted(attributes))
    signature = keys.sign(signing.key, tlv(0x31, body) if signed_attributes else content or b"", digest)
    if broken_signature:
        signature = signature[:-1] + bytes((signature[-1] ^ 1,))
    algorithm = (
        sequence(oid("1.2.840.113549.1.1.1"), null())  # rsaEncryption, as Outlook writes it (RFC 3370, 3.2)
        if isinstance(signing.key, rsa.RSAPrivateKey) and not digest.endswith("-pss")
        else keys.signature_algorithm(signing.key, digest)
    )
    signer = sequence(
        integer(1),
        _issuer_and_serial(signing),
        digest_algorithm,
        *([tlv(0xA0, body)] if signed_attributes else []),
        algorithm,
        octet_string(signature),
    )
    content_info = sequence(oid(_DATA), *([] if content is None else [explicit(0, octet_string(content))]))
    signed_data = sequence(
        integer(1),
        tlv(0x31, digest_algorithm),
        content_info,
        tlv(0xA0, *sorted((*named, *others))),
        tlv(0x31, signer),
    )
    return sequence(oid(_SIGNED_DATA), explicit(0, signed_data)) + trailing


def certificates_only_blob(*certificates: Issued | bytes) -> bytes:
    """Make a SignedData without a signer, as a `.p7b` is (RFC 5652, 5.1)."""
    encoded = sorted(c if isinstance(c, bytes) else c.der for c in certificates)
    signed_data = sequence(integer(1), tlv(0x31), sequence(oid(_DATA)), tlv(0xA0, *encoded), tlv(0x31))
    return sequence(oid(_SIGNED_DATA), explicit(0, signed_data))


def mapi_blob(certificate: Issued | bytes, *, tag: int = 3, before: Iterable[tuple[int, bytes]] = ()) -> bytes:
    """Make a MAPI blob: little-endian tag and length (header included) before each part (MS-OXOABK, 2.2.4.36).

    Tag 3 is the key-exchange certificate; `before` are parts that come first, such as tag 1 (version).
    """
    value = certificate if isinstance(certificate, bytes) else certificate.der
    parts = [*(before or [(1, struct.pack("<I", 1))]), (tag, value)]
    return b"".join(struct.pack("<HH", number, len(part) + 4) + part for number, part in parts)


def _attribute(kind: str, value: bytes) -> bytes:
    return sequence(oid(kind), tlv(0x31, value))


def _issuer_and_serial(issued: Issued) -> bytes:
    return sequence(issued.certificate.issuer.public_bytes(), integer(issued.certificate.serial_number))


def _preference(encryption: Issued, form: Preference) -> bytes:
    """SMIMEEncryptionKeyPreference (RFC 8551, 2.5.3), or the attribute that Microsoft's software writes beside it."""
    name = _issuer_and_serial(encryption)
    if form in {"empty", "unknown"}:
        return _attribute("1.2.840.113549.1.9.16.2.11", tlv(0xA1 if form == "empty" else 0xA7))
    if form == "microsoft":
        return _attribute("1.3.6.1.4.1.311.16.4", name)
    if form in {"recipient-key-id", "subject-key-id"}:
        identifier = encryption.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        named = tlv(0xA1, octet_string(identifier)) if form == "recipient-key-id" else tlv(0x82, identifier)
        return _attribute("1.2.840.113549.1.9.16.2.11", named)
    return _attribute("1.2.840.113549.1.9.16.2.11", tlv(0xA0, name[_header_length(name) :]))


def _header_length(element: bytes) -> int:
    return 2 + (element[1] & 0x7F if element[1] & 0x80 else 0)


def _capabilities() -> bytes:
    return sequence(*(sequence(oid(kind)) for kind in (_AES256_CBC, _AES128_CBC, _TRIPLE_DES)))


__all__ = ["Preference", "certificates_only_blob", "mapi_blob", "smime_blob"]
