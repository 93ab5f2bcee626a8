"""One person, at once: nobody needs a guard for that, or to wait for a run."""

from __future__ import annotations

from sync.core.run import Counts
from sync.core.suspicion import WAITING, Reason
from sync.errors import SyncError
from sync.lookup import find_record
from sync.reconciling.examining import Difference, Examining
from sync.reconciling.found import Reconciliation
from sync.reconciling.sending import Sending


def one(who: str, *, apply: bool, examining: Examining, sending: Sending) -> Reconciliation:
    """Examine the one whom `who` names, and with `apply` send their event.

    Raises PermanentError `person-unknown`, and what the ports raise.
    """
    record = find_record(examining.ledger, who)
    waits = record.outcome is not None and record.outcome.status in WAITING
    unreadable: tuple[Difference, ...] = ()
    met = None
    try:
        met = examining.one(record.anchor, (Reason.SCOPE,), settle=apply)
    except SyncError as error:
        unreadable = (Difference(anchor=record.anchor, reason=error.code, detail=error.message),)
    sent = met is not None and apply and sending.one(met)
    return Reconciliation(
        examined=int(not waits),
        holding=int(bool(record.managed)),
        losing=int(met is not None and met.loses),
        differing=(met,) if met else (),
        unreadable=unreadable,
        applied=apply,
        counts=Counts(sent=int(sent)),
    )
