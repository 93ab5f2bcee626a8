"""The tenant's rate of writes, as arithmetic."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sync.core.rate import Rate
from tests.mill import NOW

SECOND = timedelta(seconds=1)
TWO_A_SECOND = Rate(per_second=2, at_once=3)


def turns(rate: Rate, arrivals: list[datetime]) -> list[datetime]:
    """Book a turn at each arrival."""
    booked: datetime | None = None
    found = []
    for arrival in arrivals:
        turn, booked = rate.reserve(booked, arrival)
        found.append(turn)
    return found


def test_after_a_rest_a_few_go_at_once_and_then_each_at_its_time() -> None:
    """Three together, then two a second."""
    assert [(turn - NOW) / SECOND for turn in turns(TWO_A_SECOND, [NOW] * 6)] == [0, 0, 0, 0.5, 1.0, 1.5]


def test_a_rest_brings_the_few_back() -> None:
    """And not more than that, however long it was."""
    later = NOW + timedelta(hours=1)
    assert [(turn - later) / SECOND for turn in turns(TWO_A_SECOND, [NOW] * 6 + [later] * 4)[6:]] == [0, 0, 0, 0.5]


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=60).map(sorted), st.integers(1, 5))
def test_no_window_ever_holds_more_than_the_rate_allows(arrivals: list[int], at_once: int) -> None:
    """In any stretch of time: what the rate gives for it, and the few at once."""
    rate = Rate(per_second=2, at_once=at_once)
    found = sorted(turns(rate, [NOW + timedelta(milliseconds=each) for each in arrivals]))
    for first, begin in enumerate(found):
        for last, end in enumerate(found[first:], start=first):
            assert last - first + 1 <= at_once + (end - begin) / SECOND * 2 + 1e-6
    assert all(turn >= NOW + timedelta(milliseconds=each) for turn, each in zip(found, arrivals, strict=True))
