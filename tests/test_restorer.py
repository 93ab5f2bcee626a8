"""Taking a write back: held in the ledger, written by the one door, until it is lifted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sync import envelope
from sync.core.event import Cause
from sync.core.person import Values
from sync.core.record import Status
from sync.errors import ErrorCode, PermanentError
from sync.ports import Message
from tests.mill import DAY, Issued
from tests.office import Crash, Office, anchor, person


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def certificates(office: Office) -> list[Issued]:
    """Alice's mailbox held a foreign value; then we published one, then its successor."""
    foreign, first, second = (office.issue("alice", not_before=office.now - n * DAY) for n in (90, 60, 30))
    office.mailbox("alice", foreign)
    for sequence, certificate in enumerate((first, second), start=1):
        office.process(person("alice", certificate), sequence=sequence)
        office.pass_time(timedelta(hours=1))
    office.sequence = 2
    return [foreign, first, second]


def holding(*certificates: Issued) -> Values:
    return Values.of(each.der for each in certificates)


def test_earlier_states_are_listed_the_newest_first(office: Office, certificates: list[Issued]) -> None:
    """By address, UPN or ImmutableId; nothing is touched."""
    foreign, first, second = certificates
    listed = office.restorer.restore("Alice@corp.example")
    assert [each.values for each in listed.snapshots] == [holding(foreign, first), holding(foreign)]
    assert office.restorer.restore(person("alice").anchor.immutable_id).snapshots == listed.snapshots
    assert office.restorer.restore("alice@corp.example", number=1).applied is False
    assert office.queue.count() == 0
    assert office.held("alice") == holding(foreign, second)


def test_a_restored_state_is_written_and_held_against_later_events(office: Office, certificates: list[Issued]) -> None:
    """Whatever the directory says meanwhile, until it is lifted."""
    foreign, first, second = certificates
    office.restorer.restore("alice@corp.example", number=1, apply=True)
    assert [outcome.status for outcome in office.drain() if outcome] == [Status.WRITTEN]
    assert office.held("alice") == holding(foreign, first)
    assert office.process(person("alice", second)).status is Status.UNCHANGED
    assert office.held("alice") == holding(foreign, first)
    assert office.reconciler.reconcile(apply=True).differing == ()


def test_a_lifted_hold_lets_the_directory_decide_again(office: Office, certificates: list[Issued]) -> None:
    """The same event is enough."""
    foreign, _, second = certificates
    office.restorer.restore("alice@corp.example", number=2, apply=True)
    office.drain()
    assert office.held("alice") == holding(foreign)
    office.restorer.restore("alice@corp.example", lift=True, apply=True)
    office.drain()
    assert office.held("alice") == holding(foreign, second)


def test_what_was_ours_then_is_ours_again(office: Office, certificates: list[Issued]) -> None:
    """So it is withdrawn when its time comes, and the foreign value stays."""
    foreign, first, _ = certificates
    office.restorer.restore("alice@corp.example", number=1, apply=True)
    office.drain()
    assert office.record("alice").managed.user_certificate == {first.fingerprint}
    office.process(person("alice", deleted=True))
    assert office.held("alice") == holding(foreign)


def test_a_leaver_is_withdrawn_in_spite_of_a_hold(office: Office, certificates: list[Issued]) -> None:
    """A hold is for a mistake of ours, not for somebody who is gone."""
    office.restorer.restore("alice@corp.example", number=1, apply=True)
    office.drain()
    office.process(person("alice", deleted=True))
    assert office.held("alice") == holding(certificates[0])


def test_what_was_ours_for_another_account_of_the_mailbox_is_ours_when_restored(office: Office) -> None:
    """The account was made anew: what its predecessor had published comes back as ours, and goes with the new one.

    Found by the machine in tests/convergence: it came back as a value that was nobody's, and stayed for ever.
    """
    office.mailbox("alice")
    old, new = office.issue("alice"), office.issue("alice")
    before = person("alice", old)
    after = replace(person("alice", new), anchor=anchor("made anew"))
    office.process(before)
    office.process(after)
    office.process(replace(before, deleted=True))
    office.restorer.restore(after.anchor.immutable_id, number=1, apply=True)
    office.drain()
    assert office.held("alice") == holding(old)

    office.process(replace(after, deleted=True))
    assert office.held("alice") == Values()


@pytest.mark.parametrize("crash_at", [1, 2])
def test_killed_during_a_restore_it_is_finished_and_nothing_is_orphaned(
    office: Office, certificates: list[Issued], crash_at: int
) -> None:
    """Claim, then write, as for every write."""
    foreign, first, _ = certificates
    office.restorer.restore("alice@corp.example", number=1, apply=True)
    (message,) = office.queue.receive(1, timedelta(0))
    with pytest.raises(KeyboardInterrupt):
        office.receiving(ledger=Crash(office.ledger, crash_at)).process(message)
    office.pass_time(timedelta(minutes=5))
    office.drain()
    assert office.held("alice") == holding(foreign, first)
    office.process(person("alice", deleted=True))
    assert office.held("alice") == holding(foreign)


def test_nothing_on_the_queue_can_restore_anything(office: Office, certificates: list[Issued]) -> None:
    """An event of that cause only wakes: what is held stands in the ledger."""
    foreign, _, second = certificates
    forged = replace(envelope.parse(office.record("alice").event or ""), cause=Cause.RESTORE)
    outcome = office.receiver.process(Message(id="forged", body=envelope.render(forged)))
    assert outcome.status is Status.UNCHANGED
    assert office.held("alice") == holding(foreign, second)


@pytest.mark.parametrize(
    ("who", "number", "code"),
    [
        ("nobody@corp.example", 1, ErrorCode.PERSON_UNKNOWN),
        ("alice@corp.example", 3, ErrorCode.SNAPSHOT_MISSING),
        ("alice@corp.example", 0, ErrorCode.SNAPSHOT_MISSING),
    ],
)
def test_a_wrong_name_or_number_is_a_clear_error(
    office: Office, certificates: list[Issued], who: str, number: int, code: ErrorCode
) -> None:
    """And nothing is written down."""
    with pytest.raises(PermanentError) as refused:
        office.restorer.restore(who, number=number, apply=True)
    assert refused.value.code is code
    assert office.record("alice").hold is None


def test_a_held_state_that_is_not_kept_any_more_writes_nothing(office: Office, certificates: list[Issued]) -> None:
    """It fails where somebody sees it; guessing would be worse."""
    office.ledger.put(replace(office.record("alice"), hold="20200101T000000000000"))
    outcome = office.process(person("alice"))
    assert (outcome.status, outcome.reason) == (Status.FAILED, ErrorCode.SNAPSHOT_MISSING)
    assert office.held("alice") == holding(certificates[0], certificates[2])
