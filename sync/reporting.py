"""What the agent tells of itself and of everybody: a heartbeat each minute; a census each day and after a full import.

Neither may hold up a change: a census is stored part by part, and what cannot be stored now is tried again later, with
a line in the log and no error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from datetime import datetime, timedelta
from typing import Final

from sync import census
from sync.core.identity import Watermark
from sync.errors import SyncError
from sync.heartbeat import Heartbeat, name
from sync.own_certificate import Expiry
from sync.ports import AgentState, BlobStore

LOOK: Final = timedelta(minutes=1)
"""How often it is looked whether a census may begin."""
AGAIN: Final = timedelta(minutes=10)
"""A census that could not be stored is begun again after this."""
SOURCE: Final = "source"
CENSUS: Final = "last-census"
"""Notes of the agent's memory: who it is, known also while no domain controller answers; and when the last census was
whole, empty when a full import came to its end since."""

logger = logging.getLogger("smime_sync.agent")


class Reporting:
    """`version` is this software's; `sign` makes a detached signature, None where events go unsigned too;
    `certificates` looks until when the agent's own are good.

    `every` is the time between two censuses, `beat` that between two heartbeats.
    """

    def __init__(
        self,
        state: AgentState,
        blobs: BlobStore,
        now: Callable[[], datetime],
        *,
        version: str,
        sign: census.Sign | None = None,
        every: timedelta = timedelta(hours=24),
        beat: timedelta = timedelta(minutes=1),
        certificates: Callable[[], Sequence[Expiry]] = tuple,
    ) -> None:
        self._state = state
        self._blobs = blobs
        self._now = now
        self._version = version
        self._sign = sign
        self._every = every
        self._beat_every = beat
        self._certificates = certificates
        self._next_beat: datetime | None = None
        self._next_census: datetime | None = None
        self._steps: Generator[census.Part, None, census.Manifest] | None = None

    @property
    def due(self) -> bool:
        """Whether it is time for a heartbeat."""
        return self._next_beat is None or self._now() >= self._next_beat

    def beat(self, skew: float | None = None) -> None:
        """Say that we are alive. Raises what AgentState raises."""
        self._next_beat = self._now() + self._beat_every
        source = self._state.noted(SOURCE)
        if source is None:
            return  # nobody yet: the directory never answered
        beat = Heartbeat(
            source=source,
            at=self._now(),
            version=self._version,
            condition=self._state.condition(),
            every=self._beat_every,
            skew=skew,
            certificates=self._certificates(),
        )
        try:
            self._blobs.put(name(source), beat.to_json())
        except SyncError as error:
            logger.warning("heartbeat reason=%s detail=%s hint=%s", error.code, error.message, error.hint)

    def restart(self) -> None:
        """We are the active agent, and were not before: whatever was begun then is given up."""
        self._steps = self._next_census = self._next_beat = None

    def imported(self, source: str) -> None:
        """A round came to its end that read everybody: a census is due. Raises what AgentState raises."""
        self._state.note({SOURCE: source, CENSUS: ""})
        self._next_census = None

    def census(self) -> bool:
        """Store the next part of a census that is due; False when there is nothing to store now.

        Raises what AgentState raises.
        """
        if self._steps is None:
            if self._next_census is not None and self._now() < self._next_census:
                return False
            self._next_census = self._begin()
            if self._steps is None:
                return False
        try:
            next(self._steps)
        except StopIteration as end:
            made: census.Manifest = end.value
            self._end(self._now() + self._every)
            self._state.note({CENSUS: made.created.isoformat()})
            logger.info("census people=%d watermark=%s", made.people, made.watermark)
            return False
        except SyncError as error:
            self._end(self._now() + AGAIN)
            logger.warning("census reason=%s detail=%s hint=%s", error.code, error.message, error.hint)
            return False
        return True

    def _begin(self) -> datetime:
        """Begin a census if it is due and what is remembered is what the cloud was told; when to look again."""
        now, last = self._now(), self._state.noted(CENSUS)
        if last and (due := datetime.fromisoformat(last) + self._every) > now:
            return due
        source = self._state.noted(SOURCE)
        condition = self._state.condition()
        unsure = condition.importing or condition.doubt or condition.waiting or condition.held
        if source is None or unsure or self._state.checkpoint() is None:
            return now + LOOK
        self._steps = census.in_parts(
            self._blobs,
            self._state.told(),
            source=source,
            watermark=Watermark(condition.epoch, condition.sequence - 1),
            created=now,
            sign=self._sign,
        )
        return now

    def _end(self, again: datetime) -> None:
        self._steps, self._next_census = None, again
