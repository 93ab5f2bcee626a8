"""How long to wait before an event is tried again, and when to stop trying."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Pauses that double from `first` to `longest`; after `in_all` since the first failure, or `attempts`, enough."""

    first: timedelta
    longest: timedelta
    in_all: timedelta
    attempts: int | None = None

    def wait(
        self, *, attempts: int, since: datetime, now: datetime, asked: timedelta | None, jitter: float
    ) -> timedelta | None:
        """The pause after `attempts` failures (1 or more) of which the first was at `since`; None when it is enough.

        `asked` is what the other side asked for: never less. `jitter` from 0 to 1 lengthens it by up to half of our
        own pause, so that those who failed together do not come back together.
        """
        if now - since >= self.in_all or (self.attempts is not None and attempts >= self.attempts):
            return None
        # Beyond 32 doublings the power would overflow a timedelta; the longest pause is reached long before.
        pause = min(self.longest, self.first * (1 << min(attempts - 1, 32)))
        return max(pause, asked or timedelta(0)) + pause * (jitter / 2)


PASSING = Patience(first=timedelta(seconds=10), longest=15 * MINUTE, in_all=DAY)
"""A fault of another service, throttling included: it outlasts an outage of a day without anybody's hand."""

QUEUEING = Patience(first=timedelta(seconds=1), longest=timedelta(seconds=1), in_all=7 * DAY)
"""Waiting for a turn of the tenant's rate: a long line is no fault. A queue hides a message for a week at most."""

COLLISION = Patience(first=timedelta(seconds=2), longest=MINUTE, in_all=DAY)
"""Another processor works for the same person."""

PROVISIONING = Patience(first=5 * MINUTE, longest=240 * MINUTE, in_all=DAY)
"""A new user's mailbox takes minutes to hours to appear."""

REPLICATION = Patience(first=timedelta(seconds=15), longest=10 * MINUTE, in_all=60 * MINUTE)
"""A directory replica that lags behind its own write; after an hour somebody else writes the same attribute."""

DEFECT = Patience(first=MINUTE, longest=15 * MINUTE, in_all=DAY, attempts=5)
"""An error of ours: trying often only fills the log."""
