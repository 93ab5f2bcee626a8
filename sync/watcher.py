"""Says in the log what somebody should look at, so that an alert tells them: by a timer, every five minutes.

    concern worry=agent-silent level=critical detail=the agent of … is silent for 0:07:12

The same that `smime-sync status` shows.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sync.errors import SyncError
from sync.overseer import Overseer
from sync.overview import Health

logger = logging.getLogger("smime_sync.watch")

_LEVELS = {Health.OK: logging.INFO, Health.WARNING: logging.WARNING, Health.CRITICAL: logging.ERROR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """`overseer` knows how it stands."""

    overseer: Overseer

    def watch(self) -> Health:
        """Look once, and say it. What cannot be read is a concern as well; nothing is raised for it."""
        try:
            concerns = self.overseer.look(latency=False).concerns
        except SyncError as error:
            logger.error("concern worry=unreadable level=critical detail=%s: %s", error.code, _line(error.message))  # noqa: TRY400
            return Health.CRITICAL
        for each in concerns:
            level, name = _LEVELS[each.health], each.health.name.lower()
            logger.log(level, "concern worry=%s level=%s detail=%s", each.worry, name, _line(each.text))
        return max((each.health for each in concerns), default=Health.OK)


def _line(text: str) -> str:
    """Some of it an agent told: it stays on its line."""
    return " ".join(text.split())
