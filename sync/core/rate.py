"""One rate of writes for the whole tenant: who may write when, as arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most `per_second` writes a second in the long run, and `at_once` of them together after a rest.

    Microsoft publishes no figure for Exchange Online's admin API; the settings' defaults are cautious.
    """

    per_second: float
    at_once: int

    def reserve(self, booked_until: datetime | None, now: datetime) -> tuple[datetime, datetime]:
        """Book the next turn: return its moment, never before `now`, and until when turns are booked then.

        The generic cell rate algorithm (ITU-T I.371, annex A): one moment is all that has to be remembered, so that
        instances can share it by compare-and-swap, and every waiting event has a turn of its own to come back at.
        """
        interval = timedelta(seconds=1 / self.per_second)
        booked = max(booked_until or now, now)
        return max(now, booked - interval * (self.at_once - 1)), booked + interval
