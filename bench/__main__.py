"""`make bench`: prints the figures and keeps them as docs/benchmarks.md."""

from __future__ import annotations

import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from cryptography import x509
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sync import envelope
from sync.adapters.embedded import Database
from sync.core.judgement import Context, judge
from sync.core.path import TrustStore
from sync.core.person import Attribute
from tests.mill import NOW, Mill
from tests.mill.keys import KeyKind
from tests.office import Office, person

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
ROUNDS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line: ours beside its floor, both in microseconds of wall time for one piece of work."""

    what: str
    ours: float
    floor: float
    floor_is: str

    @property
    def ratio(self) -> float:
        return self.ours / self.floor

    @property
    def cells(self) -> tuple[str, ...]:
        each = f"{self.ours:.0f} µs", f"{1e6 / self.ours:,.0f}", f"{self.floor:.0f} µs", f"{self.ratio:.1f}"
        return self.what, *each, self.floor_is


def microseconds(work: Callable[[], object], times: int) -> float:
    """The median over rounds of the time that one call takes."""
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(times):
            work()
        rounds.append((time.perf_counter() - started) / times * 1e6)
    return statistics.median(rounds)


def judgement(kind: KeyKind) -> Figure:
    """A verdict on a good certificate with a path of two, beside parsing it and verifying one signature."""
    mill = Mill()
    root = mill.root(key=kind)
    issuing = root.issue_ca("Issuing CA", key=kind)
    leaf = issuing.issue("alice@corp.example", key=kind)
    context = Context(now=NOW, trust=TrustStore.of([root.der], [issuing.der]), addresses=("alice@corp.example",))
    assert judge(Attribute.USER_CERTIFICATE, leaf.der, context).accepted
    issuer = issuing.certificate

    def floor() -> None:
        x509.load_der_x509_certificate(leaf.der).verify_directly_issued_by(issuer)

    return Figure(
        what=f"judge a certificate, {kind}",
        ours=microseconds(lambda: judge(Attribute.USER_CERTIFICATE, leaf.der, context), 200),
        floor=microseconds(floor, 200),
        floor_is="parse it and verify one signature (cryptography)",
    )


def events() -> Figure:
    """An event that changes something, through processor and embedded adapters in memory, beside judging alone."""
    office = Office()
    certificates = [office.issue("alice", key="ec256") for _ in range(2)]
    office.mailbox("alice")
    turn = iter(range(10**9))
    context = Context(now=NOW, trust=office.trust, addresses=("alice@corp.example",))

    def ours() -> None:
        # Two certificates in turn: every event withdraws one and publishes the other.
        office.process(person("alice", certificates[next(turn) % 2]))

    return Figure(
        what="process an event that writes (embedded, in memory)",
        ours=microseconds(ours, 100),
        floor=microseconds(lambda: judge(Attribute.USER_CERTIFICATE, certificates[0].der, context), 200),
        floor_is="judge its one certificate",
    )


def unchanged() -> Figure:
    """The same event again and again: nothing to write."""
    office = Office()
    office.mailbox("alice")
    certificate = office.issue("alice", key="ec256")
    message = office.message(person("alice", certificate))
    office.processor.process(message)
    return Figure(
        what="process an event that changes nothing",
        ours=microseconds(lambda: office.processor.process(message), 100),
        floor=microseconds(lambda: envelope.parse(message.body), 200),
        floor_is="parse it",
    )


def durable() -> Figure:
    """Queue and drain on a file, fsync and all, beside as many bare SQLite commits."""
    with tempfile.TemporaryDirectory() as folder:
        office = Office()
        on_disk = Database(Path(folder) / "state.sqlite", lambda: office.now)
        for part in (office.queue, office.ledger, office.failures, office.recipients):
            part._database = on_disk  # noqa: SLF001 - the bench moves the office to a disk
        office.mailbox("alice")
        certificates = [office.issue("alice", key="ec256") for _ in range(2)]
        turn = iter(range(10**9))

        def ours() -> None:
            office.queue.send(office.event(person("alice", certificates[next(turn) % 2])))
            office.drain()

        bare = sqlite3.connect(Path(folder) / "bare.sqlite", isolation_level=None)
        bare.execute("PRAGMA journal_mode = WAL")
        bare.execute("PRAGMA synchronous = FULL")
        bare.execute("CREATE TABLE t (v BLOB)")

        def floor() -> None:
            # send, receive, claim, write, record, delete, and the receive that finds nothing
            for _ in range(7):
                bare.execute("INSERT INTO t VALUES (?)", (b"x" * 2048,))

        figure = Figure(
            what="send, drain and write an event (embedded, on a file)",
            ours=microseconds(ours, 20),
            floor=microseconds(floor, 20),
            floor_is="seven commits of SQLite on the same disk",
        )
        bare.close()
        on_disk.close()
        return figure


def figures() -> Iterator[Figure]:
    """Every figure of the page."""
    yield judgement("rsa2048")
    yield judgement("ec256")
    yield unchanged()
    yield events()
    yield durable()


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


HEAD = ("work", "ours", "a second, one core", "floor", "ratio", "the floor is")


def main() -> int:
    """Measure, print, keep."""
    console = Console(width=max(Console().width, 130))
    measured = list(track(figures(), "measuring", total=5, console=console, transient=True))
    table = Table(*HEAD, show_edge=False)
    for figure in measured:
        table.add_row(*figure.cells)
    console.print(table)
    console.print(f"[dim]{machine()}[/dim]")
    rows = "\n".join(f"| {' | '.join(figure.cells)} |" for figure in measured)
    PAGE.write_text(
        "# Benchmarks\n\nThe last output of `make bench`: medians of seven rounds, one process, ratios in one run.\n"
        f"\n{machine()}\n\n| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}\n{rows}\n",
        encoding="utf-8",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
