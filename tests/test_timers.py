"""Timers without the Functions host: schedules, what was missed, and one of several instances."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from sync.adapters.embedded import Database, EmbeddedBlobs
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import Blob, BlobStore
from sync.timers import Timer, Timers
from tests.test_host import until

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SOON = timedelta(milliseconds=1)
HOURLY = "0 0 * * * *"


@dataclass
class World:
    """A clock that tests move, and what instances share."""

    now: datetime = NOON
    fired: list[tuple[str, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.blobs: BlobStore = EmbeddedBlobs(Database(None, lambda: self.now))

    def timer(self, name: str = "hourly", schedule: str = HOURLY) -> Timer:
        return Timer(name=name, schedule=schedule, act=lambda late: self.fired.append((name, late)))

    @contextmanager
    def running(self, *timers: Timer, blobs: BlobStore | None = None) -> Iterator[None]:
        """An instance at work until the block ends."""
        instance = Timers(timers=timers, blobs=blobs or self.blobs, now=lambda: self.now, trouble=SOON)
        thread = threading.Thread(target=instance.run)
        thread.start()
        try:
            until(lambda: all(self.blobs.get(f"timers/{timer.name}") for timer in timers))
            yield
        finally:
            instance.stop.set()
            thread.join(30)

    def last(self, name: str) -> datetime:
        blob = self.blobs.get(f"timers/{name}")
        assert blob is not None
        return datetime.fromisoformat(blob.content.decode())


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("schedule", "moments"),
    [
        ("0 0 3 * * *", ["06-02 03:00:00", "06-03 03:00:00"]),
        ("*/20 * * * * *", ["06-01 12:00:20", "06-01 12:00:40"]),
        ("0 30 9 * * 1-5", ["06-02 09:30:00", "06-03 09:30:00"]),
    ],
)
def test_a_schedule_is_read_as_the_host_reads_it(world: World, schedule: str, moments: list[str]) -> None:
    """Six fields, seconds first."""
    coming = world.timer(schedule=schedule).moments(NOON)
    assert [f"{next(coming):%m-%d %H:%M:%S}" for _ in moments] == moments


@pytest.mark.parametrize("schedule", ["", "0 3 * * *", "0 0 25 * * *", "0 0 3 * * * *", "@daily", "x 0 3 * * *"])
def test_a_schedule_that_cannot_be_read_is_said_at_the_start(world: World, schedule: str) -> None:
    """Five fields would be taken for something else by the host."""
    with pytest.raises(PermanentError) as caught:
        world.timer(schedule=schedule).moments(NOON)
    assert caught.value.code is ErrorCode.SETTINGS_INVALID


def test_a_timer_fires_when_its_time_has_come_and_once_for_what_was_missed(world: World) -> None:
    """A defect in one ends neither the others nor itself."""

    def broken(late: bool) -> None:
        world.fired.append(("broken", late))
        raise RuntimeError

    timers = world.timer(), Timer(name="broken", schedule=HOURLY, act=broken), world.timer("yearly", "0 0 0 1 1 *")
    with world.running(*timers):
        for hours in (1, 5):
            seen = len(world.fired)
            world.now += hours * HOUR
            until(lambda: len(world.fired) >= seen + 2)  # noqa: B023 - called within the round
    # The clock jumped over four moments at the second time: that one was late.
    assert world.fired == [("hourly", False), ("broken", False), ("hourly", True), ("broken", True)]


def test_what_was_missed_while_nobody_was_there_comes_once_and_late(world: World) -> None:
    """A reconciliation at night is not left out because the machine was started again."""
    with world.running(world.timer()):
        pass
    world.now += 30 * HOUR + timedelta(minutes=10)
    with world.running(world.timer()):
        until(lambda: bool(world.fired))
    with world.running(world.timer()):
        until(lambda: world.last("hourly") == world.now)
    assert world.fired == [("hourly", True)]


def test_one_of_several_instances_fires(world: World) -> None:
    """Whoever swaps the moment of the last firing."""
    with world.running(world.timer()), world.running(world.timer()), world.running(world.timer()):
        for round_ in range(1, 6):
            world.now += HOUR
            until(lambda: len(world.fired) >= round_)  # noqa: B023 - called within the round
    assert world.fired == [("hourly", False)] * 5


def test_whoever_is_a_moment_later_does_not_fire(world: World) -> None:
    """Between our look and our swap another instance fired."""

    class Raced:
        """A store in which somebody else is always a moment earlier, once the clock went on."""

        def get(self, name: str) -> Blob | None:
            return world.blobs.get(name)

        def put(self, name: str, content: bytes, *, version: str | None) -> str:
            if world.now > NOON:
                world.blobs.put(name, world.now.isoformat().encode())
            return world.blobs.put(name, content, version=version)

    with world.running(world.timer(), blobs=Raced()):  # type: ignore[arg-type]
        world.now += HOUR
        until(lambda: world.last("hourly") == world.now)
    assert world.fired == []


def test_a_store_that_is_away_is_asked_again(world: World) -> None:
    """Nothing fires that might fire elsewhere too, and nothing is left out."""
    asked = []

    class Away:
        """Gives no answer for a while."""

        def __getattr__(self, name: str) -> Callable[..., object]:
            asked.append(name)
            if 3 < len(asked) < 9:
                raise TemporaryError(ErrorCode.BLOBS_UNAVAILABLE, "away")
            return getattr(world.blobs, name)  # type: ignore[no-any-return]

    with world.running(world.timer(), blobs=Away()):  # type: ignore[arg-type]
        world.now += HOUR
        until(lambda: bool(world.fired))
    assert world.fired == [("hourly", False)]
    assert len(asked) >= 9


def test_a_moment_that_is_none_is_written_anew(world: World) -> None:
    """Whatever lies there must not stop the timer for good."""
    world.blobs.put("timers/hourly", b"yesterday")
    with world.running(world.timer()):
        until(lambda: getattr(world.blobs.get("timers/hourly"), "content", b"yesterday") != b"yesterday")
        world.now += HOUR
        until(lambda: bool(world.fired))
    assert world.last("hourly") == NOON + HOUR
