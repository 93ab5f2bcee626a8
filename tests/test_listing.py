"""The directory read by the reconciliation itself: the list that the agent would make, in pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from sync.adapters.embedded import Database, EmbeddedQueue
from sync.core.person import Person
from sync.core.run import Kind, Phase, Run
from sync.errors import ErrorCode, TemporaryError
from sync.ports import Page, Seen, nobody
from sync.reconciler import Reconciler
from tests.office import person
from tests.test_reconciler_lost import SOURCE, Listed, anchors
from tests.test_runs import Killed

AWAY = TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, "no controller")


@dataclass
class Shown:
    """A directory of these people, five a page. As with Active Directory, the place in a search dies with the
    connection, and an import that goes on passes over whoever was seen. `breaks` is after how many pages it does."""

    people: Mapping[str, Person]
    name: str = "corp.example"
    breaks: list[int] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    shown: list[str] = field(default_factory=list)

    def __call__(self) -> Shown:
        self.opened += 1
        return self

    def close(self) -> None:
        self.closed += 1

    def changes(self, checkpoint: bytes | None, seen: Seen = nobody) -> Iterator[Page]:
        if checkpoint == b"done":
            return
        everybody = list(self.people.values())
        pages = [everybody[first : first + 5] for first in range(0, len(everybody), 5)] or [[]]
        left = self.breaks.pop(0) if self.breaks else len(pages)
        for number, all_of_it in enumerate(pages):
            passed = seen([each.anchor.object_guid for each in all_of_it]) if checkpoint else frozenset()
            page = [each for each in all_of_it if each.anchor.object_guid not in passed]
            if page and not left:
                raise AWAY
            left -= bool(page)
            self.shown += [each.anchor.immutable_id for each in page]
            last = number + 1 == len(pages)
            mark = b"done" if last else b"importing"
            yield Page(people=tuple(page), checkpoint=mark, full=True, complete=last, resumed=checkpoint is not None)

    def find(self, guids: Sequence[bytes]) -> Sequence[Person]:
        raise AssertionError

    def anchored(self, consistency_guids: Sequence[bytes]) -> Sequence[Person]:
        raise AssertionError

    def clock(self) -> None:
        """None here."""

    def wait(self, timeout: timedelta) -> bool:
        raise AssertionError


@pytest.fixture
def listed() -> Listed:
    """Thirty people whom the ledger knows, and no agent's list."""
    listed = Listed()
    listed.joins(*(f"person{number}" for number in range(30)))
    return listed


def reading(listed: Listed, directory: Shown | None = None, **changes: object) -> Reconciler:
    """One that reads the directory itself."""
    return listed.reconciler(directory=directory or Shown(listed.people), **changes)


def test_nobody_was_lost(listed: Listed) -> None:
    """Everybody is read once, and the connection is let go of."""
    shown = Shown(listed.people)
    found = reading(listed, shown).reconcile(apply=True)
    assert (found.counts.directory, found.counts.lost, found.notes, listed.asked()) == (30, 0, (), [])
    assert (shown.opened, len(shown.shown)) == (shown.closed, 30)


def test_whoever_was_lost_is_asked_for_with_no_list_of_the_agent(listed: Listed) -> None:
    """Unknown, different and gone: the agent tells them, since it has the key and the sequence."""
    listed.joins("newcomer", arrives=False)
    listed.changes("person3", arrives=False)
    del listed.people["person4"]
    found = reading(listed).reconcile(apply=True)
    assert (found.counts.unknown, found.counts.different, found.counts.gone, found.losing) == (1, 1, 1, 1)
    assert sorted(listed.asked()) == sorted(anchors("newcomer", "person3", "person4"))
    assert listed.office.queue.count() == 0


def test_whoever_has_no_certificates_is_not_missed(listed: Listed) -> None:
    """Most of a directory: agents tell of nobody who never had any. Whoever has none any more is not gone."""
    for number in range(40, 60):
        listed.people[f"person{number}"] = person(f"person{number}")
    listed.office.sequence += 1
    listed.people["person3"] = person("person3")
    listed.office.process(listed.people["person3"], sequence=listed.office.sequence)
    found = reading(listed).reconcile(apply=True)
    assert (found.counts.directory, found.counts.lost) == (50, 0)


def test_a_certificate_taken_away_unheard_is_found(listed: Listed) -> None:
    """The person is still there, in another state."""
    listed.people["person3"] = person("person3")
    assert reading(listed).reconcile(apply=True).counts.different == 1


@pytest.mark.parametrize("old", ["agrees", "does not"])
def test_it_stands_for_the_list_of_this_directorys_agent(listed: Listed, old: str) -> None:
    """Whatever that one says; the list of another agent still counts."""
    if old == "does not":
        kept, listed.people = listed.people, {}
        listed.lists()
        listed.people = kept
    else:
        listed.lists()
    other = Listed(office=listed.office, people={"stranger": person("stranger", listed.office.issue("stranger"))})
    other.lists(source="urn:smime-sync:agent:other.example")
    found = reading(listed).reconcile(apply=True)
    assert (found.counts.unknown, found.counts.lost) == (1, 1)
    assert listed.asked() == [(person("stranger").anchor.immutable_id, "urn:smime-sync:agent:other.example")]


@dataclass
class Pieces:
    """The same, a page, a partition, a person at a time, as messages come."""

    listed: Listed

    def __post_init__(self) -> None:
        self.queue = EmbeddedQueue(Database(None, lambda: self.listed.office.now))

    def reconciler(self, shown: Shown, **changes: object) -> Reconciler:
        def now() -> datetime:
            self.listed.office.now += timedelta(seconds=7)
            return self.listed.office.now

        hurried = {"now": now, "piece": timedelta(seconds=10), "continuing": self.queue, **changes}
        return reading(self.listed, shown, **hurried)

    def work(self, reconciler: Reconciler, until: Phase | None = None) -> Run:
        """Pieces, until the run is over or in this phase."""
        while True:
            messages = self.queue.receive(1, timedelta(hours=1))
            if not messages:
                self.listed.office.pass_time(timedelta(minutes=1))
                continue
            run = reconciler.advance(messages[0].body)
            self.queue.delete(messages[0])
            if run is not None and (run.phase.over or run.phase is until):
                return run


def test_in_the_smallest_pieces_it_finds_the_same(listed: Listed) -> None:
    """Nobody is read twice: an import that goes on passes over whoever was seen."""
    listed.joins("newcomer", arrives=False)
    del listed.people["person4"]
    shown, pieces = Shown(listed.people), Pieces(listed)
    reconciler = pieces.reconciler(shown)
    assert reconciler.start(Kind.FULL, apply=True) is not None
    run = pieces.work(reconciler)
    assert (run.phase, run.counts.directory, run.counts.unknown, run.counts.gone) == (Phase.DONE, 30, 1, 1)
    assert sorted(shown.shown) == sorted(each.anchor.immutable_id for each in listed.people.values())
    assert shown.opened == shown.closed == 4
    assert sorted(listed.asked()) == sorted(anchors("newcomer", "person4"))


def test_what_is_heard_while_it_reads_is_newer(listed: Listed) -> None:
    """Whoever joins, changes or leaves between two pieces and arrives in time is not lost."""
    shown, pieces = Shown(dict(listed.people)), Pieces(listed)
    reconciler = pieces.reconciler(shown)
    reconciler.start(Kind.FULL, apply=True)
    pieces.work(reconciler, until=Phase.READ)
    listed.joins("newcomer")
    listed.changes("person3")
    listed.office.sequence += 1
    listed.office.process(person("person4", deleted=True), sequence=listed.office.sequence)
    run = pieces.work(reconciler)
    assert (run.phase, run.counts.lost, listed.asked()) == (Phase.DONE, 0, [])


def test_whoever_changes_between_two_reads_is_as_they_were_read_last(listed: Listed) -> None:
    """After another controller was found, everybody is read anew, and some a second time."""
    shown, pieces = Shown(listed.people), Pieces(listed)
    reconciler = pieces.reconciler(shown)
    reconciler.start(Kind.FULL, apply=True)
    while not shown.shown:
        reconciler.advance(_message(pieces.queue))
    for name in listed.people:
        listed.changes(name, arrives=False)
    # The import does not go on: whoever was seen is shown again.
    again = Shown(listed.people)
    again.changes = lambda checkpoint, seen=nobody: Shown.changes(again, None, seen)  # type: ignore[method-assign]
    run = pieces.work(replace(reconciler, directory=again, piece=timedelta(hours=1)))
    assert (run.phase, run.counts.different) == (Phase.DONE, 30)


def _message(queue: EmbeddedQueue) -> str:
    (message,) = queue.receive(1, timedelta(hours=1))
    queue.delete(message)
    return message.body


@pytest.mark.parametrize("breaks", [[3], [0], [2, 0, 1]])
def test_a_controller_that_goes_away(listed: Listed, breaks: list[int]) -> None:
    """What was read stays read, and the rest is read later; a piece that came to nothing is tried again."""
    del listed.people["person4"]
    shown, pieces = Shown(listed.people, breaks=breaks), Pieces(listed)
    reconciler = pieces.reconciler(shown, piece=timedelta(minutes=5))
    reconciler.start(Kind.FULL, apply=True)
    run = pieces.work(reconciler)
    assert (run.phase, run.counts.directory, run.counts.gone, len(shown.shown)) == (Phase.DONE, 29, 1, 29)


def test_a_controller_that_stays_away_ends_the_run(listed: Listed) -> None:
    """With the reason: whoever set this mode hears that it is of no use."""
    shown, pieces = Shown(listed.people, breaks=[0] * 99), Pieces(listed)
    reconciler = pieces.reconciler(shown)
    reconciler.start(Kind.FULL, apply=True)
    run = pieces.work(reconciler)
    assert (run.phase, run.notes) == (Phase.FAILED, ("directory-unavailable: no controller",))


def test_a_directory_that_suddenly_shows_nobody_is_asked_about_in_pieces_too(listed: Listed) -> None:
    """Whole runs by messages: nothing is sent, and nobody is asked, until it was approved."""
    kept, listed.people = listed.people, {}
    pieces = Pieces(listed)
    reconciler = pieces.reconciler(Shown(listed.people))
    run = reconciler.start(Kind.FULL, apply=True)
    assert run is not None
    run = pieces.work(reconciler)
    assert (run.phase, run.counts.gone, run.counts.gone_holding) == (Phase.GUARDED, 30, 30)
    assert (listed.asked(), listed.office.queue.count()) == ([], 0)
    reconciler.approve(run.id, apply=True)
    assert pieces.work(reconciler).phase is Phase.DONE
    assert sorted(listed.asked()) == sorted(anchors(*kept))


def test_a_list_that_was_exchanged_between_two_pieces_ends_the_run(listed: Listed) -> None:
    """It lies in a container: what the run itself did not write says nothing of anybody."""
    pieces = Pieces(listed)
    reconciler = pieces.reconciler(Shown(listed.people))
    reconciler.start(Kind.FULL, apply=True)
    run = pieces.work(reconciler, until=Phase.COMPARE)
    content = json.loads(reconciler.runs.block(run.id, "listing/manifest") or b"")
    assert content["source"] == SOURCE
    reconciler.runs.keep(run, "listing/manifest", json.dumps(content | {"parts": {}}).encode("ascii"))
    run = pieces.work(reconciler)
    assert (run.phase, run.notes[0].split(":")[0]) == (Phase.FAILED, ErrorCode.CENSUS_MALFORMED)


def test_killed_at_any_moment_it_comes_to_the_same_end() -> None:
    """At each call of the store, in whichever step; the message that comes again goes on."""
    listed = Listed()
    listed.joins(*(f"person{number}" for number in range(7)))
    listed.joins("newcomer", arrives=False)
    blobs, pieces = listed.office.losses.blobs, Pieces(listed)
    killed, at = True, 1
    while killed:
        reconciler = reading(listed, Shown(listed.people, breaks=[1]), continuing=pieces.queue)
        dying = replace(reconciler, blobs=Killed(blobs, at))
        assert reconciler.start(Kind.FULL, apply=True) is not None
        message = _message(pieces.queue)
        try:
            while not (run := dying.advance(message)) or not run.phase.over:
                message = _message(pieces.queue)
            killed = False
        except KeyboardInterrupt:
            pieces.queue = EmbeddedQueue(Database(None, lambda: listed.office.now))
            listed.office.pass_time(timedelta(minutes=3))
            reconciler = replace(reconciler, continuing=pieces.queue)
            pieces.queue.send(message)
            while pieces.queue.count():
                reconciler.advance(_message(pieces.queue))
        run = reconciler.runs.current()
        assert run is not None
        assert (run.phase, run.counts.unknown, run.counts.lost) == (Phase.DONE, 1, 1), f"killed at call {at}"
        assert {anchor for anchor, _ in listed.asked()} == {person("newcomer").anchor.immutable_id}
        at += 1
    assert at > 60
