"""`make bench`: prints the figures and keeps them as docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import agent, cloud, events, judging, reconciling, revocation, writing
from bench.figure import Section

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
SECTIONS = (judging, revocation, events, cloud, writing, agent, reconciling)


def machine() -> str:
    """Where and with what it was measured."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    packages = ", ".join(f"{name} {version(name)}" for name in ("cryptography", "pyopenssl", "asn1crypto", "pydantic"))
    return f"{cpu}; Python {platform.python_version()}; SQLite {sqlite3.sqlite_version}; {packages}"


def main() -> int:
    """Measure, print, keep."""
    console = Console(width=max(Console().width, 130))
    measured = [each.measure() for each in track(SECTIONS, "measuring", console=console, transient=True)]
    for section in measured:
        table = Table(*section.head, title=section.title, title_justify="left", show_edge=False)
        for row in section.rows:
            table.add_row(*row)
        console.print(table, "" if not section.note else f"[dim]{section.note}[/dim]")
    console.print(f"[dim]{machine()}[/dim]")
    PAGE.write_text("\n".join(page(measured)) + "\n", encoding="utf-8")
    return 0


def page(sections: list[Section]) -> Iterator[str]:
    """docs/benchmarks.md, line by line."""
    yield "# Benchmarks"
    drill = os.environ.get("SMIME_SYNC_DRILL")
    command = f"SMIME_SYNC_DRILL={drill} make bench" if drill else "make bench"
    yield f"\nThe last output of `{command}`: medians of seven rounds, one process, ratios within one run."
    yield f"\n{machine()}"
    for section in sections:
        yield f"\n## {section.title}\n"
        yield f"| {' | '.join(section.head)} |"
        yield f"|{'---|' * len(section.head)}"
        yield from (f"| {' | '.join(row)} |" for row in section.rows)
        if section.note:
            yield f"\n{section.note}"


if __name__ == "__main__":
    sys.exit(main())
