"""Handles one event: the only place from which Exchange is written.

The numbered steps, and what a crash after each leaves:

1. Superseded by a newer event? Stop.                     Nothing was touched.
2. Read the recipient.                                    Nothing was touched.
3. Decide: judge each value, select, plan (pure).         Nothing was touched.
4. Claim in the ledger what is about to be published.     The claim lapses; the event comes again.
   Where another account has the same mailbox, look again whether it moved.
5. Write only if the plan is not empty; read back.        The claim names what was written: no value is orphaned.
6. Record the outcome.                                    The event comes again and finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial, reduce
from operator import or_
from typing import TypedDict

from sync import __version__
from sync.core.decision import Decision, decide
from sync.core.digest import basis
from sync.core.ending import outcome
from sync.core.event import Cause, Event
from sync.core.judgement import Context
from sync.core.person import Person
from sync.core.plan import NOTHING, Managed
from sync.core.rate import Rate
from sync.core.recipient import Recipient, appearance
from sync.core.record import Outcome, Record, Snapshot, Status
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.ports import History, Ledger, Pace, Recipients
from sync.read_back import insist_that_it_arrived, insist_that_it_stayed

TURN_LASTS = timedelta(minutes=10)
"""How late an event may come to the turn that it booked: the longest that a host hides a message, and then some."""

CLAIM = timedelta(seconds=90)
"""How long a claim keeps others away."""

WRITE = timedelta(seconds=75)
"""Longer than a write can take: the tenant's answer is waited for 70 seconds. With less of its claim left, none begins:
it could come after the next processor's, undo it, and leave a value that is nobody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """Steps 1 to 3 of an event: what is remembered, what is there, and what was decided. Nothing was touched.

    `others` are the records of other people of the same recipient, where they mattered.
    """

    record: Record
    recipient: Recipient | None
    decision: Decision | None
    others: tuple[Record, ...] = ()

    @property
    def shared(self) -> Managed:
        """What we published on the recipient for those others."""
        return reduce(or_, (other.managed for other in self.others), NOTHING)


class _Judgement(TypedDict):
    """What the record remembers of a decision."""

    desired: str | None
    next_change: datetime | None
    basis: str
    certificates: tuple[str, ...]
    expiries: tuple[date, ...]
    awaits: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """`judging` gives the context for a moment, `pace` books turns at the tenant's `rate` of
    writes (None: no limit). With `report_only` everything is decided and recorded, nothing written.

    `consult` adds to the context what the outside knows of a person's certificates: revocation.
    `withdraw_disabled` treats a disabled account as a leaver. `try_synchronised` writes also where Entra Connect owns
    the attribute, and takes a refusal for an answer. `admits` says of a person (by anchor) whether they may lose the
    last value that we published: see sync.loss_guard.
    """

    recipients: Recipients
    ledger: Ledger
    history: History
    judging: Callable[[datetime], Context]
    consult: Callable[[Context, Person], Context] | None = None
    now: Callable[[], datetime]
    pace: Pace | None = None
    rate: Rate = Rate(per_second=2, at_once=3)
    report_only: bool = False
    withdraw_disabled: bool = False
    try_synchronised: bool = False
    admits: Callable[[str, datetime], bool] | None = None

    def examine(self, event: Event, record: Record) -> Examined:
        """Steps 2 and 3: look and decide, touch nothing. Reconciliation and dry runs ask the same question.

        Raises TemporaryError, PermanentError.
        """
        # 2. Read the recipient.
        recipient = self.recipients.find(pinned=record.recipient, addresses=event.person.addresses)
        if recipient is None:
            return Examined(record=record, recipient=None, decision=None)
        # 3. Decide.
        person = event.person
        context = self.judging(self.now())
        if self.consult is not None:
            context = self.consult(context, person)
        deciding = partial(
            decide,
            person=person,
            recipient=recipient,
            managed=record.managed,
            context=context,
            withdraw=person.deleted or (self.withdraw_disabled and not person.enabled),
            try_synchronised=self.try_synchronised,
            held=self._held(record),
        )
        decision = deciding()
        examined = Examined(record=record, recipient=recipient, decision=decision)
        if decision.plan.contested and (others := self._others(record, recipient)):
            examined = replace(examined, others=others)
            return replace(examined, decision=deciding(shared=examined.shared))
        return examined

    def _others(self, record: Record, recipient: Recipient) -> tuple[Record, ...]:
        """The records of other people whose recipient this is."""
        found = self.ledger.named(recipient.id, besides=record.anchor)
        return tuple(other for other in found if other.recipient == recipient.id)

    def handle(self, event: Event, body: str) -> Outcome:
        """Handle one event; `body` is it as it was received. Raises TemporaryError, PermanentError."""
        anchor = event.person.anchor.immutable_id
        # 1. Superseded by a newer event? Stop.
        record = self.ledger.get(anchor) or Record(anchor=anchor)
        if record.watermark is not None and event.watermark < record.watermark:
            return self._ending(event, Status.SUPERSEDED)
        self._insist_on_no_claim(record)

        # 2. and 3. Read the recipient, decide.
        examined = self.examine(event, record)
        recipient, decision = examined.recipient, examined.decision
        self._insist_on_no_claim(*examined.others)
        overtook = record.claimed_until is not None
        unverified = recipient is not None and recipient.unverified
        ending = partial(self._ending, event, unverified=unverified, overtook=overtook)
        record = replace(record.told(event, body), claimed_until=None, **self._judged_by(recipient, decision))
        if recipient is None or decision is None:
            if not event.person.deleted:
                raise TemporaryError(ErrorCode.NO_RECIPIENT, f"no recipient answers to the addresses of {anchor}")
            return self._record(record, ending(Status.GONE))
        if event.cause is Cause.VERIFICATION:
            insist_that_it_stayed(record.managed, recipient.values)
        record = replace(record, recipient=recipient.id)
        if not decision.ours_to_write:
            return self._record(record, ending(Status.MANAGED_ON_PREMISES, decision))
        # What a processor that we overtook may still bring stays ours until we look again.
        settled = decision.plan.claim if overtook else decision.plan.settled
        if not decision.writes and not examined.others:
            return self._record(replace(record, managed=settled), ending(Status.UNCHANGED, decision))
        if decision.writes:
            if self.report_only:
                return self._record(record, ending(Status.REPORTED, decision))
            self._insist_on_no_alarm(anchor, decision)
            self._insist_on_a_turn(event)

        # 4. Claim: if we die after the write, the ledger already says whose values these are.
        before = record.managed
        now = self.now()
        # Ours, for whomever: restored later, none of it may come back as a value that is nobody's.
        ours = before | examined.shared
        snapshot = Snapshot(id=f"{now:%Y%m%dT%H%M%S%f}", at=now, values=recipient.values, managed=ours)
        record = self.ledger.put(replace(record, managed=decision.plan.claim, claimed_until=now + CLAIM))
        try:
            self._insist_that_nobody_moved(examined.others, record, recipient)
            # 5. Write, then read back; what was there before is kept first.
            if decision.writes:
                self.history.keep(anchor, snapshot)
                self._insist_on_time_left(now + CLAIM)
                self.recipients.write(recipient, decision.plan.changes)
                insist_that_it_arrived(decision.plan, self.recipients.read(recipient))
        except SyncError as error:
            if error.code is ErrorCode.ON_PREMISES_MASTERED:
                # An ordinary answer, not a failure: nothing was written, so nothing more is ours than before.
                given_up = replace(record, managed=before, desired=appearance(recipient), claimed_until=None)
                return self._record(given_up, ending(Status.MANAGED_ON_PREMISES, decision))
            self.ledger.put(replace(record, claimed_until=None))
            raise
        # 6. Record the outcome.
        status = Status.WRITTEN if decision.writes else Status.UNCHANGED
        return self._record(replace(record, managed=settled, claimed_until=None), ending(status, decision))

    def settle(self, examined: Examined) -> None:
        """Nothing is to be written: remember what was judged on, so that nobody has to look again for the same reason.

        What is ours stays as it is, and a claim too, lapsed or not: that is for its event to say. Whoever has just
        stored the record knows better. Raises what Ledger raises.
        """
        record = examined.record
        settled = replace(record, **self._judged_by(examined.recipient, examined.decision))
        if settled == record or record.claimed_until is not None:
            return
        try:
            self.ledger.put(settled)
        except TemporaryError as error:
            if error.code is not ErrorCode.LEDGER_CONFLICT:
                raise

    def _held(self, record: Record) -> Snapshot | None:
        """What an administrator restored, if anything. Raises PermanentError `snapshot-missing`."""
        if record.hold is None:
            return None
        kept = next((each for each in self.history.all(record.anchor) if each.id == record.hold), None)
        if kept is None:
            raise PermanentError(ErrorCode.SNAPSHOT_MISSING, f"the restored state {record.hold} is not kept any more")
        return kept

    def basis(self) -> str:
        """What is judged on now, besides lists and time: see core.digest."""
        return basis(
            self.judging(self.now()),
            release=__version__,
            withdraw_disabled=self.withdraw_disabled,
            try_synchronised=self.try_synchronised,
        )

    def _judged_by(self, recipient: Recipient | None, decision: Decision | None) -> _Judgement:
        wanted = recipient
        if recipient is not None and decision is not None and decision.ours_to_write:
            wanted = replace(recipient, values=decision.plan.after)
        return _Judgement(
            desired=appearance(wanted) if wanted is not None else None,
            next_change=decision.next_change if decision else None,
            basis=self.basis(),
            certificates=decision.marks if decision else (),
            expiries=decision.expiries if decision else (),
            awaits=decision.awaits if decision else (),
        )

    def _insist_on_no_claim(self, *records: Record) -> None:
        for record in records:
            if record.claimed_until is not None and (left := record.claimed_until - self.now()) > timedelta(0):
                raise TemporaryError(
                    ErrorCode.CLAIMED, f"another processor writes for {record.anchor}", retry_after=left
                )

    def _insist_on_time_left(self, claimed_until: datetime) -> None:
        if self.now() > claimed_until - WRITE:
            raise TemporaryError(ErrorCode.LEDGER_UNAVAILABLE, "too slow: the claim would lapse during the write")

    def _insist_that_nobody_moved(self, others: tuple[Record, ...], record: Record, recipient: Recipient) -> None:
        """Of two accounts of one mailbox at one moment, each would leave to the other what both have.

        Each looks again after its own claim, so at least one of them sees the other's.
        """
        if not others:
            return
        again = self.recipients.find(pinned=recipient.id, addresses=())
        if self._others(record, recipient) != others or again is None or again.values != recipient.values:
            raise TemporaryError(
                ErrorCode.LEDGER_CONFLICT, f"another account of the mailbox of {record.anchor} was handled meanwhile"
            )

    def _insist_on_no_alarm(self, anchor: str, decision: Decision) -> None:
        if decision.loses_last and self.admits is not None and not self.admits(anchor, self.now()):
            raise PermanentError(
                ErrorCode.GUARDED, f"{anchor} would lose the last certificate, as too many others did within the hour"
            )

    def _insist_on_a_turn(self, event: Event) -> None:
        """One rate for the whole tenant. An event that waited for its turn has one, unless it missed it by long."""
        if self.pace is None or (event.turn is not None and timedelta(0) <= self.now() - event.turn < TURN_LASTS):
            return
        turn = self.pace.book(self.rate, self.now())
        if (wait := turn - self.now()) > timedelta(0):
            raise TemporaryError(ErrorCode.PACED, f"its turn to be written is at {turn:%H:%M:%S} UTC", retry_after=wait)

    def _ending(
        self,
        event: Event,
        status: Status,
        decision: Decision | None = None,
        *,
        unverified: bool = False,
        overtook: bool = False,
    ) -> Outcome:
        return outcome(event, status, decision, now=self.now(), unverified=unverified, overtook=overtook)

    def _record(self, record: Record, ended: Outcome) -> Outcome:
        self.ledger.put(replace(record, outcome=ended))
        return ended
