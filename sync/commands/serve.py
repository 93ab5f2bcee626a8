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
    embedded: Annotated[
        Path | None, typer.Option(help="Serve this state file of the embedded product instead of a storage account.")
    ] = None,
    directory: Annotated[Path | None, typer.Option(help="With --embedded: the LDIF file to read.")] = None,
    anchors: Annotated[Path | None, typer.Option(help="With --embedded: PEM file with the trust anchors.")] = None,
    intermediates: Annotated[Path | None, typer.Option(help="With --embedded: PEM file with intermediates.")] = None,
    as_json: AsJson = False,
) -> None:
    """Deliver messages, fire timers and answer over HTTP until SIGTERM; settings come from the environment."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise typer.BadParameter("--listen is an address and a port, as 127.0.0.1:7071")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("azure").setLevel(logging.WARNING)
    hosted = _embedded(embedded, directory, anchors, intermediates)
    if hosted is None:
        hosted = wiring.hosted(wiring.cloud(), settings.load(settings.CloudSettings, os.environ))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    manager = wiring.service_manager()
    where = host.strip("[]"), int(port)
    with wiring.serving(hosted, listen=where, key_file=key_file, threads=threads, stop=stop) as address:
        if as_json:
            print_json({"address": address, "console": f"{address}/api/console"})
        else:
            err.print(f"serving {escape(address)}/api/, the console is {escape(address)}/api/console; stop with Ctrl-C")
        manager.ready()
        while not stop.wait(_ALIVE):
            manager.alive(f"serves {address}")
        manager.stopping()
        err.print("finishing what is at work")


def _embedded(
    state: Path | None, directory: Path | None, anchors: Path | None, intermediates: Path | None
) -> wiring.Hosted | None:
    beside = directory, anchors, intermediates
    if state is None:
        if any(beside):
            raise typer.BadParameter("--directory, --anchors and --intermediates go with --embedded")
        return None
    if directory is None or anchors is None:
        raise typer.BadParameter("--embedded needs --directory and --anchors")
    trust = wiring.read_trust_store([anchors], [intermediates] if intermediates else [])
    return wiring.hosted_embedded(wiring.embedded(state, directory, trust))
