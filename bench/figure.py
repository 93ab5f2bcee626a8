"""What the bench prints: sections of rows, and how a time is taken."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

ROUNDS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One table of the page. Every cell is text as it is shown; `note` says what was measured and what was not."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line: ours beside its floor or a peer, both in microseconds of wall time for one piece of work."""

    what: str
    ours: float
    floor: float
    floor_is: str

    @property
    def ratio(self) -> float:
        return self.ours / self.floor

    @property
    def cells(self) -> tuple[str, ...]:
        each = f"{self.ours:,.0f} µs", f"{1e6 / self.ours:,.0f}", f"{self.floor:,.0f} µs", f"{self.ratio:.1f}"
        return self.what, *each, self.floor_is


HEAD = ("work", "ours", "a second, one core", "floor", "ratio", "the floor is")


def section(title: str, *figures: Figure, note: str = "") -> Section:
    """A section of figures."""
    return Section(title=title, head=HEAD, rows=tuple(figure.cells for figure in figures), note=note)


def microseconds(work: Callable[[], object], times: int) -> float:
    """The median over rounds of the time that one call takes."""
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(times):
            work()
        rounds.append((time.perf_counter() - started) / times * 1e6)
    return statistics.median(rounds)
