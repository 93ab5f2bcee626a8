"""What all recipients of the tenant look like, in 16 bytes each: a million in 16 MB.

Only whether one looks as expected can be asked of it. Two marks of eight bytes that are alike by chance would hide one
change in 2^64; the next change of that recipient shows it.
"""

from __future__ import annotations

import hashlib
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from sync.core.recipient import Recipient, appearance

_ENTRY = 16


def entry(recipient: Recipient) -> bytes:
    """One recipient: eight bytes of its id's SHA-256, eight of its appearance's."""
    return _mark(recipient.id) + bytes.fromhex(appearance(recipient)[:_ENTRY])


@dataclass(frozen=True, slots=True)
class Mirror:
    """Sorted by id. Somebody who was read twice, and looked otherwise the second time, looks like neither."""

    ids: array[int]
    looks: array[int]

    @classmethod
    def of(cls, blocks: Iterable[bytes]) -> Mirror:
        """Put together blocks of entries, in whatever order they are."""
        entries = sorted({block[at : at + _ENTRY] for block in blocks for at in range(0, len(block), _ENTRY)})
        return cls.load(b"".join(entries))

    @classmethod
    def load(cls, content: bytes) -> Mirror:
        """Read what `dump` wrote. Raises ValueError when it is cut off."""
        whole = array("Q", content)
        if len(whole) % 2:
            raise ValueError(f"{len(content)} bytes are no whole entries")
        _as_written(whole)
        return cls(whole[0::2], whole[1::2])

    def dump(self) -> bytes:
        """Its bytes, the same on every machine."""
        whole = array("Q", bytes(len(self.ids) * _ENTRY))
        whole[0::2], whole[1::2] = self.ids, self.looks
        _as_written(whole)
        return whole.tobytes()

    def __len__(self) -> int:
        return len(self.ids)

    def shows(self, recipient: str, look: str) -> bool | None:
        """Whether the recipient with this id has this appearance; None when nobody has the id."""
        wanted = int.from_bytes(_mark(recipient))
        at = bisect_left(self.ids, wanted)
        if at == len(self.ids) or self.ids[at] != wanted:
            return None
        twice = at + 1 < len(self.ids) and self.ids[at + 1] == wanted
        return not twice and self.looks[at] == int(look[:_ENTRY], 16)


def _mark(recipient: str) -> bytes:
    return hashlib.sha256(recipient.casefold().encode("utf-8")).digest()[: _ENTRY // 2]


def _as_written(whole: array[int]) -> None:
    """Written big-endian, so that the order of bytes is the order of numbers."""
    if sys.byteorder == "little":
        whole.byteswap()
