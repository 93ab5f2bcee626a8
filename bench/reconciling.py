"""A full reconciliation in which nothing changed, at several sizes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.figure import Section

SIZES = (10_000, 100_000, 1_000_000)
_HEAD = ("people", "processor", "of it read", "of it compare", "people a second, one core", "compared a second", "peak")


def measure() -> Section:
    """Each size in a process of its own; the million, whose ledger takes minutes to make, by SMIME_SYNC_DRILL=10."""
    sizes = SIZES if int(os.environ.get("SMIME_SYNC_DRILL", "1")) >= 10 else SIZES[:2]
    return Section(
        title="Full reconciliation",
        head=_HEAD,
        rows=tuple(_row(_reconciled(people)) for people in sizes),
        note="Nothing changed: every recipient's appearance, every digest of a ledger in a file, the agent's list. The "
        "tenant is a stub that makes its pages (its answers and their JSON are not in it); nobody is examined, since "
        "nobody is suspect. One round each; the peak is the whole process's memory.",
    )


def _reconciled(people: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.sqlite"
        for what in ("make", "run"):
            command = sys.executable, "-m", "bench.company", what, str(path), str(people)
            done = subprocess.run(command, capture_output=True, check=True, text=True)  # noqa: S603 - ours
    found: dict[str, Any] = json.loads(done.stdout)
    if (found["people"], found["recipients"], found["found"]) != (people, people, 0):
        raise AssertionError(found)
    return found


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{found['people']:,}",
        f"{found['cpu']:.1f} s",
        f"{found['read']:.1f} s",
        f"{found['compare']:.1f} s",
        f"{found['people'] / found['cpu']:,.0f}",
        f"{found['people'] / found['compare']:,.0f}",
        f"{found['peak']:,.0f} MiB",
    )
