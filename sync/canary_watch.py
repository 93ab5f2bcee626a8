"""Hears when the canary's change was written, and remembers for a day how long each took.

Who the canary is says a setting, never a message. What is remembered lies in one small blob, so that `status` need not
read the audit log for it, and every instance sees the same.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from sync import telemetry
from sync.core.canary import Standing, Turn, remembered
from sync.core.event import Cause
from sync.core.record import Outcome, Status
from sync.errors import ErrorCode, SyncError, TemporaryError
from sync.ports import BlobStore

PLACE: Final = "canary.json"
_TRIES: Final = 8

logger = logging.getLogger("smime_sync.canary")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    anchor: str
    turns: tuple[tuple[AwareDatetime, float], ...]
    type: Literal["smime-sync.canary.v1"] = "smime-sync.canary.v1"


_KEPT = TypeAdapter(_Kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryWatch:
    """`anchor` is the canary's ImmutableId, `limit` the seconds in which its change shall be written, `every` how often
    the agent changes it."""

    blobs: BlobStore
    anchor: str
    limit: float = 60
    every: timedelta = timedelta(minutes=15)

    def hear(self, outcome: Outcome) -> None:
        """An event came to this end. What cannot be remembered is a line in the log: no event shall fail by it."""
        mine = outcome.anchor == self.anchor and outcome.cause == Cause.CHANGE
        if not mine or outcome.status is not Status.WRITTEN or outcome.seconds is None:
            return
        within = outcome.seconds <= self.limit
        telemetry.canary(outcome.seconds, within=within)
        level = logging.INFO if within else logging.WARNING
        logger.log(level, "canary seconds=%.1f limit=%g within=%s", outcome.seconds, self.limit, within)
        try:
            self._remember(Turn(outcome.at, outcome.seconds))
        except SyncError as error:
            logger.warning("canary reason=%s detail=%s hint=%s", error.code, error.message, error.hint)

    def look(self) -> Standing:
        """How it does. Raises what BlobStore raises."""
        turns, _ = self._read()
        return Standing(anchor=self.anchor, every=self.every, limit=self.limit, turns=turns)

    def _remember(self, turn: Turn) -> None:
        for attempt in range(_TRIES):
            turns, version = self._read()
            try:
                kept = _Kept(anchor=self.anchor, turns=tuple((t.at, t.seconds) for t in remembered(turns, turn)))
                self.blobs.put(PLACE, _KEPT.dump_json(kept), version=version)
            except TemporaryError as error:
                if error.code is not ErrorCode.LEDGER_CONFLICT or attempt + 1 == _TRIES:
                    raise
            else:
                return

    def _read(self) -> tuple[tuple[Turn, ...], str | None]:
        """The turns of this canary. Another one's, and what nobody can read, are begun anew: they are no more than
        measurements."""
        blob = self.blobs.get(PLACE)
        if blob is None:
            return (), None
        try:
            kept = _KEPT.validate_json(blob.content)
        except ValidationError:
            return (), blob.version
        turns = tuple(Turn(at, seconds) for at, seconds in kept.turns)
        return turns if kept.anchor == self.anchor else (), blob.version
