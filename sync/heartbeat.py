"""The heartbeat: how an agent says that it is alive, and how it stands. A blob that it writes every minute.

    heartbeat/<source>.json      {"type": "smime-sync.heartbeat.v1", "source": …, "at": …, …}

`source` is the agent as its events name it, percent-encoded in the blob's name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote

from sync import canary
from sync.own_certificate import Expiry
from sync.ports import Condition

TYPE: Final = "smime-sync.heartbeat.v1"
ROOT: Final = "heartbeat/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """One beat. `skew` is by how many seconds the agent's clock is ahead of the domain controller's; None when that was
    not asked. `every` is when the next one is due: whoever listens knows by it what silence is. `certificates` are the
    agent's own, and until when they are good."""

    source: str
    at: datetime
    version: str
    condition: Condition
    every: timedelta
    skew: float | None = None
    certificates: Sequence[Expiry] = ()

    def to_json(self) -> bytes:
        """As it is stored. Nothing in it is personal."""
        condition = self.condition
        members = {
            "type": TYPE,
            "source": self.source,
            "at": self.at.isoformat(),
            "version": self.version,
            "epoch": condition.epoch,
            "sequence": condition.sequence,
            "people": condition.people,
            "holding": condition.holding,
            "waiting": condition.waiting,
            "held": len(condition.held.anchors) if condition.held else 0,
            "importing": condition.importing,
            "lastRound": condition.notes.get("last-round") or None,
            "lastError": condition.notes.get("last-error") or None,
            "lastCensus": condition.notes.get("last-census") or None,
            "clockSkewSeconds": self.skew,
            "everySeconds": self.every.total_seconds(),
            "canary": canary.told(condition.notes),
            "certificates": {each.name: each.at.isoformat() for each in self.certificates},
        }
        return json.dumps(members, sort_keys=True).encode("utf-8")


def name(source: str) -> str:
    """Where the heartbeat of this agent lies."""
    return f"{ROOT}{quote(source, safe='')}.json"
