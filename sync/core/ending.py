"""How handling one event ends, as a value."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sync.core.decision import Decision
from sync.core.event import Event
from sync.core.record import Outcome, Status


def outcome(
    event: Event,
    status: Status,
    decision: Decision | None = None,
    *,
    now: datetime,
    unverified: bool = False,
    overtook: bool = False,
) -> Outcome:
    """The outcome of an event that was handled by `now`; without a decision nothing of the recipient is known."""
    made = Outcome(
        status=status,
        at=now,
        anchor=event.person.anchor.immutable_id,
        watermark=event.watermark,
        cause=event.cause,
        seconds=max(0.0, (now - event.time).total_seconds()),
        unverified=unverified,
        overtook=overtook,
    )
    if decision is None:
        return made
    made = replace(
        made,
        judged=decision.judged,
        foreign=len(decision.plan.foreign),
        owner=decision.owner,
        policy=decision.policy,
        findings=decision.findings,
    )
    if status is Status.MANAGED_ON_PREMISES:
        nothing_published = tuple(replace(judged, published=()) for judged in decision.judged)
        return replace(made, judged=nothing_published, detail=_what_connect_does(event))
    return replace(made, added=decision.plan.added.fingerprints, withdrawn=decision.plan.withdrawn.fingerprints)


def _what_connect_does(event: Event) -> str:
    """Entra Connect Sync exports neither attribute of a person with more than 15 userCertificate values."""
    count = len(event.person.values.user_certificate)
    if count > 15:
        return f"left to Entra Connect, which exports nothing of {count} userCertificate values (its limit is 15)"
    return f"left to Entra Connect, which exports userCertificate as it is ({count} of at most 15), judged by nobody"
