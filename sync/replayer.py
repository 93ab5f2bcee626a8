"""Manual replay: puts failed messages back on the change queue. Their watermark stays, so none undoes a newer state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

from sync import envelope
from sync.core.event import Cause
from sync.core.identity import Watermark
from sync.core.rate import Rate
from sync.core.record import Failure
from sync.errors import SyncError
from sync.lookup import find_record
from sync.ports import EventQueue, Failures, Ledger

LONGEST = timedelta(days=7)
"""A message can be hidden for no longer (Put Message, Azure Storage REST reference)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which failures; what is None narrows nothing. `user` is an ImmutableId, an address or a UPN; `since` is when it
    failed at the earliest (aware); `limit` takes the first so many."""

    reason: str | None = None
    user: str | None = None
    message: str | None = None
    since: datetime | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The failures chosen, without their bodies, in the order in which they go; `applied` tells whether they went.

    `lasts` is until the last of them is seen by the processor, by the rate that was asked for.
    """

    chosen: tuple[Failure, ...]
    applied: bool
    lasts: timedelta = timedelta(0)

    def to_json(self) -> dict[str, object]:
        """For `--json` and HTTP."""
        return {
            "applied": self.applied,
            "lastsSeconds": self.lasts.total_seconds(),
            "chosen": [failure_to_public_json(failure) for failure in self.chosen],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayer:
    """Sends, then removes: interrupted in between, a message is sent twice, which is harmless, and never lost."""

    failures: Failures
    queue: EventQueue
    ledger: Ledger
    now: Callable[[], datetime]

    def failed(self, choice: Choice = Choice()) -> Iterator[Failure]:
        """Failures by reason, person, time; oldest first, read one by one: keep none with its body.

        Raises PermanentError `person-unknown`.
        """
        anchor = None if choice.user is None else self._anchor(choice.user)
        if choice.message is None:
            return islice(self.failures.all(reason=choice.reason, anchor=anchor, since=choice.since), choice.limit)
        one = self.failures.get(choice.message)
        fits = (
            one is not None
            and choice.reason in {None, one.reason}
            and anchor in {None, one.anchor}
            and (choice.since is None or one.at >= choice.since)
        )
        return iter((one,) if one is not None and fits else ())

    def replay(
        self,
        choice: Choice = Choice(),
        *,
        apply: bool,
        rate: Rate | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> Replay:
        """Put failures back in the order of their watermarks; dry unless `apply`.

        `rate` spreads them: each becomes visible at its turn, so that nobody has to wait here, and an interruption
        leaves no gap. `progress` hears how many went, of how many.
        """
        # Without their bodies: a hundred thousand of them would not fit into a function's memory.
        places = [(_place(each), replace(each, body="")) for each in self.failed(choice)]
        chosen = tuple(failure for _, failure in sorted(places, key=lambda each: each[0]))
        began = self.now()
        booked: datetime | None = None
        turn = began
        for number, failure in enumerate(chosen, start=1):
            if rate is not None:
                turn, booked = rate.reserve(booked, began)
            # Somebody else may be replaying too: what is gone by now was sent by them.
            if apply and (whole := self.failures.get(failure.id)) is not None:
                self.queue.send(_again(whole.body), delay=min(turn - began, LONGEST))
                self.failures.remove(failure.id)
            if progress is not None:
                progress(number, len(chosen))
        return Replay(chosen=chosen, applied=apply, lasts=turn - began)

    def dismiss(self, message: str, *, apply: bool) -> Failure | None:
        """Forget one failure that nobody wants replayed; return it, None when there is none. Dry unless `apply`."""
        failure = self.failures.get(message)
        if failure is not None and apply:
            self.failures.remove(message)
        return failure

    def _anchor(self, user: str) -> str:
        # A person whose every event failed may have no record yet: then only the ImmutableId can name them.
        if next(iter(self.failures.all(anchor=user)), None) is not None:
            return user
        return find_record(self.ledger, user).anchor


def failure_to_public_json(failure: Failure) -> dict[str, object]:
    """What may be shown of a failure: everything but its body."""
    return {
        "id": failure.id,
        "at": failure.at.isoformat(),
        "reason": failure.reason,
        "detail": failure.detail,
        "anchor": failure.anchor,
        "dequeueCount": failure.dequeue_count,
    }


def _place(failure: Failure) -> tuple[Watermark, datetime, str]:
    """Where it stands in the order: by watermark, and what has none first, by time."""
    try:
        watermark = envelope.parse(failure.body).watermark
    except SyncError:
        watermark = Watermark(0, 0)
    return watermark, failure.at, failure.id


def _again(body: str) -> str:
    """The same event, counted; what cannot be parsed goes back as it came, for a newer version may read it."""
    try:
        event = envelope.parse(body)
    except SyncError:
        return body
    return envelope.render(replace(event.anew(Cause.REPLAY), replays=event.replays + 1))
