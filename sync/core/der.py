"""Splitting and joining DER, for the few places where a certificate must be looked at in pieces.

What is inside a piece is left to the libraries that parse certificates; this only finds where it begins and ends.
"""

from __future__ import annotations

SEQUENCE = 0x30
OBJECT_IDENTIFIER = 0x06


class MalformedDerError(ValueError):
    """The bytes are not DER at this place."""


def content(element: bytes) -> bytes:
    """What is inside one element. Raises MalformedDerError, also when something trails."""
    _, start, end = _header(element, 0)
    if end != len(element):
        raise MalformedDerError(f"{len(element) - end} bytes trail")
    return element[start:end]


def elements(joined: bytes) -> list[bytes]:
    """Split elements that stand one after the other, each with its header. Raises MalformedDerError."""
    found = []
    at = 0
    while at < len(joined):
        _, _, end = _header(joined, at)
        found.append(joined[at:end])
        at = end
    return found


def wrap(tag: int, *contents: bytes) -> bytes:
    """Put a header before the joined contents (X.690, 8.1, 10.1)."""
    joined = b"".join(contents)
    if len(joined) < 0x80:
        return bytes((tag, len(joined))) + joined
    length = len(joined).to_bytes((len(joined).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + joined


def _header(der: bytes, at: int) -> tuple[int, int, int]:
    """The identifier octet, and where the content begins and ends. One-octet tags and definite lengths only."""
    if at + 2 > len(der):
        raise MalformedDerError(f"ends within a header at byte {at}")
    tag, length, start = der[at], der[at + 1], at + 2
    if tag & 0x1F == 0x1F:
        raise MalformedDerError(f"a tag of several octets at byte {at}")
    if length & 0x80:
        octets = length & 0x7F
        number = der[start : start + octets]
        length = int.from_bytes(number, "big")
        # DER writes a length in as few octets as it takes; 0x80 alone would be BER's indefinite form.
        if not number or number[0] == 0 or length < 0x80 or len(number) < octets:
            raise MalformedDerError(f"a length that DER does not allow at byte {at}")
        start += octets
    if start + length > len(der):
        raise MalformedDerError(f"ends within the element at byte {at}")
    return tag, start, start + length
