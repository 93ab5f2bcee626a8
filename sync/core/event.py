"""An event: what the agent tells the cloud. It is state, not a difference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sync.core.identity import Watermark
from sync.core.person import Person


class Cause(StrEnum):
    """Why somebody asked to look at a person again. It never changes what is decided."""

    CHANGE = "change"
    FULL_IMPORT = "full-import"
    RECONCILIATION = "reconciliation"
    REPLAY = "replay"
    VERIFICATION = "verification"
    RESTORE = "restore"


def agent_of(domain: str) -> str:
    """How the agent of a directory, named by its domain, calls itself as the source of events."""
    return f"urn:smime-sync:agent:{domain}"


@dataclass(frozen=True, slots=True)
class Claim:
    """Names an event that is too large for a message: SHA-256 (lower-case hex) and length of its bytes."""

    sha256: str
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One person's whole state at `watermark`. Handling it twice, late, or after a newer one is harmless.

    `attempts` counts the deliveries that ended in a temporary error, the first of them at `since`. `turn` is the moment
    from which it may be written, booked of the tenant's rate. `signature` is the agent's, over what the cloud never
    changes; `claim` is set when the event came by reference, and is sent again so. `traceparent` names the trace that
    follows it (W3C Trace Context, 3.2), where there is one.
    """

    id: str
    source: str
    time: datetime
    watermark: Watermark
    person: Person
    cause: Cause = Cause.CHANGE
    replays: int = 0
    attempts: int = 0
    since: datetime | None = None
    turn: datetime | None = None
    signature: str | None = None
    traceparent: str | None = None
    claim: Claim | None = None

    def anew(self, cause: Cause) -> Event:
        """The same state, sent for another cause: its attempts and its turn were those of the way before."""
        return replace(self, cause=cause, attempts=0, since=None, turn=None)
