"""What lies beside queue and ledger: earlier states, failures, blobs, and the rate of writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sync.adapters.embedded.database import Database
from sync.archive import (
    entry_from_json,
    entry_to_json,
    failure_from_json,
    failure_to_json,
    snapshot_from_json,
    snapshot_to_json,
)
from sync.core.audit import Entry, moment
from sync.core.rate import Rate
from sync.core.record import Failure, Snapshot
from sync.errors import ErrorCode, TemporaryError
from sync.ports import ANY, SNAPSHOTS, Blob


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

    def booked(self) -> datetime | None:
        (text,) = self._database.rows("SELECT booked_until FROM pace")[0]
        return datetime.fromisoformat(text) if text else None


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

    def all(
        self, *, reason: str | None = None, anchor: str | None = None, since: datetime | None = None
    ) -> Iterator[Failure]:
        # First the ids, then one read each, so that memory holds no bodies.
        query = "SELECT id, at FROM failures WHERE at >= ? ORDER BY at, id"
        first = since.timestamp() if since else 0.0
        for failure_id, _ in self._database.rows(query, first):
            failure = self.get(failure_id)
            if failure and reason in {None, failure.reason} and anchor in {None, failure.anchor}:
                yield failure

    def remove(self, failure_id: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM failures WHERE id = ?", (failure_id,))


class EmbeddedAudit:
    """AuditLog: a row for each entry, in order of its id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, entry: Entry) -> None:
        with self._database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO audit VALUES (?, ?)", (entry.id, entry_to_json(entry)))

    def between(self, since: datetime, until: datetime) -> Iterator[Entry]:
        last = moment(until)
        for entry_id, text in self._database.walk(
            "SELECT id, entry FROM audit WHERE id > ? ORDER BY id", moment(since)
        ):
            if entry_id >= last:
                return
            yield entry_from_json(text)

    def prune(self, before: datetime) -> int:
        with self._database.transaction() as connection:
            return connection.execute("DELETE FROM audit WHERE id < ?", (moment(before)[:8],)).rowcount
