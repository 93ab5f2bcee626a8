"""What every change queue keeps to, from both sides. A test module subclasses `QueueContract` and gives a queue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import pytest

from sync.errors import ErrorCode, PermanentError
from sync.ports import Backlog, EventQueue, Message, MessageSource

NO_TIME = timedelta(0)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
LIMIT = 49_152


class Queue(EventQueue, MessageSource, Backlog, Protocol):
    """Both sides of one queue."""


class QueueContract:
    """Order is no part of it: a queue may deliver in any."""

    @pytest.fixture
    def queue(self) -> Queue:
        """An empty queue."""
        raise NotImplementedError

    @pytest.fixture
    def pass_time(self) -> Callable[[timedelta], None]:
        """Let this much time pass for the queue."""
        raise NotImplementedError

    def test_a_sent_event_is_received(self, queue: Queue) -> None:
        """With its text, an id, and the count of a first delivery."""
        queue.send('{"id": "1"}')

        [message] = queue.receive(10, MINUTE)

        assert (message.body, message.dequeue_count) == ('{"id": "1"}', 1)
        assert message.id

    @pytest.mark.parametrize(
        "body", ["Ærøskøbing 漢字 🗝", "<a>&amp;\"'\\</a>", " \t\r\n x \x00\x01", "e30=", "a" * LIMIT]
    )
    def test_any_text_arrives_as_it_was_sent(self, queue: Queue, body: str) -> None:
        """Whatever the wire makes of it: base64, XML, SQL."""
        queue.send(body)

        [message] = queue.receive(1, MINUTE)

        assert message.body == body

    def test_an_empty_event_arrives(self, queue: Queue) -> None:
        """It is refused by whoever reads it, and must reach them for that."""
        queue.send("")

        [message] = queue.receive(1, MINUTE)

        assert message.body == ""

    def test_an_empty_queue_gives_nothing(self, queue: Queue) -> None:
        """At once and without error."""
        assert list(queue.receive(16, MINUTE)) == []

    def test_no_more_are_taken_than_asked_for(self, queue: Queue) -> None:
        """What is left stays visible to others."""
        for number in range(3):
            queue.send(str(number))

        first, second = queue.receive(2, MINUTE), queue.receive(2, MINUTE)

        assert (len(first), len(second)) == (2, 1)
        assert {message.body for message in [*first, *second]} == {"0", "1", "2"}

    def test_forty_are_taken_at_once(self, queue: Queue) -> None:
        """Though Azure Storage gives at most 32 in one answer."""
        for number in range(40):
            queue.send(str(number))

        received = queue.receive(40, MINUTE)

        assert {message.body for message in received} == {str(number) for number in range(40)}

    def test_a_received_message_is_hidden(self, queue: Queue) -> None:
        """Two consumers do not work on one message."""
        queue.send("event")
        queue.receive(1, MINUTE)

        assert list(queue.receive(1, MINUTE)) == []

    def test_a_message_that_nobody_finished_comes_again(self, queue: Queue, pass_time: Callable[..., None]) -> None:
        """After its time, counted: a killed consumer loses nothing."""
        queue.send("event")
        [first] = queue.receive(1, SECOND)
        pass_time(SECOND)

        [again] = queue.receive(1, MINUTE)

        assert (again.id, again.body, again.dequeue_count) == (first.id, "event", 2)

    def test_a_released_message_comes_at_once(self, queue: Queue) -> None:
        """Without delay, counted, with its text."""
        queue.send("event")
        [first] = queue.receive(1, MINUTE)
        queue.release(first, NO_TIME)

        [again] = queue.receive(1, MINUTE)

        assert (again.id, again.body, again.dequeue_count) == (first.id, "event", 2)

    def test_a_released_message_waits_for_its_delay(self, queue: Queue, pass_time: Callable[..., None]) -> None:
        """So Retry-After is honoured."""
        queue.send("event")
        [first] = queue.receive(1, MINUTE)
        queue.release(first, SECOND)

        assert list(queue.receive(1, MINUTE)) == []
        pass_time(SECOND)
        assert [message.body for message in queue.receive(1, MINUTE)] == ["event"]

    def test_a_delayed_event_waits(self, queue: Queue, pass_time: Callable[..., None]) -> None:
        """It becomes visible after its delay and not before."""
        queue.send("event", delay=SECOND)

        assert list(queue.receive(1, MINUTE)) == []
        pass_time(SECOND)
        assert [message.body for message in queue.receive(1, MINUTE)] == ["event"]

    def test_a_deleted_message_is_gone(self, queue: Queue) -> None:
        """For good."""
        queue.send("event")
        [message] = queue.receive(1, MINUTE)

        queue.delete(message)

        assert queue.count() == 0

    def test_deleting_and_releasing_what_is_gone_is_no_error(self, queue: Queue) -> None:
        """A consumer that repeats its last step is not punished for it."""
        queue.send("event")
        [message] = queue.receive(1, MINUTE)
        queue.delete(message)

        queue.delete(message)
        queue.release(message, NO_TIME)

        assert queue.count() == 0

    def test_a_consumer_that_was_too_slow_takes_nothing_from_its_successor(
        self, queue: Queue, pass_time: Callable[..., None]
    ) -> None:
        """Delivered anew, the message belongs to the new consumer: the old one neither deletes nor shows it."""
        queue.send("event")
        [slow] = queue.receive(1, SECOND)
        pass_time(SECOND)
        [successor] = queue.receive(1, MINUTE)

        queue.delete(slow)
        queue.release(slow, NO_TIME)

        assert list(queue.receive(1, MINUTE)) == []
        queue.delete(successor)
        assert queue.count() == 0

    def test_a_renewed_message_stays_hidden(self, queue: Queue, pass_time: Callable[..., None]) -> None:
        """For so long from then on, and what comes back of it ends it."""
        queue.send("event")
        [message] = queue.receive(1, 2 * SECOND)
        renewed = queue.renew(message, MINUTE)
        pass_time(2 * SECOND)

        assert list(queue.receive(1, MINUTE)) == []
        assert (renewed.id, renewed.body, renewed.dequeue_count) == (message.id, "event", 1)
        queue.delete(renewed)
        assert queue.count() == 0

    def test_renewing_what_is_gone_or_delivered_anew_is_no_error(
        self, queue: Queue, pass_time: Callable[..., None]
    ) -> None:
        """It comes back as it was, and whoever has it now keeps it for their own time."""
        queue.send("event")
        [slow] = queue.receive(1, SECOND)
        pass_time(SECOND)
        [successor] = queue.receive(1, SECOND)

        assert queue.renew(slow, MINUTE) == slow
        pass_time(SECOND)
        [third] = queue.receive(1, MINUTE)
        assert third.dequeue_count == 3
        queue.delete(third)
        assert queue.renew(successor, MINUTE) == successor
        assert queue.count() == 0

    def test_hidden_messages_are_counted(self, queue: Queue) -> None:
        """What is being worked on still waits for its end."""
        queue.send("one")
        queue.send("two")
        queue.receive(1, MINUTE)

        assert queue.count() == 2

    def test_the_oldest_visible_message_says_since_when(
        self, queue: Queue, pass_time: Callable[[timedelta], None]
    ) -> None:
        """Nothing waits on an empty queue, nor where all are being worked on."""
        assert queue.oldest() is None
        queue.send("first")
        pass_time(2 * SECOND)
        first = queue.oldest()
        assert first is not None
        queue.send("second")
        assert queue.oldest() == first
        [taken] = queue.receive(1, MINUTE)
        second = queue.oldest()
        assert second is not None
        assert second > first or taken.body == "second"
        queue.receive(9, MINUTE)
        assert queue.oldest() is None

    def test_an_event_over_48_kib_is_refused(self, queue: Queue) -> None:
        """In bytes of UTF-8, before anything is sent: no queue would take it, today or tomorrow."""
        for body in ("a" * (LIMIT + 1), "é" * (LIMIT // 2 + 1)):
            with pytest.raises(PermanentError) as refused:
                queue.send(body)
            assert refused.value.code is ErrorCode.EVENT_TOO_LARGE

        assert queue.count() == 0

    def test_a_message_is_a_value(self, queue: Queue) -> None:
        """What is needed to finish it travels with it, also to another object of the same queue."""
        queue.send("event")
        [message] = queue.receive(1, MINUTE)

        queue.delete(Message(id=message.id, body="", receipt=message.receipt))

        assert queue.count() == 0
