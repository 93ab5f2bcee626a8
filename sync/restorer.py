"""Takes a write back: an administrator names an earlier state, and it is what the recipient shall hold from then on.

It goes through the one door. The restorer only writes down in the ledger what is to be held, and wakes the processor
with the person's last event; nothing that lies on the queue can restore anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sync import envelope
from sync.core.event import Cause, Event
from sync.core.record import Record, Snapshot
from sync.errors import ErrorCode, PermanentError
from sync.lookup import find_record
from sync.ports import EventQueue, History, Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoring:
    """One person's earlier states, the newest first, and the one that is held or was chosen now."""

    anchor: str
    snapshots: tuple[Snapshot, ...]
    hold: str | None
    applied: bool = False

    def to_json(self) -> dict[str, object]:
        """For `--json`: numbers and fingerprint counts, no certificate."""
        return {
            "anchor": self.anchor,
            "hold": self.hold,
            "applied": self.applied,
            "snapshots": [
                {
                    "number": number,
                    "id": snapshot.id,
                    "at": snapshot.at.isoformat(),
                    "userCertificate": len(snapshot.values.user_certificate),
                    "userSMIMECertificate": len(snapshot.values.user_smime_certificate),
                }
                for number, snapshot in enumerate(self.snapshots, start=1)
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Restorer:
    """Finds a person by ImmutableId, address or UPN; lists, holds and lifts. `opening` makes a message an event."""

    ledger: Ledger
    history: History
    queue: EventQueue
    opening: Callable[[str], Event] = envelope.parse

    def restore(self, who: str, *, number: int | None = None, lift: bool = False, apply: bool = False) -> Restoring:
        """List a person's earlier states; with `apply` hold number `number` (1 is the newest), or lift the hold.

        Raises PermanentError `person-unknown`, `snapshot-missing`; TemporaryError `ledger-conflict`.
        """
        record = find_record(self.ledger, who)
        snapshots = tuple(self.history.all(record.anchor))
        hold = None if lift else record.hold
        if number is not None:
            hold = _numbered(snapshots, number).id
        if apply and (lift or number is not None):
            # First the ledger, then the wake-up: the other way round the event could be over before the hold is there.
            record = self.ledger.put(replace(record, hold=hold))
            self._wake(record)
        return Restoring(anchor=record.anchor, snapshots=snapshots, hold=hold, applied=apply)

    def _wake(self, record: Record) -> None:
        if record.event is not None:
            event = self.opening(record.event).anew(Cause.RESTORE)
            self.queue.send(envelope.render(event))


def _numbered(snapshots: Sequence[Snapshot], number: int) -> Snapshot:
    if not 1 <= number <= len(snapshots):
        raise PermanentError(ErrorCode.SNAPSHOT_MISSING, f"there is no number {number}; there are {len(snapshots)}")
    return snapshots[number - 1]
