"""What wakes the product: the one table of the Functions app and of `smime-sync serve`, so that they cannot differ.

`%NAME%` in a queue's name or a schedule is a setting, as the Functions host resolves it. The routes over HTTP are
`sync.http_api.ROUTES`. Nothing heavy is imported here: the host waits for this module at every cold start.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from sync.ports import Message

if TYPE_CHECKING:
    from sync.core.run import Run

logger = logging.getLogger("smime_sync.function")


class Product(Protocol):
    """What the triggers call."""

    def process(self, message: Message) -> object:
        """Handle one event. A TemporaryError goes up: the message is delivered again."""

    def bury(self, message: Message) -> object:
        """Record a message that the queue gave up on."""

    def begin(self, kind: str) -> Run | None:
        """Begin a reconciliation of this kind; None while another one is at work."""

    def advance(self, body: str) -> Run | None:
        """Do the piece of a reconciliation that a message asks for."""

    def prune(self) -> int:
        """Delete the audit log's oldest entries; return how many."""

    def watch(self) -> IntEnum:
        """Say in the log what somebody should look at; return how bad it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueTrigger:
    """`act` gets each message of the queue; `give_up` gets one that was delivered too often, where no Functions host
    moves it to the poison queue."""

    name: str
    queue: str
    act: Callable[[Product, Message], object]
    give_up: Callable[[Product, Message], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerTrigger:
    """`schedule` is NCRONTAB, seconds first. `act` hears whether its time had passed while nobody was there."""

    name: str
    schedule: str
    act: Callable[[Product, bool], object]


def process(product: Product, message: Message) -> object:
    """Handle one event."""
    return product.process(message)


def bury(product: Product, message: Message) -> object:
    """Record what the host gave up on, before its copy expires after seven days."""
    return product.bury(message)


def advance(product: Product, message: Message) -> object:
    """Do a piece of the reconciliation at work."""
    return product.advance(message.body)


def abandon(product: Product, message: Message) -> None:  # noqa: ARG001 - by the rule of the table
    """A piece that failed so often: the next timer takes its run over."""
    logger.error("run piece given up message=%s", message.id)


def reconcile(product: Product, past_due: bool) -> None:
    """Begin to compare everybody with what should be there."""
    _begin(product, "full", past_due=past_due)


def revalidate(product: Product, past_due: bool) -> None:
    """Begin to look at whom time alone has changed."""
    _begin(product, "due", past_due=past_due)


def _begin(product: Product, kind: str, *, past_due: bool) -> None:
    run = product.begin(kind)
    logger.info("run kind=%s past_due=%s id=%s", kind, past_due, run.id if run else "none: another is at work")


def prune(product: Product, past_due: bool) -> None:
    """Delete what of the audit log was kept long enough."""
    logger.info("pruned past_due=%s entries=%d", past_due, product.prune())


def watch(product: Product, past_due: bool) -> None:
    """Say what somebody should look at. The line comes each time: an alert hears when it does not come at all."""
    logger.info("watched past_due=%s health=%s", past_due, product.watch().name.lower())


QUEUES = (
    QueueTrigger(name="process", queue="%SMIME_SYNC_QUEUE%", act=process, give_up=bury),
    QueueTrigger(name="bury", queue="%SMIME_SYNC_QUEUE%-poison", act=bury, give_up=bury),
    QueueTrigger(name="advance", queue="%SMIME_SYNC_RUNS_QUEUE%", act=advance, give_up=abandon),
)
TIMERS = (
    TimerTrigger(name="reconcile", schedule="%SMIME_SYNC_RECONCILE_SCHEDULE%", act=reconcile),
    TimerTrigger(name="revalidate", schedule="%SMIME_SYNC_REVALIDATE_SCHEDULE%", act=revalidate),
    TimerTrigger(name="prune", schedule="0 30 4 * * *", act=prune),
    TimerTrigger(name="watch", schedule="0 */5 * * * *", act=watch),
)


def resolved(expression: str, settings: Mapping[str, object]) -> str:
    """A queue's name or a schedule as it stands in the settings (by their names in lower case, without prefix)."""
    return re.sub(r"%SMIME_SYNC_(\w+)%", lambda found: str(settings[found[1].lower()]), expression)
