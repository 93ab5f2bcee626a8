"""The receiver: every message comes to one of the ends, at its time, and none to no end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from sync import envelope
from sync.adapters.embedded import EmbeddedPace
from sync.core.event import Cause
from sync.core.person import Values
from sync.core.rate import Rate
from sync.core.record import Outcome, Status
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import Message
from sync.receiver import VERIFY_AFTER
from tests.office import Faulty, Office, person

DAY = timedelta(days=1)


@pytest.fixture
def office() -> Office:
    return Office()


@dataclass
class NoQueue:
    """A queue that is away."""

    error: TemporaryError | PermanentError

    def send(self, body: str, *, delay: timedelta = timedelta(0)) -> None:
        raise self.error


def test_no_recipient_yet_is_seen_again_later_and_later(office: Office) -> None:
    """Provisioning takes minutes to hours: five minutes first, then double, and the person's record says so."""
    office.queue.send(office.event(person("newcomer", office.issue("newcomer"))))
    pauses = []
    for _ in range(4):
        (outcome,) = office.drain()
        assert outcome is not None
        assert (outcome.status, outcome.reason) == (Status.DEFERRED, ErrorCode.NO_RECIPIENT)
        assert office.record("newcomer").outcome == outcome
        assert office.drain() == []
        pauses.append(outcome.again_in)
        office.pass_time(timedelta(seconds=outcome.again_in or 0))
    assert pauses == [300, 600, 1200, 2400]


def test_a_recipient_that_appears_is_written(office: Office) -> None:
    """Without anybody's hand."""
    certificate = office.issue("newcomer")
    office.queue.send(office.event(person("newcomer", certificate)))
    office.drain()
    office.mailbox("newcomer")
    office.pass_time(timedelta(minutes=5))
    assert [outcome.status for outcome in office.drain() if outcome] == [Status.WRITTEN]
    assert office.held("newcomer") == Values.of([certificate.der])


def test_after_a_day_it_is_a_failure_with_its_reason(office: Office) -> None:
    """And replayed after the mailbox is there, it succeeds."""
    certificate = office.issue("newcomer")
    message = office.message(person("newcomer", certificate), waited=DAY)
    outcome = office.receiver.process(message)
    assert (outcome.status, outcome.reason) == (Status.FAILED, ErrorCode.NO_RECIPIENT)
    (failure,) = office.failures.all()
    assert (failure.id, failure.reason, failure.body) == (message.id, ErrorCode.NO_RECIPIENT, message.body)
    office.mailbox("newcomer")
    office.replayer.replay(apply=True)
    assert [done.status for done in office.drain() if done] == [Status.WRITTEN]
    assert list(office.failures.all()) == []


@pytest.mark.parametrize("body", ["", "not json", "{}", "\ufffd"])
def test_a_message_that_is_no_event_is_recorded_at_once(office: Office, body: str) -> None:
    """Never retried in vain, and kept as it came."""
    outcome = office.receiver.process(Message(id="m1", body=body))
    assert outcome.status is Status.FAILED
    (failure,) = office.failures.all()
    assert (failure.body, failure.reason) == (body, outcome.reason)
    assert office.queue.count() == 0


def test_throttling_waits_as_long_as_it_is_told(office: Office) -> None:
    """Not less; and the claim is let go, so that nobody else has to wait for it."""
    office.mailbox("alice")
    throttled = TemporaryError(ErrorCode.TENANT_THROTTLED, "slow down", retry_after=timedelta(seconds=700))
    receiver = office.receiving(recipients=Faulty(office.recipients, before_write=throttled))
    outcome = receiver.process(office.message(person("alice", office.issue("alice"))))
    assert (outcome.status, outcome.again_in) == (Status.DEFERRED, 700)
    assert office.record("alice").claimed_until is None
    assert office.drain() == []
    office.pass_time(timedelta(seconds=700))
    assert [done.status for done in office.drain() if done] == [Status.WRITTEN]


def test_an_outage_of_hours_needs_nobody(office: Office) -> None:
    """The host's five deliveries would be over in minutes."""
    office.mailbox("alice")
    away = TemporaryError(ErrorCode.TENANT_UNAVAILABLE, "503")
    tenant = Faulty(office.recipients, before_write=away)
    receiver = office.receiving(recipients=tenant)
    message = office.message(person("alice", office.issue("alice")))
    begun, tries = office.now, 0
    while office.now - begun < timedelta(hours=20):
        outcome = receiver.process(message)
        assert outcome.status is Status.DEFERRED
        office.pass_time(timedelta(seconds=outcome.again_in or 0))
        ((message),) = office.queue.receive(1, timedelta(minutes=1))
        office.queue.delete(message)
        tries += 1
    assert tries < 100
    tenant.before_write = None
    assert receiver.process(message).status is Status.WRITTEN


def test_a_read_back_that_differs_is_no_success(office: Office) -> None:
    """The record does not say written, and the difference is told in numbers."""
    office.mailbox("alice")
    receiver = office.receiving(recipients=Faulty(office.recipients, reads=Values()))
    outcome = receiver.process(office.message(person("alice", office.issue("alice"))))
    assert (outcome.status, outcome.reason) == (Status.DEFERRED, ErrorCode.READ_BACK_DIFFERS)
    assert "1 values missing" in (outcome.detail or "")
    assert office.record("alice").outcome is None


def test_a_defect_of_ours_loses_nothing(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    """It is tried a few times, with its trace in the log, then recorded as unexpected."""
    office.mailbox("alice")
    receiver = office.receiving(recipients=Faulty(office.recipients, before_write=ZeroDivisionError("oops")))
    alice = person("alice", office.issue("alice"))
    outcome = receiver.process(office.message(alice))
    assert (outcome.status, outcome.reason) == (Status.DEFERRED, ErrorCode.UNEXPECTED)
    office.pass_time(timedelta(minutes=2))
    last = receiver.process(office.message(alice, waited=timedelta(hours=1)))
    assert (last.status, last.reason) == (Status.FAILED, ErrorCode.UNEXPECTED)
    assert "ZeroDivisionError" in caplog.text


def test_when_the_queue_is_away_the_message_is_left_to_its_redelivery(office: Office) -> None:
    """There is nowhere else to keep it."""
    away = TemporaryError(ErrorCode.QUEUE_UNAVAILABLE, "no answer")
    receiver = replace(office.receiver, queue=NoQueue(away))
    with pytest.raises(TemporaryError) as later:
        receiver.process(office.message(person("newcomer", office.issue("newcomer"))))
    assert later.value is away
    assert list(office.failures.all()) == []


def test_an_event_that_cannot_be_sent_again_is_a_failure(office: Office) -> None:
    """Nothing ends silently."""
    refusal = PermanentError(ErrorCode.QUEUE_REFUSED, "no right")
    receiver = replace(office.receiver, queue=NoQueue(refusal))
    outcome = receiver.process(office.message(person("newcomer", office.issue("newcomer"))))
    assert (outcome.status, outcome.reason) == (Status.FAILED, ErrorCode.QUEUE_REFUSED)
    assert len(list(office.failures.all())) == 1


def test_a_cloud_managed_recipient_is_looked_at_again_after_an_hour(office: Office) -> None:
    """Left alone, nothing happens."""
    office.mailbox("trent", directory_synchronised=True, cloud_managed=True)
    assert office.process(person("trent", office.issue("trent"))).status is Status.WRITTEN
    assert office.drain() == []
    office.pass_time(VERIFY_AFTER)
    (again,) = office.drain()
    assert again is not None
    assert (again.status, again.cause) == (Status.UNCHANGED, Cause.VERIFICATION)
    assert office.queue.count() == 0


def test_whoever_takes_our_values_away_again_is_not_fought(office: Office) -> None:
    """It is a failure that somebody must look at; the mailbox is not written a second time."""
    office.mailbox("trent", directory_synchronised=True, cloud_managed=True)
    office.process(person("trent", office.issue("trent")))
    office.mailbox("trent", directory_synchronised=True, cloud_managed=True)  # Connect has emptied it
    office.pass_time(VERIFY_AFTER)
    (again,) = office.drain()
    assert again is not None
    assert (again.status, again.reason) == (Status.FAILED, ErrorCode.REVERTED)
    assert office.held("trent") == Values()
    assert office.reconciler.reconcile(apply=True).differing == ()


def test_an_ordinary_mailbox_is_verified_once(office: Office) -> None:
    """Right after the write, and not an hour later."""
    office.mailbox("alice")
    office.process(person("alice", office.issue("alice")))
    assert office.queue.count() == 0


def test_a_deferred_event_counts_and_keeps_its_first_time(office: Office) -> None:
    """So that patience ends however often it is sent again."""
    office.queue.send(office.event(person("newcomer", office.issue("newcomer"))))
    begun = office.now
    office.drain()
    office.pass_time(timedelta(minutes=5))
    office.drain()
    office.pass_time(timedelta(minutes=10))
    (message,) = office.queue.receive(1, timedelta(minutes=1))
    event = envelope.parse(message.body)
    assert (event.attempts, event.since) == (2, begun)


def test_a_buried_message_is_kept_whole(office: Office) -> None:
    """The host's own poison copy expires after a week and forgets the reason."""
    message = office.message(person("alice", office.issue("alice")))
    failure = office.receiver.bury(message)
    assert failure.reason == ErrorCode.RETRIES_EXHAUSTED
    assert failure.anchor == person("alice").anchor.immutable_id
    assert office.failures.get(message.id) == failure
    assert office.receiver.bury(Message(id="m2", body="\ufffd")).anchor is None


def test_writes_keep_to_the_tenants_rate_and_each_waits_once(office: Office) -> None:
    """Ten people change at once: three are written now, the others at their turns, none is put back twice."""
    names = [f"user{n}" for n in range(10)]
    for name in names:
        office.mailbox(name)
        office.queue.send(office.event(person(name, office.issue(name, key="ec256"))))
    receiver = office.receiving(pace=EmbeddedPace(office.database), rate=Rate(per_second=1, at_once=3))
    written: list[float] = []
    deferred = 0
    begun = office.now
    while office.queue.count():
        for message in office.queue.receive(16, timedelta(minutes=10)):
            outcome = receiver.process(message)
            office.queue.delete(message)
            if outcome.status is Status.WRITTEN:
                written.append((office.now - begun).total_seconds())
            else:
                assert outcome.reason == ErrorCode.PACED
                deferred += 1
        office.pass_time(timedelta(milliseconds=100))
    assert deferred == 7
    assert [round(moment) for moment in written] == [0, 0, 0, 1, 2, 3, 4, 5, 6, 7]
    assert all(office.held(name) for name in names)


def test_an_event_that_changes_nothing_takes_no_turn(office: Office) -> None:
    """Only writes are paced."""
    office.mailbox("alice")
    alice = person("alice", office.issue("alice"))
    pace = EmbeddedPace(office.database)
    slow = Rate(per_second=0.001, at_once=1)
    receiver = office.receiving(pace=pace, rate=slow)
    assert [receiver.process(office.message(alice)).status for _ in range(3)] == [
        Status.WRITTEN,
        Status.UNCHANGED,
        Status.UNCHANGED,
    ]


def test_a_turn_that_was_missed_by_long_is_booked_anew(office: Office) -> None:
    """Else a backlog after an outage would come all at once."""
    office.mailbox("alice")
    pace = EmbeddedPace(office.database)
    rate = Rate(per_second=1, at_once=1)
    receiver = office.receiving(pace=pace, rate=rate)
    pace.book(rate, office.now)
    message = office.message(person("alice", office.issue("alice")))
    assert receiver.process(message).status is Status.DEFERRED
    office.pass_time(timedelta(hours=2))
    pace.book(rate, office.now)
    (late,) = office.queue.receive(1, timedelta(minutes=1))
    assert receiver.process(late).status is Status.DEFERRED


def test_a_defect_of_whoever_hears_how_it_ended_has_nothing_delivered_again(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    """It is in the log, and the next one hears all the same."""
    office.mailbox("alice")
    heard: list[Outcome] = []

    def broken(outcome: Outcome) -> None:
        raise ZeroDivisionError(outcome.anchor)

    receiver = replace(office.receiver, hearing=(broken, heard.append))
    outcome = receiver.process(office.message(person("alice", office.issue("alice"))))
    assert outcome.status is Status.WRITTEN
    assert heard == [outcome]
    assert "unexpected hearing" in caplog.text
    assert list(office.failures.all()) == []
