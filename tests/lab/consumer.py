"""One consumer of the change queue as a process of its own: the genuine host loop and use cases on queue and tables.

    python -m tests.lab.consumer CONFIG.json

Its tenant is a SQLite file that all consumers share and that notes every write from its beginning to its end. Time runs
`SPEED` times as fast for clock and queue alike, so that a dead consumer's lock and claim lapse within seconds.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sync import envelope
from sync.adapters.embedded import Database, EmbeddedAudit, EmbeddedRecipients
from sync.adapters.storage_queue import StorageQueue
from sync.adapters.table_ledger import TableFailures, TableHistory, TableLedger
from sync.core.judgement import Context
from sync.core.path import TrustStore
from sync.core.person import Attribute, Values
from sync.core.recipient import Recipient
from sync.core.record import Outcome
from sync.errors import ErrorCode, SyncError, TemporaryError
from sync.host import QueueHost
from sync.ports import Message
from sync.processor import Processor
from sync.receiver import Receiver
from tests.mill import NOW

SPEED: Final = 10
LOCK: Final = timedelta(seconds=100)
"""For so long a message is hidden from others: ten seconds of the wall."""

_NOTES: Final = (
    "CREATE TABLE IF NOT EXISTS writes (recipient TEXT NOT NULL, process INTEGER NOT NULL, ended INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS overlaps (recipient TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS ends (sequence INTEGER, status TEXT NOT NULL)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Where everything is. `began` is when the drill began (time.time())."""

    connection: str
    queue: str
    tables: str
    tenant: str
    trust: str
    began: float
    seed: int

    def now(self) -> datetime:
        """The drill's time."""
        return NOW + timedelta(seconds=(time.time() - self.began) * SPEED)

    def ledger(self) -> TableLedger:
        """The ledger that all share."""
        return TableLedger.from_connection_string(self.connection, f"{self.tables}ledger")

    def failures(self) -> TableFailures:
        """The failures of all."""
        return TableFailures.from_connection_string(self.connection, f"{self.tables}failures")

    def history(self) -> TableHistory:
        """What recipients held before."""
        return TableHistory.from_connection_string(self.connection, f"{self.tables}history")

    def storage_queue(self) -> StorageQueue:
        """The change queue at the wall's time."""
        return StorageQueue.from_connection_string(self.connection, self.queue)

    def trust_store(self) -> TrustStore:
        """The root, then the issuing CA."""
        root, issuing = (bytes.fromhex(line) for line in Path(self.trust).read_text().splitlines())
        return TrustStore.of([root], [issuing])


@dataclass(frozen=True, slots=True)
class HastyQueue:
    """The queue, `SPEED` times as fast."""

    inner: StorageQueue

    def send(self, body: str, *, delay: timedelta = timedelta(0)) -> None:
        """See ports.EventQueue."""
        self.inner.send(body, delay=delay / SPEED)

    def receive(self, limit: int, hidden_for: timedelta) -> Sequence[Message]:
        """See ports.MessageSource; never hidden for longer than LOCK."""
        return self.inner.receive(limit, min(hidden_for, LOCK) / SPEED)

    def delete(self, message: Message) -> None:
        """See ports.MessageSource."""
        self.inner.delete(message)

    def release(self, message: Message, delay: timedelta) -> None:
        """See ports.MessageSource."""
        self.inner.release(message, delay / SPEED)

    def renew(self, message: Message, hidden_for: timedelta) -> Message:
        """See ports.MessageSource."""
        return self.inner.renew(message, min(hidden_for, LOCK) / SPEED)

    def count(self) -> int:
        """See ports.MessageSource."""
        return self.inner.count()


class NotedTenant:
    """Recipients in a file that all processes share. Each write takes a while, and two at once are noted."""

    def __init__(self, database: Database, dice: random.Random, *, faults: float = 0.03) -> None:
        """`faults` is the share of writes whose answer, or which, is lost."""
        self._database, self._dice, self._faults = database, dice, faults
        self._inner = EmbeddedRecipients(database)
        with database.transaction() as connection:
            for statement in _NOTES:
                connection.execute(statement)

    def find(self, *, pinned: str | None, addresses: Sequence[str]) -> Recipient | None:
        """See ports.Recipients."""
        return self._inner.find(pinned=pinned, addresses=addresses)

    def read(self, recipient: Recipient) -> Values:
        """See ports.Recipients."""
        return self._inner.read(recipient)

    def write(self, recipient: Recipient, changes: Mapping[Attribute, tuple[bytes, ...]]) -> None:
        """See ports.Recipients."""
        lost = self._dice.random() < self._faults
        if lost and self._dice.random() < 0.5:
            raise TemporaryError(ErrorCode.TENANT_UNAVAILABLE, "503")
        place = self.begin(recipient.id)
        time.sleep(self._dice.random() * 0.02)
        self._inner.write(recipient, changes)
        self.end(place)
        if lost:
            raise TemporaryError(ErrorCode.TENANT_UNAVAILABLE, "connection reset")

    def begin(self, recipient: str) -> int:
        """A write begins; whoever else lives and writes the same recipient is noted."""
        query = "SELECT process FROM writes WHERE recipient = ? AND NOT ended"
        with self._database.transaction() as connection:
            others = [process for (process,) in connection.execute(query, (recipient,))]
            if any(map(_alive, others)):
                connection.execute("INSERT INTO overlaps VALUES (?)", (recipient,))
            made = connection.execute("INSERT INTO writes VALUES (?, ?, 0)", (recipient, os.getpid()))
            return made.lastrowid or 0

    def end(self, place: int) -> None:
        """That write is over."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE writes SET ended = 1 WHERE rowid = ?", (place,))

    def note(self, sequence: int | None, status: str) -> None:
        """An event came to an end."""
        with self._database.transaction() as connection:
            connection.execute("INSERT INTO ends VALUES (?, ?)", (sequence, status))


class NotingReceiver(Receiver):
    """The receiver, and a note of each outcome before its message is deleted."""

    __slots__ = ()

    def process(self, message: Message) -> Outcome:
        """See Receiver."""
        outcome = Receiver.process(self, message)
        try:
            sequence = envelope.parse(message.body).watermark.sequence
        except SyncError:
            sequence = None
        tenant = self.processor.recipients
        assert isinstance(tenant, NotedTenant)
        tenant.note(sequence, outcome.status)
        return outcome


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def main(config: Config) -> None:
    """Consume until killed."""
    trust, queue, ledger = config.trust_store(), HastyQueue(config.storage_queue()), config.ledger()
    dice = random.Random(config.seed)
    processor = Processor(
        recipients=NotedTenant(Database(Path(config.tenant), config.now), dice),
        ledger=ledger,
        history=config.history(),
        judging=lambda moment: Context(now=moment, trust=trust),
        now=config.now,
    )
    receiver = NotingReceiver(
        processor=processor,
        ledger=ledger,
        failures=config.failures(),
        audit=EmbeddedAudit(Database(None, config.now)),
        queue=queue,
        now=config.now,
        jitter=dice.random,
    )
    print("up", flush=True)
    QueueHost(source=queue, receiver=receiver, threads=4).run()


if __name__ == "__main__":
    main(Config(**json.loads(Path(sys.argv[1]).read_text())))
