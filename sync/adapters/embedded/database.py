"""The file, its transactions and its walks."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sync.adapters.embedded import schema
from sync.errors import ErrorCode, PermanentError, TemporaryError


class Database:
    """One SQLite file shared by the adapters below; safe between threads and between processes."""

    def __init__(self, path: Path | None, now: Callable[[], datetime]) -> None:
        """Open `path`, or a database in memory. Raises PermanentError `file-unreadable`, `ledger-malformed`."""
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
            self._prepare(path)
        except sqlite3.Error as error:
            raise PermanentError(ErrorCode.FILE_UNREADABLE, f"the state file {path}: {error}") from error

    def _prepare(self, path: Path | None) -> None:
        with self.transaction() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > schema.VERSION:
                raise PermanentError(
                    ErrorCode.LEDGER_MALFORMED,
                    f"the state file {path} is of version {version}, and this release knows {schema.VERSION}: "
                    "it was written by a newer one",
                )
            schema.migrate(connection, version)

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
