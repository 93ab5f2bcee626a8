"""The functions without the Functions host."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sync.http_api import PRUNE_SCHEDULE
from sync.ports import MessageSource
from sync.wiring.cloud_side import App
from sync.wiring.machine import now, read_secret


@contextmanager
def serving(
    product: App,
    source: MessageSource,
    *,
    reconcile_schedule: str,
    listen: tuple[str, int],
    key_file: Path | None,
    threads: int,
    stop: threading.Event,
) -> Iterator[str]:
    """Deliver messages, fire timers and answer over HTTP until the block ends; gives the address.

    At its end what is at work is finished, and what was not begun is given back.
    Raises PermanentError `settings-invalid`, `file-unreadable`.
    """
    from sync.adapters import http_server
    from sync.host import QueueHost, Timer, Timers

    key = read_secret(key_file) if key_file else None
    timers = (
        Timer(name="reconcile", schedule=reconcile_schedule, act=product.reconcile),
        Timer(name="prune", schedule=PRUNE_SCHEDULE, act=product.prune),
    )
    for timer in timers:
        timer.moments(now())
    workers = [
        threading.Thread(
            target=QueueHost(source=source, receiver=product.receiver, threads=threads, stop=stop).run, name="queue"
        ),
        threading.Thread(target=Timers(timers=timers, now=now, stop=stop).run, name="timers"),
    ]
    with http_server.serving(lambda: product, host=listen[0], port=listen[1], key=key) as address:
        for worker in workers:
            worker.start()
        try:
            yield address
        finally:
            stop.set()
            for worker in workers:
                worker.join()
