"""One writer per person: two processors of two instances on one ledger in Azure Tables, who want the same person."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from sync.adapters.table_ledger import TableHistory, TableLedger
from sync.core.person import Attribute, Values
from sync.core.recipient import Recipient
from sync.core.record import Outcome, Record, Status
from sync.errors import ErrorCode
from sync.ports import Message, Recipients
from sync.processor import CLAIM
from sync.receiver import LOOK_AGAIN_AFTER
from tests.lab.azurite import Azurite
from tests.office import Office, person
from tests.passing import PassingLedger

pytestmark = pytest.mark.lab
PATIENCE = 60
"""Seconds that a loaded machine may take for what takes milliseconds."""


@dataclass
class Slow:
    """The tenant, in which a write begins, is waited for, and ends when somebody lets it."""

    inner: Recipients
    begun: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)
    writes: int = 0

    def find(self, *, pinned: str | None, addresses: Sequence[str]) -> Recipient | None:
        return self.inner.find(pinned=pinned, addresses=addresses)

    def read(self, recipient: Recipient) -> Values:
        return self.inner.read(recipient)

    def write(self, recipient: Recipient, changes: Mapping[Attribute, tuple[bytes, ...]]) -> None:
        self.writes += 1
        self.begun.set()
        assert self.may_end.wait(PATIENCE)
        self.inner.write(recipient, changes)


@dataclass(frozen=True, slots=True)
class Together(PassingLedger):
    """A ledger that nobody has read before both have."""

    both: threading.Barrier

    def get(self, anchor: str) -> Record | None:
        record = self.inner.get(anchor)
        if not self.both.broken:
            try:
                self.both.wait(PATIENCE)
                self.both.abort()
            except threading.BrokenBarrierError:
                pass
        return record


@dataclass(frozen=True, slots=True)
class Instances:
    """Two function instances: each its own connections, one storage account, one tenant."""

    office: Office
    ledgers: Sequence[TableLedger]
    histories: Sequence[TableHistory]

    def process(self, number: int, message: Message, **parts: object) -> Outcome:
        """Have one of them handle a message."""
        own = {"ledger": self.ledgers[number], "history": self.histories[number], **parts}
        receiver = self.office.receiving(**own)
        return receiver.process(message)


@pytest.fixture
def instances(azurite: Azurite) -> Iterator[Instances]:
    """Two of them, and a ledger that knows nobody."""
    name = f"t{uuid.uuid4().hex}"
    office = Office()
    connection = azurite.connection_string
    with ExitStack() as open_:
        ledgers = [open_.enter_context(closing(TableLedger.from_connection_string(connection, name))) for _ in "12"]
        histories = [
            open_.enter_context(closing(TableHistory.from_connection_string(connection, f"{name}h"))) for _ in "12"
        ]
        ledgers[0].create()
        histories[0].create()
        office.mailbox("alice")
        yield Instances(office, ledgers, histories)


def test_whoever_comes_while_another_writes_waits(instances: Instances) -> None:
    """For as long as the claim stands, and finds nothing to do then."""
    office = instances.office
    slow = Slow(office.recipients)
    message = office.message(person("alice", office.issue("alice")))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(instances.process, 0, message, recipients=slow)
        assert slow.begun.wait(PATIENCE)

        second = instances.process(1, message, recipients=slow)

        slow.may_end.set()
        assert first.result(PATIENCE).status is Status.WRITTEN
    assert (second.status, second.reason) == (Status.DEFERRED, ErrorCode.CLAIMED)
    assert slow.writes == 1
    assert instances.process(1, message, recipients=slow).status is Status.UNCHANGED


def test_of_two_who_begin_at_the_same_moment_one_writes(instances: Instances) -> None:
    """Both have read that nobody has claimed the person; the ledger takes one claim."""
    office = instances.office
    slow = Slow(office.recipients)
    slow.may_end.set()
    message = office.message(person("alice", office.issue("alice")))
    both = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        outcomes = [
            each.result(PATIENCE)
            for each in [
                pool.submit(
                    instances.process,
                    number,
                    message,
                    recipients=slow,
                    ledger=Together(instances.ledgers[number], both),
                )
                for number in range(2)
            ]
        ]

    assert sorted(outcome.status for outcome in outcomes) == [Status.DEFERRED, Status.WRITTEN]
    assert [outcome.reason for outcome in outcomes if outcome.reason] == [ErrorCode.LEDGER_CONFLICT]
    assert slow.writes == 1


def test_the_claim_of_an_instance_that_died_lapses(instances: Instances) -> None:
    """Then another one writes. Should the dead one wake up and its write arrive last, it cannot record it, and whoever
    took its place looks again."""
    office = instances.office
    slow = Slow(office.recipients)
    old, new = office.issue("alice"), office.issue("alice")
    message, newer = office.message(person("alice", old)), office.message(person("alice", new))
    with ThreadPoolExecutor(1) as pool:
        frozen = pool.submit(instances.process, 0, message, recipients=slow)
        assert slow.begun.wait(PATIENCE)

        office.pass_time(CLAIM)
        assert instances.process(1, newer).status is Status.WRITTEN

        slow.may_end.set()
        woken = frozen.result(PATIENCE)
    assert (woken.status, woken.reason) == (Status.DEFERRED, ErrorCode.LEDGER_CONFLICT)
    assert office.held("alice") == Values.of([old.der])

    office.pass_time(LOOK_AGAIN_AFTER)
    ends = [instances.process(1, each).status for each in office.queue.receive(16, timedelta(minutes=10))]

    assert sorted(ends) == [Status.SUPERSEDED, Status.WRITTEN]
    assert office.held("alice") == Values.of([new.der])
