"""What every Pace keeps to. A test module subclasses `PaceContract` and gives one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from sync.core.rate import Rate
from sync.errors import ErrorCode, TemporaryError
from sync.ports import Pace
from tests.mill import NOW

SECOND = timedelta(seconds=1)
ONE_BY_ONE = Rate(per_second=1, at_once=1)


class PaceContract:
    """One line for all who wait."""

    @pytest.fixture
    def pace(self) -> Pace:
        """One at which nobody has booked a turn yet."""
        raise NotImplementedError

    def test_turns_are_booked_one_after_the_other(self, pace: Pace) -> None:
        """The first now, each next a second later."""
        assert [(pace.book(ONE_BY_ONE, NOW) - NOW) / SECOND for _ in range(4)] == [0, 1, 2, 3]

    def test_time_that_passes_frees_turns(self, pace: Pace) -> None:
        """Nobody waits for a turn that is over."""
        pace.book(ONE_BY_ONE, NOW)
        assert pace.book(ONE_BY_ONE, NOW + 10 * SECOND) == NOW + 10 * SECOND

    def test_how_far_turns_are_booked_can_be_seen(self, pace: Pace) -> None:
        """Without booking one; nothing before the first."""
        assert pace.booked() is None
        for _ in range(3):
            pace.book(ONE_BY_ONE, NOW)
        assert pace.booked() == pace.booked() == NOW + 3 * SECOND

    def test_no_turn_is_given_twice(self, pace: Pace) -> None:
        """Whoever books at the same time; who was too slow too often is told to come again."""

        def book(_: int) -> object:
            try:
                return pace.book(ONE_BY_ONE, NOW)
            except TemporaryError as error:
                return error.code

        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(book, range(12)))
        given = [each for each in found if each is not ErrorCode.LEDGER_CONFLICT]
        assert len(set(given)) == len(given) > 0
