"""Splitting and joining DER, for the few places where a certificate must be looked at in pieces.

Splitting is on the path of every judgement, so it walks the bytes once and copies nothing but what it gives; asn1crypto
writes the headers.
"""

from __future__ import annotations

from asn1crypto import parser

SEQUENCE = 0x30
OBJECT_IDENTIFIER = 0x06


class MalformedDerError(ValueError):
    """The bytes are not DER at this place."""


def content(element: bytes) -> bytes:
    """What is inside one element. Raises MalformedDerError, also when something trails."""
    begin, end = _bounds(element, 0)
    if end != len(element):
        raise MalformedDerError(f"{len(element) - end} bytes trail")
    return element[begin:end]


def elements(joined: bytes) -> list[bytes]:
    """Split elements that stand one after the other, each with its header. Raises MalformedDerError."""
    found = []
    at = 0
    while at < len(joined):
        _, end = _bounds(joined, at)
        found.append(joined[at:end])
        at = end
    return found


def wrap(tag: int, *contents: bytes) -> bytes:
    """Put a header before the joined contents (X.690, 8.1, 10.1)."""
    joined: bytes = parser.emit(tag >> 6, tag >> 5 & 1, tag & 0x1F, b"".join(contents))
    return joined


def _bounds(encoded: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at `at` begins and ends (X.690, 8.1). Raises MalformedDerError.

    DER has one way to write a length, the shortest (X.690, 10.1); no tag that we look for has several octets.
    """
    begin = at + 2
    if begin > len(encoded):
        raise MalformedDerError("cut off in a header")
    if encoded[at] & 0x1F == 0x1F:
        raise MalformedDerError("a tag of several octets, which nothing here has")
    length = encoded[at + 1]
    if length >= 0x80:
        octets = encoded[begin : begin + (length & 0x7F)]
        begin += length & 0x7F
        length = int.from_bytes(octets, "big")
        if length < 0x80 or octets[0] == 0:
            raise MalformedDerError("a length that DER does not write so")
    end = begin + length
    if end > len(encoded):
        raise MalformedDerError(f"{end - len(encoded)} bytes are missing")
    return begin, end
