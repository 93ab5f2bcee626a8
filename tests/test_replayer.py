"""Replay: failed messages go back on the queue, in order, and none undoes a newer state."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from sync import envelope
from sync.core.event import Cause
from sync.core.person import Values
from sync.core.rate import Rate
from sync.core.record import Failure, Status
from sync.errors import ErrorCode, PermanentError
from sync.ports import EventQueue, Failures, Message
from sync.replayer import Choice
from tests.mill import NOW
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
        ErrorCode.EVENT_NOT_JSON,
        ErrorCode.NO_RECIPIENT,
        ErrorCode.NO_RECIPIENT,
    ]
    assert office.queue.count() == 0
    assert "corp.example" not in str(shown.to_json())


@pytest.mark.parametrize(
    ("choice", "count"),
    [
        ({"reason": "no-recipient"}, 2),
        ({"user": person("carol").anchor.immutable_id}, 1),
        ({"user": "Carol@corp.example"}, 1),
        ({"message": "garbage"}, 1),
        ({"reason": "no-recipient", "user": "dave@corp.example"}, 1),
        ({"reason": "never-heard-of"}, 0),
        ({"since": NOW + timedelta(seconds=1)}, 2),
        ({"limit": 2}, 2),
    ],
)
def test_failures_are_chosen_by_reason_person_message_or_time(
    office: Office, choice: dict[str, Any], count: int
) -> None:
    """Choices narrow one another, in the list as in the replay."""
    assert len(office.replayer.replay(Choice(**choice), apply=False).chosen) == count
    assert len(list(office.replayer.failed(Choice(**choice)))) == count


def test_nobody_is_told_from_everybody(office: Office) -> None:
    """A misspelt address replays nothing."""
    with pytest.raises(PermanentError) as caught:
        office.replayer.replay(Choice(user="carl@corp.example"), apply=True)
    assert caught.value.code is ErrorCode.PERSON_UNKNOWN
    assert office.queue.count() == 0


def test_events_go_back_in_the_order_of_their_watermarks(office: Office) -> None:
    """In whatever order they failed."""
    late = office.event(person("erin"), sequence=50, waited=timedelta(days=1))
    early = office.event(person("erin", office.issue("erin")), sequence=40, waited=timedelta(days=1))
    for name, body in (("early", early), ("late", late)):
        office.receiver.process(Message(id=name, body=body))
    failure = office.failures.get("early")
    assert failure is not None
    office.failures.add(replace(failure, at=failure.at + timedelta(days=1)))
    shown = office.replayer.replay(apply=True).chosen
    assert [each.id for each in shown if each.id in {"garbage", "late", "early"}] == ["garbage", "early", "late"]


def test_a_rate_spreads_them_by_itself(office: Office) -> None:
    """Each is hidden until its turn, so nobody waits here and an interruption leaves no gap."""
    done = office.replayer.replay(apply=True, rate=Rate(per_second=0.5, at_once=1))
    assert done.lasts == timedelta(seconds=4)
    seen = []
    for _ in range(3):
        seen.append(len(office.queue.receive(9, timedelta(hours=1))))
        office.pass_time(timedelta(seconds=2))
    assert seen == [1, 1, 1]


def test_a_failure_is_dismissed_by_its_id_alone(office: Office) -> None:
    """Dry unless asked; gone for good then, and only that one."""
    assert office.replayer.dismiss("garbage", apply=False) is not None
    assert len(list(office.failures.all())) == 3
    assert office.replayer.dismiss("garbage", apply=True) is not None
    assert office.replayer.dismiss("garbage", apply=True) is None
    assert len(list(office.failures.all())) == 2


def test_a_replayed_event_says_so_and_counts(office: Office) -> None:
    """Its watermark stays."""
    office.replayer.replay(Choice(user=person("carol").anchor.immutable_id), apply=True)
    (message,) = office.queue.receive(9, timedelta(0))
    event = envelope.parse(message.body)
    assert (event.cause, event.replays, event.watermark.sequence) == (Cause.REPLAY, 1, 1)


def test_a_replay_never_undoes_a_newer_state(office: Office) -> None:
    """A newer event came through meanwhile."""
    office.mailbox("carol")
    newer = office.issue("carol")
    office.process(person("carol", newer))
    office.replayer.replay(Choice(user=person("carol").anchor.immutable_id), apply=True)
    assert [outcome.status for outcome in office.drain() if outcome] == [Status.SUPERSEDED]
    assert office.held("carol") == Values.of([newer.der])


def test_what_is_no_event_goes_back_as_it_came_and_fails_again(office: Office) -> None:
    """A newer version might read it; this one keeps it once more."""
    office.replayer.replay(Choice(message="garbage"), apply=True)
    assert [outcome.status for outcome in office.drain() if outcome] == [Status.FAILED]
    assert "garbage" in {failure.body for failure in office.failures.all()}


def test_memory_holds_no_bodies(office: Office) -> None:
    """Of a thousand failures with 40 KB each it holds less than a twentieth."""
    people, size = 1_000, 40_000

    class Many:
        """Failures that are made when they are asked for."""

        def all(self, **_: object) -> Iterator[Failure]:
            return map(self.get, map(str, range(people)))

        def get(self, failure_id: str) -> Failure:
            body = f"{failure_id:>{size}}"
            return Failure(id=failure_id, at=NOW, reason="r", detail="d", body=body, anchor="a")

        def remove(self, failure_id: str) -> None:
            """Nothing is kept."""

    class Sink:
        """A queue that keeps nothing."""

        def send(self, body: str, *, delay: timedelta) -> None:
            assert len(body) == size

    replayer = replace(office.replayer, failures=cast("Failures", Many()), queue=cast("EventQueue", Sink()))
    tracemalloc.start()
    try:
        done = replayer.replay(apply=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(done.chosen) == people
    assert peak < people * size / 20


def test_a_message_is_found_by_its_id_without_a_walk(office: Office) -> None:
    """And only if the rest of the choice fits it too."""

    class NoWalk:
        """Failures that cannot be listed."""

        def __init__(self, inner: Failures) -> None:
            self.get = inner.get

    replayer = replace(office.replayer, failures=cast("Failures", NoWalk(office.failures)))
    assert [each.id for each in replayer.failed(Choice(message="garbage"))] == ["garbage"]
    assert list(replayer.failed(Choice(message="garbage", reason="no-recipient"))) == []
    assert list(replayer.failed(Choice(message="garbage", since=NOW + timedelta(days=1)))) == []
    assert list(replayer.failed(Choice(message="no such"))) == []
