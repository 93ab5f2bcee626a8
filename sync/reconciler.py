"""Full reconciliation: finds whoever is not as they should be, and puts their events back on the queue.

It writes nothing itself. Expiry, values changed by hand and outcomes that were never reached are found alike, because
each person is examined as the processor would examine them now.

1 Examine everybody. 2 Stop when too many would lose their last certificate, or change at all: an administrator looks,
and approves that very run. 3 Send the differing people's last event again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from sync import envelope
from sync.core.event import Cause, Event
from sync.core.guard import FEW, Guard
from sync.core.record import Record, Status
from sync.errors import ErrorCode, PermanentError, SyncError
from sync.lookup import find_record
from sync.loss_guard import LossGuard
from sync.ports import BlobStore, EventQueue, Ledger
from sync.processor import Processor

logger = logging.getLogger("smime_sync.reconciler")

_WAITING = {Status.FAILED, Status.DEFERRED}
_RUNS = "runs/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One person whose recipient is not as it should be, by the fingerprints of values; or who could not be examined.

    `loses` is whether the last certificate that we published would go.
    """

    anchor: str
    added: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    loses: bool = False
    reason: str | None = None
    detail: str | None = None

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "anchor": self.anchor,
            "added": list(self.added),
            "withdrawn": list(self.withdrawn),
            "losesLast": self.loses,
            "reason": self.reason,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Over any of them a run stops and asks: people who would lose their last certificate, their share of those who
    have one in percent, and the share of people who would change at all."""

    losing: Guard = Guard()
    changing_percent: float = 30.0

    def exceeded(self, *, losing: int, holding: int, changing: int, examined: int) -> bool:
        """A handful may always change: in a small company one person is a large share."""
        many = changing > FEW and changing * 100 > self.changing_percent * examined
        return many or self.losing.alarming(losing, holding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What one run found; `applied` tells whether the differing people's events went back on the queue.

    `guarded` is the run's id when it stopped at a limit: with it an administrator approves.
    """

    examined: int
    holding: int
    differing: tuple[Difference, ...]
    unreadable: tuple[Difference, ...]
    applied: bool
    guarded: str | None = None

    @property
    def losing(self) -> int:
        """How many people would lose the last certificate that we published."""
        return sum(each.loses for each in self.differing)

    def to_json(self) -> dict[str, object]:
        """For `--json` and the timer's log."""
        return {
            "examined": self.examined,
            "holding": self.holding,
            "losing": self.losing,
            "applied": self.applied,
            "guarded": self.guarded,
            "differing": [difference.to_json() for difference in self.differing],
            "unreadable": [difference.to_json() for difference in self.unreadable],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """Asks the processor's own question (`examine`) of each record, so that the two can never disagree."""

    ledger: Ledger
    queue: EventQueue
    processor: Processor
    blobs: BlobStore
    now: Callable[[], datetime]
    limits: Limits = Limits()
    losses: LossGuard | None = None
    opening: Callable[[str], Event] = envelope.parse

    def reconcile(
        self,
        *,
        apply: bool,
        scope: str | None = None,
        approve: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Reconciliation:
        """Examine everybody, or the one person or mail domain (`@example.com`) of `scope`; with `apply`, repair.

        `approve` is the id of a guarded run: this one may do what that one would have done, and no more.
        Raises PermanentError `person-unknown`, `run-unknown`; and what ledger, store and queue raise.
        """
        # 1. Examine.
        examined = holding = 0
        differing: list[Difference] = []
        unreadable: list[Difference] = []
        for record, event in self._people(scope):
            holding += bool(record.managed)
            try:
                difference = self._examine(record, event)
            except SyncError as error:
                # One person who cannot be read must not keep the others from being repaired.
                unreadable.append(Difference(anchor=record.anchor, reason=error.code, detail=error.message))
            else:
                if difference is not None:
                    differing.append(difference)
            examined += 1
            if progress:
                progress(examined)
        found = Reconciliation(
            examined=examined,
            holding=holding,
            differing=tuple(differing),
            unreadable=tuple(unreadable),
            applied=False,
        )
        # 2. Stop at a limit.
        if self._exceeded(found) and not self._approved(found, approve):
            return replace(found, guarded=self._keep(found))
        # 3. Send.
        if not apply:
            return found
        if approve is not None and self.losses is not None:
            self.losses.approve(each.anchor for each in found.differing if each.loses)
        for each in differing:
            if (again := self.ledger.get(each.anchor)) is not None and again.event is not None:
                self.queue.send(envelope.render(self.opening(again.event).anew(Cause.RECONCILIATION)))
        return replace(found, applied=True)

    def _people(self, scope: str | None) -> Iterator[tuple[Record, Event]]:
        single = scope is not None and not scope.startswith("@")
        records = iter([find_record(self.ledger, scope)]) if scope and single else self.ledger.records()
        for record in records:
            # A failed event waits for replay, a deferred one lies on the queue: neither is to be sent once more.
            if record.event is None or (record.outcome and record.outcome.status in _WAITING):
                continue
            event = self.opening(record.event)
            addresses = event.person.addresses
            if scope is None or single or any(each.casefold().endswith(scope.casefold()) for each in addresses):
                yield record, event

    def _examine(self, record: Record, event: Event) -> Difference | None:
        examined = self.processor.examine(event, record)
        if examined.decision is None:
            missing = not event.person.deleted
            return Difference(anchor=record.anchor, reason=ErrorCode.NO_RECIPIENT) if missing else None
        if not examined.decision.writes:
            return None
        plan = examined.decision.plan
        return Difference(
            anchor=record.anchor,
            added=plan.added.fingerprints,
            withdrawn=plan.withdrawn.fingerprints,
            loses=examined.decision.loses_last,
        )

    def _exceeded(self, found: Reconciliation) -> bool:
        return self.limits.exceeded(
            losing=found.losing, holding=found.holding, changing=len(found.differing), examined=found.examined
        )

    def _keep(self, found: Reconciliation) -> str:
        """Remember a guarded run, so that just what it would have done can be approved."""
        run = f"{self.now():%Y%m%dT%H%M%S%f}"
        told = {
            "losing": sorted(each.anchor for each in found.differing if each.loses),
            "changing": len(found.differing),
        }
        self.blobs.put(f"{_RUNS}{run}.json", json.dumps(told).encode("utf-8"))
        logger.error(
            "guarded run=%s losing=%d of=%d changing=%d of=%d hint=%s",
            run,
            found.losing,
            found.holding,
            len(found.differing),
            found.examined,
            "look at trust store and directory; then `smime-sync reconcile --approve RUN --apply`",
        )
        return run

    def _approved(self, found: Reconciliation, run: str | None) -> bool:
        """Whether this does nothing that the approved run would not have done."""
        if run is None:
            return False
        blob = self.blobs.get(f"{_RUNS}{run}.json") if run.isalnum() else None
        if blob is None:
            raise PermanentError(ErrorCode.RUN_UNKNOWN, f"there is no guarded run {run[:40]}")
        told = json.loads(blob.content)
        more = {each.anchor for each in found.differing if each.loses} - set(told["losing"])
        return not more and len(found.differing) <= told["changing"]
