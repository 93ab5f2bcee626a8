"""Hears when Exchange Online asked us to slow down, and remembers the last time in one small blob, for `status`."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta
from typing import Final

from sync.core.record import Outcome
from sync.errors import ErrorCode, SyncError
from sync.ports import BlobStore

PLACE: Final = "throttled.json"
_SELDOM: Final = timedelta(minutes=1)
"""A tenant that throttles does so many times a minute: each instance notes it once."""

logger = logging.getLogger("smime_sync.processor")


class ThrottleWatch:
    """Shared by threads: one note too many is no harm."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._noted: datetime | None = None

    def hear(self, outcome: Outcome) -> None:
        """An event came to this end. What cannot be remembered is a line in the log: no event shall fail by it."""
        if outcome.reason != ErrorCode.TENANT_THROTTLED:
            return
        if self._noted is not None and outcome.at - self._noted < _SELDOM:
            return
        self._noted = outcome.at
        try:
            self._blobs.put(PLACE, json.dumps({"at": outcome.at.isoformat()}).encode("ascii"))
        except SyncError as error:
            logger.warning("throttled reason=%s detail=%s hint=%s", error.code, error.message, error.hint)

    def last(self) -> datetime | None:
        """When we were asked last, within a minute; None when never, or when nobody can read what is noted. Raises what
        BlobStore raises."""
        blob = self._blobs.get(PLACE)
        try:
            return datetime.fromisoformat(json.loads(blob.content)["at"]) if blob else None
        except (ValueError, KeyError, TypeError):
            return None
