"""Findings: what a rule has to say of a value, each with a stable code that explains itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sync.core.codes import Code
from sync.core.explanations import EXPLANATIONS, Explanation

__all__ = ["EXPLANATIONS", "Code", "Explanation", "Finding", "Level"]


class Level(StrEnum):
    """Whether a finding keeps a value from being published."""

    REFUSE = "refuse"
    WARN = "warn"
    NOTE = "note"


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
