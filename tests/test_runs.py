"""Runs in pieces: by whoever has the message, one at a time, and none is lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from sync import census
from sync.adapters.embedded import Database, EmbeddedQueue
from sync.core.identity import Watermark
from sync.core.path import TrustStore
from sync.core.person import Values
from sync.core.run import Kind, Phase, Run
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.ports import Blob, BlobStore, RecipientPage
from sync.reconciler import Reconciler
from sync.reconciling.runs import KEPT
from sync.resend import Asking
from tests.mill import Mill
from tests.office import Office, person

NAMES = [f"person{number}" for number in range(12)]
PIECE = timedelta(seconds=60)


@dataclass
class Pieces:
    """An office, and the queue by which pieces go from one instance to the next."""

    office: Office = field(default_factory=Office)

    def __post_init__(self) -> None:
        self.queue = EmbeddedQueue(Database(None, lambda: self.office.now))
        for name in NAMES:
            self.office.mailbox(name)
            self.office.process(person(name, self.office.issue(name, key="ec256")))

    def reconciler(self, **changes: object) -> Reconciler:
        """An instance."""
        return replace(self.office.reconciler, continuing=self.queue, **changes)  # type: ignore[arg-type]

    def hurried(self) -> Reconciler:
        """An instance whose every look at the clock takes so long that a piece is one step."""

        def now() -> datetime:
            self.office.now += timedelta(seconds=7)
            return self.office.now

        return self.reconciler(now=now, piece=timedelta(seconds=10))

    def message(self) -> str:
        """The one message that lies on the queue; it is taken."""
        (message,) = self.queue.receive(9, timedelta(hours=1))
        self.queue.delete(message)
        return message.body

    def work(self, reconciler: Reconciler) -> Run:
        """All pieces, as messages come."""
        run = None
        for _ in range(4000):
            run = reconciler.advance(self.message())
            assert run is not None
            if run.phase.over:
                return run
        raise AssertionError(run)

    def wipe(self, *names: str) -> dict[str, Values]:
        """Somebody empties these mailboxes; what they held."""
        held = {name: self.office.held(name) for name in names}
        for name in names:
            self.office.mailbox(name)
        return held


@dataclass
class InFives:
    """The tenant's list, five a page."""

    office: Office

    def page(self, cursor: str | None) -> RecipientPage:
        everybody, first = self.office.recipients.page(None).recipients, int(cursor or 0)
        more = first + 5 < len(everybody)
        return RecipientPage(recipients=everybody[first : first + 5], cursor=str(first + 5) if more else None)


@pytest.fixture
def pieces() -> Pieces:
    return Pieces()


def test_a_run_in_the_smallest_pieces_finds_what_one_in_a_piece_finds(pieces: Pieces) -> None:
    """A page, a partition, a person, a message at a time; each piece on whichever instance."""
    held = pieces.wipe("person3", "person7")
    hurried = replace(pieces.hurried(), recipients=InFives(pieces.office))
    run = hurried.start(Kind.FULL, apply=True)
    assert run is not None
    done = pieces.work(hurried)
    assert done.id == run.id
    assert done.phase is Phase.DONE
    assert done.pieces > 250
    assert (done.counts.people, done.counts.recipients, done.counts.suspects) == (12, 12, 2)
    assert (done.counts.examined, done.counts.differing, done.counts.sent) == (2, 2, 2)
    pieces.office.drain()
    assert {name: pieces.office.held(name) for name in held} == held


def test_the_state_is_seen_while_it_is_at_work(pieces: Pieces) -> None:
    """Phase, place and counts lie in the store."""
    hurried = pieces.hurried()
    run = hurried.start(Kind.FULL, apply=False)
    assert run is not None
    phases = set()
    while (current := hurried.runs.current()) is not None and not current.phase.over:
        phases.add(current.phase)
        hurried.advance(pieces.message())
    assert phases == {Phase.READ, Phase.COMPARE, Phase.EXAMINE}
    assert [each.id for each in hurried.runs.past()] == [run.id]


def test_no_second_run_begins_while_one_is_at_work(pieces: Pieces) -> None:
    """A timer finds it so and does nothing; a command says so."""
    reconciler = pieces.reconciler()
    assert reconciler.start(Kind.FULL, apply=True) is not None
    assert reconciler.start(Kind.DUE, apply=True) is None
    with pytest.raises(TemporaryError) as caught:
        reconciler.reconcile(apply=False)
    assert caught.value.code is ErrorCode.RUN_ACTIVE
    assert pieces.work(reconciler).phase is Phase.DONE
    assert reconciler.reconcile(apply=False).examined == 12


def test_a_dead_run_is_taken_over(pieces: Pieces) -> None:
    """Nothing was heard of it for three pieces: the next timer begins another, and its late messages do nothing."""
    reconciler = pieces.reconciler()
    dead = reconciler.start(Kind.FULL, apply=True)
    assert dead is not None
    late = pieces.message()
    pieces.office.pass_time(3 * PIECE - timedelta(seconds=1))
    assert reconciler.start(Kind.FULL, apply=True) is None
    pieces.office.pass_time(timedelta(seconds=1))
    run = reconciler.start(Kind.FULL, apply=True)
    assert run is not None
    assert reconciler.advance(late) is None
    assert pieces.work(reconciler).id == run.id
    assert {each.id: each.phase for each in reconciler.runs.past()} == {
        dead.id: Phase.ABANDONED,
        run.id: Phase.DONE,
    }


@dataclass
class Killed:
    """A store whose process is killed at the nth call."""

    inner: BlobStore
    at: int
    calls: int = 0

    def _call(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt

    def get(self, name: str) -> Blob | None:
        self._call()
        return self.inner.get(name)

    def put(self, name: str, content: bytes, *, version: str | None = "*") -> str:
        self._call()
        return self.inner.put(name, content, version=version)

    def delete(self, name: str) -> None:
        self._call()
        self.inner.delete(name)

    def names(self, prefix: str) -> Iterator[str]:
        self._call()
        return self.inner.names(prefix)


def test_killed_at_any_moment_the_message_that_comes_again_ends_the_run() -> None:
    """Whatever was stored before; each person's event is sent, and nobody else's."""
    pieces = Pieces()
    office = pieces.office
    held = pieces.wipe("person3", "person7")
    at, finished = 0, False
    while not finished:
        at += 1
        dying = pieces.reconciler(blobs=Killed(office.losses.blobs, at))
        run = pieces.reconciler().start(Kind.FULL, apply=True)
        assert run is not None
        message = pieces.message()
        done: Run | None = None
        try:
            while done is None or not done.phase.over:
                done = dying.advance(message)
                assert done is not None
                message = message if done.phase.over else pieces.message()
            finished = True
        except KeyboardInterrupt:
            # The host delivers the message again when its time is over; another may have been sent already.
            bodies = [message, *(each.body for each in pieces.queue.receive(9, timedelta(hours=1)))]
            pieces.queue = EmbeddedQueue(Database(None, lambda: office.now))
            office.pass_time(3 * PIECE)
            for body in bodies:
                pieces.reconciler().advance(body)
            while messages := pieces.queue.receive(1, timedelta(hours=1)):
                pieces.reconciler().advance(messages[0].body)
        current = pieces.reconciler().runs.current()
        assert current is not None
        assert (current.id, current.phase) == (run.id, Phase.DONE), f"killed at call {at}"
        assert {outcome.anchor for outcome in office.drain() if outcome} == {
            person(name).anchor.immutable_id for name in held
        }
        assert {name: office.held(name) for name in held} == held
        pieces.wipe(*held)
    assert at > 20


def test_a_run_whose_end_was_kept_and_no_more_is_among_the_past_ones_later(pieces: Pieces) -> None:
    """Its process was killed between the two."""
    blobs, reconciler = pieces.office.losses.blobs, pieces.reconciler()
    pieces.wipe(*NAMES)
    run = reconciler.start(Kind.FULL, apply=True)
    assert run is not None
    assert pieces.work(reconciler).phase is Phase.GUARDED
    blobs.delete(f"runs/{run.id}.json")
    assert reconciler.start(Kind.DUE, apply=True) is not None
    assert pieces.work(reconciler).phase is Phase.DONE
    assert reconciler.guarded(run.id).counts.differing == 12


def test_a_message_that_comes_twice_does_nothing_twice(pieces: Pieces) -> None:
    """While somebody is at the piece it waits for their end; afterwards it finds another piece to be done."""
    reconciler = pieces.reconciler()
    run = reconciler.start(Kind.FULL, apply=True)
    assert run is not None
    message = pieces.message()
    assert reconciler.runs.take(run.id) is not None
    assert reconciler.runs.take(run.id) is None
    assert reconciler.advance(message) is None
    assert pieces.queue.receive(9, timedelta(hours=1)) == []
    pieces.office.pass_time(3 * PIECE)
    assert pieces.work(reconciler).phase is Phase.DONE
    assert reconciler.advance(message) is None


def test_a_piece_that_took_too_long_is_not_stored_over_another(pieces: Pieces) -> None:
    """Somebody else has taken the run over meanwhile."""
    runs = pieces.reconciler().runs
    run = runs.begin(Kind.FULL, apply=True)
    slow = runs.take(run.id)
    pieces.office.pass_time(3 * PIECE)
    fast = runs.take(run.id)
    assert slow is not None
    assert fast is not None
    assert runs.store(replace(fast, run=replace(fast.run, pieces=1, working=False))) is not None
    assert runs.store(replace(slow, run=replace(slow.run, pieces=1, place="slow", working=False))) is None
    current = runs.current()
    assert current is not None
    assert current.place == ""


@pytest.mark.parametrize(
    "body", ["", "[]", '{"type":"smime-sync.run.v1"}', '{"type":"smime-sync.run.v1","run":"x","piece":"y"}', "{}"]
)
def test_what_is_no_message_of_ours_is_ignored(pieces: Pieces, body: str) -> None:
    """Whoever can write to the queue cannot have a run begun, or another thing done."""
    assert pieces.reconciler().advance(body) is None


def test_a_forged_message_has_a_piece_done_earlier_at_worst(pieces: Pieces) -> None:
    """The run decides what is done."""
    reconciler = pieces.reconciler()
    run = reconciler.start(Kind.FULL, apply=False)
    assert run is not None
    forged = json.dumps({"type": "smime-sync.run.v1", "run": run.id, "piece": -5, "apply": True, "phase": "send"})
    assert reconciler.advance(forged) is not None
    assert reconciler.advance(json.dumps({"type": "smime-sync.run.v1", "run": "another", "piece": 0})) is None


class Failing:
    """A tenant whose list fails so often."""

    def __init__(self, office: Office, error: SyncError, times: int) -> None:
        self.office, self.error, self.times = office, error, times

    def page(self, cursor: str | None) -> RecipientPage:
        if self.times:
            self.times -= 1
            raise self.error
        return self.office.recipients.page(cursor)


def test_trouble_is_waited_for(pieces: Pieces) -> None:
    """As long as the other side asks for; then the run goes on where it was."""
    throttled = TemporaryError(ErrorCode.TENANT_THROTTLED, "slow down", retry_after=timedelta(minutes=5))
    reconciler = pieces.reconciler(recipients=Failing(pieces.office, throttled, 3))
    run = reconciler.start(Kind.FULL, apply=True)
    assert run is not None
    for troubles in (1, 2, 3):
        run = reconciler.advance(pieces.message())
        assert run is not None
        assert (run.troubles, run.phase) == (troubles, Phase.READ)
        assert pieces.queue.receive(9, timedelta(hours=1)) == []
        assert reconciler.start(Kind.FULL, apply=True) is None
        pieces.office.pass_time(timedelta(minutes=5))
    done = pieces.work(reconciler)
    assert (done.phase, done.troubles, done.counts.people) == (Phase.DONE, 0, 12)


def test_trouble_without_end_ends_the_run(pieces: Pieces) -> None:
    """With the reason, and the next timer begins anew."""
    away = TemporaryError(ErrorCode.TENANT_UNAVAILABLE, "away")
    reconciler = pieces.reconciler(recipients=Failing(pieces.office, away, 99))
    run = reconciler.start(Kind.FULL, apply=True)
    while run is not None and not run.phase.over:
        run = reconciler.advance(pieces.message())
        pieces.office.pass_time(timedelta(minutes=1))
    assert run is not None
    assert run.phase is Phase.FAILED
    assert run.notes == ("tenant-unavailable: away",)
    assert pieces.reconciler().start(Kind.FULL, apply=True) is not None


def test_what_a_person_must_cure_ends_the_run_at_once(pieces: Pieces) -> None:
    """A role that is missing."""
    role = PermanentError(ErrorCode.TENANT_ROLE, "no Get-Mailbox")
    reconciler = pieces.reconciler(recipients=Failing(pieces.office, role, 1))
    assert reconciler.start(Kind.FULL, apply=True) is not None
    run = reconciler.advance(pieces.message())
    assert run is not None
    assert run.phase is Phase.FAILED
    with pytest.raises(PermanentError):
        pieces.reconciler(recipients=Failing(pieces.office, role, 1)).reconcile(apply=True)


@pytest.mark.parametrize(("times", "seen"), [(1, True), (3, True), (4, False)])
def test_a_page_that_expired_has_the_list_read_again(pieces: Pieces, times: int, seen: bool) -> None:
    """Three times; then the run goes on without, and says so."""
    pieces.wipe("person3")
    expired = TemporaryError(ErrorCode.PAGE_EXPIRED, "expired")
    found = pieces.reconciler(recipients=Failing(pieces.office, expired, times)).reconcile(apply=False)
    assert len(found.differing) == seen
    assert any("could not be read" in note for note in found.notes) is not seen
    assert found.examined == 12


@pytest.mark.parametrize(
    "recipients", [None, lambda office: Failing(office, PermanentError(ErrorCode.READ_BACK_UNREADABLE, "no bytes"), 99)]
)
def test_a_tenant_that_shows_nothing(pieces: Pieces, recipients: Callable[[Office], object] | None) -> None:
    """The run sees to everything else."""
    pieces.wipe("person3")
    pieces.office.pass_time(timedelta(days=400))
    reconciler = pieces.reconciler(recipients=recipients and recipients(pieces.office))
    found = reconciler.reconcile(apply=False)
    assert any("could not be read" in note for note in found.notes)
    assert found.examined == 12
    assert {reason for each in found.differing for reason in each.because} == {"time"}


def test_a_stopped_command_leaves_no_run_behind(pieces: Pieces) -> None:
    """Ctrl-C: the next may begin at once."""

    def interrupted(run: Run) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pieces.reconciler().reconcile(apply=True, progress=interrupted)
    assert pieces.reconciler().reconcile(apply=True).applied


def test_old_runs_and_what_they_found_are_cleared_away(pieces: Pieces) -> None:
    """A run that may be approved keeps what it found, as long as it is kept itself."""
    blobs, reconciler = pieces.office.losses.blobs, pieces.reconciler()
    pieces.wipe(*NAMES)
    guarded = reconciler.reconcile(apply=True).guarded
    assert guarded
    for _ in range(3):
        pieces.office.pass_time(timedelta(hours=1))
        reconciler.reconcile(apply=True)
    kept = [name for name in blobs.names("runs/") if name.count("/") > 1]
    assert {name.split("/")[1] for name in kept} >= {guarded}
    assert reconciler.runs.lines(guarded, "found/000000")
    for _ in range(KEPT):
        pieces.office.pass_time(timedelta(hours=1))
        run = reconciler.runs.begin(Kind.DUE, apply=False)
        reconciler.runs.abandon(run.id)
    reconciler.runs.begin(Kind.DUE, apply=False)
    assert len([name for name in blobs.names("runs/2") if name.count("/") == 1]) == KEPT
    assert not [name for name in blobs.names("runs/") if name.count("/") > 1]


def test_a_run_that_cannot_be_read_is_said(pieces: Pieces) -> None:
    """Of a newer release, or changed by hand."""
    pieces.office.losses.blobs.put("runs/current.json", b'{"id":1}')
    with pytest.raises(PermanentError) as caught:
        pieces.reconciler().reconcile(apply=False)
    assert caught.value.code is ErrorCode.LEDGER_MALFORMED


class TestGuards:
    """Whole runs by messages: what looks like a disaster sends nothing and asks nobody, until it was approved."""

    @staticmethod
    def guarded(pieces: Pieces, reconciler: Reconciler) -> Run:
        """A run to its end, in the smallest pieces, which stops."""
        assert reconciler.start(Kind.FULL, apply=True) is not None
        run = pieces.work(reconciler)
        assert (run.phase, pieces.office.queue.count()) == (Phase.GUARDED, 0)
        assert all(pieces.office.held(name) for name in NAMES)
        return run

    def test_a_trust_store_that_lost_its_anchor(self, pieces: Pieces) -> None:
        """Everybody would lose what they have; the hourly run does not do what the nightly one asked about."""
        pieces.office.trust = TrustStore.of([Mill().root("Another Root", key="ec256").der])
        reconciler = pieces.hurried()
        run = self.guarded(pieces, reconciler)
        assert (run.counts.losing, run.counts.holding) == (12, 12)
        assert reconciler.start(Kind.DUE, apply=True) is not None
        assert pieces.work(reconciler).counts.sent == 0
        reconciler.approve(run.id, apply=True)
        assert pieces.work(reconciler).counts.sent == 12
        pieces.office.drain()
        assert not any(pieces.office.held(name) for name in NAMES)

    def test_a_directory_that_suddenly_shows_nobody(self, pieces: Pieces) -> None:
        """The agent's list is whole, signed or not, and empty."""
        office, requests = pieces.office, EmbeddedQueue(Database(None, lambda: pieces.office.now))
        source = office.record(NAMES[0]).source
        assert source is not None
        mark = Watermark(1, office.sequence)
        census.publish(office.losses.blobs, (), source=source, watermark=mark, created=office.now)
        reconciler = replace(pieces.hurried(), asking=Asking(requests))
        run = self.guarded(pieces, reconciler)
        assert (run.counts.gone, run.counts.gone_holding, requests.count()) == (12, 12, 0)
        reconciler.approve(run.id, apply=True)
        assert pieces.work(reconciler).counts.asked == 12
        assert requests.count() == 12
