"""Structure-aware mutations of DER: what comes out is broken in one place and sound around it.

A value with a wrong byte dies in the first parser. To reach what lies behind it, the lengths of all elements around a
change are written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from tests.mill.der import tlv

# Attribute types, extensions, key and signature algorithms, purposes, content types and attributes of CMS, and none.
_OIDS = tuple(
    bytes.fromhex(each)
    for each in (
        *("550403", "55040a", "55041d", "55042d", "2a864886f70d010901"),
        *("551d0e", "551d0f", "551d11", "551d12", "551d13", "551d1e", "551d1f", "551d20", "551d21", "551d23", "551d24"),
        *("551d25", "551d36", "551d2500", "551d2000", "2b06010505070101"),
        *("2a864886f70d010101", "2a864886f70d010104", "2a864886f70d010105", "2a864886f70d01010a", "2a864886f70d01010b"),
        *("2a8648ce3d0201", "2a8648ce3d030107", "2b81040022", "2a8648ce3d040302", "2a8648ce380401", "2b656e", "2b6570"),
        *("2b06010505070304", "2b06010505070809", "2b060104018237140203"),
        *("2a864886f70d010701", "2a864886f70d010702", "2a864886f70d010903", "2a864886f70d010904"),
        *(
            "2a864886f70d010910020b",
            "2b06010401823710 04",
            "608648016503040201",
            "2b0e03021a",
            "01",
            "80",
            "8080808001",
        ),
    )
)
_TAGS = (
    0x01,
    0x02,
    0x03,
    0x04,
    0x05,
    0x06,
    0x0A,
    0x0C,
    0x13,
    0x16,
    0x17,
    0x18,
    0x1E,
    0x30,
    0x31,
    0x81,
    0x82,
    0xA0,
    0xA3,
)
_TEXTS = (
    b"",
    b"\0",
    b"a" * 300,
    b"\xff@x",
    b"a@b",
    b"\xc3",
    "å@b".encode(),
    b"99991231235959Z",
    b"000000000000Z",
    b"x\n",
)
_MAX_BYTES = 40_000  # a little over what an attribute holds, so that the limit is met too


@dataclass(frozen=True, slots=True)
class Element:
    """One TLV of a value: where it begins, its content begins, and it ends; and the places of those around it."""

    start: int
    inside: int
    end: int
    around: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """A value and all elements in it, also those within OCTET and BIT STRINGs."""

    value: bytes
    elements: tuple[Element, ...]

    @classmethod
    def of(cls, value: bytes, limit: int = 400) -> Tree:
        """Read at most `limit` elements; a value without any, such as text, has none."""
        found: list[Element] = []
        # A MAPI blob is a run of tags and lengths around the DER that is of interest.
        starts = [at for at in (0, 12) if value[at : at + 1] == b"\x30"]
        if starts:
            _walk(value, starts[0], len(value), (), found, limit)
        return cls(value, tuple(found))

    def put(self, element: Element, replacement: bytes) -> bytes:
        """Replace one element and write the headers of those around it anew."""
        start, end = element.start, element.end
        for outer_start, outer_inside, outer_end in reversed(element.around):
            tag = self.value[outer_start]
            replacement = tlv(tag, self.value[outer_inside:start], replacement, self.value[end:outer_end])
            start, end = outer_start, outer_end
        return self.value[:start] + replacement + self.value[end:]

    def bytes_of(self, element: Element) -> bytes:
        """The element with its header."""
        return self.value[element.start : element.end]


def mutate(value: Tree, others: Sequence[Tree], random: Random) -> bytes:
    """Change `value` in one place, sometimes in more; `others` give the parts that are put into it."""
    changed = (
        _structured(value, others, random) if value.elements and random.random() < 0.85 else _raw(value.value, random)
    )
    while random.random() < 0.15:
        again = Tree.of(changed, limit=60)
        changed = (
            _structured(again, others, random) if again.elements and random.random() < 0.5 else _raw(changed, random)
        )
    return changed[:_MAX_BYTES]


def _structured(value: Tree, others: Sequence[Tree], random: Random) -> bytes:
    element = random.choice(value.elements)
    change = random.choice(_CHANGES)
    return value.put(element, change(value, element, others, random))


def _raw(value: bytes, random: Random) -> bytes:
    if not value:
        return random.randbytes(random.randrange(64))
    at = random.randrange(len(value))
    match random.randrange(4):
        case 0:
            return value[:at] + bytes((value[at] ^ 1 << random.randrange(8),)) + value[at + 1 :]
        case 1:
            return value[:at]
        case 2:
            return value[:at] + random.randbytes(random.randrange(1, 9)) + value[at:]
    return value[:at] + value[at + random.randrange(1, 9) :]


def _walk(  # noqa: PLR0917 - a recursion, whose arguments are always all given
    value: bytes, start: int, end: int, around: tuple[tuple[int, int, int], ...], found: list[Element], limit: int
) -> bool:
    """Note the elements between two places; False when what is there is no run of whole elements."""
    at = start
    noted = len(found)
    while at < end and len(found) < limit:
        if at + 2 > end:
            del found[noted:]
            return False
        inside, length = at + 2, value[at + 1]
        if length >= 0x80:
            inside += length & 0x7F
            length = int.from_bytes(value[at + 2 : inside], "big")
        if length == 0x80 or inside + length > end:
            del found[noted:]
            return False
        place = (at, inside, inside + length)
        found.append(Element(*place, around))
        tag = value[at]
        if len(around) < 40 and length and (tag & 0x20 or tag == 0x04):
            _walk(value, inside, inside + length, (*around, place), found, limit)
        at = inside + length
    return True


Change = Callable[[Tree, Element, Sequence[Tree], Random], bytes]


def _flipped(value: Tree, element: Element, _: Sequence[Tree], random: Random) -> bytes:
    return _raw(value.bytes_of(element), random)


def _repeated(value: Tree, element: Element, _: Sequence[Tree], random: Random) -> bytes:
    times = random.choice((2, 2, 2, 3, 30, 1_000))
    whole = value.bytes_of(element)
    return whole * max(2, min(times, _MAX_BYTES // max(len(whole), 1)))


def _removed(*_: object) -> bytes:
    return b""


def _reordered(value: Tree, element: Element, _: Sequence[Tree], random: Random) -> bytes:
    around = (*element.around, (element.start, element.inside, element.end))
    children = [value.bytes_of(each) for each in value.elements if each.around == around]
    random.shuffle(children)
    return tlv(value.value[element.start], *children) if children else b""


def _lying(value: Tree, element: Element, _: Sequence[Tree], random: Random) -> bytes:
    """A header whose length is not that of the content, or is written as DER does not."""
    tag, inside = value.value[element.start], value.value[element.inside : element.end]
    length = len(inside)
    lie = random.choice((length + 1, length - 1, 0, length * 2, 0x7FFF, 0xFFFFFFFF, 2**64))
    return bytes((tag,)) + random.choice(
        (
            b"\x80" + inside + b"\0\0",
            b"\x88" + length.to_bytes(8, "big") + inside,
            b"\x84" + (max(lie, 0) & 0xFFFFFFFF).to_bytes(4, "big") + inside,
            bytes((max(lie, 0) & 0x7F,)) + inside,
            b"\xff" + inside,
            b"\x89" + max(lie, 0).to_bytes(9, "big") + inside,
        )
    )


def _other_oid(value: Tree, element: Element, _: Sequence[Tree], random: Random) -> bytes:
    oids = [each for each in value.elements if value.value[each.start] == 0x06]
    if not oids or value.value[element.start] != 0x06:
        return _retagged(value, element, (), random)
    return tlv(0x06, random.choice(_OIDS))


def _huge_integer(_: Tree, __: Element, ___: Sequence[Tree], random: Random) -> bytes:
    size = random.choice((0, 1, 8, 21, 129, 1_000, 2_049, 8_000, 30_000))
    return tlv(0x02, random.choice((b"\0", b"\x7f", b"\x80", b"\xff")) * min(size, 1), random.randbytes(size))


def _nested(value: Tree, element: Element, _: Sequence[Tree], random: Random) -> bytes:
    whole = value.bytes_of(element)
    tag = random.choice((0x30, 0x31, 0xA0, 0x24, value.value[element.start]))
    for _level in range(random.choice((1, 2, 10, 100, 1_000))):
        if len(whole) > _MAX_BYTES:
            break
        whole = tlv(tag, whole)
    return whole


def _retagged(value: Tree, element: Element, _: Sequence[Tree], random: Random) -> bytes:
    return tlv(random.choice(_TAGS), value.value[element.inside : element.end])


def _transplanted(_: Tree, __: Element, others: Sequence[Tree], random: Random) -> bytes:
    donor = random.choice(others)
    return donor.bytes_of(random.choice(donor.elements)) if donor.elements else donor.value


def _retold(value: Tree, element: Element, _: Sequence[Tree], random: Random) -> bytes:
    return tlv(value.value[element.start], random.choice((*_TEXTS, random.randbytes(random.randrange(40)))))


_CHANGES: tuple[Change, ...] = (
    _flipped,
    _flipped,
    _repeated,
    _removed,
    _reordered,
    _lying,
    _other_oid,
    _other_oid,
    _huge_integer,
    _nested,
    _retagged,
    _transplanted,
    _transplanted,
    _retold,
    _retold,
)
