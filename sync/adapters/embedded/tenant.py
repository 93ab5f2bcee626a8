"""A small tenant in three tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sync.adapters.embedded.database import Database
from sync.core.person import Attribute, Values
from sync.core.recipient import Recipient, RecipientKind
from sync.errors import ErrorCode, PermanentError
from sync.ports import RecipientPage

_PAGE = 1000


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

    def page(self, cursor: str | None) -> RecipientPage:
        query = "SELECT id FROM recipients WHERE id > ? ORDER BY id LIMIT ?"
        ids = [found for (found,) in self._database.rows(query, cursor or "", _PAGE)]
        recipients = [recipient for each in ids if (recipient := self._get(each)) is not None]
        return RecipientPage(recipients=recipients, cursor=ids[-1] if len(ids) == _PAGE else None)

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
