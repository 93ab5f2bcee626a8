"""The state file's tables, made anew or brought up to date."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Final

from sync.adapters.agent_state.identity import person_from
from sync.errors import ErrorCode, PermanentError

_APPLICATION: Final = 0x534D4153  # "SMAS": this is an agent's state file and nothing else
_VERSION: Final = 3
_WITHOUT_COUNT: Final = 2
"""The version that had no index by which the living are counted once a minute."""
_SCHEMA: Final = """
CREATE TABLE agent (epoch INTEGER NOT NULL, next_sequence INTEGER NOT NULL, checkpoint BLOB,
    doubt INTEGER NOT NULL DEFAULT 0, alarm_since TEXT);
CREATE TABLE people (guid BLOB PRIMARY KEY, anchor TEXT NOT NULL, state_hash TEXT NOT NULL, deleted INTEGER NOT NULL,
    holds INTEGER NOT NULL, scope TEXT NOT NULL, import INTEGER NOT NULL, identity TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX people_anchor ON people (anchor);
CREATE INDEX people_holding ON people (guid) WHERE holds;
CREATE INDEX people_living ON people (guid) WHERE NOT deleted;
CREATE TABLE outbox (epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, anchor TEXT NOT NULL UNIQUE,
    held INTEGER NOT NULL, guid BLOB NOT NULL, identity TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (epoch, sequence));
CREATE INDEX outbox_held ON outbox (anchor) WHERE held;
CREATE TABLE imports (scope TEXT PRIMARY KEY, number INTEGER NOT NULL, open INTEGER NOT NULL, read INTEGER NOT NULL,
    last INTEGER NOT NULL);
CREATE TABLE notes (name TEXT PRIMARY KEY, text TEXT NOT NULL)
"""


def prepare(connection: sqlite3.Connection, name: str, now: datetime) -> None:
    """Within a transaction, see to it that the tables are of this version. Raises PermanentError `file-unreadable`."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if application == _APPLICATION and version == _VERSION:
        return
    if application == _APPLICATION and version == _WITHOUT_COUNT:
        connection.execute("CREATE INDEX people_living ON people (guid) WHERE NOT deleted")
        connection.execute(f"PRAGMA user_version = {_VERSION}")
        return
    if application != 0 or version > 1 or (tables and not {"agent", "sent"} <= tables):
        raise PermanentError(
            ErrorCode.FILE_UNREADABLE, f"{name} is of version {application:x}.{version}, not {_VERSION}"
        )
    if tables:
        _migrate(connection, tables)
    else:
        _create(connection)
        # A new file starts a later epoch than a lost one had, so that its events are not taken for old.
        connection.execute("INSERT INTO agent (epoch, next_sequence) VALUES (?, 1)", (int(now.timestamp()),))
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {_VERSION}")


def _migrate(connection: sqlite3.Connection, tables: set[str]) -> None:
    """From version 1, which had neither outbox nor marks and shared its file with the embedded default."""
    epoch, sequence, checkpoint = connection.execute("SELECT epoch, next_sequence, checkpoint FROM agent").fetchone()
    old = connection.execute("SELECT guid, state_hash, deleted, identity FROM sent").fetchall()
    for table in tables:
        connection.execute(f'DROP TABLE "{table}"')
    _create(connection)
    connection.execute(
        "INSERT INTO agent (epoch, next_sequence, checkpoint) VALUES (?, ?, ?)", (epoch, sequence, checkpoint)
    )
    for guid, state_hash, deleted, identity in old:
        anchor = person_from(identity).anchor.immutable_id
        # Whether somebody held certificates was not kept: assume it, so that the guard errs towards asking.
        row = (bytes.fromhex(guid), anchor, state_hash, deleted, not deleted, "", 0, identity)
        connection.execute("INSERT INTO people VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


def _create(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
