"""AgentState on one SQLite file: what was told of whom, the outbox and the checkpoint change together or not at all.

A letter replaces an older one of the same anchor, so the outbox holds at most one event a person, however long the
cloud is away; `limit` bounds the file besides.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sync.adapters.agent_state.identity import identity_of, person_from
from sync.adapters.agent_state.schema import prepare
from sync.core.digest import place
from sync.core.identity import Watermark
from sync.core.news import Told
from sync.core.person import Person
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.ports import Condition, Held, Letter

_PIECE: Final = 500
_PAGE_BYTES: Final = 4096


class StateFile:
    """One file, or memory where `path` is None; safe between threads and between processes."""

    def __init__(self, path: Path | None, now: Callable[[], datetime], *, limit_mb: int | None = None) -> None:
        """Open or make it; one of an older version is brought up to date.

        Raises PermanentError `file-unreadable`; TemporaryError `state-full`, `state-busy`.
        """
        self._now = now
        self._path = path
        self._name = f"the state file {path}" if path else "the state in memory"
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(
                path or ":memory:", isolation_level=None, check_same_thread=False, timeout=30
            )
            # Whoever lets go of the state lets go of the file, also where nobody thinks of `close`.
            self._finalizer = weakref.finalize(self, self._connection.close)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            if limit_mb is not None:
                self._connection.execute(f"PRAGMA max_page_count = {limit_mb * 1024 * 1024 // _PAGE_BYTES}")
            with self._transaction() as connection:
                prepare(connection, self._name, self._now())
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._finalizer()

    def checkpoint(self) -> bytes | None:
        checkpoint: bytes | None = self._one("SELECT checkpoint FROM agent")
        return checkpoint or None

    def doubt(self) -> bool:
        return bool(self._one("SELECT doubt FROM agent"))

    def known(self, guids: Sequence[bytes]) -> Mapping[bytes, Told]:
        found: dict[bytes, Told] = {}
        for start in range(0, len(guids), _PIECE):
            piece = guids[start : start + _PIECE]
            columns = "guid, identity, deleted, state_hash, holds"
            query = f"SELECT {columns} FROM people WHERE guid IN ({_marks(piece)})"  # noqa: S608 - question marks
            for guid, identity, deleted, state_hash, holds in self._rows(query, *piece):
                person = replace(person_from(identity), deleted=bool(deleted))
                found[guid] = Told(person=person, state_hash=state_hash, holds=bool(holds))
        return found

    def anchors(self, immutable_ids: Sequence[str]) -> Mapping[str, bytes]:
        found: dict[str, bytes] = {}
        for anchor in immutable_ids:
            found |= dict(self._rows("SELECT anchor, guid FROM people WHERE anchor = ?", anchor))
        return found

    def next_watermark(self) -> Watermark:
        return Watermark(*self._rows("SELECT epoch, next_sequence FROM agent")[0])

    def begin_import(self, scope: str) -> int:
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO imports VALUES (?, 1, 1, 0, 0) ON CONFLICT DO UPDATE SET number = number + 1, "
                "open = 1, read = 0",
                (scope,),
            )
            (last,) = connection.execute("SELECT last FROM imports WHERE scope = ?", (scope,)).fetchone()
        return int(last)

    def record(
        self,
        letters: Sequence[Letter],
        *,
        expected: Watermark,
        checkpoint: bytes | None = None,
        scope: str = "",
        seen: Sequence[bytes] = (),
    ) -> None:
        with self._transaction() as connection:
            moved = connection.execute(
                "UPDATE agent SET next_sequence = next_sequence + ?, checkpoint = coalesce(?, checkpoint) "
                "WHERE epoch = ? AND next_sequence = ?",
                (len(letters), checkpoint, expected.epoch, expected.sequence),
            )
            if moved.rowcount != 1:
                raise TemporaryError(ErrorCode.STATE_BUSY, f"{self._name}: another process of the agent has written it")
            number = _import_number(connection, scope)
            for letter in letters:
                _tell(connection, letter, scope, number)
            if seen:
                connection.executemany(
                    "UPDATE people SET import = ?, scope = ? WHERE guid = ?", [(number, scope, guid) for guid in seen]
                )
                connection.execute("UPDATE imports SET read = read + ? WHERE scope = ?", (len(seen), scope))

    def seen(self, guids: Sequence[bytes]) -> Set[bytes]:
        found: set[bytes] = set()
        for start in range(0, len(guids), _PIECE):
            piece = guids[start : start + _PIECE]
            marked = "people JOIN imports ON imports.scope = people.scope AND number = import AND open"
            query = f"SELECT guid FROM {marked} WHERE guid IN ({_marks(piece)})"  # noqa: S608 - question marks
            found.update(guid for (guid,) in self._rows(query, *piece))
        return found

    def unseen(self, scope: str) -> Iterator[Person]:
        after = b""
        query = (
            "SELECT guid, identity FROM people WHERE guid > ? AND NOT deleted AND scope IN (?, '') AND import < "
            "(SELECT number FROM imports WHERE scope = ?) ORDER BY guid LIMIT ?"
        )
        while piece := self._rows(query, after, scope, scope, _PIECE):
            yield from (person_from(identity) for _, identity in piece)
            after = piece[-1][0]

    def end_import(self, scope: str, checkpoint: bytes) -> None:
        with self._transaction() as connection:
            connection.execute("UPDATE imports SET open = 0, last = read WHERE scope = ?", (scope,))
            connection.execute("UPDATE agent SET checkpoint = ?", (checkpoint,))

    def settle(self, alarming: Callable[[int, int], bool], *, complete: bool = True) -> Held | None:
        withdrawn, doubt, since = self._rows(
            "SELECT (SELECT count(*) FROM outbox WHERE held), doubt, alarm_since FROM agent"
        )[0]
        if not withdrawn and not doubt and since is None:
            return None  # the usual case costs no write
        with self._transaction() as connection:
            connection.execute("UPDATE agent SET doubt = doubt AND NOT ?", (complete,))
            (withdrawn,) = connection.execute("SELECT count(*) FROM outbox WHERE held").fetchone()
            (holding,) = connection.execute("SELECT count(*) FROM people WHERE holds").fetchone()
            if withdrawn and since is None and alarming(withdrawn, holding + withdrawn):
                connection.execute("UPDATE agent SET alarm_since = ?", (self._now().isoformat(),))
            elif withdrawn and since is None:
                connection.execute("UPDATE outbox SET held = 0 WHERE held")
            elif not withdrawn:
                # Everybody came back: what was asked has answered itself.
                connection.execute("UPDATE agent SET alarm_since = NULL")
        return self._held()

    def answer(self, *, release: bool) -> int:
        with self._transaction() as connection:
            if not release:
                connection.execute(
                    "UPDATE people SET deleted = 0, holds = 1, state_hash = '' WHERE guid IN "
                    "(SELECT guid FROM outbox WHERE held)"
                )
            verb = "UPDATE outbox SET held = 0 WHERE held" if release else "DELETE FROM outbox WHERE held"
            answered = connection.execute(verb).rowcount
            connection.execute("UPDATE agent SET alarm_since = NULL")
        return answered

    def outbox(self, after: Watermark, limit: int) -> Sequence[Letter]:
        rows = self._rows(
            "SELECT epoch, sequence, identity, body FROM outbox WHERE NOT held AND (epoch, sequence) > (?, ?) "
            "ORDER BY epoch, sequence LIMIT ?",
            after.epoch,
            after.sequence,
            limit,
        )
        return [
            Letter(person=person_from(identity), watermark=Watermark(epoch, sequence), body=body)
            for epoch, sequence, identity, body in rows
        ]

    def clear(self, watermarks: Sequence[Watermark]) -> None:
        with self._transaction(durable=False) as connection:
            connection.executemany(
                "DELETE FROM outbox WHERE epoch = ? AND sequence = ?", [(w.epoch, w.sequence) for w in watermarks]
            )

    def adopt(self, epoch: int, *, doubt: bool) -> None:
        with self._transaction() as connection:
            connection.execute("UPDATE agent SET epoch = max(epoch, ?), doubt = doubt OR ?", (epoch, doubt))

    def read_again(self, *, doubt: bool) -> None:
        with self._transaction() as connection:
            connection.execute("UPDATE agent SET checkpoint = NULL, doubt = doubt OR ?", (doubt,))

    def told(self) -> Iterator[tuple[str, str]]:
        # A connection of its own reads the file as it is at the first row, whatever is written meanwhile; SQLite sorts
        # in a temporary file, so that memory does not grow with the people.
        query = "SELECT anchor, state_hash FROM people WHERE NOT deleted ORDER BY place(anchor)"
        try:
            with closing(self._reading()) as connection:
                connection.create_function("place", 1, place, deterministic=True)
                yield from connection.execute(query)
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def note(self, notes: Mapping[str, str], *, durable: bool = False) -> None:
        with self._transaction(durable=durable) as connection:
            connection.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?)", notes.items())

    def noted(self, name: str) -> str | None:
        rows = self._rows("SELECT text FROM notes WHERE name = ?", name)
        return rows[0][0] if rows else None

    def condition(self) -> Condition:
        epoch, sequence, doubt = self._rows("SELECT epoch, next_sequence, doubt FROM agent")[0]
        importing, read, last = self._rows("SELECT max(open), sum(read), sum(last) FROM imports")[0]
        return Condition(
            epoch=epoch,
            sequence=sequence,
            people=int(self._one("SELECT count(*) FROM people WHERE NOT deleted")),
            holding=int(self._one("SELECT count(*) FROM people WHERE holds")),
            waiting=int(self._one("SELECT count(*) FROM outbox WHERE NOT held")),
            held=self._held(),
            doubt=bool(doubt),
            importing=bool(importing),
            import_read=read or 0,
            last_import=last or 0,
            notes=dict(self._rows("SELECT name, text FROM notes ORDER BY name")),
        )

    def _reading(self) -> sqlite3.Connection:
        """A connection that only reads; of what lies in memory a copy."""
        if self._path is not None:
            return sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
        copy = sqlite3.connect(":memory:")
        with self._lock:
            self._connection.backup(copy)
        return copy

    def _held(self) -> Held | None:
        since = self._one("SELECT alarm_since FROM agent")
        anchors = tuple(anchor for (anchor,) in self._rows("SELECT anchor FROM outbox WHERE held ORDER BY anchor"))
        if since is None or not anchors:
            return None
        holding = int(self._one("SELECT count(*) FROM people WHERE holds"))
        return Held(anchors=anchors, holding=holding + len(anchors), since=datetime.fromisoformat(since))

    @contextmanager
    def _transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """All of it is on disk at the end, or nothing is; what is not `durable` may be undone by a power failure."""
        with self._lock:
            try:
                self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                raise self._translated(error) from error
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException as error:
                if self._connection.in_transaction:  # SQLite may have rolled back by itself, as on a full disk
                    self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise self._translated(error) from error
                raise

    def _translated(self, error: sqlite3.Error) -> SyncError:
        told = f"{self._name}: {error}"
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code == sqlite3.SQLITE_IOERR_SHMSIZE:
            # What opening it ends in on a full disk: the index of the log cannot be made.
            return TemporaryError(ErrorCode.STATE_FULL, told)
        match code & 0xFF:
            case sqlite3.SQLITE_FULL:
                return TemporaryError(ErrorCode.STATE_FULL, told)
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return TemporaryError(ErrorCode.STATE_BUSY, told)
            case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_READONLY:
                return PermanentError(ErrorCode.FILE_UNREADABLE, told)
        return TemporaryError(ErrorCode.STATE_UNAVAILABLE, told)

    def _rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                with closing(self._connection.execute(query, parameters)) as cursor:
                    return cursor.fetchall()
            except sqlite3.Error as error:
                raise self._translated(error) from error

    def _one(self, query: str) -> Any:
        return self._rows(query)[0][0]


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _import_number(connection: sqlite3.Connection, scope: str) -> int:
    row = connection.execute("SELECT number FROM imports WHERE scope = ?", (scope,)).fetchone()
    return int(row[0]) if row else 0


def _tell(connection: sqlite3.Connection, letter: Letter, scope: str, number: int) -> None:
    person, identity = letter.person, identity_of(letter.person)
    guid, anchor = person.anchor.object_guid, person.anchor.immutable_id
    holds = bool(person.values) and not person.deleted
    connection.execute(
        "INSERT INTO people VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET anchor = excluded.anchor, "
        "state_hash = excluded.state_hash, deleted = excluded.deleted, holds = excluded.holds, "
        "scope = iif(excluded.scope = '', scope, excluded.scope), import = max(import, excluded.import), "
        "identity = excluded.identity",
        (guid, anchor, person.state_hash, person.deleted, holds, scope, number, identity),
    )
    # A withdrawal that waits for its answer goes on waiting when another state without certificates follows it.
    waits = connection.execute("SELECT held FROM outbox WHERE anchor = ?", (anchor,)).fetchone()
    held = letter.withdraws or (not holds and bool(waits and waits[0]))
    connection.execute(
        "INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?)",
        (letter.watermark.epoch, letter.watermark.sequence, anchor, held, guid, identity, letter.body),
    )
