"""Reconciliation: what events cannot tell goes back on the queue, and only that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from sync import envelope
from sync.core.event import Cause
from sync.core.path import TrustStore
from sync.core.person import Values
from sync.core.recipient import Recipient
from sync.core.record import Status
from sync.core.suspicion import Reason
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.reconciling.examining import Difference
from tests.mill import Mill
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
    alice = Difference(anchor=person("alice").anchor.immutable_id, added=before.fingerprints, because=(Reason.DRIFT,))
    assert found.differing == (alice,)
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


def crowd(size: int = 40) -> Office:
    """So many people, each with a certificate of ours."""
    office = Office()
    for number in range(size):
        office.mailbox(f"person{number}")
        office.process(person(f"person{number}", office.issue(f"person{number}", key="ec256")))
    return office


def without_its_anchor(office: Office) -> Office:
    """The same with another trust anchor, as after a careless renewal of the file."""
    stranger = Mill().root("Another Root", key="ec256")
    office.trust = TrustStore.of([stranger.der])
    return office


def test_a_trust_store_that_lost_its_anchor_withdraws_nobody() -> None:
    """The run stops before anything is sent, tells its id, and a second one stops as well."""
    office = without_its_anchor(crowd())
    for _ in range(2):
        found = office.reconciler.reconcile(apply=True)
        assert (found.losing, found.holding, found.applied) == (40, 40, False)
        assert found.guarded
    assert office.queue.count() == 0
    assert all(office.held(f"person{number}") for number in range(40))


def test_what_was_guarded_is_done_when_it_is_approved() -> None:
    """Just that: those people, and not one more. The live guard lets them go too."""
    office = without_its_anchor(crowd())
    run = office.reconciler.reconcile(apply=True).guarded
    assert not office.reconciler.reconcile(apply=False, approve=run).guarded
    assert office.queue.count() == 0
    assert office.reconciler.reconcile(apply=True, approve=run).applied
    assert {outcome.status for outcome in office.drain() if outcome} == {Status.WRITTEN}
    assert not any(office.held(f"person{number}") for number in range(40))


def test_an_approval_covers_nobody_who_was_not_in_that_run() -> None:
    """Somebody more would lose by now: it is asked again."""
    office = crowd()
    trust = office.trust
    without_its_anchor(office)
    run = office.reconciler.reconcile(apply=True).guarded
    office.trust = trust
    office.mailbox("newcomer")
    office.process(person("newcomer", office.issue("newcomer", key="ec256")))
    without_its_anchor(office)

    assert office.reconciler.reconcile(apply=True, approve=run).guarded
    assert office.queue.count() == 0


@pytest.mark.parametrize("run", ["", "x", "../guard/losses", "20260601T000000000000"])
def test_a_run_that_nobody_knows_approves_nothing(run: str) -> None:
    """A mistyped id."""
    office = without_its_anchor(crowd(5))
    with pytest.raises(PermanentError) as caught:
        office.reconciler.reconcile(apply=True, approve=run)
    assert caught.value.code is ErrorCode.RUN_UNKNOWN


def test_many_changes_are_asked_about_though_nobody_loses() -> None:
    """Somebody emptied a third of all mailboxes: to fill them again may be right, or fight somebody."""
    office = crowd(9)
    for number in range(3):
        office.mailbox(f"person{number}")
    found = office.reconciler.reconcile(apply=True)
    assert (found.losing, len(found.differing), bool(found.guarded)) == (0, 3, True)


@pytest.mark.parametrize(
    ("scope", "examined"),
    [
        ("person1@corp.example", 1),
        (person("person2").anchor.immutable_id, 1),
        ("@CORP.example", 5),
        ("@other.example", 0),
    ],
)
def test_a_scope_examines_only_some(scope: str, examined: int) -> None:
    """One person, or a mail domain."""
    assert crowd(5).reconciler.reconcile(apply=False, scope=scope).examined == examined
