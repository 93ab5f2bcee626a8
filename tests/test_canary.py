"""The canary on the agent's side: taken away and put back in turn, and nothing lost whenever it is killed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sync import canary
from sync.adapters.agent_state import StateFile
from sync.adapters.embedded import Database, EmbeddedBlobs, EmbeddedQueue
from sync.agent import Agent
from sync.canary import Canary
from sync.core.identity import SourceAnchor
from sync.core.person import Person
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.examination import Line, examine
from sync.ports import Sighting, Term
from tests.mill import DAY, NOW, Authority, Mill
from tests.test_agent import Script, Terms

MINUTE = timedelta(minutes=1)
AWAY = TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, "no controller answers")


@dataclass
class Directory:
    """The test people as the directory has them; `who` is the canary. A real one is in test_operating_lab."""

    people: dict[bytes, list[bytes]]
    who: bytes
    writable: bool = True
    trouble: SyncError | None = None
    put_back_trouble: SyncError | None = None
    kill_at: int = 0
    done: int = 0

    def _step(self) -> None:
        self.done += 1
        if self.done == self.kill_at:
            raise KeyboardInterrupt

    def look(self) -> Sighting:
        if self.trouble:
            raise self.trouble
        return Sighting(
            anchor=SourceAnchor(self.who), certificates=tuple(self.people[self.who]), writable=self.writable
        )

    def take(self, guid: bytes, certificate: bytes) -> None:
        self._step()
        if certificate in self.people[guid]:
            self.people[guid].remove(certificate)
        self._step()

    def put_back(self, guid: bytes, certificate: bytes) -> None:
        self._step()
        if self.put_back_trouble:
            raise self.put_back_trouble
        if guid not in self.people:
            raise PermanentError(ErrorCode.CANARY_UNKNOWN, "there is no such object")
        if certificate not in self.people[guid]:
            self.people[guid].append(certificate)
        self._step()


@dataclass
class Cage:
    """A canary with an older and a newer certificate, beside somebody else, and an agent's memory on disk."""

    path: Path
    clock: datetime = NOW
    authority: Authority = field(default_factory=lambda: Mill().root().issue_ca("Example Issuing CA"))
    wanted: bool = True

    def __post_init__(self) -> None:
        self.older = self.issue(not_before=NOW - 300 * DAY)
        self.newer = self.issue(not_before=NOW - 10 * DAY)
        self.bird, self.other = b"b" * 16, b"o" * 16
        self.directory = Directory({self.bird: [self.newer, self.older], self.other: [self.older]}, self.bird)
        self.start()

    def issue(self, **options: object) -> bytes:
        return self.authority.issue("canary@corp.example", **options).der  # type: ignore[arg-type]

    def start(self) -> None:
        """The agent's process begins anew."""
        self.state = StateFile(self.path, lambda: self.clock)
        self.canary = Canary(self.directory, self.state, lambda: self.clock, every=15 * MINUTE, wanted=self.wanted)

    @property
    def held(self) -> set[bytes]:
        return set(self.directory.people[self.bird])


@pytest.fixture
def cage(tmp_path: Path) -> Cage:
    return Cage(tmp_path / "agent.sqlite")


def test_the_newest_is_taken_away_and_put_back_in_turn(cage: Cage) -> None:
    """One change each quarter of an hour, also across a restart; nobody else is touched."""
    seen = []
    for _ in range(4):
        cage.canary.turn()
        seen.append(cage.held)
        cage.clock += 14 * MINUTE
        cage.start()
        cage.canary.turn()
        assert cage.held == seen[-1]
        cage.clock += MINUTE
    whole = {cage.older, cage.newer}
    assert seen == [{cage.older}, whole, {cage.older}, whole]
    assert cage.directory.people[cage.other] == [cage.older]


@pytest.mark.parametrize("kill_at", range(1, 9))
def test_killed_at_any_instant_nothing_is_lost(cage: Cage, kill_at: int) -> None:
    """Of each step, before and after it was done: the certificate is in the directory or in our memory, one is always
    there, and turns go on after it."""
    cage.directory.kill_at = kill_at
    killed = False
    for _ in range(8):
        try:
            cage.canary.change()
        except KeyboardInterrupt:
            killed = True
            cage.start()
        kept = cage.state.noted(canary.TAKEN)
        assert cage.older in cage.held
        assert cage.newer in cage.held or kept
    assert killed
    cage.canary.rest()
    assert cage.held == {cage.older, cage.newer}
    assert not cage.state.noted(canary.TAKEN)


def test_what_is_kept_is_on_disk_before_it_is_taken_away(cage: Cage) -> None:
    """Another process that opens the file then finds it."""
    found = []

    class Looking(Directory):
        def take(self, guid: bytes, certificate: bytes) -> None:
            found.append(StateFile(cage.path, lambda: NOW).noted(canary.TAKEN))
            super().take(guid, certificate)

    cage.directory.__class__ = Looking
    cage.canary.change()
    assert found[0]


def unfit(cage: Cage) -> Iterator[list[bytes]]:
    yield []
    yield [cage.newer]
    yield [cage.newer, cage.newer]
    yield [cage.newer, cage.issue(not_before=NOW - 9 * DAY, not_after=NOW - DAY)]
    yield [cage.newer, cage.issue(not_before=NOW + DAY)]
    yield [cage.newer, cage.issue(eku=["1.3.6.1.5.5.7.3.2"])]
    yield [cage.newer, cage.issue(ku=["digitalSignature"])]
    yield [cage.newer, b"no certificate"]


@pytest.mark.parametrize("case", range(8))
def test_who_has_fewer_than_two_good_certificates_is_never_touched(cage: Cage, case: int) -> None:
    """A code and a hint; nothing is kept and nothing taken."""
    values = [*unfit(cage)][case]
    cage.directory.people[cage.bird] = list(dict.fromkeys(values))
    with pytest.raises(PermanentError) as refused:
        cage.canary.change()
    assert refused.value.code is ErrorCode.CANARY_UNFIT
    assert refused.value.hint
    assert (cage.directory.done, cage.state.noted(canary.TAKEN)) == (0, None)


def test_without_the_right_nothing_is_tried(cage: Cage, caplog: pytest.LogCaptureFixture) -> None:
    """Said in the log with its hint, noted for heartbeat and status, and gone when the right is given."""
    cage.directory.writable = False
    cage.canary.turn()
    assert cage.directory.done == 0
    assert "canary-rights" in caplog.text
    assert "infra/agent/README.md" in caplog.text
    told = canary.told(cage.state.condition().notes)
    assert told is not None
    assert (told["error"] or "").startswith("canary-rights: ")
    cage.directory.writable = True
    cage.clock += 15 * MINUTE
    cage.canary.turn()
    assert canary.told(cage.state.condition().notes) == {
        "anchor": SourceAnchor(cage.bird).immutable_id,
        "changed": cage.clock.isoformat(),
        "taken": "yes",
        "error": None,
    }


def test_a_directory_that_is_away_holds_up_nobody_and_is_asked_at_the_next_turn(cage: Cage) -> None:
    """Not each second: a wrong password must not lock the account."""
    cage.directory.trouble = AWAY
    cage.canary.turn()
    cage.directory.trouble = None
    cage.clock += MINUTE
    cage.canary.turn()
    assert cage.directory.done == 0
    cage.clock += 14 * MINUTE
    cage.canary.turn()
    assert cage.held == {cage.older}


def test_standing_by_asks_a_directory_that_is_away_no_more_often_than_a_turn(cage: Cage) -> None:
    """Every five seconds would lock an account whose password is wrong."""
    cage.canary.change()
    asked = cage.directory.done
    cage.directory.put_back_trouble = AWAY
    for _ in range(20):
        cage.canary.rest()
        cage.clock += timedelta(seconds=5)
    assert cage.directory.done == asked + 1
    cage.directory.put_back_trouble = None
    cage.clock += 15 * MINUTE
    cage.canary.rest()
    assert cage.held == {cage.older, cage.newer}


def test_another_canary_is_begun_when_the_first_one_has_its_own_again(cage: Cage) -> None:
    """To whom it was taken from, whoever is set now."""
    cage.canary.change()
    cage.directory.people[cage.other] = [cage.newer, cage.older]
    cage.directory.who = cage.other
    cage.canary.change()
    assert cage.held == {cage.older, cage.newer}
    assert cage.directory.people[cage.other] == [cage.newer, cage.older]
    cage.canary.change()
    assert cage.directory.people[cage.other] == [cage.older]


def test_of_a_canary_that_was_deleted_nothing_is_put_back(cage: Cage, caplog: pytest.LogCaptureFixture) -> None:
    """Its certificate went with it; the next one is not held up for ever."""
    cage.canary.change()
    cage.directory.people.pop(cage.bird)
    cage.directory.who = cage.other
    cage.directory.people[cage.other] = [cage.newer, cage.older]
    cage.canary.change()
    assert "canary forgotten" in caplog.text
    cage.canary.change()
    assert cage.directory.people[cage.other] == [cage.older]


def test_a_setting_that_was_removed_puts_back_and_changes_nothing_more(cage: Cage) -> None:
    """By itself, at the next start; and nothing is told of a canary then."""
    cage.canary.change()
    cage.wanted = False
    cage.start()
    for _ in range(3):
        cage.clock += 15 * MINUTE
        cage.canary.turn()
        assert cage.held == {cage.older, cage.newer}
    assert canary.told(cage.state.condition().notes) is None


def test_whether_it_could_be_changed_is_told_without_changing_it(cage: Cage) -> None:
    """Also while one is taken away; what is wrong is what a turn would say."""
    assert cage.canary.examine().anchor == SourceAnchor(cage.bird)
    cage.canary.change()
    done = cage.directory.done
    assert cage.canary.examine().certificates == (cage.older,)
    assert cage.directory.done == done
    cage.directory.writable = False
    with pytest.raises(PermanentError) as refused:
        cage.canary.examine()
    assert refused.value.code is ErrorCode.CANARY_RIGHTS


def test_a_full_disk_takes_nothing_away(cage: Cage, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be kept is not taken."""
    full = TemporaryError(ErrorCode.STATE_FULL, "the disk is full")

    class Full(StateFile):
        def note(self, notes: object, *, durable: bool = False) -> None:
            raise full

    cage.state.__class__ = Full
    caplog.set_level(logging.WARNING)
    cage.canary.turn()
    assert cage.directory.done == 0
    assert "state-full" in caplog.text


class Running:
    """An agent that reads nothing, beside the cage; it stops when `lasts` of its loops are over."""

    def __init__(self, cage: Cage, term: Term | None) -> None:
        self.loops = 0
        self.agent = Agent(
            directory=Script([[] for _ in range(9)]),
            state=cage.state,
            queue=EmbeddedQueue(Database(None, lambda: cage.clock)),
            now=lambda: cage.clock,
            lease=Terms(term),
            canary=cage.canary,
        )

    def run(self, lasts: int, paused: Callable[[], object] = lambda: None) -> None:
        def stopped() -> bool:
            self.loops += 1
            return self.loops > lasts

        self.agent.run(stopped=stopped, pause=lambda _: paused(), every=timedelta(seconds=2))


def test_the_active_agent_makes_turns_and_puts_back_when_it_stops(cage: Cage) -> None:
    """So that an upgrade, or a change to the other agent, leaves the person whole."""
    Running(cage, Term(epoch=int(NOW.timestamp()) + 1, previous=None)).run(4)
    assert cage.directory.done == 4  # taken, and put back: two steps each
    assert cage.held == {cage.older, cage.newer}


def test_an_agent_that_stands_by_changes_nobody_and_puts_back_what_it_took(cage: Cage) -> None:
    """It was killed as the active one, and another one is active now, which cannot know what is missing."""
    Running(cage, None).run(2)
    assert cage.directory.done == 0
    cage.canary.change()
    seen: list[set[bytes]] = []
    Running(cage, None).run(2, lambda: seen.append(cage.held))
    assert seen == [{cage.older, cage.newer}] * 2


def test_check_says_that_the_canary_is_out_of_the_agents_scope(cage: Cage) -> None:
    """Its changes would be seen by nobody; in scope, its anchor is what the function is told."""
    agent = Running(cage, None).agent
    assert isinstance(agent.directory, Script)

    def line() -> Line:
        blobs = EmbeddedBlobs(Database(None, lambda: cage.clock))
        lines = examine(agent, signing=lambda: "key", queue=lambda: 0, work=blobs)
        return next(each for each in lines if each.part == "canary")

    assert not line().ok
    assert "out of the agent's scope" in line().said
    agent.directory.there[cage.bird] = Person(anchor=SourceAnchor(cage.bird))
    assert line().ok
    assert SourceAnchor(cage.bird).immutable_id in line().said
