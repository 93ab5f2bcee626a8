"""Full reconciliation, in its first form: looks at everybody in the ledger and puts back on the queue the last event
of each person whose recipient does not hold what it should. It never writes to Exchange itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sync import envelope
from sync.core.event import Cause, Event
from sync.core.record import Record, Status
from sync.errors import ErrorCode, SyncError
from sync.ports import EventQueue, Ledger
from sync.processor import Processor

_WAITING = {Status.FAILED, Status.DEFERRED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One person whose recipient is not as it should be, in numbers of values; or who could not be examined."""

    anchor: str
    added: int = 0
    withdrawn: int = 0
    reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What one run found; `applied` tells whether the differing people's events went back on the queue."""

    examined: int
    differing: tuple[Difference, ...]
    unreadable: tuple[Difference, ...]
    applied: bool

    def to_json(self) -> dict[str, object]:
        """For `--json` and the timer's log."""
        return {
            "examined": self.examined,
            "applied": self.applied,
            "differing": [_difference_to_json(difference) for difference in self.differing],
            "unreadable": [_difference_to_json(difference) for difference in self.unreadable],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """Asks the processor's own question (`examine`) of each record, so that the two can never disagree."""

    ledger: Ledger
    queue: EventQueue
    processor: Processor
    opening: Callable[[str], Event] = envelope.parse

    def reconcile(self, *, apply: bool, progress: Callable[[int], None] | None = None) -> Reconciliation:
        """Examine everybody; with `apply`, send the differing people's last event again."""
        examined = 0
        differing: list[Difference] = []
        unreadable: list[Difference] = []
        for record in self.ledger.records():
            # A failed event waits for replay, a deferred one lies on the queue: neither is to be sent once more.
            if record.event is None or (record.outcome and record.outcome.status in _WAITING):
                continue
            try:
                difference = self._examine(record, record.event)
            except SyncError as error:
                # One person who cannot be read must not keep the others from being repaired.
                unreadable.append(Difference(anchor=record.anchor, reason=error.code, detail=error.message))
            else:
                if difference is not None:
                    differing.append(difference)
                    if apply:
                        self._send_again(record.event)
            examined += 1
            if progress:
                progress(examined)
        return Reconciliation(
            examined=examined, differing=tuple(differing), unreadable=tuple(unreadable), applied=apply
        )

    def _examine(self, record: Record, body: str) -> Difference | None:
        event = self.opening(body)
        examined = self.processor.examine(event, record)
        if examined.decision is None:
            missing = not event.person.deleted
            return Difference(anchor=record.anchor, reason=ErrorCode.NO_RECIPIENT) if missing else None
        if not examined.decision.writes:
            return None
        plan = examined.decision.plan
        return Difference(anchor=record.anchor, added=len(plan.added), withdrawn=len(plan.withdrawn))

    def _send_again(self, body: str) -> None:
        event = self.opening(body).anew(Cause.RECONCILIATION)
        self.queue.send(envelope.render(event))


def _difference_to_json(difference: Difference) -> dict[str, object]:
    return {
        "anchor": difference.anchor,
        "added": difference.added,
        "withdrawn": difference.withdrawn,
        "reason": difference.reason,
        "detail": difference.detail,
    }
