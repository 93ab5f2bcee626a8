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
_HEAD = (
    "people",
    "processor",
    "of it read",
    "of it compare",
    "people a second, one core",
    "compared a second",
    "peak",
    "directory read too",
    "peak then",
)


def measure() -> Section:
    """Each size in a process of its own; the million, whose ledger takes minutes to make, by SMIME_SYNC_DRILL=10."""
    sizes = SIZES if int(os.environ.get("SMIME_SYNC_DRILL", "1")) >= 10 else SIZES[:2]
    return Section(
        title="Full reconciliation",
        head=_HEAD,
        rows=tuple(_row(_reconciled(people)) for people in sizes),
        note="Nothing changed: every recipient's appearance, every digest of a ledger in a file, the agent's list. The "
        "tenant is a stub that makes its pages (its answers and their JSON are not in it); nobody is examined, since "
        "nobody is suspect. One round each; the peak is the whole process's memory. The last two columns are "
        "what reading the directory itself costs besides (`SMIME_SYNC_DIRECTORY=ldap`; a stub again, so without LDAP).",
    )


def _reconciled(people: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.sqlite"
        _call("make", path, people)
        found, directly = (json.loads(_call(what, path, people)) for what in ("run", "directory"))
    for each in (found, directly):
        if (each["people"], each["recipients"], each["found"], each["notes"]) != (people, people, 0, []):
            raise AssertionError(each)
    return {**found, "directory": directly["directory"], "then": directly["peak"]}


def _call(what: str, path: Path, people: int) -> str:
    command = sys.executable, "-m", "bench.company", what, str(path), str(people)
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout  # noqa: S603 - ours


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{found['people']:,}",
        f"{found['cpu']:.1f} s",
        f"{found['read']:.1f} s",
        f"{found['compare']:.1f} s",
        f"{found['people'] / found['cpu']:,.0f}",
        f"{found['people'] / found['compare']:,.0f}",
        f"{found['peak']:,.0f} MiB",
        f"{found['directory']:.1f} s",
        f"{found['then']:,.0f} MiB",
    )
