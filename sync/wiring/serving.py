"""The functions without the Functions host."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from sync import settings, triggers
from sync.errors import ErrorCode, PermanentError, SyncError
from sync.ports import Message, MessageSource
from sync.wiring.app import App
from sync.wiring.embedded_side import Embedded
from sync.wiring.machine import now, read_secret
from sync.wiring.storage import storage_queue

logger = logging.getLogger("smime_sync.host")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosted:
    """What is served: the product, where each trigger's messages come from, the settings, and what else runs beside.

    `beside` is called in a thread of its own with the stop, and returns when that is set.
    """

    product: App
    source: Callable[[triggers.QueueTrigger], MessageSource | None]
    settings: Mapping[str, object]
    beside: Callable[[threading.Event], None] | None = None


def hosted(product: App, config: settings.CloudSettings) -> Hosted:
    """The cloud side on a storage account; its queues are made where that is allowed and they are not there.

    Raises PermanentError `settings-invalid` where people should sign in, since nobody is there who signs them in.
    """
    if config.sign_in == "entra":
        told = f"{settings.PREFIX}SIGN_IN=entra needs App Service authentication; here name a --key-file"
        raise PermanentError(ErrorCode.SETTINGS_INVALID, told)
    values = config.model_dump()

    def source(trigger: triggers.QueueTrigger) -> MessageSource:
        queue = storage_queue(config, triggers.resolved(trigger.queue, values))
        try:
            queue.create()
        except SyncError as error:
            logger.warning("queue=%s reason=%s detail=%s", queue.name, error.code, error.message)
        return queue

    return Hosted(product=product, source=source, settings=values)


def hosted_embedded(product: Embedded) -> Hosted:
    """The whole product on one machine: its agent's rounds run beside. Nothing can lie on a poison queue there, nor on
    the runs queue: the timer does a run whole."""
    defaults = {name: field.default for name, field in settings.CloudSettings.model_fields.items()}

    def source(trigger: triggers.QueueTrigger) -> MessageSource | None:
        return product.queue if trigger.queue == "%SMIME_SYNC_QUEUE%" else None

    def rounds(stop: threading.Event) -> None:
        every = timedelta(seconds=5)
        product.agent.run(stopped=stop.is_set, pause=lambda span: stop.wait(span.total_seconds()), every=every)

    return Hosted(product=product, source=source, settings=defaults, beside=rounds)


@contextmanager
def serving(
    hosted: Hosted, *, listen: tuple[str, int], key_file: Path | None, threads: int, stop: threading.Event
) -> Iterator[str]:
    """Deliver messages, fire timers and answer over HTTP until the block ends; gives the address.

    At its end what is at work is finished, and what was not begun is given back. `stop` is set when one of the loops
    ends with a defect: a service manager starts the whole again, which is better than half of it.
    Raises PermanentError `settings-invalid`, `file-unreadable`.
    """
    from sync.adapters import http_server
    from sync.host import QueueHost
    from sync.timers import Timer, Timers

    key = read_secret(key_file) if key_file else None
    product = hosted.product
    timers = tuple(
        Timer(
            name=each.name, schedule=triggers.resolved(each.schedule, hosted.settings), act=partial(each.act, product)
        )
        for each in triggers.TIMERS
    )
    for timer in timers:
        timer.moments(now())
    loops: dict[str, Callable[[], None]] = {
        "timers": Timers(timers=timers, blobs=product.losses.blobs, now=now, stop=stop).run
    }
    for trigger in triggers.QUEUES:
        if (source := hosted.source(trigger)) is not None:
            handler = _Handler(product=product, trigger=trigger)
            loops[trigger.name] = QueueHost(source=source, receiver=handler, threads=threads, stop=stop).run
    if hosted.beside is not None:
        loops["beside"] = partial(hosted.beside, stop)
    defects: list[BaseException] = []
    workers = [threading.Thread(target=_watched, args=(loop, stop, defects), name=name) for name, loop in loops.items()]
    with http_server.serving(lambda: product, host=listen[0], port=listen[1], key=key) as address:
        for worker in workers:
            worker.start()
        try:
            yield address
        finally:
            stop.set()
            for worker in workers:
                worker.join()
    if defects:
        raise defects[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Handler:
    """A trigger and the product that it calls, as a host delivers to it."""

    product: App
    trigger: triggers.QueueTrigger

    def process(self, message: Message) -> object:
        return self.trigger.act(self.product, message)

    def bury(self, message: Message) -> object:
        return self.trigger.give_up(self.product, message)


def _watched(loop: Callable[[], None], stop: threading.Event, defects: list[BaseException]) -> None:
    try:
        loop()
    except BaseException as error:
        logger.exception("a loop ended")
        defects.append(error)
        stop.set()
