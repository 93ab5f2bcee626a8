"""The drain loop: the host's semantics without the host."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sync import drain
from sync.core.person import Values
from sync.core.record import Status
from sync.errors import ErrorCode
from tests.office import Office, person


@pytest.fixture
def office() -> Office:
    return Office()


def test_every_message_is_handled_and_gone(office: Office) -> None:
    """More than one batch of them."""
    certificates = {f"user{n}": office.issue(f"user{n}") for n in range(20)}
    for name, certificate in certificates.items():
        office.mailbox(name)
        office.queue.send(office.event(person(name, certificate)))
    assert [outcome.status for outcome in office.drain() if outcome] == [Status.WRITTEN] * 20
    assert office.queue.count() == 0
    assert all(office.held(name) == Values.of([certificate.der]) for name, certificate in certificates.items())


def test_a_deferred_event_comes_again_at_its_time(office: Office) -> None:
    """And ends as soon as its cause is gone."""
    office.queue.send(office.event(person("newcomer", office.issue("newcomer"))))
    assert [outcome.status for outcome in office.drain() if outcome] == [Status.DEFERRED]
    assert office.drain() == []
    office.mailbox("newcomer")
    office.pass_time(timedelta(minutes=5))
    assert [outcome.status for outcome in office.drain() if outcome] == [Status.WRITTEN]


def test_a_message_that_kills_its_processor_is_buried(office: Office) -> None:
    """Nobody was left to record why."""
    office.queue.send(office.event(person("alice", office.issue("alice"))))
    for _ in range(drain.MAX_DEQUEUE_COUNT):
        office.queue.receive(1, drain.LOCK)  # and never heard of again
        office.pass_time(drain.LOCK)
    assert office.drain() == [None]
    assert office.queue.count() == 0
    (failure,) = office.failures.all()
    assert failure.reason == ErrorCode.RETRIES_EXHAUSTED


def test_a_hidden_message_is_not_delivered_twice_at_once(office: Office) -> None:
    """While one processor works on it."""
    office.queue.send(office.event(person("alice")))
    office.queue.receive(1, timedelta(minutes=1))
    assert office.drain() == []
