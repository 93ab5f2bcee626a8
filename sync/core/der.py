"""Splitting and joining DER, for the few places where a certificate must be looked at in pieces.

asn1crypto's low-level parser finds where a piece begins and ends; it takes BER, so here its answer is held to DER.
"""

from __future__ import annotations

from asn1crypto import parser

SEQUENCE = 0x30
OBJECT_IDENTIFIER = 0x06
_INDEFINITE = 0x80


class MalformedDerError(ValueError):
    """The bytes are not DER at this place."""


def content(element: bytes) -> bytes:
    """What is inside one element. Raises MalformedDerError, also when something trails."""
    inside, length = _first(element)
    if length != len(element):
        raise MalformedDerError(f"{len(element) - length} bytes trail")
    return inside


def elements(joined: bytes) -> list[bytes]:
    """Split elements that stand one after the other, each with its header. Raises MalformedDerError."""
    found = []
    while joined:
        _, length = _first(joined)
        found.append(joined[:length])
        joined = joined[length:]
    return found


def wrap(tag: int, *contents: bytes) -> bytes:
    """Put a header before the joined contents (X.690, 8.1, 10.1)."""
    joined: bytes = parser.emit(tag >> 6, tag >> 5 & 1, tag & 0x1F, b"".join(contents))
    return joined


def _first(encoded: bytes) -> tuple[bytes, int]:
    """The content of the first element and its whole length. Raises MalformedDerError."""
    try:
        _, _, tag, header, inside, _ = parser.parse(encoded)
    except ValueError as error:
        raise MalformedDerError(str(error)) from error
    # DER has one way to write a length, the shortest (X.690, 10.1); no tag that we look for has several octets.
    shortest = 2 if len(inside) < 0x80 else 2 + (len(inside).bit_length() + 7) // 8
    if tag >= 0x1F or len(header) != shortest or header[1] == _INDEFINITE:
        raise MalformedDerError("a header that DER does not allow here")
    return inside, len(header) + len(inside)
