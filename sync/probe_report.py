"""What a probe of the tenant tries, what it needs from outside, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sync.core.person import Values
from sync.core.recipient import Recipient
from sync.errors import SyncError
from sync.ports import Recipients


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """One way of talking to the tenant, in the words of the settings."""

    read_format: str
    write_encoding: str
    write_clearing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One question that the probe asked and what it found. `good` is None where either answer is fine."""

    question: str
    answer: str
    good: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """The report. `settings` are the ones to use; empty when nothing was written or nothing works."""

    observations: tuple[Observation, ...]
    settings: Mapping[str, str]
    restored: bool | None

    @property
    def good(self) -> bool:
        """Whether nothing that the product needs was missing."""
        return all(each.good is not False for each in self.observations)

    def to_json(self) -> dict[str, object]:
        """For machines."""
        found = [{"question": o.question, "answer": o.answer, "good": o.good} for o in self.observations]
        return {"observations": found, "settings": dict(self.settings), "restored": self.restored}


class Reads(Protocol):
    """Reads, one in a request or ten."""

    def read(self, recipient: Recipient) -> Values:
        """What it holds. Raises TemporaryError, PermanentError."""

    def read_many(self, recipients: Sequence[Recipient]) -> Sequence[Recipient | SyncError]:
        """Each of them, or the error that it alone met. Raises what the whole request met."""


class Tenant(Recipients, Reads, Protocol):
    """Recipients, which can be read ten in a request too."""


class Kept(Protocol):
    """Values that must survive us, by the recipient's id: they are restored by the next probe after a kill."""

    def load(self, recipient: str) -> Values | None:
        """What an earlier probe kept and did not restore."""

    def save(self, recipient: str, values: Values) -> None:
        """Keep them, durably."""

    def forget(self, recipient: str) -> None:
        """They are restored."""
