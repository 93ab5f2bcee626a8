"""Receives messages: parses each, has it processed, and sees to it that it comes to one of the ends and never to none.

An outcome: the message is done. A temporary error: the event goes back on the queue, to be seen again after the pause
that the other side asked for or our patience allows; only when the queue itself fails is the message left to its
redelivery. A permanent error, or patience at its end: recorded as failed, with its code and its body.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from sync import envelope, telemetry
from sync.core import audit, patience
from sync.core.event import Cause, Event
from sync.core.patience import Patience
from sync.core.recipient import Owner
from sync.core.record import Failure, Outcome, Record, Status
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.ports import AuditLog, EventQueue, Failures, Ledger, Message
from sync.processor import Processor

logger = logging.getLogger("smime_sync.processor")

VERIFY_AFTER = timedelta(hours=1)
"""A cloud-managed recipient is looked at again after this time: whether Entra Connect left our values alone."""

LOOK_AGAIN_AFTER = timedelta(minutes=10)
"""Whoever takes the place of a processor that did not come to its end looks again after this time: a request that was
on its way then may have arrived after ours. No function runs for longer (host.json, functionTimeout)."""

_PATIENCE: Mapping[ErrorCode, Patience] = MappingProxyType(
    {
        ErrorCode.PACED: patience.QUEUEING,
        ErrorCode.CLAIMED: patience.COLLISION,
        ErrorCode.LEDGER_CONFLICT: patience.COLLISION,
        ErrorCode.NO_RECIPIENT: patience.PROVISIONING,
        ErrorCode.READ_BACK_DIFFERS: patience.REPLICATION,
        ErrorCode.UNEXPECTED: patience.DEFECT,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """`jitter` gives numbers from 0 to 1 that nobody can guess from one another. `opening` makes a
    message an event: see sync.opening. Whoever is `hearing` is told how each event ended.
    """

    processor: Processor
    ledger: Ledger
    failures: Failures
    audit: AuditLog
    queue: EventQueue
    now: Callable[[], datetime]
    jitter: Callable[[], float]
    opening: Callable[[str], Event] = envelope.parse
    hearing: Sequence[Callable[[Outcome], object]] = ()

    def process(self, message: Message) -> Outcome:
        """Handle one message of the change queue; it is done when this returns.

        Raises TemporaryError when it must be delivered again: queue or ledger are out of reach.
        """
        with ExitStack() as followed:
            event: Event | None = None
            try:
                event = self.opening(message.body)
                followed.enter_context(telemetry.handling(event))
                outcome = self.processor.handle(event, message.body)
                # Before the message is done: if the log cannot take it, the event is seen again, and the entry of
                # that time tells the state that was decided on.
                self._keep(outcome, message)
                if outcome.status is Status.WRITTEN and outcome.owner is Owner.CLOUD_MANAGED:
                    self._send_again(replace(event, cause=Cause.VERIFICATION), VERIFY_AFTER)
                if outcome.overtook:
                    self._send_again(event.anew(Cause.RECONCILIATION), LOOK_AGAIN_AFTER)
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
            telemetry.ended(outcome)
            self._tell(outcome)
            return outcome

    def bury(self, message: Message) -> Failure:
        """Record a message that reached the poison queue: what killed its processor could not say so itself."""
        failure = Failure(
            id=message.id,
            at=self.now(),
            reason=ErrorCode.RETRIES_EXHAUSTED,
            detail="the queue gave up: no delivery came to an end (time-out, memory, or a processor killed)",
            body=message.body,
            anchor=self._anchor(message.body),
            dequeue_count=message.dequeue_count,
        )
        self.failures.add(failure)
        outcome = Outcome(status=Status.FAILED, at=failure.at, anchor=failure.anchor, reason=failure.reason)
        self._keep_anyway(outcome, message)
        logger.error("buried anchor=%s message=%s", failure.anchor, failure.id)
        return failure

    def _anchor(self, body: str) -> str | None:
        try:
            return self.opening(body).person.anchor.immutable_id
        except SyncError:
            return None

    def _later(self, message: Message, event: Event | None, error: TemporaryError) -> Outcome:
        """Send the event again after a pause, or fail it with its own reason when patience is at its end."""
        if event is None:
            raise error
        now, attempts, since = self.now(), event.attempts + 1, event.since or self.now()
        pause = _PATIENCE.get(error.code, patience.PASSING).wait(
            attempts=attempts, since=since, now=now, asked=error.retry_after, jitter=self.jitter()
        )
        if pause is None:
            return self._fail(message, event, error)
        try:
            turn = now + error.retry_after if error.code is ErrorCode.PACED and error.retry_after else None
            self._send_again(replace(event, attempts=attempts, since=since, turn=turn), pause)
        except PermanentError as refusal:
            return self._fail(message, event, refusal)
        outcome = replace(_end(Status.DEFERRED, now, event, error), again_in=pause.total_seconds())
        if error.code is ErrorCode.NO_RECIPIENT:
            # The one pause that lasts for hours: whoever asks about the person should hear of it.
            self._note(event, message.body, outcome)
        return outcome

    def _send_again(self, event: Event, pause: timedelta) -> None:
        self.queue.send(envelope.render(event), delay=pause)

    def _fail(self, message: Message, event: Event | None, error: SyncError) -> Outcome:
        """Keep the message with its reason, then say so in the person's record."""
        now = self.now()
        outcome = _end(Status.FAILED, now, event, error)
        self.failures.add(
            Failure(
                id=message.id,
                at=now,
                reason=error.code,
                detail=error.message,
                body=message.body,
                anchor=outcome.anchor,
                dequeue_count=message.dequeue_count,
            )
        )
        if event is not None:
            self._note(event, message.body, outcome)
        self._keep_anyway(outcome, message)
        return outcome

    def _tell(self, outcome: Outcome) -> None:
        """Whoever measures or counts: the event is done, and a defect of theirs must not have it delivered again."""
        for hear in self.hearing:
            try:
                hear(outcome)
            except Exception:
                logger.exception("unexpected hearing anchor=%s", outcome.anchor)

    def _keep(self, outcome: Outcome, message: Message) -> None:
        if (entry := audit.entry(outcome, message.id)) is not None:
            self.audit.append(entry)

    def _keep_anyway(self, outcome: Outcome, message: Message) -> None:
        """A failure is kept with its reason already: an audit log that is away must not make it another one."""
        try:
            self._keep(outcome, message)
        except SyncError as error:
            logger.error("audit %s anchor=%s status=%s", error.code, outcome.anchor, outcome.status)  # noqa: TRY400

    def _note(self, event: Event, body: str, outcome: Outcome) -> None:
        """Write an outcome into the person's record unless a newer event was handled meanwhile."""
        anchor = event.person.anchor.immutable_id
        record = self.ledger.get(anchor) or Record(anchor=anchor)
        if record.watermark is None or event.watermark >= record.watermark:
            self.ledger.put(replace(record.told(event, body), outcome=outcome))


def _end(status: Status, now: datetime, event: Event | None, error: SyncError) -> Outcome:
    outcome = Outcome(status=status, at=now, reason=error.code, detail=error.message)
    if event is None:
        return outcome
    return replace(outcome, anchor=event.person.anchor.immutable_id, watermark=event.watermark, cause=event.cause)


def _log(outcome: Outcome) -> None:
    """One line per outcome: no name, no address, no certificate."""
    codes = sorted({finding.code for judged in outcome.judged for finding in judged.findings})
    logger.log(
        logging.ERROR if outcome.status is Status.FAILED else logging.INFO,
        "done anchor=%s cause=%s status=%s%s reason=%s findings=%s added=%s withdrawn=%s",
        outcome.anchor,
        outcome.cause,
        outcome.status,
        " unverified" if outcome.unverified else "",
        outcome.reason,
        ",".join(codes),
        ",".join(print_[:16] for print_ in outcome.added),
        ",".join(print_[:16] for print_ in outcome.withdrawn),
    )
