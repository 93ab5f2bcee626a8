"""Reconciliation: what events cannot tell goes back on the queue, and only that."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sync import envelope
from sync.core.event import Cause
from sync.core.person import Values
from sync.core.record import Status
from sync.errors import ErrorCode
from sync.reconciler import Difference
from tests.office import Office, person


@pytest.fixture
def office() -> Office:
    """Alice and Bob are as they should be."""
    office = Office()
    for name in ("alice", "bob"):
        office.mailbox(name)
        office.process(person(name, office.issue(name)))
    return office


def test_nobody_differs_and_nothing_is_sent(office: Office) -> None:
    """A second run finds nothing as well."""
    found = office.reconciler.reconcile(apply=True)
    assert (found.examined, found.differing, found.unreadable) == (2, (), ())
    assert office.queue.count() == 0


def test_a_value_removed_by_hand_is_published_again(office: Office) -> None:
    """Drift in the cloud; dry first, then applied."""
    before = office.held("alice")
    office.mailbox("alice")
    found = office.reconciler.reconcile(apply=False)
    assert found.differing == (Difference(anchor=person("alice").anchor.immutable_id, added=1),)
    assert office.queue.count() == 0
    office.reconciler.reconcile(apply=True)
    (message,) = office.queue.receive(9, timedelta(0))
    assert envelope.parse(message.body).cause is Cause.RECONCILIATION
    assert [outcome.status for outcome in office.drain() if outcome] == [Status.WRITTEN]
    assert office.held("alice") == before


def test_a_certificate_that_has_expired_meanwhile_is_withdrawn(office: Office) -> None:
    """No event of the directory says so."""
    office.pass_time(timedelta(days=400))
    assert len(office.reconciler.reconcile(apply=True).differing) == 2
    office.drain()
    assert office.held("alice") == office.held("bob") == Values()


def test_a_failed_event_waits_for_replay(office: Office) -> None:
    """Sending it again by the clock would be retrying in vain."""
    office.processor.process(office.message(person("newcomer", office.issue("newcomer")), dequeue_count=5))
    found = office.reconciler.reconcile(apply=True)
    assert found.examined == 2
    assert office.queue.count() == 0


def test_one_person_who_cannot_be_examined_is_told_and_the_others_are_repaired(office: Office) -> None:
    """Two mailboxes answer to one address."""
    office.mailbox("alice")
    mailbox = office.mailbox("bob")
    office.database.rows("DELETE FROM addresses WHERE recipient = ?", mailbox.id)
    office.database.rows("DELETE FROM recipients WHERE id = ?", mailbox.id)
    found = office.reconciler.reconcile(apply=True)
    assert [difference.reason for difference in found.differing] == [None, ErrorCode.NO_RECIPIENT] or [
        difference.reason for difference in found.differing
    ] == [ErrorCode.NO_RECIPIENT, None]
    assert found.to_json()["examined"] == 2
