"""Findings: what a rule has to say of a value, each with a stable code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Whether a finding keeps a value from being published."""

    REFUSE = "refuse"
    WARN = "warn"
    NOTE = "note"


class Code(StrEnum):
    """Stable codes; they leave the process in verdicts, logs and the ledger and are never renamed."""

    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that one rule found; `detail` completes the code for the person who reads it."""

    code: Code
    level: Level
    detail: str

    @property
    def refuses(self) -> bool:
        """Whether it keeps the value from being published."""
        return self.level is Level.REFUSE
