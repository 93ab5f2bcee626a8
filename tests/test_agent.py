"""The agent: send, then save; nothing lost, nothing sent as older than it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from sync import envelope
from sync.adapters.agent_state import StateFile
from sync.adapters.embedded import Database, EmbeddedQueue
from sync.agent import Agent, Round
from sync.core.event import Cause, Claim, Event
from sync.core.identity import SourceAnchor
from sync.core.person import Person, Values
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.opening import Opener
from sync.ports import EventQueue, Message, Page, Seen, Term, nobody
from sync.resend import Asking, ResendRequests
from tests.office import person

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ALICE, BOB = person("alice", b"a1"), person("bob", b"b1")


@dataclass
class Script:
    """A directory that shows, one read after the other, the pages given."""

    reads: list[list[Page | SyncError]]
    asked: list[bytes | None] = field(default_factory=list)
    name: str = "corp.example"
    there: dict[bytes, Person] = field(default_factory=dict)

    def changes(self, checkpoint: bytes | None, seen: Seen = nobody) -> Iterator[Page]:
        self.asked.append(checkpoint)
        for page in self.reads.pop(0):
            if isinstance(page, SyncError):
                raise page
            yield page

    def find(self, guids: Sequence[bytes]) -> Sequence[Person]:
        return [self.there.get(guid, Person(anchor=SourceAnchor(guid), deleted=True)) for guid in guids]

    def anchored(self, consistency_guids: Sequence[bytes]) -> Sequence[Person]:
        return [each for each in self.there.values() if each.anchor.consistency_guid in consistency_guids]

    def clock(self) -> None:
        return None

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
        self.state = StateFile(None, lambda: NOW)
        self.queue = EmbeddedQueue(self.database)

    def agent(self, *reads: Sequence[Page], queue: EventQueue | None = None) -> Agent:
        directory = Script([list(read) for read in reads])
        return Agent(directory=directory, state=self.state, queue=queue or self.queue, now=lambda: NOW)

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
    assert done == Round(read=3, written=2, sent=2)
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


@pytest.mark.parametrize(("changed_at", "cause"), [(None, Cause.FULL_IMPORT), (NOW, Cause.CHANGE)])
def test_a_full_import_is_a_change_where_it_is_known_since_when(
    site: Site, changed_at: datetime | None, cause: Cause
) -> None:
    """Else the time from change to write would be measured from nowhere."""
    site.agent([replace(full(ALICE), changed_at=changed_at)]).once()
    assert [event.cause for event in site.sent()] == [cause]


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
    new.state, new.queue = StateFile(None, lambda: NOW + timedelta(seconds=1)), EmbeddedQueue(new.database)
    new.agent([full(ALICE)]).once()
    old_event, new_event = site.sent()[0], new.sent()[0]
    assert new_event.watermark > old_event.watermark


def test_one_person_who_cannot_be_sent_does_not_hold_up_the_others(site: Site) -> None:
    """And is told again at the next full import."""
    giant = person("giant", b"x" * 50_000)
    assert site.agent([full(giant, BOB)]).once() == Round(
        read=2, written=1, sent=1, refused=(giant.anchor.immutable_id,)
    )
    assert [event.person for event in site.sent()] == [BOB]
    assert site.agent([full(giant, BOB)]).once().refused == (giant.anchor.immutable_id,)


def test_a_queue_that_refuses_us_stops_the_round_with_nothing_lost(site: Site) -> None:
    """That concerns everybody, so nobody is skipped."""
    refusal = PermanentError(ErrorCode.QUEUE_REFUSED, "no right")
    with pytest.raises(PermanentError):
        site.agent([full(ALICE)], queue=Broken(site.queue, 1, refusal)).once()
    assert site.agent([]).once().sent == 1
    assert [event.person for event in site.sent()] == [ALICE]


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


def crowd(count: int) -> list[Person]:
    return [person(f"person{n}", b"value") for n in range(count)]


def test_a_read_that_would_withdraw_too_many_is_held(site: Site) -> None:
    """Those who merely changed go on; the withdrawals wait, and one more round does not free them."""
    people = crowd(30)
    site.agent([full(*people)]).once()
    site.sent()
    changed = replace(people[0], values=Values.of([b"renewed"]))
    done = site.agent([full(changed)]).once()
    assert (done.sent, done.held) == (1, 29)
    assert [event.person for event in site.sent()] == [changed]
    again = site.agent([delta(replace(ALICE, values=Values.of([b"a"])))]).once()
    assert (again.sent, again.held) == (1, 29)
    held = site.state.condition().held
    assert held is not None
    assert (len(held.anchors), held.since) == (29, NOW)


def test_withdrawals_over_several_pages_are_counted_as_one_read(site: Site) -> None:
    """The first page's must not be on the queue when the second raises the alarm."""
    people = crowd(30)
    site.agent([full(*people)]).once()
    site.sent()
    gone = [replace(each, values=Values()) for each in people]
    done = site.agent([delta(*gone[:2]), delta(*gone[2:])]).once()
    assert (done.sent, done.held) == (0, 30)
    assert site.sent() == []


def test_released_they_go(site: Site) -> None:
    """Whole, as they were held."""
    people = crowd(5)
    site.agent([full(*people)]).once()
    site.sent()
    assert site.agent([full()]).once().held == 5
    assert site.state.answer(release=True) == 5
    assert site.agent([]).once().sent == 5
    assert all(event.person.deleted for event in site.sent())


def test_discarded_they_are_forgotten_and_asked_again(site: Site) -> None:
    """Nothing is withdrawn; a later full import that still misses them raises the alarm again."""
    people = crowd(5)
    site.agent([full(*people)]).once()
    site.sent()
    site.agent([full()]).once()
    assert site.state.answer(release=False) == 5
    assert site.agent([]).once() == Round()
    assert site.sent() == []
    assert site.agent([full()]).once().held == 5


def test_whoever_comes_back_is_held_no_longer(site: Site) -> None:
    """And when everybody is back the alarm has answered itself."""
    people = crowd(5)
    site.agent([full(*people)]).once()
    site.sent()
    assert site.agent([full()]).once().held == 5
    assert site.agent([delta(*people)]).once().held == 0
    assert {event.person for event in site.sent()} == set(people)
    assert site.state.condition().held is None


def test_a_new_anchor_is_no_withdrawal(site: Site) -> None:
    """Setting mS-DS-ConsistencyGuid for everybody is a migration, not a loss."""
    people = crowd(30)
    site.agent([full(*people)]).once()
    site.sent()
    moved = [
        replace(each, anchor=SourceAnchor(each.anchor.object_guid, each.anchor.object_guid[::-1])) for each in people
    ]
    assert site.agent([delta(*moved)]).once() == Round(read=30, written=60, sent=60)


def test_while_the_cloud_is_away_reading_goes_on_and_the_latest_state_waits(site: Site) -> None:
    """One event a person, however often they change: the disk is bounded."""
    away = TemporaryError(ErrorCode.QUEUE_UNAVAILABLE, "away")
    versions = [replace(ALICE, values=Values.of([bytes([n])])) for n in range(10)]
    for version in versions:
        with pytest.raises(TemporaryError, match="away"):
            site.agent([delta(version), delta(BOB)], queue=Broken(site.queue, 1, away)).once()
    assert site.state.condition().waiting == 2
    assert site.agent([]).once().sent == 2
    assert [event.person for event in site.sent()] == [BOB, versions[-1]]


def test_a_queue_away_for_five_minutes_loses_nothing() -> None:
    """By a virtual clock: the agent tries again at most a minute apart, and all arrives in order."""
    site = Site()
    clock, tried = [NOW], list[datetime]()
    versions = [delta(replace(ALICE, values=Values.of([bytes([n])]))) for n in range(40)]

    @dataclass
    class Away:
        def send(self, body: str, *, delay: timedelta = timedelta(0)) -> None:
            if clock[0] < NOW + timedelta(minutes=5):
                tried.append(clock[0])
                raise TemporaryError(ErrorCode.QUEUE_UNAVAILABLE, "no route")
            site.queue.send(body, delay=delay)

    agent = site.agent(*[[page] for page in versions], queue=Away())

    def pause(wait: timedelta) -> None:
        clock[0] += wait

    assert isinstance(agent.directory, Script)
    directory = agent.directory
    agent.run(stopped=lambda: not directory.reads, pause=pause)
    assert max(later - earlier for earlier, later in pairwise(tried)) == timedelta(minutes=1)
    assert tried[-1] >= NOW + timedelta(minutes=4)
    events = site.sent()
    assert events[-1].person == versions[-1].people[0]
    assert sorted(events, key=lambda event: event.watermark) == events


def test_a_full_import_cut_off_goes_on_with_what_it_has(site: Site) -> None:
    """The pages that were read are neither sent again nor, when the directory resumes, missed as gone."""
    site.agent([full(ALICE, BOB)]).once()
    site.sent()
    carol = person("carol", b"c1")
    cut: list[Page | SyncError] = [
        full(ALICE, complete=False, checkpoint=b"half"),
        TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, "cut"),
    ]
    agent = site.agent([])
    assert isinstance(agent.directory, Script)
    agent.directory.reads[:] = [cut]
    with pytest.raises(TemporaryError, match="cut"):
        agent.once()
    assert site.state.condition().importing
    resumed = replace(full(carol, checkpoint=b"end"), resumed=True)
    agent = site.agent([resumed])
    assert agent.once() == Round(read=2, written=2, sent=2, expected=2, before=1)
    assert isinstance(agent.directory, Script)
    assert agent.directory.asked == [b"half"]
    assert [(event.person.anchor, event.person.deleted) for event in site.sent()] == [
        (carol.anchor, False),
        (BOB.anchor, True),
    ]
    assert site.state.checkpoint() == b"end"
    assert not site.state.condition().importing


def test_a_full_import_killed_before_the_missing_are_recorded_begins_again(site: Site) -> None:
    """Its checkpoint counts only when those who have left are in the outbox too."""
    site.agent([full(ALICE, BOB, checkpoint=b"1")]).once()
    site.sent()

    class Dies(StateFile):
        def unseen(self, scope: str) -> Iterator[Person]:
            raise KeyboardInterrupt

    agent = site.agent([full(ALICE, checkpoint=b"2")])
    site.state.__class__ = Dies
    with pytest.raises(KeyboardInterrupt):
        agent.once()
    site.state.__class__ = StateFile
    assert site.state.checkpoint() == b"1"
    assert site.agent([full(ALICE, checkpoint=b"2")]).once().sent == 1
    assert [event.person.deleted for event in site.sent()] == [True]


def test_a_large_event_goes_by_reference(site: Site) -> None:
    """With a container set nobody is refused for having many certificates."""
    claims: dict[str, bytes] = {}

    class Claims:
        def put(self, claim: Claim, content: bytes) -> None:
            claims[claim.sha256] = content

        def get(self, claim: Claim) -> bytes:
            return claims[claim.sha256]

        def check(self) -> None:
            return

    giant = person("giant", *(bytes([n]) * 2000 for n in range(60)))
    agent = replace(site.agent([full(giant, BOB)]), claims=Claims())
    assert agent.once() == Round(read=2, written=2, sent=2)
    bodies = [message.body for message in site.queue.receive(10, timedelta(minutes=1))]
    assert len(claims) == 1
    opened = [Opener(claims=Claims())(body) for body in bodies]
    assert [event.person for event in opened] == [giant, BOB]
    # Sent again it stays a reference, with what the cloud has added.
    again = Opener(claims=Claims())(envelope.render(replace(opened[0], cause=Cause.REPLAY, replays=3)))
    assert (again.person, again.cause, again.replays) == (giant, Cause.REPLAY, 3)


@dataclass
class Terms:
    """A lease that the test gives and takes."""

    term: Term | None
    mine: bool = False

    def take(self, floor: int) -> Term | None:
        self.mine = self.term is not None
        return self.term

    def held(self) -> bool:
        return self.mine

    def release(self) -> None:
        self.mine = False

    def look(self) -> str:
        return "free"


def test_the_active_agent_sends_under_the_leases_epoch(site: Site) -> None:
    """So that whatever an earlier one still sends is older."""
    epoch = int(NOW.timestamp()) + 7
    agent = replace(site.agent([full(ALICE)]), lease=Terms(Term(epoch=epoch, previous=None)))
    agent.once()
    assert [event.watermark.epoch for event in site.sent()] == [epoch]


def test_a_second_agent_stands_by(site: Site) -> None:
    """It reads nothing and sends nothing, and says that it waits."""
    agent = replace(site.agent([full(ALICE)]), lease=Terms(None))
    with pytest.raises(TemporaryError) as standby:
        agent.once()
    assert standby.value.code is ErrorCode.LEASE_HELD
    assert site.sent() == []


def test_a_lost_lease_stops_sending(site: Site) -> None:
    """What is not sent stays in the outbox."""
    lease = Terms(Term(epoch=int(NOW.timestamp()) + 1, previous=None))

    @dataclass
    class Losing:
        def send(self, body: str, *, delay: timedelta = timedelta(0)) -> None:
            site.queue.send(body)
            lease.mine = False

    with pytest.raises(TemporaryError) as lost:
        replace(site.agent([full(ALICE, BOB)], queue=Losing()), lease=lease).once()
    assert lost.value.code is ErrorCode.LEASE_LOST
    assert site.state.condition().waiting == 1


def test_after_somebody_elses_term_whoever_changed_is_told_again(site: Site) -> None:
    """The other one may have told a state between, which our memory knows nothing of."""
    site.agent([full(ALICE, BOB)]).once()
    site.sent()
    epoch = int(NOW.timestamp())
    lease = Terms(Term(epoch=epoch + 2, previous=epoch + 1))
    assert replace(site.agent([delta(ALICE)]), lease=lease).once().sent == 1
    assert [event.person for event in site.sent()] == [ALICE]
    assert replace(site.agent([delta(ALICE)]), lease=lease).once().sent == 0


def answers(site: Site, anchors: Sequence[str], *there: Person) -> list[tuple[str, bool]]:
    """Ask for these anchors where these people live; who was told then, and whether as gone."""
    requests = EmbeddedQueue(Database(None, lambda: NOW))
    for anchor in anchors:
        Asking(requests).ask(anchor, "urn:smime-sync:agent:corp.example")
    agent = replace(site.agent([]), requests=ResendRequests(requests))
    assert isinstance(agent.directory, Script)
    agent.directory.there |= {each.anchor.object_guid: each for each in there}
    agent.once()
    assert requests.count() == 0
    events = sorted(site.sent(), key=lambda event: event.watermark)
    return [(event.person.anchor.immutable_id, event.person.deleted) for event in events]


def test_asked_for_one_person_it_tells_them_again(site: Site) -> None:
    """By ImmutableId, whatever it remembers; what is no anchor is nobody's; and the request is gone."""
    site.agent([full(ALICE, BOB)]).once()
    site.sent()
    alice = ALICE.anchor.immutable_id
    assert answers(site, [alice, "no anchor", "AAAA"], ALICE, BOB) == [(alice, False)]


def test_asked_for_whoever_is_nowhere_it_says_that_they_are_gone(site: Site) -> None:
    """With what it remembers of them, and also when it never heard of them: the cloud makes no events itself."""
    site.agent([full(ALICE, BOB)]).once()
    site.sent()
    bob, stranger = BOB.anchor.immutable_id, person("stranger").anchor.immutable_id
    assert answers(site, [bob, stranger], ALICE) == [(bob, True), (stranger, True)]
    assert site.agent([]).once().sent == 0


def test_asked_for_somebody_in_another_spelling_it_calls_nobody_gone(site: Site) -> None:
    """Base64 may end in bits that mean nothing; the bytes are the person's."""
    alice = ALICE.anchor.immutable_id
    other = alice[:21] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[alice[21]] + "=="
    assert other != alice
    assert answers(site, [other], ALICE) == [(alice, False)]


def test_asked_for_an_anchor_that_is_a_consistency_guid_it_finds_its_bearer(site: Site) -> None:
    """Whom the lost memory does not know: somebody whose account was moved here from another forest."""
    moved = replace(ALICE, anchor=SourceAnchor(ALICE.anchor.object_guid, b"an older account"))
    assert answers(site, [moved.anchor.immutable_id], moved) == [(moved.anchor.immutable_id, False)]


def test_asked_for_an_anchor_that_somebody_had_before_only_that_one_is_gone(site: Site) -> None:
    """They live on under their mS-DS-ConsistencyGuid, are told so, and are remembered so."""
    now = replace(ALICE, anchor=SourceAnchor(ALICE.anchor.object_guid, b"the newer anchor"))
    site.agent([full(now)]).once()
    site.sent()
    old, new = ALICE.anchor.immutable_id, now.anchor.immutable_id
    assert answers(site, [old], now) == [(old, True), (new, False)]
    assert site.agent([full(now)]).once().sent == 0


def test_many_strangers_who_are_gone_at_once_are_held(site: Site) -> None:
    """A lost memory and a base that shows nobody must not withdraw everybody."""
    site.agent([full(*crowd(10))]).once()
    site.sent()
    strangers = [person(f"stranger{n}").anchor.immutable_id for n in range(5)]
    assert answers(site, strangers) == []
    held = site.state.condition().held
    assert held is not None
    assert set(held.anchors) == set(strangers)


def test_what_another_agent_is_asked_is_left_to_it(site: Site) -> None:
    """A person of another directory is not called gone because they are not in this one."""
    requests = EmbeddedQueue(Database(None, lambda: NOW))
    Asking(requests).ask(ALICE.anchor.immutable_id, "urn:smime-sync:agent:other.example")
    Asking(requests).ask(None, "urn:smime-sync:agent:other.example")
    agent = replace(site.agent([]), requests=ResendRequests(requests))
    assert agent.once().sent == 0
    assert site.state.checkpoint() is None
    assert requests.count() == 2


def test_a_directory_that_fails_while_it_is_searched_calls_nobody_gone(site: Site) -> None:
    """The request stays on the queue, and is taken again."""
    site.agent([full(ALICE)]).once()
    site.sent()
    requests = EmbeddedQueue(Database(None, lambda: NOW))
    Asking(requests).ask(ALICE.anchor.immutable_id)

    class Failing(Script):
        def anchored(self, consistency_guids: Sequence[bytes]) -> Sequence[Person]:
            raise TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, "away")

    agent = replace(site.agent(), requests=ResendRequests(requests), directory=Failing([]))
    with pytest.raises(TemporaryError, match="away"):
        agent.once()
    assert site.sent() == []
    assert requests.count() == 1


def test_no_change_waits_for_a_look_at_the_request_queue() -> None:
    """It is looked at in the first round, and then every half minute, however much changes."""
    clock, looks = [NOW], list[datetime]()

    class Requests(EmbeddedQueue):
        def receive(self, limit: int, hidden_for: timedelta) -> Sequence[Message]:
            looks.append(clock[0])
            return super().receive(limit, hidden_for)

    class Busy(Script):
        def wait(self, timeout: timedelta) -> bool:
            clock[0] += timedelta(seconds=1)
            return True

    site = Site()
    directory = Busy([[delta(replace(ALICE, values=Values.of([bytes([number])])))] for number in range(100)])
    requests = Requests(Database(None, lambda: NOW))
    agent = Agent(
        directory=directory,
        state=site.state,
        queue=site.queue,
        now=lambda: clock[0],
        requests=ResendRequests(requests),
    )
    agent.run(stopped=lambda: not directory.reads, pause=lambda _: None)
    assert [(look - NOW).total_seconds() for look in looks] == [0, 30, 60, 90]


def test_a_message_that_is_no_request_is_dropped(site: Site) -> None:
    """Whoever may write to the queue makes the agent do no more than read."""
    requests = EmbeddedQueue(Database(None, lambda: NOW))
    for body in ("garbage", "[]", '{"type": "smime-sync.resend-request.v2", "anchor": null}', '"text"'):
        requests.send(body)
    assert replace(site.agent([]), requests=ResendRequests(requests)).once() == Round()
    assert requests.count() == 0


def test_asked_for_everything_it_reads_and_tells_everybody_again(site: Site) -> None:
    """A full import that sends more than differences, once."""
    site.agent([full(ALICE, BOB)]).once()
    site.sent()
    requests = EmbeddedQueue(Database(None, lambda: NOW))
    Asking(requests).ask(None)
    agent = replace(site.agent([full(ALICE, BOB)], [full(ALICE, BOB)]), requests=ResendRequests(requests))
    assert agent.once().sent == 2
    assert agent.once().sent == 0
    assert isinstance(agent.directory, Script)
    assert agent.directory.asked == [None, b"full"]


def test_doubt_outlasts_a_read_that_was_cut_off(site: Site) -> None:
    """Whoever was not read yet may have been told something else by the other agent."""
    site.agent([full(ALICE, BOB)]).once()
    site.sent()
    site.state.adopt(int(NOW.timestamp()) + 1, doubt=True)
    agent = site.agent([])
    assert isinstance(agent.directory, Script)
    agent.directory.reads[:] = [[delta(ALICE), TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, "cut")], [delta(BOB)]]
    with pytest.raises(TemporaryError):
        agent.once()
    assert agent.once().sent == 1
    assert [event.person for event in site.sent()] == [ALICE, BOB]
    assert not site.state.doubt()


def test_a_full_import_misses_people_of_its_own_scope_only(site: Site) -> None:
    """One domain read whole says nothing of another; a change without a scope leaves people where they are."""
    north, south = replace(full(ALICE), scope="north"), replace(full(BOB), scope="south")
    site.agent([replace(north, complete=False), south]).once()
    renewed = replace(BOB, values=Values.of([b"b2"]))
    site.agent([delta(renewed)]).once()
    site.sent()
    assert site.agent([replace(full(), scope="north")]).once().sent == 1
    assert [(event.person.anchor, event.person.deleted) for event in site.sent()] == [(ALICE.anchor, True)]


def test_what_a_cut_off_read_would_withdraw_waits_for_the_guard(site: Site) -> None:
    """Five leavers in two reads, the first of them cut off, are five at once."""
    people = crowd(5)
    site.agent([full(*people)]).once()
    site.sent()
    gone = [replace(each, deleted=True) for each in people]
    agent = site.agent([])
    assert isinstance(agent.directory, Script)
    cut: list[Page | SyncError] = [delta(*gone), TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, "cut")]
    agent.directory.reads[:] = [cut, []]
    with pytest.raises(TemporaryError):
        agent.once()
    assert agent.once().held == 5
    assert site.sent() == []
