"""A drill: three consumer processes on one queue and one ledger, killed at random, with duplicates and disorder.

By default it is 500 events of 30 people and 4 kills; `SMIME_SYNC_DRILL=10` makes it 5,000 of 300 and 40.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pytest

from sync.adapters.embedded import Database, EmbeddedRecipients
from sync.adapters.storage_queue import StorageQueue
from sync.adapters.table_ledger import TableFailures
from sync.core.person import Values
from sync.core.record import Status
from sync.errors import ErrorCode
from tests.lab import ROOT
from tests.lab.azurite import Azurite
from tests.lab.consumer import Config, NotedTenant
from tests.mill import DAY, NOW, Issued
from tests.office import Office, anchor, person

pytestmark = pytest.mark.lab

DRILL = int(os.environ.get("SMIME_SYNC_DRILL", "1"))
EVENTS, PEOPLE, KILLS = 500 * DRILL, 30 * DRILL, 4 * DRILL
CONSUMERS = 3
SEED = 20260603
WAITING = 150
"""So many messages lie on the queue at most: Azurite deletes slowly from a long one."""


@dataclass(slots=True)
class Crew:
    """The consumers. `dice` draws which of them is killed."""

    config: Path
    dice: random.Random
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    killed: int = 0

    def start(self) -> None:
        """One more, and wait until it works."""
        config = json.loads(self.config.read_text()) | {"seed": self.dice.randrange(10**6)}
        own = self.config.with_name(f"consumer{self.killed + len(self.processes)}.json")
        own.write_text(json.dumps(config))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.lab.consumer", str(own)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        self.processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"

    def kill(self) -> None:
        """One dies where it stands, and another one takes its place."""
        self._end(self.processes.pop(self.dice.randrange(len(self.processes))))
        self.killed += 1
        self.start()

    def close(self) -> None:
        """All of them die."""
        while self.processes:
            self._end(self.processes.pop())

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        process.kill()
        with process:  # waits for it and closes its pipe
            pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Queue, tables and tenant of one drill."""

    config: Config
    queue: StorageQueue
    failures: TableFailures
    tenant: Database

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What the tenant noted."""
        return self.tenant.rows(query)


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def site(azurite: Azurite, office: Office, tmp_path: Path) -> Iterator[Site]:
    """An empty one."""
    name = f"d{uuid.uuid4().hex[:12]}"
    trust = tmp_path / "trust.txt"
    trust.write_text(f"{office.root.der.hex()}\n{office.issuing.der.hex()}\n")
    config = Config(
        connection=azurite.connection_string,
        queue=name,
        tables=name,
        tenant=str(tmp_path / "tenant.sqlite"),
        trust=str(trust),
        began=time.time(),
        seed=0,
    )
    with ExitStack() as open_:
        queue, failures = open_.enter_context(closing(config.storage_queue())), config.failures()
        for made in (queue, failures, config.ledger(), config.history()):
            made.create()
            open_.callback(made.close)
        tenant = open_.enter_context(closing(Database(Path(config.tenant), config.now)))
        NotedTenant(tenant, random.Random(0))  # makes its notes' tables
        yield Site(config=config, queue=queue, failures=failures, tenant=tenant)


@contextmanager
def crew(site: Site, folder: Path) -> Iterator[Crew]:
    """Three consumers at work until the block ends."""
    config = folder / "config.json"
    config.write_text(json.dumps(asdict(site.config)))
    with closing(Crew(config, random.Random(SEED))) as made:
        for _ in range(CONSUMERS):
            made.start()
        yield made


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 240) -> None:
    """Wait for something, with patience for a machine that has other work."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} (seed {SEED})"
        time.sleep(0.1)


def in_disorder(bodies: list[str], dice: random.Random) -> list[str]:
    """Each event at least once, every tenth twice, and each up to 60 places from where it was sent."""
    sent = bodies + dice.sample(bodies, len(bodies) // 10)
    places = [number % len(bodies) + dice.uniform(-60, 60) for number in range(len(sent))]
    return [body for _, body in sorted(zip(places, sent, strict=True))]


def test_three_consumers_killed_at_random_end_with_every_mailbox_right(
    office: Office, site: Site, tmp_path: Path
) -> None:
    """Nobody is written by two at once, and every message is done, superseded or failed."""
    dice = random.Random(SEED)
    key = office.mill.key("ec256")
    names = [f"user{number}" for number in range(PEOPLE)]
    owned: dict[str, list[Issued]] = {
        name: [office.issue(name, key=key, not_before=NOW - days * DAY) for days in (30, 20, 10)] for name in names
    }
    theirs = {name: office.issue(name, key=key) for name in names[::5]}
    tenant = EmbeddedRecipients(site.tenant)
    for name in [*names, "twin"]:
        tenant.add(replace(office.mailbox(name, *([theirs[name]] if name in theirs else []))))
    tenant.add(replace(office.mailbox("twin"), id=str(uuid.UUID(int=1))))
    last: dict[str, Issued | None] = {}
    bodies: list[str] = []
    for _ in range(EVENTS):
        name = dice.choice(names) if dice.random() > 0.01 else "twin"
        last[name] = dice.choice([*owned.get(name, []), None])
        held = last[name]
        state = person(name, deleted=True) if held is None else person(name, held)
        bodies.append(office.event(state))
    litter = [f"litter {number}" for number in range(5)]
    coming = in_disorder([*bodies, *litter], dice)

    def done() -> int:
        return int(str(site.rows("SELECT count(*) FROM ends")[0][0]))

    began = time.monotonic()
    with crew(site, tmp_path) as consumers:
        while coming:
            wait_until(lambda: site.queue.count() < WAITING, "the queue does not shrink")
            for body in coming[:50]:
                site.queue.send(body)
            del coming[:50]
            # By progress and not by the clock: on any machine they die while they work.
            if consumers.killed < min(KILLS, done() * KILLS // EVENTS):
                consumers.kill()
        while consumers.killed < KILLS:
            consumers.kill()
        wait_until(lambda: site.queue.count() == 0, "messages wait for ever")
        took = time.monotonic() - began

    ends = Counter(str(status) for (status,) in site.rows("SELECT status FROM ends"))
    ended = {sequence for (sequence,) in site.rows("SELECT sequence FROM ends WHERE status <> 'deferred'")}
    failed = list(site.failures.all())
    buried = [failure for failure in failed if failure.reason == ErrorCode.RETRIES_EXHAUSTED]
    halves = len(site.rows("SELECT rowid FROM writes WHERE NOT ended"))
    told = f"{EVENTS} events of {PEOPLE} people, {consumers.killed} kills, {halves} of them in a write, {took:.0f} s"
    sys.stdout.write(f"{told}, {dict(ends)}, {len(failed)} failures, {len(buried)} buried\n")
    assert site.rows("SELECT recipient FROM overlaps") == [], f"two writers at once (seed {SEED})"
    assert {number + 1 for number in range(EVENTS)} <= ended, f"events without an end (seed {SEED})"
    assert {failure.body for failure in failed if failure.anchor is None} == set(litter)
    assert {failure.anchor for failure in failed} == {None, anchor("twin").immutable_id}, f"seed {SEED}"
    assert ends[Status.SUPERSEDED] and ends[Status.WRITTEN] and ends[Status.DEFERRED]
    for name in names:
        recipient = tenant.find(pinned=None, addresses=[f"{name}@corp.example"])
        assert recipient is not None
        should = [each.der for each in (last.get(name), theirs.get(name)) if each is not None]
        assert recipient.values == Values.of(should), f"{name} (seed {SEED})"


def test_the_drills_tenant_sees_two_writers(tmp_path: Path) -> None:
    """Else nobody would know. A dead one counts no more."""
    with closing(Database(tmp_path / "tenant.sqlite", lambda: NOW)) as database:
        tenant = NotedTenant(database, random.Random(0))
        first = tenant.begin("alice")
        tenant.begin("bob")
        assert database.rows("SELECT recipient FROM overlaps") == []
        tenant.begin("alice")
        assert database.rows("SELECT recipient FROM overlaps") == [("alice",)]
        tenant.end(first)
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        with database.transaction() as connection:
            connection.execute("UPDATE writes SET process = ? WHERE recipient = 'bob'", (dead.pid,))
        tenant.begin("bob")
        assert database.rows("SELECT recipient FROM overlaps") == [("alice",)]
