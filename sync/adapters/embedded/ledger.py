"""The ledger: one row a person, compare-and-swap on a counter; digests and names beside it, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from sync.adapters.embedded import schema
from sync.adapters.embedded.database import Database
from sync.archive import digest_from_json, record_from_json, record_to_json
from sync.core.digest import Digest, place
from sync.core.record import Record
from sync.errors import ErrorCode, TemporaryError


class EmbeddedLedger:
    """See ports.Ledger."""

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
            schema.index(connection, record)
        return replace(record, version=str(int(record.version or 0) + 1))

    def records(self) -> Iterator[Record]:
        query = "SELECT place, record, version FROM digests JOIN ledger USING (anchor) WHERE place > ? ORDER BY place"
        return (record_from_json(record, str(version)) for _, record, version in self._database.walk(query, ""))

    def digests(self, after: str = "", until: str | None = None) -> Iterator[Digest]:
        query = "SELECT place, digest FROM digests WHERE place > ? ORDER BY place"
        for here, text in self._database.walk(query, after):
            if until is not None and here >= until:
                return
            yield digest_from_json(text)

    def due(self, until: datetime, limit: int, after: str | None = None) -> Sequence[str]:
        rows = self._database.rows(
            "SELECT anchor FROM digests WHERE next_change <= ? AND place > ? ORDER BY place LIMIT ?",
            until.timestamp(),
            "" if after is None else place(after),
            limit,
        )
        return [anchor for (anchor,) in rows]

    def named(self, name: str, *, besides: str = "") -> Sequence[Record]:
        query = (
            "SELECT record, version FROM names JOIN ledger USING (anchor) "
            "WHERE name = ? AND anchor <> ? ORDER BY anchor"
        )
        rows = self._database.rows(query, name.casefold(), besides)
        return [record_from_json(record, str(version)) for record, version in rows]
