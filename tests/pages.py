"""What the pages tell an operator to type: every line of every block of commands, and the mark of those that no test
can run.

A block is indented by four. A mark is a comment that begins with `needs`, at the end of a line, or alone on the first
line of a block for the whole of it; what follows a semicolon is for the reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab import ROOT

PAGES: Final = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "infra").rglob("*.md")),
    ROOT / "trust" / "README.md",
]
"""For whoever uses it; CONTRIBUTING.md is for us."""
MARKS: Final = (
    "needs Azure",
    "needs a tenant",
    "needs a domain administrator",
    "needs root",
    "needs the internet",
    "needs Windows",
)
_NO_COMMANDS: Final = (
    "Active Directory ──",
    "(excerpt)",
    "Real parts started",
    "change in Active Directory",
    "[[source]]",
    "SMIME_SYNC_",
)
"""How blocks begin that show something else: pictures, output, files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a page. `mark` is what it needs that no test has."""

    page: str
    number: int
    command: str
    mark: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.number}: {self.command}"


def _blocks(path: Path) -> Iterator[Sequence[tuple[int, str]]]:
    """The indented blocks of a page, each with its line numbers; below a list item it is indented further."""
    block: list[tuple[int, str]] = []
    before = ""
    for number, line in enumerate([*path.read_text("utf-8").splitlines(), "end"], start=1):
        if re.match(r" {4,}", line) and (block or not before.strip()):
            block.append((number, line.strip()))
        else:
            if block:
                yield block
            block = []
        before = line


def lines(path: Path) -> Iterator[Line]:
    """Every command of a page, continued lines joined."""
    for block in _blocks(path):
        if block[0][1].startswith(_NO_COMMANDS):
            continue
        whole, begun = None, ""
        for number, shown in block:
            command, _, comment = f" {begun}{shown}".partition(" #")
            command, mark = command.strip(), _mark(comment)
            if command.endswith("\\"):
                begun = f"{command[:-1].strip()} "
                continue
            begun = ""
            if not command:
                whole = mark
            else:
                yield Line(page=str(path.relative_to(ROOT)), number=number, command=command, mark=mark or whole)


def _mark(comment: str) -> str | None:
    said = comment.partition(";")[0].strip()
    return said if said.startswith("needs ") else None
