"""Reconciliation: what events cannot tell goes back on the queue, and only that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from sync import envelope
from sync.core.event import Cause
from sync.core.person import Values
from sync.core.recipient import Recipient
from sync.core.record import Status
from sync.errors import ErrorCode, TemporaryError
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
    office.receiver.process(office.message(person("newcomer", office.issue("newcomer")), waited=timedelta(days=1)))
    found = office.reconciler.reconcile(apply=True)
    assert found.examined == 2
    assert office.queue.count() == 0


def test_one_person_who_cannot_be_examined_is_told_and_the_others_are_repaired(office: Office) -> None:
    """The tenant fails for one of them."""
    before = office.held("bob")
    broken, _ = office.mailbox("alice"), office.mailbox("bob")

    class Unreachable:
        def find(self, *, pinned: str | None, addresses: Sequence[str]) -> Recipient | None:
            if pinned == broken.id:
                raise TemporaryError(ErrorCode.TENANT_UNAVAILABLE, "a passing fault")
            return office.recipients.find(pinned=pinned, addresses=addresses)

        write = office.recipients.write
        read = office.recipients.read

    reconciler = replace(office.reconciler, processor=office.receiving(recipients=Unreachable()).processor)
    found = reconciler.reconcile(apply=True)
    assert [each.reason for each in found.unreadable] == [ErrorCode.TENANT_UNAVAILABLE]
    assert len(found.differing) == 1
    office.drain()
    assert office.held("bob") == before
    assert office.held("alice") == Values()


def test_a_mailbox_that_is_gone_is_told(office: Office) -> None:
    """Its person is still in the directory: the event goes back and ends as a failure that somebody sees."""
    office.recipients.remove(office.record("alice").recipient or "")
    found = office.reconciler.reconcile(apply=False)
    assert [each.reason for each in found.differing] == [ErrorCode.NO_RECIPIENT]
    assert found.to_json()["examined"] == 2
