"""`smime-sync probe` and `preflight`: what the tenant takes, and what it lets us do."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from sync import settings, wiring
from sync.commands.output import Apply, AsJson, err, out, print_json
from sync.preflight import Level
from sync.probe_report import Probed

_LEVELS = {Level.OK: "[green]ok[/green]  ", Level.WARN: "[yellow]warn[/yellow]", Level.FAIL: "[red]fail[/red]"}
_MARKS = {True: "[green]yes[/green]", False: "[red]no[/red]", None: ""}


def probe(
    mailbox: Annotated[str, typer.Option(help="Address of a test mailbox that nobody uses.")],
    transcript: Annotated[Path, typer.Option(help="Where to write what went over the wire, redacted.")] = Path(
        "smime-sync-probe.json"
    ),
    throttle: Annotated[
        int,
        typer.Option(
            min=0,
            help="Also read up to so many times until the tenant throttles; slows whatever else uses this application.",
        ),
    ] = 0,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Find out on a test mailbox how this tenant takes and shows certificates; restores what was there.

    Without --apply it only reads. Exit 1 when something that the product needs does not work.
    """
    config = settings.load(settings.CloudSettings, os.environ)
    session = wiring.recording_session(mailbox)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with _interruptible(), Progress(*columns, console=err, transient=True, disable=as_json) as progress:
            task = progress.add_task("starting")
            prober = wiring.prober(
                config,
                session,
                transcript.parent,
                shielded=_shielded,
                told=lambda words: progress.update(task, description=words),
            )
            found = prober.probe(mailbox, apply=apply, throttle=throttle)
    finally:
        # Also when it failed: then it is needed most.
        wiring.write_text(transcript, session.text())
        err.print(f"[dim]transcript: {escape(str(transcript))}[/dim]")
    if as_json:
        print_json(found.to_json())
    else:
        _print_probed(found, apply)
    raise typer.Exit(0 if found.good else 1)


def _print_probed(found: Probed, apply: bool) -> None:
    table = Table("question", "answer", "works")
    for each in found.observations:
        table.add_row(each.question, escape(each.answer), _MARKS[each.good])
    out.print(table)
    for name, value in found.settings.items():
        out.print(f"{name}={value}")
    out.print("what was there is restored" if apply else "nothing was written (dry run)")


def preflight(
    outside: Annotated[
        str | None, typer.Option(help="Address of a mailbox that the role must not reach; nothing changes there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try token, role, scope, trust store and revocation lists before the first event; writes nothing.

    Exit 0 when nothing failed (warnings are no failure), 1 otherwise.
    """
    found = []
    for line in wiring.preflight(settings.load(settings.CloudSettings, os.environ), outside).lines():
        found.append(line)
        if not as_json:
            # Each as it is known: a slow revocation server must not look like a hanging command.
            out.print(f"{_LEVELS[line.level]} [bold]{escape(line.check)}[/bold] {escape(line.detail)}")
            if line.hint and line.level is not Level.OK:
                out.print(f"      [dim]{escape(line.hint)}[/dim]")
    if as_json:
        print_json([line.to_json() for line in found])
    raise typer.Exit(1 if any(line.level is Level.FAIL for line in found) else 0)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends like Ctrl-C: through the restoration."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _shielded() -> Iterator[None]:
    """Nobody interrupts a restoration, not even in impatience."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
