"""The change queue in a table."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sync.adapters.embedded.database import Database
from sync.errors import ErrorCode, PermanentError
from sync.ports import MAX_MESSAGE_BYTES, Message


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

    def renew(self, message: Message, hidden_for: timedelta) -> Message:
        self.release(message, hidden_for)
        return message

    def count(self) -> int:
        (count,) = self._database.rows("SELECT count(*) FROM queue")[0]
        return int(count)

    def oldest(self) -> datetime | None:
        (visible_at,) = self._database.rows(
            "SELECT min(visible_at) FROM queue WHERE visible_at <= ?", self._database.now().timestamp()
        )[0]
        return None if visible_at is None else datetime.fromtimestamp(visible_at, UTC)
