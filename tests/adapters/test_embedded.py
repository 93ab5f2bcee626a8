"""The embedded adapters keep every contract that the cloud's keep, and a state file survives."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sync.adapters.embedded import (
    Database,
    EmbeddedAudit,
    EmbeddedBlobs,
    EmbeddedFailures,
    EmbeddedHistory,
    EmbeddedLedger,
    EmbeddedPace,
    EmbeddedQueue,
    EmbeddedRecipients,
)
from sync.core.digest import digest
from sync.core.person import Values
from sync.core.recipient import Recipient
from sync.envelope import parse
from sync.errors import ErrorCode, PermanentError
from tests.adapters.audit_contract import AuditContract
from tests.adapters.blob_store_contract import BlobStoreContract
from tests.adapters.failures_contract import FailuresContract
from tests.adapters.history_contract import HistoryContract
from tests.adapters.ledger_contract import LedgerContract
from tests.adapters.pace_contract import PaceContract
from tests.adapters.queue_contract import QueueContract
from tests.adapters.recipients_contract import RecipientsContract
from tests.mill import NOW

OLD = Path(__file__).parent / "golden" / "ledger"


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, time: timedelta) -> None:
        self.now += time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path, clock: Clock) -> Iterator[Database]:
    database = Database(tmp_path / "state.sqlite", clock)
    yield database
    database.close()


class TestQueue(QueueContract):
    @pytest.fixture
    def queue(self, database: Database) -> EmbeddedQueue:
        return EmbeddedQueue(database)

    @pytest.fixture
    def pass_time(self, clock: Clock) -> Callable[[timedelta], None]:
        return clock.advance


class TestLedger(LedgerContract):
    @pytest.fixture
    def ledger(self, database: Database) -> EmbeddedLedger:
        return EmbeddedLedger(database)


class TestHistory(HistoryContract):
    @pytest.fixture
    def history(self, database: Database) -> EmbeddedHistory:
        return EmbeddedHistory(database)


class TestBlobs(BlobStoreContract):
    @pytest.fixture
    def blobs(self, database: Database) -> EmbeddedBlobs:
        return EmbeddedBlobs(database)


class TestPace(PaceContract):
    @pytest.fixture
    def pace(self, database: Database) -> EmbeddedPace:
        return EmbeddedPace(database)


class TestFailures(FailuresContract):
    @pytest.fixture
    def failures(self, database: Database) -> EmbeddedFailures:
        return EmbeddedFailures(database)


class TestAudit(AuditContract):
    @pytest.fixture
    def log(self, database: Database) -> EmbeddedAudit:
        return EmbeddedAudit(database)


@dataclass
class SmallTenant:
    """The embedded recipients, and the same seen behind the adapter's back."""

    recipients: EmbeddedRecipients
    made: list[Recipient] = field(default_factory=list)

    @property
    def everybody(self) -> EmbeddedRecipients:
        """The same adapter lists them."""
        return self.recipients

    def add(self, recipient: Recipient) -> None:
        self.recipients.add(recipient)

    def remove(self, recipient: Recipient) -> None:
        self.recipients.remove(recipient.id)

    def holds(self, recipient: Recipient) -> Values:
        return self.recipients.read(recipient)


class TestRecipients(RecipientsContract):
    @pytest.fixture
    def world(self, database: Database) -> SmallTenant:
        return SmallTenant(EmbeddedRecipients(database))


def test_a_file_of_another_version_is_refused(tmp_path: Path, clock: Clock) -> None:
    """A downgrade must not misread it."""
    path = tmp_path / "state.sqlite"
    Database(path, clock).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(PermanentError, match="version 99") as refused:
        Database(path, clock)
    assert refused.value.code is ErrorCode.LEDGER_MALFORMED


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_an_earlier_release_is_brought_up_to_date(tmp_path: Path, clock: Clock, version: int) -> None:
    """Files that those releases wrote: four people and a failure. Nothing is lost, everybody can be found and compared,
    and whoever was judged then is judged again, since the basis is not told."""
    path = tmp_path / "state.sqlite"
    path.write_bytes(gzip.decompress((OLD / f"state-v{version}.sqlite.gz").read_bytes()))

    for _ in range(2):  # opened again there is nothing left to do
        database = Database(path, clock)
        ledger, failures, blobs = EmbeddedLedger(database), EmbeddedFailures(database), EmbeddedBlobs(database)
        records = {record.names: record for record in ledger.records()}
        assert [digest(record) for record in ledger.records()] == list(ledger.digests())
        assert len(list(ledger.digests())) == len(records) == 5
        alice, carol = records["alice@corp.example",], records["carol@corp.example",]
        assert ledger.named("Alice@corp.example") == [alice]
        told = parse(alice.event or "").person
        assert alice.managed.user_certificate == set(told.values.fingerprints)
        assert alice.state_hash == told.state_hash
        assert (alice.deleted, carol.deleted) == (False, True)
        assert (alice.basis, alice.desired) == (None, None)
        assert [failure.reason for failure in failures.all()] == ["no-recipient"]
        blobs.put("a", b"works")
        database.close()

    database = Database(path, clock)
    ledger = EmbeddedLedger(database)
    assert ledger.put(replace(alice, basis="now")) == ledger.get(alice.anchor)
    database.close()


def test_a_migration_that_is_interrupted_changes_nothing(tmp_path: Path, clock: Clock) -> None:
    """It is one transaction: what cannot be read leaves the file as the older release wrote it."""
    path = tmp_path / "state.sqlite"
    path.write_bytes(gzip.decompress((OLD / "state-v2.sqlite.gz").read_bytes()))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE ledger SET record = '{' WHERE anchor = (SELECT max(anchor) FROM ledger)")
        connection.commit()

    with pytest.raises(PermanentError) as refused:
        Database(path, clock)

    assert refused.value.code is ErrorCode.LEDGER_MALFORMED
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'digests'").fetchone() == (0,)


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path, clock: Clock) -> None:
    """Somebody pointed the setting at another file; it stays as it was."""
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes, and not a database at all, however often you look at them")
    with pytest.raises(PermanentError, match=r"notes\.txt") as refused:
        Database(path, clock)
    assert refused.value.code is ErrorCode.FILE_UNREADABLE
    assert path.read_text().startswith("these are my notes")
