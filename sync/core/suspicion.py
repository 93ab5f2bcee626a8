"""Who has to be looked at again, by their digest alone: reconciliation examines these, and nobody else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sync.core.digest import Digest
from sync.core.mirror import Mirror
from sync.core.record import Status
from sync.core.revoked import of_authority

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
    """A list names a certificate that is published, or one is new that somebody waits for."""
    SCOPE = "scope"
    """They were asked for by name or domain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What everybody is held against. `mirror` is None where the tenant was not read; `revoked` says whether lists name
    one of these certificates (digest.certificates), `renewed` are the marks of CAs with a list that nobody was held
    against yet."""

    now: datetime
    basis: str
    mirror: Mirror | None
    revoked: Callable[[Sequence[str]], bool]
    renewed: frozenset[str] = frozenset()

    def reasons(self, digest: Digest) -> tuple[Reason, ...]:
        """Why this person is to be examined; nothing where there is no reason to."""
        if _left_alone(digest):
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
        if self._listed(digest):
            found.append(Reason.REVOCATION)
        return tuple(found)

    def by_lists(self, digest: Digest) -> bool:
        """Whether revocation lists alone are a reason to examine this person."""
        return not _left_alone(digest) and self._listed(digest)

    def _listed(self, digest: Digest) -> bool:
        named = bool(digest.certificates) and self.revoked(digest.certificates)
        return named or (bool(self.renewed) and any(map(self._may_be_released, digest.awaits)))

    def _may_be_released(self, awaited: str) -> bool:
        """A new list of the CA may end a doubt; what was revoked may be on the lists no more."""
        return awaited in self.renewed if of_authority(awaited) else not self.revoked([awaited])


def _left_alone(digest: Digest) -> bool:
    return digest.status in WAITING or (digest.deleted and not digest.holding)
