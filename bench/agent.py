"""The agent beside a real domain controller (Samba): how soon a change lies on the queue, and what a full import costs.

SMIME_SYNC_DRILL scales the people: 1 loads 2,000, 10 loads 20,000 (about ten minutes).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from bench.figure import Section
from sync.adapters.active_directory import Access, ActiveDirectory, Scope
from sync.adapters.agent_state import StateFile
from sync.adapters.storage_queue import StorageQueue
from sync.agent import Agent
from sync.core.guard import Guard
from tests.lab.administrator import Administrator
from tests.lab.azurite import Azurite
from tests.lab.samba import DomainController
from tests.lab.setup import azurite as azurite_setup
from tests.lab.setup import samba as samba_setup

PEOPLE: Final = 2_000 * int(os.environ.get("SMIME_SYNC_DRILL", "1"))
WHOLE: Final = 20_000
CHANGES: Final = 200
IMPORTS: Final = 5
CERTIFICATE: Final = 1_100
"""Bytes of a value: what an RSA-2048 certificate of AD CS takes. The agent does not look into it."""
PASSWORD: Final = "Bench-Passw0rd!1"
HEAD: Final = ("work", "median", "p99 or peak memory", "processor", "beside")
READER: Final = Path(__file__).with_name("full_import.py")


@dataclass(slots=True)
class TimedQueue:
    """A queue that remembers when each send returned."""

    queue: StorageQueue
    sent: list[float] = field(default_factory=list)

    def send(self, body: str, *, delay: timedelta = timedelta(0)) -> None:
        self.queue.send(body, delay=delay)
        self.sent.append(time.perf_counter())


def measure() -> Section:
    """A section without rows says which part of the lab is missing."""
    if absent := samba_setup.missing() or azurite_setup.missing():
        return Section(title="The agent", head=HEAD, rows=(), note=f"Not measured: {absent}.")
    with tempfile.TemporaryDirectory() as folder, directory(Path(folder)) as (controller, administrator, agent):
        readers, left_out = imports(controller, agent)
        rows = (latency(controller, administrator, agent, Path(folder)), *readers)
    loaded = f"{PEOPLE:,} people with two certificates of {CERTIFICATE:,} bytes each."
    smaller = "A shared runner loads so few; `SMIME_SYNC_DRILL=10` loads 20,000." if PEOPLE < WHOLE else ""
    note = " ".join(filter(None, (loaded, smaller, *left_out)))
    return Section(title="The agent", head=HEAD, rows=rows, note=note)


@contextlib.contextmanager
def directory(folder: Path) -> Iterator[tuple[DomainController, Administrator, str]]:
    """A controller with everybody loaded, its administrator, and the agent's account."""
    with DomainController.start(folder / "dc") as controller, Administrator.of(controller) as administrator:
        unit = administrator.create_unit("People")
        for number in range(PEOPLE):
            values = [secrets.token_bytes(CERTIFICATE) for _ in range(2)]
            administrator.create_person(
                f"person{number}", unit=unit, userCertificate=values, mail=f"p{number}@x.example"
            )
        yield controller, administrator, administrator.create_agent("agent", PASSWORD, unit=unit)


def access(controller: DomainController, agent: str) -> Access:
    """What the agent's account sees."""
    return Access(hosts=(controller.address,), user=agent, password=PASSWORD, ca_file=controller.ca_file)


def latency(controller: DomainController, administrator: Administrator, agent: str, folder: Path) -> tuple[str, ...]:
    """From `modify` returning to the message lying on the queue (Azurite), one change after another."""
    # A unit of its own: a first import of everybody is no part of this figure.
    unit = administrator.create_unit("Changed")
    changed = administrator.create_person("changed", unit=unit, userCertificate=[b"0"])
    stop, took = threading.Event(), []
    with Azurite.start() as azurite:
        queue = StorageQueue.from_connection_string(azurite.connection_string, "bench")
        queue.create()
        timed = TimedQueue(queue)
        running = Agent(
            directory=ActiveDirectory(access(controller, agent), Scope(base=unit)),
            state=StateFile(folder / "state.sqlite", lambda: datetime.now(UTC)),
            queue=timed,
            now=lambda: datetime.now(UTC),
            guard=Guard(people=PEOPLE, percent=100),
        )
        thread = threading.Thread(
            target=lambda: running.run(stopped=stop.is_set, pause=lambda wait: stop.wait(wait.total_seconds()))
        )
        thread.start()
        try:
            _settled(timed)
            for number in range(CHANGES):
                before = len(timed.sent)
                administrator.replace(changed, {"userCertificate": [b"change %d" % number]})
                returned = time.perf_counter()
                while len(timed.sent) == before:
                    if time.perf_counter() - returned > 60:
                        raise TimeoutError("a change did not arrive within 60 s")
                    time.sleep(0.0002)
                took.append((timed.sent[before] - returned) * 1e3)
                time.sleep(0.03)
        finally:
            stop.set()
            thread.join()
            running.directory.close()
    p99 = statistics.quantiles(took, n=100, method="inclusive")[98]
    what = f"{CHANGES} changes: modify returned → message on the queue"
    return what, f"{statistics.median(took):.1f} ms", f"{p99:.1f} ms", "", "Azurite; one change after another"


def _settled(timed: TimedQueue) -> None:
    """Wait until the first import lies on the queue and nothing more comes."""
    deadline, before = time.monotonic() + 1800, -1
    while time.monotonic() < deadline:
        if timed.sent and len(timed.sent) == before:
            return
        before = len(timed.sent)
        time.sleep(3)
    raise TimeoutError("the first import did not end")


def imports(controller: DomainController, agent: str) -> tuple[list[tuple[str, ...]], list[str]]:
    """The same read by each client, in a process of its own, the best of several; and which were left out."""
    system = "/usr/bin/python3"
    has_python_ldap = subprocess.run((system, "-c", "import ldap"), capture_output=True, check=False).returncode == 0
    readers: dict[str, tuple[str, ...] | None] = {
        "python-ldap": (system,) if has_python_ldap else None,
        "smime-sync": (sys.executable,),
        "ldap3": (sys.executable,),
        "ldapsearch": (sys.executable,) if shutil.which("ldapsearch") else None,
    }
    left_out = [f"{name} is not installed and left out." for name, python in readers.items() if python is None]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name, python in readers.items() if python is not None}
    # In turn, so that what else the machine does meets each of them.
    for _ in range(IMPORTS):
        for name, done in runs.items():
            done.append(_run(name, readers[name] or (), controller, agent))
    best = {name: min(done, key=lambda run: run["wall"]) for name, done in runs.items()}
    floor = next(iter(best.values()))
    rows: list[tuple[str, ...]] = []
    for name, run in best.items():
        beside = f"wall ×{run['wall'] / floor['wall']:.2f}, processor ×{run['cpu'] / floor['cpu']:.1f}"
        told = f"{run['wall']:.2f} s", f"{run['peak']:.0f} MiB", f"{run['cpu']:.2f} s"
        rows.append((f"full import, {name}", *told, beside))
    return rows, left_out


def _run(name: str, python: tuple[str, ...], controller: DomainController, agent: str) -> dict[str, float]:
    asked = json.dumps(
        {
            "reader": name,
            "host": controller.address,
            "base": controller.base,
            "user": agent,
            "password": PASSWORD,
            "ca_file": str(controller.ca_file),
        }
    )
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root) if python[0] == sys.executable else ""}
    done = subprocess.run(
        (*python, str(READER)), input=asked, capture_output=True, text=True, check=False, env=environment, cwd=root
    )
    if done.returncode != 0:
        raise RuntimeError(f"{name} did not read the directory:\n{done.stderr[-2000:]}")
    said: dict[str, float] = json.loads(done.stdout)
    if said["people"] < PEOPLE:
        raise RuntimeError(f"{name} read {said['people']:.0f} of {PEOPLE} people")
    return said
