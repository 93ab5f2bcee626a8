"""Many GUIDs in 16 bytes each: a million in 16 MB, where a set of Python's takes 100."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable

_SIZE = 16


class Guids:
    """Whether it holds a GUID is all that can be asked of it: about a microsecond."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        """Put together blocks of GUIDs, one behind the other, in whatever order."""
        entries = sorted(block[at : at + _SIZE] for block in blocks for at in range(0, len(block), _SIZE))
        whole = array("Q", b"".join(entries))
        if sys.byteorder == "little":
            whole.byteswap()  # so that the order of bytes is the order of numbers
        self._heads, self._tails = whole[0::2], whole[1::2]

    def __len__(self) -> int:
        return len(self._heads)

    def __contains__(self, guid: bytes) -> bool:
        head, tail = int.from_bytes(guid[:8]), int.from_bytes(guid[8:])
        at = bisect_left(self._heads, head)
        while at < len(self) and self._heads[at] == head:
            if self._tails[at] == tail:
                return True
            at += 1
        return False
