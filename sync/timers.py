"""Timers by NCRONTAB, where no Functions host fires them.

As with the host, one of several instances fires, and what was missed while nobody was there comes once, past due: the
moment of the last firing lies in the blob store (`timers/NAME`), and whoever swaps it fires.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from sync.errors import ErrorCode, PermanentError, SyncError
from sync.ports import BlobStore

logger = logging.getLogger("smime_sync.host")

_LONGEST = timedelta(seconds=2)
"""Between two looks at the clock, which somebody may set."""
_LATE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """What is done on a schedule: NCRONTAB, with seconds in the first of six fields. `act` hears whether it is late."""

    name: str
    schedule: str
    act: Callable[[bool], object]

    def moments(self, after: datetime) -> Iterator[datetime]:
        """When it fires, in UTC. Raises PermanentError `settings-invalid`."""
        if len(self.schedule.split()) != 6:
            told = f"{self.name}: {self.schedule!r} has not six fields (second minute hour day month weekday)"
            raise PermanentError(ErrorCode.SETTINGS_INVALID, told)
        try:
            return CronSim(self.schedule, after.astimezone(UTC))
        except CronSimError as error:
            raise PermanentError(ErrorCode.SETTINGS_INVALID, f"{self.name}: {self.schedule!r}: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """Fires each timer when its time has come, one after another."""

    timers: Sequence[Timer]
    blobs: BlobStore
    now: Callable[[], datetime]
    trouble: timedelta = timedelta(seconds=10)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until `stop` is set; a store that is away is asked again after `trouble`.

        Raises PermanentError `settings-invalid` for a schedule that cannot be read.
        """
        began = self.now()
        for timer in self.timers:
            timer.moments(began)
        # What fired last is looked up first: a moment that was missed is due at once.
        coming: dict[str, datetime] = {}
        while not self.stop.is_set():
            longest = _LONGEST
            for timer in self.timers:
                try:
                    self._look(timer, coming, began)
                except SyncError as error:
                    logger.warning("timer=%s reason=%s detail=%s", timer.name, error.code, error.message)
                    longest = self.trouble
            soonest = min(coming.values(), default=self.now() + longest)
            self.stop.wait(min(max((soonest - self.now()).total_seconds(), 0.01), longest.total_seconds()))

    def _look(self, timer: Timer, coming: dict[str, datetime], began: datetime) -> None:
        now = self.now()
        if timer.name not in coming:
            last, version = self._last(timer)
            if last is None:
                # From now on a moment that is missed can be seen.
                self.blobs.put(f"timers/{timer.name}", began.isoformat().encode("ascii"), version=version)
            coming[timer.name] = next(timer.moments(last or began))
        moment = coming[timer.name]
        if moment > now:
            return
        mine = self._claim(timer, moment, now)
        coming[timer.name] = next(timer.moments(now))
        if mine:
            try:
                timer.act(now - moment > _LATE)
            except SyncError:
                raise
            except Exception:  # one defect must not end the others
                logger.exception("timer=%s", timer.name)

    def _last(self, timer: Timer) -> tuple[datetime | None, str | None]:
        """When it fired last, and the version of what says so."""
        blob = self.blobs.get(f"timers/{timer.name}")
        if blob is None:
            return None, None
        try:
            return datetime.fromisoformat(blob.content.decode("ascii")).astimezone(UTC), blob.version
        except ValueError:
            return None, blob.version  # nobody's time: it is written anew

    def _claim(self, timer: Timer, moment: datetime, now: datetime) -> bool:
        """Whether this instance is the one that fires for `moment`."""
        last, version = self._last(timer)
        if last is not None and last >= moment:
            return False
        try:
            self.blobs.put(f"timers/{timer.name}", now.isoformat().encode("ascii"), version=version)
        except SyncError as error:
            if error.code is not ErrorCode.LEDGER_CONFLICT:
                raise
            return False
        return True
