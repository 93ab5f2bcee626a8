"""`make demo`: the main job, embedded, on the example company; `make console`: its console in a browser.

Everything that runs here is the product: the agent reads an LDIF file in the place of Active Directory, the queue,
the ledger and the tenant are tables of one SQLite file, and the processor is the one that runs in the cloud. Only the
clock is ours: the first wave happened yesterday, so that what takes a day has happened too.
"""

from __future__ import annotations

import argparse
import base64
import json
import logging
import os
import re
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from examples import make
from sync import envelope, wiring
from sync.core.findings import EXPLANATIONS, Level
from sync.core.person import Values
from sync.core.recipient import Recipient, RecipientKind
from sync.core.record import Judged, Outcome, Status
from sync.drain import drain
from sync.ports import Message
from sync.wiring import Embedded

EXAMPLES = Path(__file__).parent
STATUS_STYLE = {
    Status.WRITTEN: "green",
    Status.UNCHANGED: "dim",
    Status.SUPERSEDED: "dim",
    Status.MANAGED_ON_PREMISES: "yellow",
    Status.GONE: "dim",
    Status.DEFERRED: "yellow",
    Status.FAILED: "bold red",
}
YESTERDAY = timedelta(hours=26)
PORT = 7071
LEVEL_STYLE = {Level.REFUSE: "red", Level.WARN: "yellow", Level.NOTE: "cyan"}


def main() -> None:
    """Run both waves on a fresh folder, or, where it was run before, show that nothing is left to do.

    On a terminal the console is served in the end, until Ctrl-C.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/demo"), help="where state and directory are kept")
    parser.add_argument("--fresh", action="store_true", help="start from the beginning")
    parser.add_argument("--console", action="store_true", help="serve the console, terminal or not")
    options = parser.parse_args()
    logging.getLogger("smime_sync").addHandler(logging.NullHandler())  # the tables tell it
    console = Console(width=max(Console().width, 120))
    folder: Path = options.folder
    if options.fresh and folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    directory = folder / "directory.ldif"
    first_time = not directory.exists()
    clock = Clock(behind=YESTERDAY if first_time else timedelta(0))
    ending = make.expiring(wiring.now())
    if first_time:
        _write(directory, "directory-1.ldif", ending, clock())
    trust = wiring.read_trust_store([EXAMPLES / "anchors.pem"], [EXAMPLES / "intermediates.pem"])
    app = wiring.embedded(folder / "state.sqlite", directory, trust, clock=clock)
    if first_time:
        _people_the_tenant(app, make.recipients(ending))
        stories = {each.name: each.story for each in ending}
        _wave(console, app, "Yesterday, first run: everybody in the directory", stories)
        app.reconcile()
        clock.behind = timedelta(0)
        app.recipients.remove(make.mailbox_id("heidi", 1))
        _write(directory, "directory-2.ldif", ending, clock())
        _wave(console, app, "Today, second wave: renewals, a removal, a leaver", stories)
    _again(console, app)
    app.prune()
    console.print(f"\nState and directory are in {folder}; edit {directory} and run it again, or: make demo FRESH=1")
    if options.console or (sys.stdin.isatty() and sys.stdout.isatty() and "CI" not in os.environ):
        _serve(console, app)
    else:
        console.print("The console of this company: make console")


@dataclass
class Clock:
    """The real clock, or so far behind it."""

    behind: timedelta

    def __call__(self) -> datetime:
        return wiring.now() - self.behind


def _write(directory: Path, example: str, ending: list[make.Character], at: datetime) -> None:
    """What the directory shows from that moment on."""
    directory.write_text((EXAMPLES / example).read_text("ascii") + make.entries(ending), encoding="ascii")
    os.utime(directory, (at.timestamp(), at.timestamp()))


def _serve(console: Console, app: Embedded) -> None:
    """All of it goes on until Ctrl-C: the agent reads the directory when it changes, and the console can be opened."""
    logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
    stop = threading.Event()
    hosted = wiring.hosted_embedded(app)
    with socket.socket() as probe:
        port = PORT if probe.connect_ex(("127.0.0.1", PORT)) else 0
    with wiring.serving(hosted, listen=("127.0.0.1", port), key_file=None, threads=2, stop=stop) as address:
        console.print(f"The console of this company, until Ctrl-C: [bold]{address}/api/console[/bold]")
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        stop.wait()


def _people_the_tenant(app: Embedded, others: Iterable[dict[str, Any]] = ()) -> None:
    """Give everybody a mailbox, some with what a tenant holds before the product comes."""
    for each in (*json.loads((EXAMPLES / "recipients.json").read_text("utf-8")), *others):
        recipient = Recipient(
            id=each["id"],
            kind=RecipientKind(each["kind"]),
            addresses=tuple(each["addresses"]),
            directory_synchronised=each["directorySynchronised"],
            cloud_managed=each["cloudManaged"],
            values=Values.of(map(base64.b64decode, each["userCertificate"])),
        )
        app.recipients.add(recipient)


def _wave(console: Console, app: Embedded, title: str, others: Mapping[str, str]) -> None:
    started = time.perf_counter()
    sent = app.agent.once()
    outcomes: list[tuple[str, Outcome]] = []

    def done(message: Message, outcome: Outcome | None) -> None:
        if outcome:
            outcomes.append((_name(message.body), outcome))

    _drain(console, app, sent.sent, done)
    seconds = time.perf_counter() - started
    app.agent.report()
    stories = {**json.loads((EXAMPLES / "stories.json").read_text("utf-8")), **others}
    table = Table(title=title, title_justify="left", title_style="bold", show_lines=True, expand=True)
    table.add_column("person", no_wrap=True)
    table.add_column("in Active Directory", ratio=3)
    table.add_column("outcome", no_wrap=True)
    table.add_column("each value: ✓ published, ✗ refused and why", ratio=6)
    table.add_column("change to write", justify="right", no_wrap=True)
    for name, outcome in outcomes:
        style = STATUS_STYLE[outcome.status]
        latency = f"{outcome.seconds * 1000:.0f} ms" if outcome.seconds is not None else ""
        written = latency if outcome.status is Status.WRITTEN else "-"
        table.add_row(name, stories.get(name, ""), f"[{style}]{outcome.status}[/{style}]", _told(outcome), written)
    console.print()
    console.print(table)
    count = sum(outcome.status is Status.WRITTEN for _, outcome in outcomes)
    console.print(f"{sent.read} people read, {sent.sent} events, {count} written, {seconds * 1000:.0f} ms in all")


def _again(console: Console, app: Embedded) -> None:
    """The second run: nothing changed in the directory, and every mailbox holds what it should."""
    sent = app.agent.once()
    _drain(console, app, sent.sent, lambda _message, _outcome: None)
    found = app.reconcile(apply=False)
    console.print(
        f"\n[bold]Run again:[/bold] {sent.sent} events sent; {found.examined} people compared with their mailbox"
    )
    if sent.sent == 0 and not found.differing and not found.unreadable:
        console.print("[green]Nothing to change: every mailbox holds exactly what it should.[/green]")
    for difference in (*found.differing, *found.unreadable):
        console.print(f"[yellow]{difference.anchor}[/yellow] differs: {difference}")
    if failed := list(app.failures.all()):
        reasons = ", ".join(sorted({failure.reason for failure in failed}))
        console.print(f"[yellow]{len(failed)} messages failed and can be replayed[/yellow]: {reasons}")


def _drain(console: Console, app: Embedded, total: int, done: Callable[[Message, Outcome | None], None]) -> None:
    columns = (TextColumn("judging and writing"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)

        def step(message: Message, outcome: Outcome | None) -> None:
            progress.advance(task)
            done(message, outcome)

        drain(app.queue, app.receiver, done=step)


def _name(body: str) -> str:
    mail = envelope.parse(body).person.mail or "?"
    return mail.partition("@")[0]


def _told(outcome: Outcome) -> str:
    lines = [_line(judged) for judged in outcome.judged]
    if outcome.withdrawn:
        lines.append(f"[magenta]withdrawn[/magenta]: {len(outcome.withdrawn)} published before")
    if outcome.foreign:
        lines.append(f"[cyan]kept[/cyan]: {outcome.foreign} that somebody else published")
    if outcome.detail:
        lines.append(f"[yellow]{escape(outcome.detail)}[/yellow]")
    return "\n".join(_folded(lines))


def _line(judged: Judged) -> str:
    value = f"{judged.attribute} {judged.fingerprint[:8]}"
    elsewhere = "" if judged.published in {(), (judged.attribute,)} else f" → {', '.join(judged.published)}"
    head = f"[green]✓ {value}{elsewhere}[/green]" if judged.published else f"[red]✗ {value}[/red]"
    told = [
        f"[{LEVEL_STYLE[finding.level]}]{finding.code}[/{LEVEL_STYLE[finding.level]}] "
        f"{escape(EXPLANATIONS[finding.code].meaning)}"
        for finding in judged.findings
    ]
    return head + "".join(f"\n  {line}" for line in told)


def _folded(lines: list[str]) -> list[str]:
    """Sixteen expired values are told as one line with their number."""
    alike: dict[str, list[str]] = {}
    for line in lines:
        alike.setdefault(re.sub(r"\b[0-9a-f]{8}\b", "…", line, count=1), []).append(line)
    return [group[0] if len(group) < 3 else f"{len(group)} × {key}" for key, group in alike.items()]


if __name__ == "__main__":
    main()
