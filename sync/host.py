"""What the Functions host does for us, where there is none: messages are delivered and timers fire, until a stop.

It keeps the host's numbers (sync.drain) and differs where a message of ours is better kept: one that was delivered too
often is recorded as failed at once, with what is known, instead of being copied to a poison queue that forgets. Told to
stop, it finishes what it works on and gives back what it has not begun, so that nothing lies hidden for ten minutes.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cronsim import CronSim, CronSimError

from sync.drain import BATCH, LOCK, deliver
from sync.errors import ErrorCode, PermanentError, SyncError
from sync.ports import Message, MessageSource
from sync.receiver import Receiver

logger = logging.getLogger("smime_sync.host")

THRESHOLD = BATCH // 2
"""newBatchThreshold: the next batch is fetched when so many are left."""
SHORTEST, LONGEST = timedelta(milliseconds=100), timedelta(seconds=2)
"""Between two looks at an empty queue: at first, and at last (maxPollingInterval of host.json)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueHost:
    """Delivers messages to the receiver, several at once."""

    source: MessageSource
    receiver: Receiver
    threads: int = 8
    trouble: timedelta = timedelta(seconds=10)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until `stop` is set. What is out of reach is said, and tried again after `trouble`."""
        pause = SHORTEST
        working: set[Future[None]] = set()
        with ThreadPoolExecutor(self.threads, thread_name_prefix="message") as pool:
            while not self.stop.is_set():
                if len(working) > THRESHOLD:
                    _, working = wait(working, timeout=SHORTEST.total_seconds(), return_when=FIRST_COMPLETED)
                    continue
                try:
                    messages = self.source.receive(BATCH, LOCK)
                except SyncError as error:
                    logger.warning("later reason=%s detail=%s", error.code, error.message)
                    self.stop.wait(self.trouble.total_seconds())
                    continue
                working |= {pool.submit(self._deliver, message) for message in messages}
                if messages:
                    pause = SHORTEST
                else:
                    # Random and growing, as the host's: many instances do not look at the same moment.
                    self.stop.wait(random.uniform(0.5, 1) * pause.total_seconds())  # noqa: S311 - no secret
                    pause = min(pause * 2, LONGEST)

    def _deliver(self, message: Message) -> None:
        try:
            if self.stop.is_set():
                self.source.release(message, timedelta(0))
            else:
                deliver(self.source, self.receiver, message)
        except SyncError as error:
            # It comes again by itself when its time is over.
            logger.warning("left message=%s reason=%s detail=%s", message.id, error.code, error.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """What is done on a schedule: NCRONTAB, with seconds in the first of six fields."""

    name: str
    schedule: str
    act: Callable[[], object]

    def moments(self, after: datetime) -> Iterator[datetime]:
        """When it fires. Raises PermanentError `settings-invalid`."""
        if len(self.schedule.split()) != 6:
            told = f"{self.name}: {self.schedule!r} has not six fields (second minute hour day month weekday)"
            raise PermanentError(ErrorCode.SETTINGS_INVALID, told)
        try:
            return CronSim(self.schedule, after)
        except CronSimError as error:
            raise PermanentError(ErrorCode.SETTINGS_INVALID, f"{self.name}: {self.schedule!r}: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """Fires each timer when its time has come; one that is still at work when it should fire again is left alone."""

    timers: Sequence[Timer]
    now: Callable[[], datetime]
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until `stop` is set. Raises PermanentError `settings-invalid` for a schedule that cannot be read."""
        began = self.now()
        coming = [(timer, moments := timer.moments(began), next(moments)) for timer in self.timers]
        while not self.stop.is_set():
            now = self.now()
            for place, (timer, moments, moment) in enumerate(coming):
                if moment <= now:
                    self._fire(timer)
                    # Whatever was missed meanwhile comes once, as with the host.
                    coming[place] = (timer, moments, next(each for each in moments if each > now))
            soonest = min((moment for _, _, moment in coming), default=now + LONGEST)
            self.stop.wait(min(max((soonest - self.now()).total_seconds(), 0.01), LONGEST.total_seconds()))

    @staticmethod
    def _fire(timer: Timer) -> None:
        try:
            timer.act()
        except SyncError as error:
            logger.warning("timer=%s reason=%s detail=%s", timer.name, error.code, error.message)
        except Exception:  # one defect must not end the others
            logger.exception("timer=%s", timer.name)
