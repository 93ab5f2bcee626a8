"""The loop in the place of the Functions host: deliveries, and a stop that loses nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest

from sync.drain import MAX_DEQUEUE_COUNT
from sync.errors import ErrorCode, TemporaryError
from sync.host import QueueHost
from sync.ports import Message
from tests.office import Office, person


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

        def bury(self, message: Message) -> None:
            raise AssertionError

    for number in range(5):
        office.queue.send(f"message {number}")
    host = QueueHost(source=office.queue, receiver=Slow(), threads=1)
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


def test_what_takes_long_stays_hidden(office: Office) -> None:
    """It is renewed for as long as it is worked on, and a renewal that fails ends nothing."""
    renewed = threading.Semaphore(0)

    class Noted:
        """The office's queue, whose first renewal fails."""

        def __getattr__(self, name: str) -> object:
            return getattr(office.queue, name)

        def renew(self, message: Message, hidden_for: timedelta) -> Message:
            renewed.release()
            if message.receipt not in seen:
                seen.append(message.receipt)
                raise TemporaryError(ErrorCode.QUEUE_UNAVAILABLE, "away")
            return office.queue.renew(message, hidden_for)

    class Slow:
        """Ends after the third renewal."""

        def process(self, message: Message) -> str:
            return "ended" if all(renewed.acquire(timeout=30) for _ in range(3)) else ""

        def bury(self, message: Message) -> None:
            raise AssertionError

    seen: list[str] = []
    office.queue.send("long work")
    host = QueueHost(source=Noted(), receiver=Slow(), hidden_for=timedelta(milliseconds=20))  # type: ignore[arg-type]
    thread = running(host)
    until(lambda: office.queue.count() == 0)
    host.stop.set()
    thread.join(30)
    assert seen


def test_a_defect_is_logged_and_the_host_lives_on(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    """A thread of a pool ends silently otherwise."""

    class Broken:
        """Fails with what is no error of ours, once."""

        def process(self, message: Message) -> None:
            if message.body == "bad":
                raise RuntimeError("a defect")

        def bury(self, message: Message) -> None:
            raise AssertionError

    for body in ("bad", "good"):
        office.queue.send(body)
    host = QueueHost(source=office.queue, receiver=Broken())
    thread = running(host)
    until(lambda: office.queue.count() == 1)
    host.stop.set()
    thread.join(30)
    assert "a defect" in caplog.text
