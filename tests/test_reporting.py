"""What the agent tells of itself and of everybody: when, and only when it is right."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sync import census, heartbeat
from sync.adapters.agent_state import StateFile
from sync.adapters.embedded import Database, EmbeddedBlobs, EmbeddedQueue
from sync.agent import Agent
from sync.core.digest import place
from sync.core.person import Person
from sync.errors import ErrorCode, SyncError, TemporaryError
from sync.own_certificate import Expiry
from sync.ports import Blob, Page, Term
from sync.reporting import Reporting
from sync.signature import Signer, Verifier
from tests.office import person
from tests.test_agent import Script, Terms, crowd, delta, full

START = datetime(2026, 6, 1, tzinfo=UTC)
SOURCE = "urn:smime-sync:agent:corp.example"
AWAY = TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, "away")


@dataclass
class Site:
    """An agent whose reads are scripted, with a clock that only tests and pauses move."""

    path: Path | None = None
    clock: datetime = START
    signer: Signer = field(default_factory=Signer.generate)

    def __post_init__(self) -> None:
        self.database = Database(None, self.now)
        self.state = StateFile(self.path, self.now)
        self.blobs = EmbeddedBlobs(self.database)
        self.queue = EmbeddedQueue(self.database)

    def now(self) -> datetime:
        return self.clock

    def agent(self, *reads: Sequence[Page | SyncError], blobs: Any = None) -> Agent:
        reporting = Reporting(self.state, blobs or self.blobs, self.now, version="1.2.3", sign=self.signer.sign)
        directory = Script([list(read) for read in reads])
        return Agent(directory=directory, state=self.state, queue=self.queue, now=self.now, reporting=reporting)

    def everybody(self) -> dict[str, str] | None:
        """The census that counts, verified; None when there is none."""
        stored = self.blobs.get(census.manifest_name(SOURCE))
        if stored is None:
            return None
        manifest = census.manifest_from_json(stored.content)
        assert manifest.signature is not None
        Verifier.load(self.signer.public_pem()).verify(manifest.signed_part(), manifest.signature)
        self.watermark = manifest.watermark
        found: list[tuple[str, str]] = []
        for name, part in sorted(manifest.parts.items()):
            blob = self.blobs.get(census.part_name(manifest, name))
            assert blob is not None
            found += [(line.anchor, line.state_hash) for line in census.lines_of(blob.content, part)]
        assert found == sorted(found, key=lambda each: place(each[0]))
        assert len(found) == manifest.people
        return dict(found)

    def beat(self) -> dict[str, Any] | None:
        stored = self.blobs.get(heartbeat.name(SOURCE))
        return None if stored is None else json.loads(stored.content)


def hashes(*people: Person) -> dict[str, str]:
    return {each.anchor.immutable_id: each.state_hash for each in people}


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.mark.parametrize("in_memory", [True, False])
def test_after_a_full_import_everybody_who_was_told_is_listed(tmp_path: Path, in_memory: bool) -> None:
    """As they were told; whoever has no certificate and was never told is not, nor who is gone."""
    site = Site(None if in_memory else tmp_path / "agent.sqlite")
    people = crowd(300)
    agent = site.agent([full(*people, person("bare"))], [delta(replace(people[0], deleted=True))])
    agent.once()
    agent.report()
    assert site.everybody() == hashes(*people)
    assert site.watermark == replace(site.state.next_watermark(), sequence=300)
    agent.once()
    site.clock += timedelta(hours=24)
    agent.report()
    assert site.everybody() == hashes(*people[1:])


def test_a_census_is_made_once_a_day_also_after_a_restart(site: Site) -> None:
    """The moment of the last is remembered on disk."""
    alice = person("alice", b"a1")
    agent = site.agent([full(alice)])
    agent.once()
    agent.report()
    newer = replace(alice, mail="newer@corp.example")
    site.agent([delta(newer)]).once()
    for hours, listed in ((0, alice), (23, alice), (1, newer)):
        site.clock += timedelta(hours=hours)
        site.agent().report()
        assert site.everybody() == hashes(listed)


def test_a_census_due_when_the_agent_was_killed_is_made_by_the_next(site: Site) -> None:
    """A full import came to its end, and nobody was told of it yet."""
    alice, bob = person("alice", b"a1"), person("bob", b"b1")
    first = site.agent([full(alice)])
    first.once()
    first.report()
    site.agent([full(alice, bob)]).once()
    site.agent().report()
    assert site.everybody() == hashes(alice, bob)


def test_what_is_held_or_not_sent_yet_is_no_census(site: Site) -> None:
    """The cloud was told of neither: it would ask for everybody whom it has not heard of."""
    people = crowd(30)
    agent = site.agent([full(*people)], [full()], [])
    agent.once()
    agent.report()
    assert agent.once().held == 30
    site.clock += timedelta(hours=25)
    agent.report()
    assert site.everybody() == hashes(*people)
    site.state.answer(release=True)
    site.clock += timedelta(minutes=2)
    agent.report()
    assert site.everybody() == hashes(*people)  # released, and not sent yet
    agent.once()
    site.clock += timedelta(minutes=2)
    agent.report()
    assert site.everybody() == {}


def test_an_import_that_is_not_at_its_end_is_no_census(site: Site) -> None:
    """Half of the people would be missing."""
    agent = site.agent([full(person("alice", b"a1"), complete=False), AWAY])
    with pytest.raises(TemporaryError):
        agent.once()
    agent.report()
    assert site.everybody() is None


def test_changes_are_seen_to_between_two_parts_of_a_census(site: Site) -> None:
    """It lists everybody as they were when it began, whatever changed while it was stored."""
    people = crowd(200)
    changed = [replace(each, mail=f"new{number}@corp.example") for number, each in enumerate(people[:30])]
    rounds = [[delta(each)] for each in changed]
    agent = site.agent([full(*people)], *rounds)
    directory = agent.directory
    assert isinstance(directory, Script)
    waits: list[timedelta] = []

    class Waiting(Script):
        def wait(self, timeout: timedelta) -> bool:
            waits.append(timeout)
            return len(waits) % 3 == 0

    agent = replace(agent, directory=(waiting := Waiting(directory.reads)))
    agent.run(stopped=lambda: not waiting.reads, pause=lambda _: None)
    assert set(waits) == {timedelta(0)}  # all within the census, which was never waited for
    assert site.everybody() is None
    agent.report()
    assert site.everybody() == hashes(*people)
    assert site.watermark.sequence == 200


@dataclass
class Full:
    """A container that takes `takes` blobs and then nothing, as long as it is `away`."""

    inner: EmbeddedBlobs
    takes: int
    away: bool = True
    refused: int = 0

    def put(self, name: str, content: bytes, *, version: str | None = None) -> str:
        if self.away and self.takes <= 0:
            self.refused += 1
            raise TemporaryError(ErrorCode.BLOBS_UNAVAILABLE, "away")
        self.takes -= 1
        return self.inner.put(name, content)

    def get(self, name: str) -> Blob | None:
        return self.inner.get(name)

    def names(self, prefix: str) -> Any:
        return self.inner.names(prefix)

    def delete(self, name: str) -> None:
        self.inner.delete(name)


def test_a_census_that_cannot_be_stored_holds_up_nobody_and_is_made_later(site: Site) -> None:
    """Ten minutes later, whole, and of that moment; not each second."""
    people = crowd(50)
    blobs = Full(site.blobs, takes=10)
    newer = replace(people[7], mail="newer@corp.example")
    agent = site.agent([full(*people)], [delta(newer)], blobs=blobs)
    agent.once()
    agent.report()
    for _ in range(20):
        agent.report()
    assert blobs.refused == 1
    assert site.everybody() is None
    assert agent.once().sent == 1
    blobs.away = False
    site.clock += timedelta(minutes=10)
    agent.report()
    assert site.everybody() == {**hashes(*people), **hashes(newer)}


def test_a_heartbeat_says_how_it_stands(site: Site) -> None:
    """Once a minute at most, in the cloud's own words, and without anybody's name."""
    site.agent([full(*crowd(3))]).once()
    agent = site.agent([])
    agent.once()
    agent.report()
    beat = site.beat()
    assert beat is not None
    assert (
        beat.items()
        >= {
            "type": "smime-sync.heartbeat.v1",
            "source": SOURCE,
            "at": START.isoformat(),
            "version": "1.2.3",
            "people": 3,
            "waiting": 0,
            "held": 0,
            "lastRound": START.isoformat(),
            "lastError": None,
            "sequence": 4,
            "everySeconds": 60,
        }.items()
    )
    site.clock += timedelta(seconds=59)
    agent.report()
    assert site.beat() == beat
    site.clock += timedelta(seconds=1)
    agent.report()
    assert site.beat() != beat


def test_a_heartbeat_goes_on_while_no_controller_answers(site: Site) -> None:
    """With the error: an agent that tries is not dead. Also one that was started then."""
    site.agent([full(person("alice", b"a1"))]).once()

    class Nameless(Script):
        @property
        def name(self) -> str:
            raise AWAY

        @name.setter
        def name(self, _: str) -> None:
            return

    pauses: list[timedelta] = []
    ages: list[timedelta] = []

    def pause(wait: timedelta) -> None:
        pauses.append(wait)
        site.clock += wait
        beat = site.beat()
        assert beat is not None
        assert beat["lastError"] == "directory-unavailable: away"
        ages.append(site.clock - datetime.fromisoformat(beat["at"]))

    agent = replace(site.agent(), directory=Nameless([[AWAY] for _ in range(9)]))
    agent.run(stopped=lambda: len(pauses) > 30, pause=pause)
    assert max(ages) <= timedelta(minutes=1, seconds=10)


def test_a_heartbeat_tells_how_far_the_clocks_are_apart(site: Site) -> None:
    """Seconds that this machine is ahead of the domain controller."""

    class Behind(Script):
        def clock(self) -> datetime:  # type: ignore[override]
            return site.clock - timedelta(seconds=90)

    agent = replace(site.agent(), directory=Behind([[full(person("alice", b"a1"))]]))
    agent.once()
    agent.report()
    beat = site.beat()
    assert beat is not None
    assert beat["clockSkewSeconds"] == 90


def test_the_heartbeat_tells_when_our_own_certificates_end(site: Site) -> None:
    """Looked up at each beat: a file may have been renewed."""
    ends = [START + timedelta(days=days) for days in (20, 400)]
    beats = iter(ends)
    agent = site.agent([full(person("alice", b"a1"))])
    agent = replace(
        agent,
        reporting=Reporting(
            site.state,
            site.blobs,
            site.now,
            version="1.2.3",
            certificates=lambda: [Expiry(name="the certificate for the storage account", at=next(beats))],
        ),
    )
    agent.once()
    for end in ends:
        agent.report()
        beat = site.beat()
        assert beat is not None
        assert beat["certificates"] == {"the certificate for the storage account": end.isoformat()}
        site.clock += timedelta(minutes=1)


def test_only_the_active_agent_tells(site: Site) -> None:
    """What one that stands by remembers is old."""
    lease = Terms(Term(epoch=int(START.timestamp()) + 1, previous=None))
    agent = replace(site.agent([full(person("alice", b"a1"))]), lease=lease)
    agent.once()
    lease.mine = False
    agent.report()
    assert site.beat() is None
    assert site.everybody() is None
    lease.mine = True
    agent.report()
    assert site.beat() is not None
    assert site.everybody() == hashes(person("alice", b"a1"))
