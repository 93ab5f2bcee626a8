"""A very small DER writer, so that a test can write what no careful library would."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509


def tlv(tag: int, *content: bytes) -> bytes:
    """One element: identifier octet `tag`, definite length, the contents joined (X.690, 8.1)."""
    body = b"".join(content)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def sequence(*elements: bytes) -> bytes:
    """SEQUENCE."""
    return tlv(0x30, *elements)


def explicit(number: int, *content: bytes) -> bytes:
    """A context tag around its content, constructed."""
    return tlv(0xA0 | number, *content)


def implicit(number: int, content: bytes) -> bytes:
    """A context tag in the place of a primitive one."""
    return tlv(0x80 | number, content)


def integer(value: int) -> bytes:
    """INTEGER, negative ones too."""
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def boolean(value: bool) -> bytes:
    """BOOLEAN."""
    return tlv(0x01, b"\xff" if value else b"\x00")


def oid(dotted: str) -> bytes:
    """OBJECT IDENTIFIER."""
    first, second, *rest = map(int, dotted.split("."))
    octets = bytearray()
    for arc in (first * 40 + second, *rest):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | (arc & 0x7F))
        octets += bytes(reversed(septets))
    return tlv(0x06, bytes(octets))


def null() -> bytes:
    """NULL."""
    return b"\x05\x00"


def bit_string(content: bytes, unused: int = 0) -> bytes:
    """BIT STRING."""
    return tlv(0x03, bytes((unused,)), content)


def named_bits(*numbers: int) -> bytes:
    """A BIT STRING of named bits, without trailing zeros (X.690, 11.2.2)."""
    if not numbers:
        return bit_string(b"")
    length = max(numbers) + 1
    value = sum(1 << (length - 1 - number) for number in numbers)
    unused = -length % 8
    return bit_string((value << unused).to_bytes((length + unused) // 8, "big"), unused)


def octet_string(content: bytes) -> bytes:
    """OCTET STRING."""
    return tlv(0x04, content)


def utf8(text: str) -> bytes:
    """UTF8String."""
    return tlv(0x0C, text.encode())


def time(at: datetime) -> bytes:
    """UTCTime until 2049, GeneralizedTime from then on (RFC 5280, 4.1.2.5)."""
    if at.year < 2050:
        return tlv(0x17, at.strftime("%y%m%d%H%M%SZ").encode())
    return tlv(0x18, at.strftime("%Y%m%d%H%M%SZ").encode())


def common_name(text: str) -> x509.Name:
    """A distinguished name of one common name."""
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
