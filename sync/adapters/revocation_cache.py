"""Fetched revocation lists and OCSP answers in a SQLite file, so that a restart fetches nothing anew."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from datetime import UTC, datetime
from pathlib import Path

from sync.errors import ErrorCode, PermanentError


class SqliteCache:
    """Cache: what is lost is fetched again, so nothing is synchronised to the disk at once."""

    def __init__(self, path: Path | None) -> None:
        """Open `path`, or a cache in memory. Raises PermanentError `file-unreadable`."""
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(
                path or ":memory:", isolation_level=None, check_same_thread=False, timeout=30
            )
            self._finalizer = weakref.finalize(self, self._connection.close)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = OFF")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS fetched (key TEXT PRIMARY KEY, at REAL NOT NULL, value BLOB NOT NULL)"
            )
        except sqlite3.Error as error:
            raise PermanentError(ErrorCode.FILE_UNREADABLE, f"the revocation cache {path}: {error}") from error

    def get(self, key: str) -> tuple[bytes, datetime] | None:
        try:
            with self._lock:
                row = self._connection.execute("SELECT value, at FROM fetched WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error:
            return None  # a cache that cannot be read holds nothing
        return (row[0], datetime.fromtimestamp(row[1], UTC)) if row else None

    def put(self, key: str, value: bytes, at: datetime) -> None:
        try:
            with self._lock:
                self._connection.execute(
                    "INSERT OR REPLACE INTO fetched VALUES (?, ?, ?)", (key, at.timestamp(), value)
                )
        except sqlite3.Error:
            return  # a full disk costs a fetch, nothing else

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._finalizer()
