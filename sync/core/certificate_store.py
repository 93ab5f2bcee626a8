"""Reads a serialised certificate store (SST), as Export-Certificate writes it and Set-SmimeConfig takes it.

MS-OSHARED 2.3.2.5: version and file type, then for each certificate its properties and itself, then an end marker;
each element has an id, an encoding type, a length and a value, little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_HEADER = b"\0\0\0\0CERT"
_CERTIFICATE = 0x20
_ELEMENT = struct.Struct("<III")
_LARGEST = 16 * 1024 * 1024


class StoreError(ValueError):
    """The bytes are no serialised certificate store."""


def read(store: bytes) -> tuple[bytes, ...]:
    """The DER of each certificate, unjudged. Raises StoreError."""
    if len(store) > _LARGEST or not store.startswith(_HEADER):
        raise StoreError(f"does not begin as a store does, or is too large ({len(store)} bytes)")
    return tuple(value for kind, value in _elements(store) if kind == _CERTIFICATE)


def write(certificates: Iterator[bytes] | tuple[bytes, ...]) -> bytes:
    """Make a store of these certificates without properties."""
    parts = (_ELEMENT.pack(_CERTIFICATE, 1, len(der)) + der for der in certificates)
    return _HEADER + b"".join(parts) + _ELEMENT.pack(0, 0, 0)


def _elements(store: bytes) -> Iterator[tuple[int, bytes]]:
    at = len(_HEADER)
    while at + _ELEMENT.size <= len(store):
        kind, _, length = _ELEMENT.unpack_from(store, at)
        if kind == 0:
            return
        at += _ELEMENT.size
        if at + length > len(store):
            break
        yield kind, store[at : at + length]
        at += length
    raise StoreError("ends in the middle")
