"""What is at work stays hidden: renewed at half of its time, ended by its newest receipt."""

from __future__ import annotations

import contextlib
import threading
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sync.adapters.storage_queue import StorageQueue
from sync.ports import Message
from sync.renewal import Renewing
from tests.office import Office
from tests.test_host import until

if TYPE_CHECKING:
    from tests.lab.azurite import Azurite

MINUTE = timedelta(minutes=1)


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def source(office: Office) -> Renewing:
    return Renewing(source=office.queue, hidden_for=MINUTE)


def test_a_renewed_message_stays_hidden(office: Office, source: Renewing) -> None:
    """For as long as it is held; its delivery is not counted again."""
    office.queue.send("event")
    [message] = source.receive(1, MINUTE)
    for _ in range(5):
        office.pass_time(MINUTE / 2)
        source.renew_all()
    assert list(office.queue.receive(1, MINUTE)) == []
    source.delete(message)
    assert source.count() == 0


def test_what_has_ended_is_not_renewed(office: Office, source: Renewing) -> None:
    """Given back, it is visible when it was asked to be, and stays so."""
    office.queue.send("event")
    [message] = source.receive(1, MINUTE)
    source.release(message, timedelta(0))
    source.renew_all()
    assert [each.dequeue_count for each in office.queue.receive(1, MINUTE)] == [2]


def test_an_end_waits_for_the_renewal_that_is_under_way(office: Office) -> None:
    """Its receipt is another one afterwards: with the old one nothing would be deleted."""
    renewing, go_on = threading.Event(), threading.Event()
    deleted: list[Message] = []

    class Changing:
        """A queue whose renewals take a while and change the receipt, as Azure's do."""

        def receive(self, limit: int, hidden_for: timedelta) -> list[Message]:
            return [Message(id="1", body="", receipt="old")]

        def renew(self, message: Message, hidden_for: timedelta) -> Message:
            renewing.set()
            go_on.wait(30)
            return Message(id=message.id, body=message.body, receipt="new")

        def delete(self, message: Message) -> None:
            deleted.append(message)

    source = Renewing(source=Changing(), hidden_for=MINUTE)  # type: ignore[arg-type]
    [message] = source.receive(1, MINUTE)
    threads = [threading.Thread(target=source.renew_all), threading.Thread(target=source.delete, args=(message,))]
    threads[0].start()
    renewing.wait(30)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert [each.receipt for each in deleted] == ["new"]


def test_what_ends_during_a_round_of_renewals_is_left_alone(office: Office) -> None:
    """Renewed after it was given back, it would be hidden from everybody."""
    renewed: list[str] = []

    class Busy:
        """A queue during whose first renewal the other message ends."""

        def receive(self, limit: int, hidden_for: timedelta) -> list[Message]:
            return [Message(id=each, body="", receipt=each) for each in ("1", "2")]

        def renew(self, message: Message, hidden_for: timedelta) -> Message:
            renewed.append(message.id)
            source.release(messages[1], timedelta(0))
            return message

        def release(self, message: Message, delay: timedelta) -> None:
            """It is visible again."""

    source = Renewing(source=Busy(), hidden_for=MINUTE)  # type: ignore[arg-type]
    messages = source.receive(2, MINUTE)
    source.renew_all()
    assert renewed == ["1"]


def test_it_goes_on_until_it_is_over(office: Office, source: Renewing) -> None:
    """In a thread of its own."""
    office.queue.send("event")
    quick = Renewing(source=office.queue, hidden_for=timedelta(milliseconds=10))
    quick.receive(1, MINUTE)
    over = threading.Event()
    thread = threading.Thread(target=quick.run, args=(over,))
    thread.start()
    # Renewed for ten milliseconds only, it becomes visible as soon as the clock goes on.
    until(lambda: bool(office.database.rows("SELECT 1 FROM queue WHERE visible_at < ?", office.now.timestamp() + 1)))
    over.set()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.lab
def test_on_azure_storage_a_renewed_message_is_ended_by_its_newest_receipt(azurite: Azurite) -> None:
    """Each renewal changes the receipt."""
    with contextlib.closing(
        StorageQueue.from_connection_string(azurite.connection_string, f"renewal-{uuid.uuid4().hex}")
    ) as queue:
        queue.create()
        queue.send("one")
        queue.send("two")
        source = Renewing(source=queue, hidden_for=MINUTE)
        messages = source.receive(2, MINUTE)
        source.renew_all()
        source.renew_all()
        for message in messages:
            queue.delete(message)
        assert queue.count() == 2, "the old receipts are nobody's"
        for message in messages:
            source.delete(message)
        assert queue.count() == 0
