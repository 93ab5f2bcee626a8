"""`smime-sync audit`: what was decided of whom, and why."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.progress import Progress, TextColumn

from sync import wiring
from sync.archive import entry_to_json
from sync.auditor import COLUMNS, row
from sync.commands.output import err, out, print_json
from sync.core.audit import Entry
from sync.errors import ErrorCode, PermanentError

app = typer.Typer(no_args_is_help=True, help="The audit log: one entry per decision.")


@app.callback()
def audit() -> None:
    """The audit log: one entry per decision."""


class Format(StrEnum):
    """How entries are written."""

    CSV = "csv"
    JSONL = "jsonl"


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to; else standard output.")] = None,
    since: Annotated[datetime | None, typer.Option(help="The first moment, UTC; else all that is kept.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Up to before this moment, UTC; else now.")] = None,
    user: Annotated[str | None, typer.Option(help="One person: an address, the UPN or the ImmutableId.")] = None,
    format_: Annotated[Format, typer.Option("--format", help="CSV or JSON Lines.")] = Format.CSV,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format jsonl.")] = False,
) -> None:
    """Write the audit log's entries, oldest first."""
    first, last = (each.replace(tzinfo=UTC) if each and not each.tzinfo else each for each in (since, until))
    entries = wiring.cloud().auditor.entries(since=first, until=last, user=user)
    with _opened(file) as target:
        number = _write(entries, target, Format.JSONL if as_json else format_)
    if file is not None and as_json:
        print_json({"entries": number})
    elif file is not None:
        out.print(f"{number} entries in {file}")


def _write(entries: Iterable[Entry], target: TextIO, form: Format) -> int:
    number = 0
    rows = csv.DictWriter(target, COLUMNS, lineterminator="\n")
    if form is Format.CSV:
        rows.writeheader()
    with Progress(TextColumn("{task.completed} entries"), console=err, transient=True) as bar:
        task = bar.add_task("", total=None)
        for number, entry in enumerate(entries, start=1):
            if form is Format.CSV:
                rows.writerow(row(entry))
            else:
                target.write(entry_to_json(entry).decode("utf-8") + "\n")
            bar.update(task, completed=number)
    return number


@contextmanager
def _opened(file: Path | None) -> Iterator[TextIO]:
    if file is None:
        yield sys.stdout
        return
    try:
        with file.open("w", encoding="utf-8", newline="") as target:
            yield target
    except OSError as error:
        raise PermanentError(ErrorCode.FILE_UNREADABLE, f"{file} cannot be written: {error.strerror}") from error
