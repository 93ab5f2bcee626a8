"""Where a certificate stands: good, revoked, or unknown and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sync.core.codes import Code


class Standing(StrEnum):
    """The three answers that a revocation source can give (RFC 6960, 2.2)."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is known of one certificate. `code` says why it is unknown, or what is odd about a good answer.

    `at` is when it was revoked (UTC) and `reason` the CRLReason as RFC 5280, 5.3.1 spells it, where they are told.
    """

    standing: Standing
    code: Code | None = None
    detail: str = ""
    at: datetime | None = None
    reason: str | None = None

    @classmethod
    def unknown(cls, code: Code, detail: str) -> Status:
        """Nothing can be said, for this reason."""
        return cls(standing=Standing.UNKNOWN, code=code, detail=detail)

    @classmethod
    def revoked(cls, at: datetime | None, reason: str | None) -> Status:
        """Its CA took it back."""
        return cls(standing=Standing.REVOKED, at=at, reason=reason)


GOOD = Status(standing=Standing.GOOD)
