"""LDAP searches, and one kind of change, as bytes (RFC 4511), there and back.

ldap3 logs us on. What it makes of a search, an object of each attribute and part of a filter on the way out and three
dictionaries of each entry on the way in, was most of this process's work for a change and for a full import.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from ldap3 import BASE, SUBTREE
from ldap3.core.exceptions import LDAPInvalidFilterError
from ldap3.operation.search import compile_filter, parse_filter
from pyasn1.codec.ber.encoder import encode

Filter = bytes
"""A filter as it travels, RFC 4511 4.5.1.7."""

Attributes = Mapping[str, Sequence[bytes]]
"""Attribute name in lower case, without `;binary`, to its raw values; an attribute without values is absent."""

_SEQUENCE, _SET, _INTEGER, _OCTETS, _ENUMERATED, _BOOLEAN = 0x30, 0x31, 0x02, 0x04, 0x0A, 0x01
_AND, _OR, _EQUALS, _AT_LEAST = 0xA0, 0xA1, 0xA3, 0xA5
_SEARCH: Final = 0x63
ENTRY: Final = 0x64
DONE: Final = 0x65
_MODIFY: Final = 0x66
MODIFIED: Final = 0x67
_ADD, _DELETE = 0, 1
_EXTENDED: Final = 0x78
_CONTROLS: Final = 0xA0
_SUBTREE, _BASE_OBJECT = 2, 0
_FALSE: Final = b"\x01\x01\x00"
_WHOLE: Final = b"\x0a\x01\x00" + b"\x02\x01\x00" * 2 + _FALSE
"""Aliases never followed, no limit of size or time but the controller's own, values too."""
_LARGEST: Final = 256 << 20
"""A message that says it is longer is none of ours: attributes hold far less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message from the controller: which search it answers, what it is, its content and its response controls.

    Number 0 is nobody's: the controller says goodbye (4.4.1).
    """

    number: int
    kind: int
    content: bytes
    controls: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Result:
    """How a search ended (4.1.9)."""

    code: int
    message: str


def element(tag: int, *parts: bytes) -> bytes:
    """Tag, length, content."""
    size = sum(map(len, parts))
    if size < 0x80:
        return b"".join((bytes((tag, size)), *parts))
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return b"".join((bytes((tag, 0x80 | len(length))), length, *parts))


def sequence(*parts: bytes) -> bytes:
    """One after the other."""
    return element(_SEQUENCE, *parts)


def octets(value: bytes) -> bytes:
    """A value."""
    return element(_OCTETS, value)


def integer(value: int) -> bytes:
    """Signed, as short as it can be."""
    return element(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def control(oid: str, value: bytes | None = None) -> bytes:
    """A control that the controller must heed or refuse the search."""
    parts = (octets(oid.encode("ascii")), b"\x01\x01\xff")
    return sequence(*parts) if value is None else sequence(*parts, octets(value))


@lru_cache(maxsize=64)
def matching(text: str) -> Filter:
    """A filter as people write it (RFC 4515). Raises ValueError for what is none."""
    try:
        parsed = parse_filter(text, None, True, True, None, False)
        return bytes(encode(compile_filter(parsed.elements[0])))
    except (LDAPInvalidFilterError, LookupError) as error:
        raise ValueError(f"{text} is not an LDAP filter: {error}") from error


def all_of(*filters: Filter) -> Filter:
    """Each of them. The controller may take them in this order."""
    return element(_AND, *filters)


def any_of(filters: Iterable[Filter]) -> Filter:
    """One of them at least."""
    return element(_OR, *filters)


def equals(attribute: str, value: bytes) -> Filter:
    """One of the attribute's values is this one."""
    return element(_EQUALS, octets(attribute.encode("ascii")), octets(value))


def at_least(attribute: str, value: int) -> Filter:
    """The attribute's number is this one or a higher one."""
    return element(_AT_LEAST, octets(attribute.encode("ascii")), octets(str(value).encode("ascii")))


def search(
    number: int,
    base: str,
    filter_: Filter,
    *,
    attributes: Sequence[str],
    scope: str = SUBTREE,
    controls: Sequence[bytes] = (),
) -> bytes:
    """A whole request; `scope` is one of ldap3's names."""
    wanted = sequence(*(octets(name.encode("ascii")) for name in attributes))
    where = octets(base.encode("utf-8")) + bytes((_ENUMERATED, 1, _BASE_OBJECT if scope == BASE else _SUBTREE))
    request = element(_SEARCH, where, _WHOLE, filter_, wanted)
    return sequence(integer(number), request, element(_CONTROLS, *controls) if controls else b"")


def modify(number: int, dn: str, attribute: str, *, add: bytes | None = None, delete: bytes | None = None) -> bytes:
    """A whole request (4.6) that adds one value to an attribute, or deletes one and leaves the others."""
    changes = [
        sequence(
            bytes((_ENUMERATED, 1, operation)),
            sequence(octets(attribute.encode("ascii")), element(_SET, octets(value))),
        )
        for operation, value in ((_ADD, add), (_DELETE, delete))
        if value is not None
    ]
    return sequence(integer(number), element(_MODIFY, octets(dn.encode("utf-8")), sequence(*changes)))


def size(buffer: bytes | bytearray, at: int) -> int | None:
    """Where the message that begins at `at` ends; None while its length is not there. Raises ValueError for what is no
    message."""
    if len(buffer) < at + 2:
        return None
    if buffer[at] != _SEQUENCE:
        raise ValueError(f"a message begins with {buffer[at]:#04x}")
    length = buffer[at + 1]
    if length < 0x80:
        return at + 2 + length
    start = at + 2 + (length & 0x7F)
    return start + int.from_bytes(buffer[at + 2 : start], "big") if len(buffer) >= start else None


def taken(buffer: bytearray) -> list[Message]:
    """Take the whole messages out of a buffer that it begins with. Raises ValueError or IndexError for what is none, or
    says that it is longer than any of ours."""
    found, at = [], 0
    while (end := size(buffer, at)) is not None and end <= len(buffer):
        found.append(read(bytes(buffer[at:end])))
        at = end
    if end is not None and end - at > _LARGEST:
        raise ValueError(f"a message of {end - at} bytes")
    del buffer[:at]
    return found


def read(message: bytes) -> Message:
    """Take a message apart. Raises ValueError or IndexError for what is none."""
    _, at, end = _head(message, 0, len(message))
    _, start, at = _head(message, at, end)
    number = int.from_bytes(message[start:at], "big", signed=True)
    kind, start, at = _head(message, at, end)
    content = message[start:at]
    controls = {}
    if at < end:
        _, at, end = _head(message, at, end)
        while at < end:
            _, inner, at = _head(message, at, end)
            oid, *rest = _parts(message, inner, at)
            controls[oid[1].decode("ascii")] = next((value for tag, value in rest if tag == _OCTETS), b"")
    return Message(number=number, kind=kind, content=content, controls=controls)


def attributes(content: bytes) -> Attributes:
    """The attributes of an entry. Raises ValueError or IndexError for what is none."""
    end = len(content)
    _, _, at = _head(content, 0, end)  # its name is nobody's business here
    _, at, end = _head(content, at, end)
    found: dict[str, list[bytes]] = {}
    while at < end:
        _, inner, at = _head(content, at, end)
        _, start, stop = _head(content, inner, at)
        _, inner, last = _head(content, stop, at)
        values = []
        while inner < last:
            _, begin, inner = _head(content, inner, last)
            values.append(content[begin:inner])
        if values:
            found[_name(content[start:stop])] = values
    return found


def result(content: bytes) -> Result:
    """How it ended. Raises ValueError or IndexError for what is no result."""
    code, _, said = _parts(content, 0, len(content))[:3]
    return Result(int.from_bytes(code[1], "big"), said[1].decode("utf-8", "replace").strip().rstrip("\x00"))


def numbers_and_cookie(value: bytes) -> tuple[int, bytes]:
    """The first number and the last member of a control's value, a sequence that ends in a cookie."""
    _, at, end = _head(value, 0, len(value))
    parts = _parts(value, at, end)
    return int.from_bytes(parts[0][1], "big", signed=True), parts[-1][1]


def _head(buffer: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Tag of the element at `at`, where its content begins and where it ends, which is not past `end`."""
    length, start = buffer[at + 1], at + 2
    if length >= 0x80:
        start += length & 0x7F
        length = int.from_bytes(buffer[at + 2 : start], "big")
    if start + length > end:
        raise ValueError("an element is longer than what it is in")
    return buffer[at], start, start + length


def _parts(buffer: bytes, at: int, end: int) -> list[tuple[int, bytes]]:
    found = []
    while at < end:
        tag, start, at = _head(buffer, at, end)
        found.append((tag, buffer[start:at]))
    return found


@lru_cache(maxsize=256)
def _name(raw: bytes) -> str:
    return raw.decode("ascii").lower().removesuffix(";binary")
