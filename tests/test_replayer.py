"""Replay: failed messages go back on the queue, in order, and none undoes a newer state."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sync import envelope
from sync.core.event import Cause
from sync.core.person import Values
from sync.core.record import Status
from sync.errors import ErrorCode
from sync.ports import Message
from tests.office import Office, person


@pytest.fixture
def office() -> Office:
    """Three failures: two people without a mailbox, one message that is no event."""
    office = Office()
    for name in ("carol", "dave"):
        office.receiver.process(office.message(person(name, office.issue(name)), waited=timedelta(days=1)))
        office.pass_time(timedelta(seconds=1))
    office.receiver.process(Message(id="garbage", body="garbage"))
    return office


def test_it_is_dry_by_default(office: Office) -> None:
    """The chosen are shown, without their bodies."""
    shown = office.replayer.replay(apply=False)
    assert [failure.reason for failure in shown.chosen] == [
        ErrorCode.NO_RECIPIENT,
        ErrorCode.NO_RECIPIENT,
        ErrorCode.EVENT_NOT_JSON,
    ]
    assert office.queue.count() == 0
    assert "corp.example" not in str(shown.to_json())


@pytest.mark.parametrize(
    ("choice", "count"),
    [
        ({"reason": "no-recipient"}, 2),
        ({"anchor": person("carol").anchor.immutable_id}, 1),
        ({"message": "garbage"}, 1),
        ({"reason": "no-recipient", "anchor": person("dave").anchor.immutable_id}, 1),
        ({"reason": "never-heard-of"}, 0),
    ],
)
def test_failures_are_chosen_by_reason_person_or_message(office: Office, choice: dict[str, str], count: int) -> None:
    """Choices narrow one another."""
    assert len(office.replayer.replay(apply=False, **choice).chosen) == count


def test_a_replayed_event_says_so_and_counts(office: Office) -> None:
    """Its watermark stays."""
    office.replayer.replay(apply=True, anchor=person("carol").anchor.immutable_id)
    (message,) = office.queue.receive(9, timedelta(0))
    event = envelope.parse(message.body)
    assert (event.cause, event.replays, event.watermark.sequence) == (Cause.REPLAY, 1, 1)


def test_a_replay_never_undoes_a_newer_state(office: Office) -> None:
    """A newer event came through meanwhile."""
    office.mailbox("carol")
    newer = office.issue("carol")
    office.process(person("carol", newer))
    office.replayer.replay(apply=True, anchor=person("carol").anchor.immutable_id)
    assert [outcome.status for outcome in office.drain() if outcome] == [Status.SUPERSEDED]
    assert office.held("carol") == Values.of([newer.der])


def test_what_is_no_event_goes_back_as_it_came_and_fails_again(office: Office) -> None:
    """A newer version might read it; this one keeps it once more."""
    office.replayer.replay(apply=True, message="garbage")
    assert [outcome.status for outcome in office.drain() if outcome] == [Status.FAILED]
    assert "garbage" in {failure.body for failure in office.failures.all()}
