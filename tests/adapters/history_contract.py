"""What every History keeps to. A test module subclasses `HistoryContract` and gives one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sync.core.person import Values
from sync.core.plan import Managed
from sync.core.record import Snapshot
from sync.ports import SNAPSHOTS, History
from tests.mill import NOW

ANCHOR = "a+/b=="


def snapshot(number: int, *values: bytes, blobs: tuple[bytes, ...] = ()) -> Snapshot:
    at = NOW + timedelta(seconds=number)
    managed = Managed(frozenset({"f" * 64}), frozenset())
    return Snapshot(id=f"{at:%Y%m%dT%H%M%S%f}", at=at, values=Values.of(values, blobs), managed=managed)


class HistoryContract:
    """The last few states of each person."""

    @pytest.fixture
    def history(self) -> History:
        """An empty one."""
        raise NotImplementedError

    def test_nothing_is_kept_of_a_stranger(self, history: History) -> None:
        """An empty list, not an error."""
        assert list(history.all(ANCHOR)) == []

    def test_a_snapshot_is_kept_to_the_byte(self, history: History) -> None:
        """Values of both attributes, and what of them was ours."""
        kept = snapshot(1, bytes(range(256)), b"", blobs=(b"\xff\x00",))
        history.keep(ANCHOR, kept)
        assert list(history.all(ANCHOR)) == [kept]

    def test_the_newest_come_first_and_the_oldest_go(self, history: History) -> None:
        """Five of them."""
        made = [snapshot(number, b"%d" % number) for number in range(SNAPSHOTS + 2)]
        for each in made:
            history.keep(ANCHOR, each)
        assert list(history.all(ANCHOR)) == made[: -SNAPSHOTS - 1 : -1]

    def test_the_same_snapshot_again_is_one(self, history: History) -> None:
        """A repeated step."""
        history.keep(ANCHOR, snapshot(1, b"a"))
        history.keep(ANCHOR, snapshot(1, b"a"))
        assert len(history.all(ANCHOR)) == 1

    def test_people_do_not_share_their_history(self, history: History) -> None:
        """Nor do those whose anchors begin alike."""
        history.keep(ANCHOR, snapshot(1, b"a"))
        history.keep(ANCHOR + "x", snapshot(2, b"b"))
        assert [each.values for each in history.all(ANCHOR)] == [Values.of([b"a"])]

    def test_a_large_state_is_kept(self, history: History) -> None:
        """Fifteen certificates of the largest size that the directory takes."""
        kept = snapshot(1, *(bytes([n]) * 32_768 for n in range(15)))
        history.keep(ANCHOR, kept)
        assert list(history.all(ANCHOR)) == [kept]

    def test_a_snapshot_beyond_any_entity_is_kept_and_goes(self, history: History) -> None:
        """Thirty of the largest values that a directory holds."""
        large = [bytes([number]) * 32_768 for number in range(15)]
        kept = [snapshot(number, *large, blobs=tuple(large)) for number in range(SNAPSHOTS + 2)]
        for each in kept:
            history.keep(ANCHOR, each)

        assert list(history.all(ANCHOR)) == kept[:1:-1]
