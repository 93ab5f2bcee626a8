"""The guard over live events: how many may lose their last certificate in an hour, and who may let them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from sync.adapters.embedded import EmbeddedBlobs
from sync.core.losses import Losses
from sync.core.person import Values
from sync.core.record import Status
from sync.errors import ErrorCode, PermanentError
from sync.loss_guard import LossGuard
from sync.replayer import Choice
from tests.mill import NOW
from tests.office import Office, person

LIMIT = 3
NAMES = [f"person{number}" for number in range(5)]


@pytest.fixture
def office() -> Office:
    """Five people with a certificate of ours; three an hour may lose it."""
    office = Office()
    office.losses = LossGuard(blobs=office.losses.blobs, limit=LIMIT)
    office.change(admits=office.losses.admits)
    for name in NAMES:
        office.mailbox(name)
        office.process(person(name, office.issue(name, key="ec256")))
    return office


def leave(office: Office, *names: str) -> list[Status]:
    """The directory shows these people no more."""
    return [office.process(person(name, deleted=True)).status for name in names]


def test_a_directory_that_suddenly_shows_nobody_empties_few_mailboxes(office: Office) -> None:
    """The others' events fail with nothing written, and are kept."""
    assert leave(office, *NAMES) == [Status.WRITTEN] * 3 + [Status.FAILED] * 2
    assert [bool(office.held(name)) for name in NAMES] == [False] * 3 + [True] * 2
    assert [failure.reason for failure in office.failures.all()] == [ErrorCode.GUARDED] * 2


def test_an_hour_later_there_is_room_again(office: Office) -> None:
    """A replay then goes through; whoever leaves on an ordinary day is never held."""
    leave(office, *NAMES)
    office.pass_time(timedelta(minutes=59))
    office.replayer.replay(Choice(reason="guarded"), apply=True)
    assert {outcome.status for outcome in office.drain() if outcome} == {Status.FAILED}
    office.pass_time(timedelta(minutes=1))
    office.replayer.replay(Choice(reason="guarded"), apply=True)
    assert {outcome.status for outcome in office.drain() if outcome} == {Status.WRITTEN}
    assert not any(office.held(name) for name in NAMES)


def test_an_administrator_opens_it_for_a_while(office: Office) -> None:
    """Then a replay does the rest; and it shuts by itself."""
    leave(office, *NAMES[:4])
    office.losses.open(office.now + timedelta(minutes=10))
    office.replayer.replay(Choice(reason="guarded"), apply=True)
    assert {outcome.status for outcome in office.drain() if outcome} == {Status.WRITTEN}
    office.pass_time(timedelta(minutes=10))
    assert leave(office, NAMES[4]) == [Status.FAILED]


def test_a_replay_by_itself_approves_nothing(office: Office) -> None:
    """Nothing in a message does: whoever can write to the queue could say it."""
    leave(office, *NAMES)
    for _ in range(3):
        office.replayer.replay(Choice(reason="guarded"), apply=True)
        assert {outcome.status for outcome in office.drain() if outcome} == {Status.FAILED}


def test_a_renewal_is_no_loss(office: Office) -> None:
    """However many there are at once: something of ours is there afterwards."""
    outcomes = []
    for name in NAMES:
        renewed = office.issue(name, key="ec256", not_before=NOW - timedelta(hours=1))
        outcomes.append(office.process(person(name, renewed)).status)
        assert office.held(name) == Values.of([renewed.der])
    assert outcomes == [Status.WRITTEN] * 5


def test_the_same_event_delivered_again_counts_once() -> None:
    """A crash after it was counted does not use up the room of others."""
    losses = Losses()
    for _ in range(3):
        admitted = losses.admitting("alice", NOW, 1)
        assert admitted is not None
        losses = admitted
    assert losses.admitting("bob", NOW, 1) is None


def test_of_many_at_once_only_so_many_pass(office: Office) -> None:
    """Instances share one count."""
    guard = LossGuard(blobs=EmbeddedBlobs(office.database), limit=4)
    with ThreadPoolExecutor(2) as pool:
        admitted = list(pool.map(lambda number: guard.admits(f"anchor{number}", NOW), range(12)))
    assert sum(admitted) == 4
    assert len(guard.look(NOW).recent) == 4


def test_a_count_that_cannot_be_read_lets_nobody_go(office: Office) -> None:
    """Changed by hand: said, and nothing is written."""
    EmbeddedBlobs(office.database).put("guard/losses.json", b"[]")
    with pytest.raises(PermanentError) as caught:
        office.losses.admits("alice", NOW)
    assert caught.value.code is ErrorCode.LEDGER_MALFORMED
    assert leave(office, NAMES[0]) == [Status.FAILED]
    assert office.held(NAMES[0])
