"""`make demo`: the main job, embedded, on the example company.

Everything that runs here is the product: the agent reads an LDIF file in the place of Active Directory, the queue,
the ledger and the tenant are tables of one SQLite file, and the processor is the one that runs in the cloud.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

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
    Status.FAILED: "bold red",
}
LEVEL_STYLE = {Level.REFUSE: "red", Level.WARN: "yellow", Level.NOTE: "cyan"}


def main() -> None:
    """Run both waves on a fresh folder, or, where it was run before, show that nothing is left to do."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/demo"), help="where state and directory are kept")
    parser.add_argument("--fresh", action="store_true", help="start from the beginning")
    options = parser.parse_args()
    console = Console(width=max(Console().width, 120))
    folder: Path = options.folder
    if options.fresh and folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    directory = folder / "directory.ldif"
    first_time = not directory.exists()
    if first_time:
        shutil.copyfile(EXAMPLES / "directory-1.ldif", directory)
    trust = wiring.read_trust_store([EXAMPLES / "anchors.pem"], [EXAMPLES / "intermediates.pem"])
    app = wiring.embedded(folder / "state.sqlite", directory, trust)
    if first_time:
        _people_the_tenant(app)
        _wave(console, app, "First run: everybody in the directory")
        shutil.copyfile(EXAMPLES / "directory-2.ldif", directory)
        _wave(console, app, "Second wave: renewals, a removal, a leaver")
    _again(console, app)
    console.print(f"\nState and directory are in {folder}; edit {directory} and run it again, or: make demo FRESH=1")


def _people_the_tenant(app: Embedded) -> None:
    """Give everybody a mailbox, some with what a tenant holds before the product comes."""
    for each in json.loads((EXAMPLES / "recipients.json").read_text("utf-8")):
        recipient = Recipient(
            id=each["id"],
            kind=RecipientKind(each["kind"]),
            addresses=tuple(each["addresses"]),
            directory_synchronised=each["directorySynchronised"],
            cloud_managed=each["cloudManaged"],
            values=Values.of(map(base64.b64decode, each["userCertificate"])),
        )
        app.recipients.add(recipient)


def _wave(console: Console, app: Embedded, title: str) -> None:
    started = time.perf_counter()
    sent = app.agent.once()
    outcomes: list[tuple[str, Outcome]] = []

    def done(message: Message, outcome: Outcome | None) -> None:
        if outcome:
            outcomes.append((_name(message.body), outcome))

    _drain(console, app, sent.sent, done)
    seconds = time.perf_counter() - started
    stories = json.loads((EXAMPLES / "stories.json").read_text("utf-8"))
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
        console.print(f"[red]{len(failed)} messages failed[/red]: {sorted({failure.reason for failure in failed})}")


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
