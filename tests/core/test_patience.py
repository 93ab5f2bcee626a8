"""How long to wait, and when it is enough."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from sync.core.patience import PASSING, Patience
from tests.mill import NOW

SECOND = timedelta(seconds=1)
BRIEF = Patience(first=SECOND, longest=8 * SECOND, in_all=60 * SECOND, attempts=9)


def wait(
    attempts: int, *, waited: timedelta = timedelta(0), asked: timedelta | None = None, jitter: float = 0
) -> object:
    return BRIEF.wait(attempts=attempts, since=NOW - waited, now=NOW, asked=asked, jitter=jitter)


def test_pauses_double_up_to_the_longest() -> None:
    """From the first on."""
    assert [wait(n) for n in range(1, 7)] == [SECOND, 2 * SECOND, 4 * SECOND, 8 * SECOND, 8 * SECOND, 8 * SECOND]


def test_what_the_other_side_asks_for_is_never_cut_short() -> None:
    """Nor does it shorten our own pause."""
    assert wait(1, asked=20 * SECOND) == 20 * SECOND
    assert wait(4, asked=SECOND) == 8 * SECOND


def test_enough_is_enough_by_time_or_by_number() -> None:
    """Whichever comes first."""
    assert wait(2, waited=60 * SECOND) is None
    assert wait(9) is None
    assert wait(8, waited=59 * SECOND) is not None


@given(st.integers(1, 10**9), st.floats(0, 1, exclude_max=True))
def test_jitter_only_lengthens_and_by_half_at_most(attempts: int, jitter: float) -> None:
    """Whatever the number of attempts, and nothing overflows."""
    pause = PASSING.wait(attempts=attempts, since=NOW, now=NOW, asked=None, jitter=jitter)
    assert pause is not None
    assert timedelta(seconds=10) <= pause <= PASSING.longest * 1.5
