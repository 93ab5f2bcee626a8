"""The agent: send, then save; nothing lost, nothing sent as older than it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from sync import envelope
from sync.adapters.embedded import Database, EmbeddedCheckpoints, EmbeddedQueue
from sync.agent import Agent, Round
from sync.core.event import Cause, Event
from sync.core.identity import SourceAnchor
from sync.core.person import Person, Values
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import EventQueue, Page
from tests.office import person

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ALICE, BOB = person("alice", b"a1"), person("bob", b"b1")


@dataclass
class Script:
    """A directory that shows, one read after the other, the pages given."""

    reads: list[list[Page]]
    asked: list[bytes | None] = field(default_factory=list)
    name: str = "corp.example"

    def changes(self, checkpoint: bytes | None) -> Iterator[Page]:
        self.asked.append(checkpoint)
        yield from self.reads.pop(0)

    def wait(self, timeout: timedelta) -> bool:
        return bool(self.reads)

    def close(self) -> None:
        return


@dataclass
class Broken:
    """A queue that fails at the nth message."""

    inner: EventQueue
    at: int
    error: BaseException
    sent: int = 0

    def send(self, body: str, *, delay: timedelta = timedelta(0)) -> None:
        self.sent += 1
        if self.sent == self.at:
            raise self.error
        self.inner.send(body, delay=delay)


def full(*people: Person, checkpoint: bytes = b"full", complete: bool = True) -> Page:
    return Page(people=people, checkpoint=checkpoint, full=True, complete=complete)


def delta(*people: Person, checkpoint: bytes = b"delta") -> Page:
    return Page(people=people, checkpoint=checkpoint)


class Site:
    """The agent's machine: its memory and its queue."""

    def __init__(self) -> None:
        self.database = Database(None, lambda: NOW)
        self.checkpoints = EmbeddedCheckpoints(self.database)
        self.queue = EmbeddedQueue(self.database)

    def agent(self, *reads: Sequence[Page], queue: EventQueue | None = None) -> Agent:
        directory = Script([list(read) for read in reads])
        return Agent(directory=directory, checkpoints=self.checkpoints, queue=queue or self.queue, now=lambda: NOW)

    def sent(self) -> list[Event]:
        """Everything that lies on the queue, taken away."""
        messages = self.queue.receive(100, timedelta(minutes=1))
        for message in messages:
            self.queue.delete(message)
        return [envelope.parse(message.body) for message in messages]


@pytest.fixture
def site() -> Site:
    return Site()


def test_the_first_import_sends_everybody_who_has_a_certificate(site: Site) -> None:
    """Someone without one need not be known."""
    done = site.agent([full(ALICE, BOB, person("carol"))]).once()
    assert done == Round(read=3, sent=2)
    events = site.sent()
    assert [event.person for event in events] == [ALICE, BOB]
    assert {event.cause for event in events} == {Cause.FULL_IMPORT}
    assert events[0].watermark < events[1].watermark
    assert events[0].source == "urn:smime-sync:agent:corp.example"


def test_a_full_import_sends_only_differences(site: Site) -> None:
    """However often the checkpoint is refused."""
    site.agent([full(ALICE, BOB)]).once()
    site.sent()
    changed = replace(BOB, values=Values.of([b"b2"]))
    assert site.agent([full(ALICE, changed)]).once().sent == 1
    assert [event.person for event in site.sent()] == [changed]


def test_a_delta_sends_the_whole_person_and_moves_the_checkpoint(site: Site) -> None:
    """The next read begins where this one ended."""
    site.agent([full(ALICE)]).once()
    agent = site.agent([delta(BOB, checkpoint=b"2")], [])
    agent.once()
    agent.once()
    assert isinstance(agent.directory, Script)
    assert agent.directory.asked == [b"full", b"2"]
    assert [event.cause for event in site.sent()] == [Cause.FULL_IMPORT, Cause.CHANGE]


def test_whoever_is_missing_from_a_full_import_has_left(site: Site) -> None:
    """A deletion that happened while nobody looked becomes an event, once, without values."""
    site.agent([full(ALICE, BOB)]).once()
    site.sent()
    assert site.agent([full(ALICE)]).once().sent == 1
    (event,) = site.sent()
    assert event.person.deleted
    assert event.person.anchor == BOB.anchor
    assert event.person.mail == BOB.mail
    assert event.person.values == Values()
    assert site.agent([full(ALICE)]).once().sent == 0


def test_nobody_has_left_before_the_last_page(site: Site) -> None:
    """A full import comes in pages, and may be cut off."""
    site.agent([full(ALICE, BOB)]).once()
    site.sent()
    assert site.agent([full(ALICE, complete=False), full(BOB)]).once().sent == 0


def test_a_deletion_is_sent_and_a_return_as_well(site: Site) -> None:
    """A restored person is a person again."""
    site.agent([full(ALICE)]).once()
    assert site.agent([delta(replace(ALICE, deleted=True))]).once().sent == 1
    assert site.agent([delta(ALICE)]).once().sent == 1
    assert [event.person.deleted for event in site.sent()] == [False, True, False]


def test_a_tombstone_that_lost_its_anchor_deletes_the_person_that_was_sent(site: Site) -> None:
    """A deleted object keeps its objectGUID only: mS-DS-ConsistencyGuid, mail and addresses are gone."""
    synchronised = replace(ALICE, anchor=SourceAnchor(ALICE.anchor.object_guid, b"consistency-guid"))
    site.agent([full(synchronised)]).once()
    tombstone = Person(anchor=SourceAnchor(ALICE.anchor.object_guid), deleted=True)
    assert site.agent([delta(tombstone)]).once().sent == 1
    _, event = site.sent()
    assert event.person == replace(synchronised, values=Values(), deleted=True)
    assert site.agent([delta(tombstone)], []).once().sent == 0


def test_a_changed_anchor_gives_up_the_old_one(site: Site) -> None:
    """Else what was published under it would never be withdrawn."""
    site.agent([full(ALICE)]).once()
    renamed = replace(ALICE, anchor=SourceAnchor(ALICE.anchor.object_guid, b"consistency-guid"))
    assert site.agent([delta(renamed)]).once().sent == 2
    _, old, new = site.sent()
    assert (old.person.anchor, old.person.deleted) == (ALICE.anchor, True)
    assert new.person == renamed
    assert old.watermark < new.watermark


@pytest.mark.parametrize(
    ("ago", "told"), [(timedelta(milliseconds=400), NOW), (timedelta(hours=1), NOW - timedelta(hours=1))]
)
def test_the_time_of_a_change_is_the_directorys_beyond_its_resolution(
    site: Site, ago: timedelta, told: datetime
) -> None:
    """whenChanged is cut to the second, so within one the moment of reading is nearer."""
    site.agent([replace(full(ALICE), changed_at=NOW - ago)]).once()
    assert [event.time for event in site.sent()] == [told]


def test_the_deletion_of_a_stranger_is_no_event(site: Site) -> None:
    """A tombstone of somebody who never had a certificate."""
    assert site.agent([delta(person("nobody", deleted=True))]).once().sent == 0


@pytest.mark.parametrize("at", [1, 2])
def test_killed_in_the_middle_it_repeats_and_never_skips(site: Site, at: int) -> None:
    """And what it repeats has a later watermark, so that a newer state is never taken for an older one."""
    with pytest.raises(KeyboardInterrupt):
        site.agent([full(ALICE, BOB)], queue=Broken(site.queue, at, KeyboardInterrupt())).once()
    newer = replace(ALICE, values=Values.of([b"a2"]))
    site.agent([full(newer, BOB)]).once()
    events = site.sent()
    last = {event.person.anchor: event for event in sorted(events, key=lambda event: event.watermark)}
    assert [last[each.anchor].person for each in (ALICE, BOB)] == [newer, BOB]
    assert len({event.watermark for event in events}) == len(events)


def test_a_lost_memory_starts_a_later_epoch(site: Site) -> None:
    """Else every event of the new memory would be superseded by the old one's."""
    site.agent([full(ALICE)]).once()
    new = Site()
    new.database = Database(None, lambda: NOW + timedelta(seconds=1))
    new.checkpoints, new.queue = EmbeddedCheckpoints(new.database), EmbeddedQueue(new.database)
    new.agent([full(ALICE)]).once()
    old_event, new_event = site.sent()[0], new.sent()[0]
    assert new_event.watermark > old_event.watermark


def test_one_person_who_cannot_be_sent_does_not_hold_up_the_others(site: Site) -> None:
    """And is told again at the next full import."""
    giant = person("giant", b"x" * 50_000)
    assert site.agent([full(giant, BOB)]).once() == Round(read=2, sent=1, refused=(giant.anchor.immutable_id,))
    assert [event.person for event in site.sent()] == [BOB]
    assert site.agent([full(giant, BOB)]).once().refused == (giant.anchor.immutable_id,)


def test_a_queue_that_refuses_us_stops_the_round_with_nothing_lost(site: Site) -> None:
    """That concerns everybody, so nobody is skipped."""
    refusal = PermanentError(ErrorCode.QUEUE_REFUSED, "no right")
    with pytest.raises(PermanentError):
        site.agent([full(ALICE)], queue=Broken(site.queue, 1, refusal)).once()
    assert site.checkpoints.load() is None


def test_running_goes_on_after_a_passing_fault(site: Site) -> None:
    """The pause is the one that the other side asked for."""
    away = TemporaryError(ErrorCode.QUEUE_UNAVAILABLE, "away", retry_after=timedelta(seconds=9))
    agent = site.agent([full(ALICE)], [full(ALICE)], queue=Broken(site.queue, 1, away))
    pauses: list[timedelta] = []
    assert isinstance(agent.directory, Script)
    directory = agent.directory
    agent.run(stopped=lambda: not directory.reads, pause=pauses.append)
    assert pauses == [timedelta(seconds=9)]
    assert [event.person for event in site.sent()] == [ALICE]
