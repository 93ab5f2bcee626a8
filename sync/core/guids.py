"""Many GUIDs in 16 bytes each: a million in 16 MB, where a set of Python's takes 100."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

_SIZE = 16


class Guids:
    """Whether it holds a GUID is all that can be asked of it."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        """Put together blocks of GUIDs, one behind the other, in whatever order."""
        self._all = b"".join(sorted(block[at : at + _SIZE] for block in blocks for at in range(0, len(block), _SIZE)))

    def __len__(self) -> int:
        return len(self._all) // _SIZE

    def __contains__(self, guid: bytes) -> bool:
        at = bisect_left(range(len(self)), guid, key=self._at)
        return at < len(self) and self._at(at) == guid

    def _at(self, number: int) -> bytes:
        return self._all[number * _SIZE : (number + 1) * _SIZE]
