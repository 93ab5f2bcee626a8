"""Handles one event: the only place from which Exchange is written.

The numbered steps, and what a crash after each leaves:

1. Superseded by a newer event? Stop.                     Nothing was touched.
2. Read the recipient.                                    Nothing was touched.
3. Decide: judge each value, select, plan (pure).         Nothing was touched.
4. Claim in the ledger what is about to be published.     The claim lapses; the event comes again.
5. Write only if the plan is not empty; read back.        The claim names what was written: no value is orphaned.
6. Record the outcome.                                    The event comes again and finds nothing to do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync import envelope
from sync.core.decision import Decision, decide
from sync.core.event import Event
from sync.core.judgement import Context
from sync.core.person import Attribute, Values, fingerprint
from sync.core.plan import Plan
from sync.core.recipient import Owner, Recipient
from sync.core.record import Failure, Outcome, Record, Status
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.ports import Failures, Ledger, Message, Recipients

logger = logging.getLogger("smime_sync.processor")

CLAIM = timedelta(seconds=90)
"""How long a claim keeps others away: longer than a write and its read-back may take, and shorter than the deliveries
that are left when the claim of a lost answer stands (visibilityTimeout 30 s, five times)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """Steps 1 to 3 of an event: what is remembered, what is there, and what was decided. Nothing was touched."""

    record: Record
    recipient: Recipient | None
    decision: Decision | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """`judging` gives the context for a moment; `last_attempt` is the delivery after which the queue gives up.

    On that delivery a temporary error is recorded with its own code, before the queue's poison copy forgets why.
    """

    recipients: Recipients
    ledger: Ledger
    failures: Failures
    judging: Callable[[datetime], Context]
    now: Callable[[], datetime]
    withdraw_disabled: bool = False
    last_attempt: int = 5

    def process(self, message: Message) -> Outcome:
        """Handle one message to one of the three ends.

        Returns the outcome, `failed` included, when the message is done. Raises TemporaryError when it must be
        delivered again.
        """
        event: Event | None = None
        try:
            event = envelope.parse(message.body)
            outcome = self._handle(event, message.body)
        except PermanentError as error:
            outcome = self._fail(message, event, error)
        except TemporaryError as error:
            outcome = self._later(message, event, error)
        except Exception as error:  # a defect of ours: the message must not be lost, nor its reason
            logger.exception("unexpected message=%s", message.id)
            unexpected = TemporaryError(ErrorCode.UNEXPECTED, f"{type(error).__name__} (its trace is in the log)")
            unexpected.__cause__ = error
            outcome = self._later(message, event, unexpected)
        _log(outcome)
        return outcome

    def bury(self, message: Message) -> Failure:
        """Record a message that reached the poison queue: what killed its processor could not say so itself."""
        failure = Failure(
            id=message.id,
            at=self.now(),
            reason=ErrorCode.RETRIES_EXHAUSTED,
            detail="the queue gave up: no delivery came to an end (time-out, memory, or a processor killed)",
            body=message.body,
            anchor=_anchor(message.body),
            dequeue_count=message.dequeue_count,
        )
        self.failures.add(failure)
        logger.error("buried anchor=%s message=%s", failure.anchor, failure.id)
        return failure

    def examine(self, event: Event, record: Record) -> Examined:
        """Steps 2 and 3: look and decide, touch nothing. Reconciliation and dry runs ask the same question."""
        # 2. Read the recipient.
        recipient = self.recipients.find(pinned=record.recipient, addresses=event.person.addresses)
        if recipient is None:
            return Examined(record=record, recipient=None, decision=None)
        # 3. Decide.
        person = event.person
        decision = decide(
            person=person,
            recipient=recipient,
            managed=record.managed,
            context=self.judging(self.now()),
            withdraw=person.deleted or (self.withdraw_disabled and not person.enabled),
        )
        return Examined(record=record, recipient=recipient, decision=decision)

    def _handle(self, event: Event, body: str) -> Outcome:
        anchor = event.person.anchor.immutable_id
        # 1. Superseded by a newer event? Stop.
        record = self.ledger.get(anchor) or Record(anchor=anchor)
        if record.watermark is not None and event.watermark < record.watermark:
            return self._outcome(event, Status.SUPERSEDED)
        if record.claimed_until is not None and (left := record.claimed_until - self.now()) > timedelta(0):
            raise TemporaryError(ErrorCode.CLAIMED, f"another processor writes for {anchor}", retry_after=left)

        # 2. and 3. Read the recipient, decide.
        examined = self.examine(event, record)
        recipient, decision = examined.recipient, examined.decision
        record = replace(record, watermark=event.watermark, event=body, claimed_until=None)
        if recipient is None or decision is None:
            if not event.person.deleted:
                raise TemporaryError(ErrorCode.NO_RECIPIENT, f"no recipient answers to the addresses of {anchor}")
            return self._record(record, self._outcome(event, Status.GONE))
        record = replace(record, recipient=recipient.id)
        if not decision.writes:
            settled = record if decision.owner is Owner.ON_PREMISES else replace(record, managed=decision.plan.settled)
            return self._record(settled, self._outcome(event, _quiet(decision), decision))

        # 4. Claim: if we die after the write, the ledger already says whose values these are.
        record = self.ledger.put(replace(record, managed=decision.plan.claim, claimed_until=self.now() + CLAIM))
        try:
            # 5. Write, then read back.
            self.recipients.write(recipient, decision.plan.changes)
            _compare(decision.plan, self.recipients.read(recipient))
        except SyncError:
            self.ledger.put(replace(record, claimed_until=None))
            raise
        # 6. Record the outcome.
        settled = replace(record, managed=decision.plan.settled, claimed_until=None)
        return self._record(settled, self._outcome(event, Status.WRITTEN, decision))

    def _outcome(self, event: Event, status: Status, decision: Decision | None = None) -> Outcome:
        now = self.now()
        outcome = Outcome(
            status=status,
            at=now,
            anchor=event.person.anchor.immutable_id,
            watermark=event.watermark,
            cause=event.cause,
            seconds=max(0.0, (now - event.time).total_seconds()),
        )
        if decision is None:
            return outcome
        outcome = replace(outcome, judged=decision.judged, foreign=len(decision.plan.foreign))
        if status is Status.MANAGED_ON_PREMISES:
            return replace(outcome, detail=_what_connect_does(event))
        return replace(outcome, added=_names(decision.plan.added), withdrawn=_names(decision.plan.withdrawn))

    def _record(self, record: Record, outcome: Outcome) -> Outcome:
        self.ledger.put(replace(record, outcome=outcome))
        return outcome

    def _later(self, message: Message, event: Event | None, error: TemporaryError) -> Outcome:
        """Have the message delivered again, or fail it with its own reason when this was the last time."""
        if message.dequeue_count >= self.last_attempt:
            return self._fail(message, event, error)
        logger.warning("later anchor=%s reason=%s", event.person.anchor if event else None, error.code)
        raise error

    def _fail(self, message: Message, event: Event | None, error: SyncError) -> Outcome:
        """Keep the message with its reason, then say so in the person's record."""
        now = self.now()
        anchor = event.person.anchor.immutable_id if event else None
        self.failures.add(
            Failure(
                id=message.id,
                at=now,
                reason=error.code,
                detail=error.message,
                body=message.body,
                anchor=anchor,
                dequeue_count=message.dequeue_count,
            )
        )
        outcome = Outcome(status=Status.FAILED, at=now, anchor=anchor, reason=error.code, detail=error.message)
        if event is None or anchor is None:
            return outcome
        outcome = replace(outcome, watermark=event.watermark, cause=event.cause)
        record = self.ledger.get(anchor) or Record(anchor=anchor)
        if record.watermark is None or event.watermark >= record.watermark:
            self.ledger.put(replace(record, watermark=event.watermark, event=message.body, outcome=outcome))
        return outcome


def _quiet(decision: Decision) -> Status:
    return Status.MANAGED_ON_PREMISES if decision.owner is Owner.ON_PREMISES else Status.UNCHANGED


def _what_connect_does(event: Event) -> str:
    """Entra Connect Sync exports neither attribute of a person with more than 15 userCertificate values."""
    count = len(event.person.values.user_certificate)
    if count > 15:
        return f"left to Entra Connect, which exports nothing of {count} userCertificate values (its limit is 15)"
    return f"left to Entra Connect, which exports userCertificate as it is ({count} of at most 15), judged by nobody"


def _compare(plan: Plan, held: Values) -> None:
    for attribute in Attribute:
        missing = set(plan.after[attribute]) - set(held[attribute])
        surplus = set(held[attribute]) - set(plan.after[attribute])
        if missing or surplus:
            # Temporary: a directory replica may lag behind its own write.
            raise TemporaryError(
                ErrorCode.READ_BACK_DIFFERS,
                f"{attribute} reads back with {len(missing)} values missing and {len(surplus)} too many",
            )


def _names(values: Values) -> tuple[str, ...]:
    return tuple(fingerprint(value) for attribute in Attribute for value in values[attribute])


def _anchor(body: str) -> str | None:
    try:
        return envelope.parse(body).person.anchor.immutable_id
    except PermanentError:
        return None


def _log(outcome: Outcome) -> None:
    """One line per outcome: no name, no address, no certificate."""
    codes = sorted({finding.code for judged in outcome.judged for finding in judged.findings})
    logger.log(
        logging.ERROR if outcome.status is Status.FAILED else logging.INFO,
        "done anchor=%s cause=%s status=%s reason=%s findings=%s added=%s withdrawn=%s",
        outcome.anchor,
        outcome.cause,
        outcome.status,
        outcome.reason,
        ",".join(codes),
        ",".join(print_[:16] for print_ in outcome.added),
        ",".join(print_[:16] for print_ in outcome.withdrawn),
    )
