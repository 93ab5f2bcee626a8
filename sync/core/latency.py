"""How long changes took to be written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Of `writes` changes that were written from `since` on: seconds from the change in the directory to its write."""

    writes: int
    p50: float
    p99: float
    since: datetime

    @classmethod
    def of(cls, seconds: Iterable[float], since: datetime) -> Latency | None:
        """By nearest rank, so that each is a value that there was; None of nothing."""
        ordered = sorted(seconds)
        if not ordered:
            return None
        return cls(writes=len(ordered), p50=_quantile(ordered, 50), p99=_quantile(ordered, 99), since=since)

    def to_json(self) -> dict[str, object]:
        """For `--json` and the console."""
        return {"writes": self.writes, "p50": self.p50, "p99": self.p99, "since": self.since.isoformat()}


def _quantile(ordered: list[float], percent: int) -> float:
    return ordered[-(-len(ordered) * percent // 100) - 1]
