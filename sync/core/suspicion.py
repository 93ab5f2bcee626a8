"""Who has to be looked at again, by their digest alone: reconciliation examines these, and nobody else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sync.core.digest import Digest
from sync.core.mirror import Mirror
from sync.core.record import Status

WAITING = frozenset({Status.FAILED, Status.DEFERRED})
"""A failed event waits for replay, a deferred one lies on the queue: neither is to be sent once more."""


class Reason(StrEnum):
    """Why somebody is examined."""

    DRIFT = "drift"
    """The recipient does not look as it did after the last event."""
    VANISHED = "vanished"
    """There is no such recipient any more."""
    TIME = "time"
    """The moment has come at which time changes the judgement."""
    BASIS = "basis"
    """They were judged by another policy, trust store or release."""
    REVOCATION = "revocation"
    """A list names a certificate that is published."""
    SCOPE = "scope"
    """They were asked for by name or domain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What everybody is held against. `mirror` is None where the tenant was not read; `revoked` says whether lists name
    one of these certificates (digest.certificates)."""

    now: datetime
    basis: str
    mirror: Mirror | None
    revoked: Callable[[Sequence[str]], bool]

    def reasons(self, digest: Digest) -> tuple[Reason, ...]:
        """Why this person is to be examined; nothing where there is no reason to."""
        if digest.status in WAITING or (digest.deleted and not digest.holding):
            return ()
        found = []
        if self.mirror is not None and digest.recipient is not None and digest.desired is not None:
            shown = self.mirror.shows(digest.recipient, digest.desired)
            if not shown:
                found.append(Reason.VANISHED if shown is None else Reason.DRIFT)
        if digest.next_change is not None and digest.next_change <= self.now:
            found.append(Reason.TIME)
        if digest.basis != self.basis:
            found.append(Reason.BASIS)
        if digest.certificates and self.revoked(digest.certificates):
            found.append(Reason.REVOCATION)
        return tuple(found)
