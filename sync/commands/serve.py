"""`smime-sync serve`: the functions without the Functions host, for a container or a machine of one's own."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from sync import settings, wiring
from sync.commands.output import AsJson, err, print_json

_ALIVE = 30  # seconds: a watchdog's food


def serve(
    listen: Annotated[
        str, typer.Option(help="Address and port for HTTP; 0 lets the system choose.")
    ] = "127.0.0.1:7071",
    key_file: Annotated[
        Path | None, typer.Option(help="File with the key that each request must bring; needed beyond loopback.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Messages worked on at once.")] = 8,
    as_json: AsJson = False,
) -> None:
    """Deliver messages, fire timers and answer over HTTP until SIGTERM; settings come from the environment."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise typer.BadParameter("--listen is an address and a port, as 127.0.0.1:7071")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("azure").setLevel(logging.WARNING)
    config = settings.load(settings.CloudSettings, os.environ)
    product = wiring.cloud()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    manager = wiring.service_manager()
    with wiring.serving(
        product,
        wiring.storage_queue(config),
        reconcile_schedule=config.reconcile_schedule,
        listen=(host.strip("[]"), int(port)),
        key_file=key_file,
        threads=threads,
        stop=stop,
    ) as address:
        if as_json:
            print_json({"address": address})
        else:
            err.print(f"serving {escape(address)}; stop with Ctrl-C or SIGTERM")
        manager.ready()
        while not stop.wait(_ALIVE):
            manager.alive(f"serves {address}")
        manager.stopping()
        err.print("finishing what is at work")
