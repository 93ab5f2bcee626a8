"""Change notification (MS-ADTS 3.1.1.3.4.1.9): a search that stays open and tells of each commit in the domain.

It only wakes. What changed is read by DirSync, so that a lost or a double notification costs nothing.
"""

from __future__ import annotations

import select
import ssl
import time
from datetime import timedelta
from typing import Final

from sync.adapters.active_directory import controls
from sync.adapters.active_directory.connection import Connection, described
from sync.adapters.active_directory.messages import DONE, ENTRY, Message, result, taken
from sync.adapters.active_directory.reader import ANYTHING
from sync.errors import ErrorCode, TemporaryError

SPACING: Final = timedelta(milliseconds=20)
"""At most one wake in this time: a single change is told at once, and a burst in a few pieces."""


class Notification:
    """Registers when made, on a connection of its own, which it owns from then on."""

    def __init__(self, connection: Connection, root: str) -> None:
        """Register on the domain `root`. Raises TemporaryError `directory-unavailable`."""
        self._connection = connection
        # Active Directory takes no other filter; show-deleted lets deletions wake us too.
        self._socket = connection.begin_search(
            root,
            ANYTHING,
            attributes=["1.1"],
            controls=[controls.notification(), controls.show_deleted()],
        )
        self._unread = bytearray()
        self._woke = -SPACING.total_seconds()

    def wait(self, timeout: timedelta) -> bool:
        """Sleep until a change (True) or until `timeout` passed (False).

        Raises ConnectionError when the connection broke, and TemporaryError `directory-unavailable` when the controller
        ended the search with a reason: registering again at once would end the same way.
        """
        deadline = time.monotonic() + timeout.total_seconds()
        while self.pending() or self._readable(deadline - time.monotonic()):
            time.sleep(max(0.0, self._woke + SPACING.total_seconds() - time.monotonic()))
            if self._drain():
                self._woke = time.monotonic()
                return True
        return False

    def fileno(self) -> int:
        """Of its socket, for select()."""
        return int(self._socket.fileno())

    def pending(self) -> bool:
        """Whether something was read from the socket already, so that select() does not tell."""
        return bool(self._socket.pending())

    def close(self) -> None:
        """Give the search up."""
        self._connection.close()

    def _readable(self, seconds: float) -> bool:
        return bool(select.select([self._socket], [], [], max(0.0, seconds))[0])

    def _drain(self) -> bool:
        """Read whatever lies there; True when a change was among it."""
        try:
            while piece := self._socket.recv(65536):
                self._unread += piece
        except (ssl.SSLWantReadError, BlockingIOError):
            return self._told()
        except OSError as error:
            raise ConnectionError(str(error)) from error
        raise ConnectionError(f"{self._connection.host} closed the notification connection")

    def _told(self) -> bool:
        """Take what was read whole, and look whether a change was among it."""
        try:
            messages = taken(self._unread)
            changes = [self._is_change(message) for message in messages]
        except (ValueError, IndexError) as error:
            raise ConnectionError(f"{self._connection.host} notifies in words that are none: {error}") from error
        return any(changes)

    def _is_change(self, message: Message) -> bool:
        if message.kind == DONE:
            # A notification search ends only when the controller gives it up.
            ended = result(message.content)
            raise TemporaryError(
                ErrorCode.DIRECTORY_UNAVAILABLE,
                f"{self._connection.host} refuses to notify us of changes: {described(ended.code, ended.message)}",
            )
        return message.kind == ENTRY
