"""A drill: the agent is killed at random instants while the directory changes; nobody is missing on the queue.

`SMIME_SYNC_DRILL=200` makes it 200 kills. The directory is an LDIF file and the queue a SQLite file, so that what is
killed is the genuine agent with its genuine state file, and a kill costs no restart of a server.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sync import envelope
from sync.adapters.embedded import Database, EmbeddedQueue
from sync.adapters.ldif import LdifDirectory
from sync.core.event import Event
from sync.core.person import Person
from tests.office import person

KILLS = int(os.environ.get("SMIME_SYNC_DRILL", "6"))
CHANGES_A_KILL = 10
PEOPLE = 60
ROOT = Path(__file__).parents[1]

AGENT = """
import sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sync.adapters.agent_state import StateFile
from sync.adapters.embedded import Database, EmbeddedQueue
from sync.adapters.ldif import LdifDirectory
from sync.agent import Agent
from sync.core.guard import Guard

folder = Path(sys.argv[1])
now = lambda: datetime.now(UTC)
agent = Agent(
    directory=LdifDirectory(folder / "directory.ldif", poll=timedelta(milliseconds=2)),
    state=StateFile(folder / "agent.sqlite", now),
    queue=EmbeddedQueue(Database(folder / "queue.sqlite", now)),
    now=now,
    guard=Guard(people=10**6, percent=100),
)
print("up", flush=True)
agent.run(stopped=lambda: False, pause=lambda wait: time.sleep(min(wait.total_seconds(), 0.05)))
"""


def write(path: Path, people: dict[str, Person]) -> None:
    """Put the whole directory in the place of the old one at once, as a domain controller commits."""
    lines = []
    for name, each in people.items():
        lines += [f"dn: CN={name}", f"objectGUID:: {b64encode(each.anchor.object_guid).decode()}"]
        lines += [f"mail: {each.mail}"]
        lines += [f"userCertificate:: {b64encode(value).decode()}" for value in each.values.user_certificate]
        lines += [""]
    new = path.with_suffix(".new")
    new.write_text("\n".join(lines))
    new.replace(path)


@contextmanager
def agent(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A running agent, killed with SIGKILL at the end of the block."""
    process = subprocess.Popen([sys.executable, "-c", AGENT, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        try:
            yield process
        finally:
            process.kill()


def sent(queue: EmbeddedQueue) -> Iterator[Event]:
    """All that lies on the queue, taken away."""
    while messages := queue.receive(100, timedelta(minutes=1)):
        for message in messages:
            queue.delete(message)
            yield envelope.parse(message.body)


def test_killed_at_random_instants_nobody_is_missing(tmp_path: Path) -> None:
    """What the queue holds last of each person is what the directory holds of them, deletions included."""
    chance = random.Random(20260601)
    people = {f"p{n}": person(f"p{n}", b"first") for n in range(PEOPLE)}
    write(tmp_path / "directory.ldif", people)
    last: dict[str, Event] = {}
    events, watermarks = 0, set()

    def collect(queue: EmbeddedQueue) -> None:
        nonlocal events
        for event in sent(queue):
            events += 1
            anchor = event.person.anchor.immutable_id
            watermarks.add((event.watermark, event.person.state_hash))
            if anchor not in last or event.watermark >= last[anchor].watermark:
                last[anchor] = event

    ever = dict(people)
    with closing(Database(tmp_path / "queue.sqlite", lambda: datetime.now(UTC))) as database:
        queue = EmbeddedQueue(database)
        for kill in range(KILLS):
            with agent(tmp_path):
                for change in range(CHANGES_A_KILL):
                    name = chance.choice(sorted(ever))
                    value = f"{kill}.{change}".encode()
                    if chance.random() < 0.2:
                        people.pop(name, None)
                    else:
                        people[name] = person(name, *([] if chance.random() < 0.2 else [value * 50]))
                    write(tmp_path / "directory.ldif", people)
                    time.sleep(chance.random() * 0.02)
                time.sleep(chance.random() * 0.03)
            collect(queue)
        with agent(tmp_path) as survivor:
            deadline = time.monotonic() + 60
            while missing(people, last, ever):
                assert survivor.poll() is None
                assert time.monotonic() < deadline, f"missing: {missing(people, last, ever)}"
                time.sleep(0.05)
                collect(queue)
    assert events >= PEOPLE
    assert len({watermark for watermark, _ in watermarks}) == len(watermarks), "one watermark for two states"
    sys.stdout.write(f"{KILLS} kills, {KILLS * CHANGES_A_KILL} changes, {events} events\n")


def missing(people: dict[str, Person], last: dict[str, Event], ever: dict[str, Person]) -> list[str]:
    """Whose last event is not what the directory holds; whoever was never sent must have nothing there."""
    wrong = []
    for name, each in ever.items():
        told = last.get(each.anchor.immutable_id)
        here = people.get(name)
        if here is None:
            same = told is None or told.person.deleted
        else:
            same = told is not None and told.person == here if here.values or told is not None else True
        if not same:
            wrong.append(name)
    return wrong


def test_the_drills_directory_is_what_the_agent_reads(tmp_path: Path) -> None:
    """Else the comparison would hold of something else."""
    people = {"a": person("a", b"1", b"2"), "b": person("b")}
    write(tmp_path / "directory.ldif", people)
    (page,) = LdifDirectory(tmp_path / "directory.ldif").changes(None)
    assert set(page.people) == set(people.values())
