"""The canary on the cloud side: measured, remembered for a day, and told when it is missing or slow."""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console

from sync import envelope
from sync.canary_watch import PLACE, CanaryWatch
from sync.commands.status import picture
from sync.core.canary import Turn, remembered
from sync.core.event import Cause
from sync.core.record import Outcome
from sync.errors import ErrorCode, TemporaryError
from sync.overview import Health, Worry
from sync.ports import Message
from tests.mill import DAY, NOW, Issued
from tests.office import Office, anchor, person
from tests.test_overview import beat

MINUTE = timedelta(minutes=1)
BIRD = anchor("canary").immutable_id


class Cage(Office):
    """An office whose agent is well, with a canary that has two certificates and a mailbox."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.older = self.issue("canary", not_before=NOW - 300 * DAY)
        self.newer = self.issue("canary")
        self.mailbox("canary")
        self.watch = CanaryWatch(blobs=self.losses.blobs, anchor=BIRD)
        self.losses = replace(self.losses, canary=BIRD)
        self.change(admits=self.losses.admits)
        self.beat()
        self.overseer.count()

    def beat(self, **canary: object) -> None:
        beat(self, canary={"anchor": BIRD, **canary})

    def turn(self, *held: Issued, seconds: float) -> Outcome:
        """The agent makes a change, and so much later it is handled."""
        message = self.message(person("canary", *held))
        self.pass_time(timedelta(seconds=seconds))
        return replace(self.receiver, hearing=(self.watch.hear,)).process(message)

    def concerns(self) -> list[tuple[Worry, str]]:
        self.beat()
        seen = replace(self.overseer, canary=self.watch).look()
        return [(each.worry, each.text) for each in seen.concerns]


@pytest.fixture
def cage() -> Cage:
    return Cage()


def test_each_turn_is_measured_and_told(cage: Cage, caplog: pytest.LogCaptureFixture) -> None:
    """In the log, and in status: the last one, and of the last day the quantiles and the share in time."""
    with caplog.at_level(logging.INFO, logger="smime_sync.canary"):
        for seconds in (2, 75, 4, 3):
            cage.turn(*([cage.older] if seconds in {2, 4} else [cage.older, cage.newer]), seconds=seconds)
    assert [each.getMessage() for each in caplog.records] == [
        "canary seconds=2.0 limit=60 within=True",
        "canary seconds=75.0 limit=60 within=False",
        "canary seconds=4.0 limit=60 within=True",
        "canary seconds=3.0 limit=60 within=True",
    ]
    told = replace(cage.overseer, canary=cage.watch).look().to_json()["canary"]
    assert told == {
        "anchor": BIRD,
        "lastWritten": cage.now.isoformat(),
        "lastSeconds": 3.0,
        "limitSeconds": 60,
        "everyMinutes": 15,
        "lastDay": {"writes": 4, "p50": 3.0, "p99": 75.0, "since": (cage.now - DAY).isoformat()},
        "withinLimit": 0.75,
    }
    assert cage.concerns() == []


def test_the_picture_tells_it_in_a_line(cage: Cage) -> None:
    """As status shows it: at the first, with turns, and when the last of them is older than a day."""

    def shown() -> str:
        console = Console(width=160, record=True, file=io.StringIO())
        console.print(picture(replace(cage.overseer, canary=cage.watch).look()))
        return next(line for line in console.export_text().splitlines() if line.strip().startswith("canary"))

    assert shown().split() == ["canary", "never", "written"]
    for seconds in (2, 75):
        cage.turn(*([cage.older] if seconds == 2 else [cage.older, cage.newer]), seconds=seconds)
    assert "after 75.0 s; of the last day p50 2.0 s, p99 75.0 s, 50.0 % within 60 s" in shown()
    cage.pass_time(2 * DAY)
    assert shown().rstrip().endswith("UTC after 75.0 s")


def test_only_the_canarys_written_changes_count(cage: Cage) -> None:
    """Neither somebody else's write, nor a change that wrote nothing, nor what reconciliation had to bring."""
    receiver = replace(cage.receiver, hearing=(cage.watch.hear,))
    cage.mailbox("alice")
    receiver.process(cage.message(person("alice", cage.issue("alice"))))
    cage.turn(cage.newer, seconds=1)
    cage.turn(cage.newer, seconds=2)  # the same again: nothing to write
    brought = envelope.parse(cage.event(person("canary", cage.older))).anew(Cause.RECONCILIATION)
    assert receiver.process(Message(id="brought", body=envelope.render(brought))).status == "written"
    assert [turn.seconds for turn in cage.watch.look().turns] == [1.0]


def test_a_canary_that_was_never_written_is_missing(cage: Cage) -> None:
    """As in a deployment whose agent does not know of it."""
    ((worry, text),) = cage.concerns()
    assert worry is Worry.CANARY_MISSING
    assert "ever written" in text


def test_a_canary_that_stopped_is_missing_after_two_turns(cage: Cage) -> None:
    """And not before; it is well again with the next one."""
    cage.turn(cage.newer, seconds=1)
    cage.pass_time(30 * MINUTE)
    assert cage.concerns() == []
    cage.pass_time(MINUTE)
    assert cage.concerns() == [(Worry.CANARY_MISSING, "the canary's last change was written 0:31:00 ago")]
    cage.turn(cage.older, seconds=1)
    assert cage.concerns() == []


def test_a_canary_that_is_slow_is_said(cage: Cage) -> None:
    """By the last turn; exit code 1."""
    cage.turn(cage.newer, seconds=61)
    assert cage.concerns() == [(Worry.CANARY_LATE, "the canary's last change took 61 s to be written, more than 60")]
    assert replace(cage.overseer, canary=cage.watch).look().health is Health.WARNING


def test_what_the_agent_cannot_do_is_said(cage: Cage) -> None:
    """Its own error; and that both halves do not mean the same person."""
    cage.turn(cage.newer, seconds=1)
    cage.beat(error="canary-rights: the account may not write userCertificate of it")
    (concern,) = replace(cage.overseer, canary=cage.watch).look().concerns
    assert concern.worry is Worry.CANARY_ERROR
    assert "canary-rights" in concern.text
    beat(cage, canary={"anchor": "somebody"})
    (concern,) = replace(cage.overseer, canary=cage.watch).look().concerns
    assert "changes the canary somebody, and the function watches" in concern.text
    beat(cage, canary="nonsense")
    assert replace(cage.overseer, canary=cage.watch).look().concerns == ()


def test_the_guard_never_counts_the_canary(cage: Cage) -> None:
    """Even if its other certificate is good for nothing: what is left for the others stays."""
    cage.losses = replace(cage.losses, limit=0)
    cage.change(admits=cage.losses.admits)
    assert cage.turn(cage.newer, seconds=1).status == "written"
    assert cage.turn(b"broken", seconds=1).withdrawn  # type: ignore[arg-type]
    assert cage.losses.look(cage.now).recent == ()
    cage.mailbox("alice")
    cage.process(person("alice", cage.issue("alice")))
    assert cage.process(person("alice")).reason == ErrorCode.GUARDED


def test_what_cannot_be_remembered_fails_nobody(cage: Cage, caplog: pytest.LogCaptureFixture) -> None:
    """A line in the log with its reason; the write is written all the same."""

    class Away:
        def get(self, name: str) -> None:
            raise TemporaryError(ErrorCode.BLOBS_UNAVAILABLE, "the container is away")

    cage.watch = replace(cage.watch, blobs=Away())  # type: ignore[arg-type]
    assert cage.turn(cage.newer, seconds=1).status == "written"
    assert "canary reason=blobs-unavailable" in caplog.text


@pytest.mark.parametrize(
    "content", [b"no json", b"{}", b'{"anchor": "%s", "turns": [["2026-06-01T00:00:00", 1]]}' % BIRD.encode()]
)
def test_what_nobody_can_read_is_begun_anew(cage: Cage, content: bytes) -> None:
    """It is no more than measurements; and another canary's do not count."""
    cage.losses.blobs.put(PLACE, content)
    assert cage.watch.look().turns == ()
    cage.turn(cage.newer, seconds=1)
    assert len(cage.watch.look().turns) == 1
    assert replace(cage.watch, anchor="another").look().turns == ()


def test_two_that_remember_at_once_forget_nothing(cage: Cage) -> None:
    """By compare-and-swap: the other instance was faster between reading and storing."""
    inner = cage.losses.blobs
    other = replace(cage.watch)
    raced = False

    class Racing:
        def get(self, name: str) -> object:
            nonlocal raced
            found = inner.get(name)
            if not raced:
                raced = True
                other._remember(Turn(NOW, 5.0))
            return found

        def put(self, name: str, content: bytes, *, version: str | None) -> str:
            return inner.put(name, content, version=version)

    replace(cage.watch, blobs=Racing())._remember(Turn(NOW + MINUTE, 6.0))  # type: ignore[arg-type]
    assert [turn.seconds for turn in cage.watch.look().turns] == [5.0, 6.0]


def test_a_day_is_remembered_and_no_more() -> None:
    """In order of time, whichever comes first; a turn that is told twice counts once."""
    turns: tuple[Turn, ...] = ()
    for minutes in (0, 60, 30, 30, 24 * 60 + 1):
        turns = remembered(turns, Turn(NOW + minutes * MINUTE, float(minutes)))
    assert [turn.seconds for turn in turns] == [30.0, 60.0, 24 * 60 + 1.0]
