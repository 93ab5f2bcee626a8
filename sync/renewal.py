"""Keeps hidden what somebody works on: each message is renewed at half of its time, as the Functions host does it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from sync.errors import SyncError
from sync.ports import Message, MessageSource

logger = logging.getLogger("smime_sync.host")


@dataclass(slots=True)
class _Held:
    """A message as it was renewed last. Whoever renews or ends it holds the lock: a renewal changes its receipt."""

    message: Message
    ended: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(slots=True, kw_only=True)
class Renewing:
    """A MessageSource whose messages stay hidden until they are deleted or given back, for as long as `run` runs."""

    source: MessageSource
    hidden_for: timedelta
    _held: dict[tuple[str, str], _Held] = field(default_factory=dict)

    def receive(self, limit: int, hidden_for: timedelta) -> Sequence[Message]:
        """See ports.MessageSource."""
        messages = self.source.receive(limit, hidden_for)
        self._held |= {(message.id, message.receipt): _Held(message) for message in messages}
        return messages

    def delete(self, message: Message) -> None:
        """See ports.MessageSource."""
        with self._ending(message) as newest:
            self.source.delete(newest)

    def release(self, message: Message, delay: timedelta) -> None:
        """See ports.MessageSource."""
        with self._ending(message) as newest:
            self.source.release(newest, delay)

    def renew(self, message: Message, hidden_for: timedelta) -> Message:
        """See ports.MessageSource."""
        return self.source.renew(message, hidden_for)

    def count(self) -> int:
        """See ports.MessageSource."""
        return self.source.count()

    def run(self, over: threading.Event) -> None:
        """Renew all that is held, again and again, until `over` is set."""
        while not over.wait(self.hidden_for.total_seconds() / 2):
            self.renew_all()

    def renew_all(self) -> None:
        """Renew all that is held, once. What cannot be renewed is delivered again one day, which is harmless."""
        for held in tuple(self._held.values()):
            with held.lock:
                if held.ended:
                    continue
                try:
                    held.message = self.source.renew(held.message, self.hidden_for)
                except SyncError as error:
                    logger.warning("not renewed message=%s reason=%s", held.message.id, error.code)

    @contextmanager
    def _ending(self, message: Message) -> Iterator[Message]:
        held = self._held.pop((message.id, message.receipt), None) or _Held(message)
        with held.lock:
            held.ended = True
            yield held.message
