"""The drain loop: what the Functions host does for the receiver, where there is no host.

It keeps the host's semantics that matter to us: a batch is hidden while it is worked on, a failed delivery becomes
visible again after a delay, and a message delivered too often is buried.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol, TypeVar

from sync.errors import TemporaryError
from sync.ports import Message, MessageSource

BATCH = 16
"""batchSize of the queue trigger."""
LOCK = timedelta(minutes=10)
"""The host hides a message for so long while it is worked on."""
RETRY = timedelta(seconds=30)
"""visibilityTimeout of host.json: the delay before a failed delivery is tried again."""
MAX_DEQUEUE_COUNT = 5


Done_co = TypeVar("Done_co", covariant=True)


class Handler(Protocol[Done_co]):
    """What messages are delivered to; the receiver is one."""

    def process(self, message: Message) -> Done_co:
        """Handle it. Raises TemporaryError when it must be delivered again."""

    def bury(self, message: Message) -> object:
        """Give it up: it was delivered too often."""


def drain(
    source: MessageSource, receiver: Handler[Done_co], *, done: Callable[[Message, Done_co | None], None] | None = None
) -> int:
    """Work until no message is visible; return how many were handled. Delayed ones stay on the queue.

    `done` is told each message with its outcome; None means that it will be delivered again.
    """
    handled = 0
    while batch := source.receive(BATCH, LOCK):
        for message in batch:
            outcome = deliver(source, receiver, message)
            handled += 1
            if done:
                done(message, outcome)
    return handled


def deliver(source: MessageSource, receiver: Handler[Done_co], message: Message) -> Done_co | None:
    """Deliver one message, and delete it or give it back; None means that it will be delivered again, or was buried."""
    if message.dequeue_count > MAX_DEQUEUE_COUNT:
        receiver.bury(message)
        source.delete(message)
        return None
    try:
        outcome = receiver.process(message)
    except TemporaryError as error:
        source.release(message, error.retry_after or RETRY)
        return None
    source.delete(message)
    return outcome
