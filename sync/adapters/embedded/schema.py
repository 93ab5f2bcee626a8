"""The tables, and how a file of an earlier version comes to have them: in one transaction, when it is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from sync.archive import digest_to_json, record_from_json, record_to_json
from sync.core.digest import digest
from sync.core.record import Record

VERSION: Final = 4
_FIRST: Final = """
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
INSERT INTO pace VALUES (NULL)
"""
_BLOBS: Final = (
    "CREATE TABLE blobs (version INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, content BLOB NOT NULL)"
)
# Without rowid and apart from the records, so that a walk in order of place reads no record's pages.
_DIGESTS: Final = """
CREATE TABLE digests (place TEXT PRIMARY KEY, anchor TEXT NOT NULL, next_change REAL, digest BLOB NOT NULL)
    WITHOUT ROWID;
CREATE INDEX digests_due ON digests (next_change) WHERE next_change IS NOT NULL;
CREATE TABLE names (name TEXT NOT NULL, anchor TEXT NOT NULL, PRIMARY KEY (name, anchor)) WITHOUT ROWID;
CREATE INDEX names_anchor ON names (anchor)
"""
_AUDIT: Final = "CREATE TABLE audit (id TEXT PRIMARY KEY, entry BLOB NOT NULL) WITHOUT ROWID"


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a file of this version to ours, inside the caller's transaction. Raises PermanentError
    `ledger-malformed`."""
    if version == VERSION:
        return
    if version == 0:
        _run(connection, _FIRST)
    if version < 2:
        connection.execute(_BLOBS)
    if version < 3:
        _run(connection, _DIGESTS)
        for record in _records(connection):
            connection.execute("UPDATE ledger SET record = ? WHERE anchor = ?", (record_to_json(record), record.anchor))
            index(connection, record)
    if version < 4:
        connection.execute(_AUDIT)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def index(connection: sqlite3.Connection, record: Record) -> None:
    """Keep what follows from a record, beside it."""
    short = digest(record)
    moment = short.next_change.timestamp() if short.next_change else None
    connection.execute(
        "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)",
        (short.place, short.anchor, moment, digest_to_json(short)),
    )
    names = record.known_as
    known = {name for (name,) in connection.execute("SELECT name FROM names WHERE anchor = ?", (record.anchor,))}
    if names != known:
        connection.execute("DELETE FROM names WHERE anchor = ?", (record.anchor,))
        connection.executemany("INSERT INTO names VALUES (?, ?)", [(name, record.anchor) for name in sorted(names)])


def _records(connection: sqlite3.Connection) -> Iterator[Record]:
    """A few at a time: what is changed under an open cursor may come twice."""
    after = ""
    while piece := connection.execute(
        "SELECT anchor, record FROM ledger WHERE anchor > ? ORDER BY anchor LIMIT 500", (after,)
    ).fetchall():
        yield from (record_from_json(text, "") for _, text in piece)
        after = piece[-1][0]


def _run(connection: sqlite3.Connection, script: str) -> None:
    # Not executescript, which commits what it finds open.
    for statement in script.split(";"):
        connection.execute(statement)
