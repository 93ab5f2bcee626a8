"""Opening an attribute value: what it is, and which certificate in it is the person's (rules.md, A1 to A6).

The form is told by the bytes alone, whichever attribute they stand in: Active Directory checks nothing, and scripts
write everything everywhere.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from sync.core.codes import Code
from sync.core.der import OBJECT_IDENTIFIER, SEQUENCE
from sync.core.findings import Finding
from sync.core.person import Attribute
from sync.core.policy import PRIVATE_CA, Policy

_KEY_EXCHANGE_CERTIFICATE = 3
_LOOKS_LIKE_TEXT = (b"-----BEGIN", b"MII")


class Format(StrEnum):
    """The forms in which a certificate can stand in an attribute."""

    CERTIFICATE = "certificate"
    CMS = "cms"
    MAPI = "mapi"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a value holds: the DER of the person's `leaf`, if any, and other certificates that may help to build a path
    and deserve no trust. `preferred` says that a verified signature names the leaf as the one to encrypt to."""

    format: Format
    leaf: bytes | None = None
    intermediates: tuple[bytes, ...] = ()
    preferred: bool = False
    findings: tuple[Finding, ...] = ()

    @property
    def copyable(self) -> bool:
        """Whether the value, verbatim, is what belongs in userSMIMECertificate (MS-OXOABK 2.2.4.36)."""
        return self.format in {Format.CMS, Format.MAPI}


def open_value(attribute: Attribute, value: bytes, policy: Policy = PRIVATE_CA) -> Opened:
    """Open one value, whatever its bytes. Raises nothing."""
    if not value:
        return _unknown(policy.finding(Code.VALUE_EMPTY, "no bytes"))
    if len(value) > policy.max_value_bytes:
        detail = f"{len(value)} bytes, at most {policy.max_value_bytes} are possible"
        return _unknown(policy.finding(Code.VALUE_TOO_LARGE, detail))
    match _format(value):
        case Format.CERTIFICATE:
            return Opened(format=Format.CERTIFICATE, leaf=value, findings=tuple(_bare(attribute, policy)))
        case Format.CMS:
            return _open_signed_data(value, policy)
        case Format.MAPI:
            return _open_mapi(value, policy)
    return _unknown(policy.finding(Code.VALUE_UNKNOWN_FORMAT, _described(value)))


def _format(value: bytes) -> Format:
    """MS-OXOABK 2.2.4.36: 0x30 or a run of tags and lengths. Within the SEQUENCE a certificate begins with another
    one (RFC 5280, 4.1), a CMS message with its content type (RFC 5652, 3)."""
    if value[0] == SEQUENCE and len(value) > 1:
        length = value[1]
        inner = 2 + (length & 0x7F if length & 0x80 else 0)
        if value[inner : inner + 1] == bytes((OBJECT_IDENTIFIER,)):
            return Format.CMS
        return Format.CERTIFICATE if value[inner : inner + 1] == bytes((SEQUENCE,)) else Format.UNKNOWN
    return Format.MAPI if _settings(value) else Format.UNKNOWN


def _bare(attribute: Attribute, policy: Policy) -> Iterator[Finding]:
    """MS-OXOABK 2.2.4.36."""
    if attribute is Attribute.USER_SMIME_CERTIFICATE:
        yield policy.finding(Code.SMIME_BARE_CERTIFICATE, "a certificate where a SignedData belongs; not copied there")


def _open_signed_data(value: bytes, policy: Policy) -> Opened:
    from sync.core import signed_data  # noqa: PLC0415 - loads an ASN.1 library that a bare certificate never needs

    read = signed_data.read(value, policy)
    return Opened(
        format=Format.CMS,
        leaf=read.leaf,
        intermediates=read.others,
        preferred=read.preferred,
        findings=read.findings,
    )


def _open_mapi(value: bytes, policy: Policy) -> Opened:
    settings = _settings(value) or {}
    leaf = settings.get(_KEY_EXCHANGE_CERTIFICATE)
    if leaf is None:
        detail = "a MAPI blob without a key-exchange certificate (tag 3)"
        return Opened(format=Format.MAPI, findings=(policy.finding(Code.VALUE_UNKNOWN_FORMAT, detail),))
    return Opened(format=Format.MAPI, leaf=leaf)


def _settings(value: bytes) -> dict[int, bytes] | None:
    """Read a run of tag, length (header included) and content to its exact end; None when it is none.

    MS-OXOABK 2.2.4.36: unknown tags are ignored and none may repeat (the first one counts here).
    """
    found: dict[int, bytes] = {}
    at = 0
    while at < len(value):
        if at + 4 > len(value):
            return None
        tag, length = struct.unpack_from("<HH", value, at)
        if length < 4 or at + length > len(value):
            return None
        found.setdefault(tag, value[at + 4 : at + length])
        at += length
    return found


def _described(value: bytes) -> str:
    if value.lstrip().startswith(_LOOKS_LIKE_TEXT):
        return "text (PEM or base64) where binary DER belongs"
    return f"begins with {value[:4].hex(' ')}, {len(value)} bytes"


def _unknown(finding: Finding) -> Opened:
    return Opened(format=Format.UNKNOWN, findings=(finding,))
