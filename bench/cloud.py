"""The cloud side: what an event costs on Azure Storage's own protocol (Azurite), and what a cold start waits for.

The tenant is the embedded one, in memory: its answer takes no time, so what is left is ours and the storage's.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from azure.storage.blob import ContainerClient

from bench.figure import ROUNDS, Section
from sync.adapters.blob_store import BlobStore
from sync.adapters.storage_queue import StorageQueue
from sync.adapters.table_ledger import TableAudit, TableFailures, TableHistory, TableLedger, TablePace
from sync.core.rate import Rate
from sync.drain import BATCH, LOCK, deliver
from sync.host import QueueHost
from sync.loss_guard import LossGuard
from sync.ports import EventQueue, MessageSource
from sync.receiver import Receiver
from tests.lab.azurite import Azurite
from tests.lab.setup import azurite as azurite_setup
from tests.mill import Issued, Mill
from tests.office import Office, person

ROOT: Final = Path(__file__).parents[1]
TIMES: Final = 20
"""Events of one round."""
CROWD: Final = 200
"""Events that lie on the queue when `THREADS` take them."""
THREADS: Final = 8
FAST: Final = Rate(per_second=1e6, at_once=1_000_000)
HEAD: Final = ("work", "each", "a second", "processor", "beside the floor")


class Queue(EventQueue, MessageSource, Protocol):
    """Both sides of the change queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Seconds for one piece of work: of the wall, and of this process's processor."""

    wall: float
    processor: float


def measure() -> Section:
    """Events first, then starts; without Azurite what needs none."""
    note = (
        "Sent, delivered, processed and deleted, one after another where no threads are named. Processor is this "
        "process's own time: the goal is 5 ms for an event without the tenant's answer, which takes no time here. "
        "Below the Functions host the floor's three requests are the host's; an event makes three more, to tables, "
        "and one that writes eight. A cold start is a new process, its goal 1 s until function_app is imported; "
        "afterwards clients are built once."
    )
    rows = [*embedded()]
    if absent := azurite_setup.missing():
        note = f"{note} Azurite was not there: {absent}."
    else:
        with Azurite.start() as azurite:
            rows += azure(azurite)
    return Section(title="The cloud side", head=HEAD, rows=(*rows, *cold_starts()), note=note)


def embedded() -> Iterator[tuple[str, ...]]:
    """Queue, processor and ledger in memory: what is left when storage costs nothing."""
    office = Office()
    for what, work in _events(office, office.receiver, office.queue).items():
        yield _row(f"{what}, embedded in memory", _spent(work))


def azure(azurite: Azurite) -> Iterator[tuple[str, ...]]:
    """The same through Azurite."""
    name = f"b{uuid.uuid4().hex[:12]}"
    with ExitStack() as open_:
        office = Office()
        queue = StorageQueue.from_connection_string(azurite.connection_string, name)
        ledger = TableLedger.from_connection_string(azurite.connection_string, f"{name}ledger")
        history = TableHistory.from_connection_string(azurite.connection_string, f"{name}history")
        pace = TablePace.from_connection_string(azurite.connection_string, f"{name}pace")
        failures = TableFailures.from_connection_string(azurite.connection_string, f"{name}failures")
        audit = TableAudit.from_connection_string(azurite.connection_string, f"{name}audit")
        work = BlobStore(ContainerClient.from_connection_string(azurite.connection_string, name))
        for store in (queue, ledger, history, pace, failures, audit, work):
            open_.enter_context(closing(store))
            store.create()
        office.change(ledger=ledger, history=history, pace=pace, rate=FAST, admits=LossGuard(blobs=work).admits)
        receiver = replace(office.receiver, ledger=ledger, failures=failures, audit=audit, queue=queue)

        def bare() -> None:
            queue.send("bare")
            [message] = queue.receive(1, LOCK)
            queue.delete(message)

        floor = _spent(bare)
        yield _row("floor: a message sent, received and deleted, Azurite", floor, floor)
        for what, event in _events(office, receiver, queue).items():
            yield _row(f"{what}, Azurite", _spent(event), floor)
        yield _row(f"{CROWD} that write, {THREADS} threads, Azurite", _crowd(office, receiver, queue), floor)


def _events(office: Office, receiver: Receiver, queue: Queue) -> dict[str, Callable[[], None]]:
    """An event that changes nothing, and one that writes."""
    office.mailbox("same")
    office.mailbox("other")
    same = office.issue("same", key="ec256")
    others = [office.issue("other", key="ec256") for _ in range(2)]
    turn = iter(range(10**9))

    def event(name: str, certificate: Issued) -> None:
        queue.send(office.event(person(name, certificate)))
        for message in queue.receive(BATCH, LOCK):
            if deliver(queue, receiver, message) is None:
                raise RuntimeError("an event did not come to its end")

    event("same", same)
    return {
        "an event that changes nothing": lambda: event("same", same),
        # Two certificates in turn: every event withdraws one and publishes the other.
        "an event that writes": lambda: event("other", others[next(turn) % 2]),
    }


def _crowd(office: Office, receiver: Receiver, queue: Queue) -> Spent:
    """Many people at once, as `smime-sync serve` takes them."""
    for number in range(CROWD):
        office.mailbox(f"crowd{number}")
        queue.send(office.event(person(f"crowd{number}", office.issue(f"crowd{number}", key="ec256"))))
    host = QueueHost(source=queue, receiver=receiver, threads=THREADS)
    thread = threading.Thread(target=host.run)
    wall, processor = time.perf_counter(), time.process_time()
    thread.start()
    while queue.count():
        time.sleep(0.02)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    host.stop.set()
    thread.join()
    return Spent(wall=wall / CROWD, processor=processor / CROWD)


def cold_starts() -> Iterator[tuple[str, ...]]:
    """New processes: Microsoft's library alone, our module, and everything that a first message needs."""
    with tempfile.TemporaryDirectory() as folder:
        anchors = Path(folder) / "anchors.pem"
        anchors.write_text(Mill().root().pem)
        example = json.loads((ROOT / "local.settings.json.example").read_text("utf-8"))["Values"]
        settings = {"SMIME_SYNC_TRUST_ANCHORS": str(anchors), "SMIME_SYNC_CREDENTIAL": "secret"}
        # Ours alone: SMIME_SYNC_DRILL is no setting, and would be refused.
        around = {name: value for name, value in os.environ.items() if not name.startswith("SMIME_SYNC_")}
        environment = {**around, **example, **settings, "SMIME_SYNC_CLIENT_SECRET": "secret"}

        def start(code: str) -> Callable[[], object]:
            command = (sys.executable, "-c", code)
            return lambda: subprocess.run(  # noqa: S603 - our own words
                command, cwd=ROOT, env=environment, check=True, stderr=subprocess.DEVNULL
            )

        floor = _spent(start("import azure.functions"), times=1, children=True)
        yield _row("floor: a process that imports azure.functions", floor, floor)
        ours = {
            "cold start: function_app imported": "import function_app",
            "cold start: and every client built": "import function_app; from sync import wiring; wiring.cloud()",
        }
        for what, code in ours.items():
            yield _row(what, _spent(start(code), times=1, children=True), floor)


def _spent(work: Callable[[], object], *, times: int = TIMES, children: bool = False) -> Spent:
    """Medians over rounds; with `children` the processor's time is that of the processes that were waited for."""

    def processor() -> float:
        spent = os.times()
        return spent.children_user + spent.children_system if children else time.process_time()

    rounds = []
    for _ in range(ROUNDS):
        wall, used = time.perf_counter(), processor()
        for _ in range(times):
            work()
        rounds.append(((time.perf_counter() - wall) / times, (processor() - used) / times))
    return Spent(
        wall=statistics.median(wall for wall, _ in rounds), processor=statistics.median(used for _, used in rounds)
    )


def _row(what: str, spent: Spent, floor: Spent | None = None) -> tuple[str, ...]:
    beside = f"wall ×{spent.wall / floor.wall:.1f}, processor ×{spent.processor / floor.processor:.1f}" if floor else ""
    times = f"{spent.wall * 1e3:.1f} ms", f"{1 / spent.wall:,.0f}", f"{spent.processor * 1e3:.2f} ms"
    return what, *times, beside
