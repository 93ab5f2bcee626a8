"""The loop in the place of the Functions host: deliveries, timers, and a stop that loses nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sync.drain import MAX_DEQUEUE_COUNT
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.host import QueueHost, Timer, Timers
from sync.ports import Message
from tests.office import Office, person

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


@pytest.fixture
def office() -> Office:
    return Office()


def running(host: QueueHost) -> threading.Thread:
    thread = threading.Thread(target=host.run)
    thread.start()
    return thread


def test_messages_are_delivered_until_it_is_told_to_stop(office: Office) -> None:
    """Each ends in its outcome, whatever it was."""
    for name in ("alice", "bob"):
        office.mailbox(name)
        office.queue.send(office.event(person(name, office.issue(name))))
    office.queue.send("garbage")
    host = QueueHost(source=office.queue, receiver=office.receiver)
    thread = running(host)
    until(lambda: office.queue.count() == 0)
    host.stop.set()
    thread.join(30)

    assert len(office.held("alice")) == len(office.held("bob")) == 1
    assert [failure.reason for failure in office.failures.all()] == [ErrorCode.EVENT_NOT_JSON]


def test_a_stop_finishes_what_is_at_work_and_gives_back_the_rest(office: Office) -> None:
    """Nothing lies hidden for ten minutes: the next host finds it at once."""
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        """A receiver that waits in the midst of its first message."""

        def process(self, message: Message) -> None:
            begun.set()
            go_on.wait(30)

    for number in range(5):
        office.queue.send(f"message {number}")
    host = QueueHost(source=office.queue, receiver=Slow(), threads=1)  # type: ignore[arg-type]
    thread = running(host)
    begun.wait(30)
    host.stop.set()
    go_on.set()
    thread.join(30)

    assert office.queue.count() == 4
    assert len(office.queue.receive(9, timedelta(minutes=10))) == 4


def test_what_is_delivered_too_often_is_recorded_at_once(office: Office) -> None:
    """Not copied to a queue that forgets the reason."""
    office.queue.send("poison")
    for _ in range(MAX_DEQUEUE_COUNT):
        office.queue.receive(1, timedelta(0))
    host = QueueHost(source=office.queue, receiver=office.receiver)
    thread = running(host)
    until(lambda: office.queue.count() == 0)
    host.stop.set()
    thread.join(30)

    assert [failure.reason for failure in office.failures.all()] == [ErrorCode.RETRIES_EXHAUSTED]


def test_a_queue_that_is_away_is_looked_at_again(office: Office) -> None:
    """And said in the log; the host lives on."""
    looked = []

    class Away:
        """Fails once."""

        def receive(self, limit: int, hidden_for: timedelta) -> Sequence[Message]:
            looked.append(limit)
            if len(looked) == 1:
                raise TemporaryError(ErrorCode.QUEUE_UNAVAILABLE, "away")
            return ()

    soon = timedelta(milliseconds=1)
    host = QueueHost(source=Away(), receiver=office.receiver, trouble=soon)  # type: ignore[arg-type]
    thread = running(host)
    until(lambda: len(looked) > 1)
    host.stop.set()
    thread.join(30)


@pytest.mark.parametrize(
    ("schedule", "moments"),
    [
        ("0 0 3 * * *", ["06-02 03:00:00", "06-03 03:00:00"]),
        ("*/20 * * * * *", ["06-01 12:00:20", "06-01 12:00:40"]),
        ("0 30 9 * * 1-5", ["06-02 09:30:00", "06-03 09:30:00"]),
    ],
)
def test_a_schedule_is_read_as_the_host_reads_it(schedule: str, moments: list[str]) -> None:
    """Six fields, seconds first."""
    coming = Timer(name="t", schedule=schedule, act=lambda: None).moments(NOON)
    assert [f"{next(coming):%m-%d %H:%M:%S}" for _ in moments] == moments


@pytest.mark.parametrize("schedule", ["", "0 3 * * *", "0 0 25 * * *", "0 0 3 * * * *", "@daily", "x 0 3 * * *"])
def test_a_schedule_that_cannot_be_read_is_said_at_the_start(schedule: str) -> None:
    """Five fields would be taken for something else by the host."""
    with pytest.raises(PermanentError) as caught:
        Timer(name="reconcile", schedule=schedule, act=lambda: None).moments(NOON)
    assert caught.value.code is ErrorCode.SETTINGS_INVALID


def test_a_timer_fires_when_its_time_has_come_and_once_for_what_was_missed() -> None:
    """A defect in one ends neither the others nor itself."""
    fired: list[str] = []
    clock = [NOON]

    def broken() -> None:
        fired.append("broken")
        raise RuntimeError

    timers = Timers(
        timers=(
            Timer(name="hourly", schedule="0 0 * * * *", act=lambda: fired.append("hourly")),
            Timer(name="broken", schedule="0 0 * * * *", act=broken),
            Timer(name="yearly", schedule="0 0 0 1 1 *", act=lambda: fired.append("yearly")),
        ),
        now=lambda: clock[0],
    )
    thread = threading.Thread(target=timers.run)
    thread.start()
    for hours in (1, 5):
        seen = len(fired)
        clock[0] += timedelta(hours=hours)
        until(lambda: len(fired) >= seen + 2)  # noqa: B023 - called within the round
    timers.stop.set()
    thread.join(30)
    assert fired == ["hourly", "broken"] * 2
    assert replace(timers).timers
