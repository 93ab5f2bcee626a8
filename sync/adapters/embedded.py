"""Every port on one SQLite file (or `:memory:`): the embedded default, and the agent's memory everywhere.

It is held to the same contract tests as the cloud adapters, so the demo runs the product and not a picture of it.
"""

from __future__ import annotations

import sqlite3
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sync.archive import (
    failure_from_json,
    failure_to_json,
    record_from_json,
    record_to_json,
    snapshot_from_json,
    snapshot_to_json,
)
from sync.core.person import Attribute, Values
from sync.core.rate import Rate
from sync.core.recipient import Recipient, RecipientKind
from sync.core.record import Failure, Record, Snapshot
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import ANY, MAX_MESSAGE_BYTES, SNAPSHOTS, Blob, Message

_SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE queue (
    id TEXT PRIMARY KEY, body TEXT NOT NULL, visible_at REAL NOT NULL, dequeue_count INTEGER NOT NULL DEFAULT 0,
    receipt TEXT);
CREATE INDEX queue_visible ON queue (visible_at);
CREATE TABLE ledger (anchor TEXT PRIMARY KEY, version INTEGER NOT NULL, record BLOB NOT NULL);
CREATE TABLE failures (id TEXT PRIMARY KEY, at REAL NOT NULL, failure BLOB NOT NULL);
CREATE TABLE recipients (id TEXT PRIMARY KEY, kind TEXT NOT NULL, synchronised INTEGER NOT NULL,
    managed INTEGER NOT NULL);
CREATE TABLE addresses (folded TEXT NOT NULL, address TEXT NOT NULL, recipient TEXT NOT NULL, position INTEGER NOT NULL,
    PRIMARY KEY (folded, recipient));
CREATE TABLE certificates (recipient TEXT NOT NULL, attribute TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (recipient, attribute, value));
CREATE TABLE history (anchor TEXT NOT NULL, id TEXT NOT NULL, snapshot BLOB NOT NULL, PRIMARY KEY (anchor, id));
CREATE TABLE pace (booked_until TEXT);
"""
_BLOBS = (
    "CREATE TABLE blobs (version INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, content BLOB NOT NULL)"
)


class Database:
    """One SQLite file shared by the adapters below; safe between threads and between processes."""

    def __init__(self, path: Path | None, now: Callable[[], datetime]) -> None:
        """Open `path`, or a database in memory. Raises PermanentError `file-unreadable`."""
        self.now = now
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(
                path or ":memory:", isolation_level=None, check_same_thread=False, timeout=30
            )
            # Whoever lets go of the database lets go of the file, also where nobody thinks of `close`.
            self._finalizer = weakref.finalize(self, self._connection.close)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._prepare()
        except sqlite3.Error as error:
            raise PermanentError(ErrorCode.FILE_UNREADABLE, f"the state file {path}: {error}") from error

    def _prepare(self) -> None:
        with self.transaction() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute("INSERT INTO pace VALUES (NULL)")
            if version < 2:
                connection.execute(_BLOBS)
                connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            if version > _SCHEMA_VERSION:
                raise PermanentError(
                    ErrorCode.FILE_UNREADABLE, f"the state file is of version {version}, not {_SCHEMA_VERSION}"
                )

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One write transaction: all of it is on disk at its end, or nothing is."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise TemporaryError(ErrorCode.LEDGER_UNAVAILABLE, f"the state file is busy: {error}") from error
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._connection.execute("ROLLBACK")
                raise TemporaryError(ErrorCode.LEDGER_UNAVAILABLE, f"the state file: {error}") from error
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Read a small result."""
        with self._lock, closing(self._connection.execute(query, parameters)) as cursor:
            return cursor.fetchall()

    def walk(self, query: str, after: str, size: int = 500) -> Iterator[tuple[Any, ...]]:
        """Read a large result piece by piece: `query` selects rows whose first column is past its ?, in order."""
        while piece := self.rows(f"{query} LIMIT {size}", after):
            yield from piece
            after = piece[-1][0]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._finalizer()


class EmbeddedQueue:
    """EventQueue and MessageSource. A received message is hidden, not gone, until it is deleted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def send(self, body: str, *, delay: timedelta = timedelta(0)) -> None:
        if (size := len(body.encode("utf-8"))) > MAX_MESSAGE_BYTES:
            raise PermanentError(
                ErrorCode.EVENT_TOO_LARGE, f"{size} bytes are more than a message's {MAX_MESSAGE_BYTES}"
            )
        visible_at = (self._database.now() + delay).timestamp()
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO queue (id, body, visible_at) VALUES (?, ?, ?)", (str(uuid.uuid4()), body, visible_at)
            )

    def receive(self, limit: int, hidden_for: timedelta) -> Sequence[Message]:
        now = self._database.now()
        receipt = str(uuid.uuid4())
        with self._database.transaction() as connection:
            rows = connection.execute(
                "UPDATE queue SET dequeue_count = dequeue_count + 1, receipt = ?, visible_at = ? WHERE id IN "
                "(SELECT id FROM queue WHERE visible_at <= ? ORDER BY visible_at, rowid LIMIT ?) "
                "RETURNING rowid, id, body, dequeue_count",
                (receipt, (now + hidden_for).timestamp(), now.timestamp(), limit),
            ).fetchall()
        return [Message(id=i, body=body, dequeue_count=n, receipt=receipt) for _, i, body, n in sorted(rows)]

    def delete(self, message: Message) -> None:
        # Without the receipt a consumer that was too slow would delete what another one is working on.
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM queue WHERE id = ? AND receipt = ?", (message.id, message.receipt))

    def release(self, message: Message, delay: timedelta) -> None:
        visible_at = (self._database.now() + delay).timestamp()
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE queue SET visible_at = ? WHERE id = ? AND receipt = ?",
                (visible_at, message.id, message.receipt),
            )

    def count(self) -> int:
        (count,) = self._database.rows("SELECT count(*) FROM queue")[0]
        return int(count)


class EmbeddedLedger:
    """Ledger: one row a person, compare-and-swap on a counter."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, anchor: str) -> Record | None:
        rows = self._database.rows("SELECT record, version FROM ledger WHERE anchor = ?", anchor)
        return record_from_json(rows[0][0], str(rows[0][1])) if rows else None

    def put(self, record: Record) -> Record:
        text = record_to_json(record)
        with self._database.transaction() as connection:
            if record.version is None:
                stored = connection.execute(
                    "INSERT INTO ledger VALUES (?, 1, ?) ON CONFLICT DO NOTHING", (record.anchor, text)
                )
            else:
                stored = connection.execute(
                    "UPDATE ledger SET record = ?, version = version + 1 WHERE anchor = ? AND version = ?",
                    (text, record.anchor, int(record.version)),
                )
            if stored.rowcount != 1:
                raise TemporaryError(ErrorCode.LEDGER_CONFLICT, f"somebody else has just stored {record.anchor}")
        return replace(record, version=str(int(record.version or 0) + 1))

    def records(self) -> Iterator[Record]:
        query = "SELECT anchor, record, version FROM ledger WHERE anchor > ? ORDER BY anchor"
        return (record_from_json(record, str(version)) for _, record, version in self._database.walk(query, ""))


class EmbeddedHistory:
    """History: a row for each snapshot."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, anchor: str, snapshot: Snapshot) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO history VALUES (?, ?, ?)", (anchor, snapshot.id, snapshot_to_json(snapshot))
            )
            connection.execute(
                "DELETE FROM history WHERE anchor = ? AND id NOT IN "
                "(SELECT id FROM history WHERE anchor = ? ORDER BY id DESC LIMIT ?)",
                (anchor, anchor, SNAPSHOTS),
            )

    def all(self, anchor: str) -> Sequence[Snapshot]:
        rows = self._database.rows("SELECT snapshot FROM history WHERE anchor = ? ORDER BY id DESC", anchor)
        return [snapshot_from_json(snapshot) for (snapshot,) in rows]


class EmbeddedBlobs:
    """BlobStore: a row for each name, compare-and-swap on a number that SQLite never gives twice."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> Blob | None:
        rows = self._database.rows("SELECT content, version FROM blobs WHERE name = ?", name)
        return Blob(content=rows[0][0], version=str(rows[0][1])) if rows else None

    def put(self, name: str, content: bytes, *, version: str | None = ANY) -> str:
        with self._database.transaction() as connection:
            rows = connection.execute("SELECT version FROM blobs WHERE name = ?", (name,)).fetchall()
            found = str(rows[0][0]) if rows else None
            if version not in {ANY, found}:
                raise TemporaryError(ErrorCode.LEDGER_CONFLICT, f"somebody else has just stored {name}")
            stored = connection.execute("INSERT OR REPLACE INTO blobs (name, content) VALUES (?, ?)", (name, content))
            return str(stored.lastrowid)

    def delete(self, name: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM blobs WHERE name = ?", (name,))

    def names(self, prefix: str) -> Iterator[str]:
        query = "SELECT name FROM blobs WHERE name >= ? AND name < ? ORDER BY name"
        return (name for (name,) in self._database.rows(query, prefix, f"{prefix}\U0010ffff"))


class EmbeddedPace:
    """Pace: one moment in one row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def book(self, rate: Rate, now: datetime) -> datetime:
        with self._database.transaction() as connection:
            (text,) = connection.execute("SELECT booked_until FROM pace").fetchone()
            turn, booked_until = rate.reserve(datetime.fromisoformat(text) if text else None, now)
            connection.execute("UPDATE pace SET booked_until = ?", (booked_until.isoformat(),))
        return turn


class EmbeddedFailures:
    """Failures, oldest first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, failure: Failure) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?)",
                (failure.id, failure.at.timestamp(), failure_to_json(failure)),
            )

    def get(self, failure_id: str) -> Failure | None:
        rows = self._database.rows("SELECT failure FROM failures WHERE id = ?", failure_id)
        return failure_from_json(rows[0][0]) if rows else None

    def all(self) -> Iterator[Failure]:
        for (text,) in self._database.rows("SELECT failure FROM failures ORDER BY at, id"):
            yield failure_from_json(text)

    def remove(self, failure_id: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM failures WHERE id = ?", (failure_id,))


class EmbeddedRecipients:
    """Recipients: a small tenant that behaves as Exchange Online does towards the processor."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, recipient: Recipient) -> None:
        """Make or replace a recipient, values included: the tenant administrator's side, for demo and tests."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO recipients VALUES (?, ?, ?, ?)",
                (recipient.id, recipient.kind, recipient.directory_synchronised, recipient.cloud_managed),
            )
            connection.execute("DELETE FROM addresses WHERE recipient = ?", (recipient.id,))
            connection.executemany(
                "INSERT INTO addresses VALUES (?, ?, ?, ?)",
                [(each.casefold(), each, recipient.id, place) for place, each in enumerate(recipient.addresses)],
            )
            for attribute in Attribute:
                _replace(connection, recipient.id, attribute, recipient.values[attribute])

    def remove(self, recipient_id: str) -> None:
        """Delete a recipient, as a tenant administrator does."""
        with self._database.transaction() as connection:
            for table, column in (("recipients", "id"), ("addresses", "recipient"), ("certificates", "recipient")):
                connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (recipient_id,))  # noqa: S608 - ours

    def find(self, *, pinned: str | None, addresses: Sequence[str]) -> Recipient | None:
        if pinned is not None and (found := self._get(pinned)):
            return found
        for address in addresses:
            rows = self._database.rows("SELECT recipient FROM addresses WHERE folded = ?", address.casefold())
            if len(rows) > 1:
                raise PermanentError(
                    ErrorCode.RECIPIENT_AMBIGUOUS, f"{len(rows)} recipients answer to one address of the person"
                )
            if rows:
                return self._get(rows[0][0])
        return None

    def all(self) -> Iterator[Recipient]:
        for (recipient_id,) in self._database.walk("SELECT id FROM recipients WHERE id > ? ORDER BY id", ""):
            if (recipient := self._get(recipient_id)) is not None:
                yield recipient

    def write(self, recipient: Recipient, changes: Mapping[Attribute, tuple[bytes, ...]]) -> None:
        with self._database.transaction() as connection:
            for attribute, values in changes.items():
                _replace(connection, recipient.id, attribute, values)

    def read(self, recipient: Recipient) -> Values:
        rows = self._database.rows("SELECT attribute, value FROM certificates WHERE recipient = ?", recipient.id)
        return Values.of(*([value for a, value in rows if a == attribute] for attribute in Attribute))

    def _get(self, recipient_id: str) -> Recipient | None:
        rows = self._database.rows("SELECT kind, synchronised, managed FROM recipients WHERE id = ?", recipient_id)
        if not rows:
            return None
        addresses = self._database.rows(
            "SELECT address FROM addresses WHERE recipient = ? ORDER BY position", recipient_id
        )
        recipient = Recipient(
            id=recipient_id,
            kind=RecipientKind(rows[0][0]),
            addresses=tuple(address for (address,) in addresses),
            directory_synchronised=bool(rows[0][1]),
            cloud_managed=bool(rows[0][2]),
        )
        return replace(recipient, values=self.read(recipient))


def _replace(connection: sqlite3.Connection, recipient_id: str, attribute: Attribute, values: Sequence[bytes]) -> None:
    connection.execute("DELETE FROM certificates WHERE recipient = ? AND attribute = ?", (recipient_id, attribute))
    connection.executemany(
        "INSERT INTO certificates VALUES (?, ?, ?)", [(recipient_id, attribute, value) for value in values]
    )
