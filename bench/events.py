"""Handling an event, embedded."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

from bench.figure import Figure, Section, microseconds, section
from sync import envelope
from sync.adapters.embedded import Database
from sync.core.judgement import Context, judge
from sync.core.person import Attribute
from tests.mill import NOW
from tests.office import Office, person


def measure() -> Section:
    """With and without a change, in memory and on a disk."""
    return section("Events", unchanged(), events(), durable())


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
    office.receiver.process(message)
    return Figure(
        what="process an event that changes nothing",
        ours=microseconds(lambda: office.receiver.process(message), 100),
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
