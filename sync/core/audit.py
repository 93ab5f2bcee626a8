"""One decision as the audit log keeps it: who, what, why, from which event, by which policy pack.

No name, no address, no certificate: the source anchor, fingerprints and codes. An entry tells the state that was
decided on (`values`), not only what changed, so the last one alone says why a person has what they have.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sync.core.record import Outcome, Status

NO_DECISION = frozenset({Status.DEFERRED, Status.SUPERSEDED})
"""Nothing was decided: the event is seen again, or a newer one was decided on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """One value of the event, by its fingerprint: whether it shall be published, and the codes of its findings."""

    value: str
    published: bool
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`id` orders entries by time. `anchor`, `watermark` and `cause` are the event's, None where the message was none;
    `reason` is the error code of a failure. `added` and `withdrawn` are fingerprints of values; with status `reported`
    they are what would have been written. `seconds` went by from the change to this end."""

    id: str
    at: datetime
    status: Status
    anchor: str | None = None
    watermark: str | None = None
    cause: str | None = None
    reason: str | None = None
    policy: str | None = None
    owner: str | None = None
    added: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    values: tuple[Weighed, ...] = ()
    findings: tuple[str, ...] = ()
    unverified: bool = False
    seconds: float | None = None


def entry(outcome: Outcome, message: str) -> Entry | None:
    """The entry for an outcome of the message with this id; None when nothing was decided.

    The same end of the same delivery has the same id: written twice, it is one.
    """
    if outcome.status in NO_DECISION:
        return None
    return Entry(
        id=f"{moment(outcome.at)}-{message}",
        at=outcome.at,
        status=outcome.status,
        anchor=outcome.anchor,
        watermark=str(outcome.watermark) if outcome.watermark else None,
        cause=outcome.cause,
        reason=outcome.reason,
        policy=outcome.policy,
        owner=outcome.owner,
        added=outcome.added,
        withdrawn=outcome.withdrawn,
        values=tuple(
            Weighed(
                value=judged.fingerprint,
                published=bool(judged.published),
                findings=tuple(str(finding.code) for finding in judged.findings),
            )
            for judged in outcome.judged
        ),
        findings=tuple(str(finding.code) for finding in outcome.findings),
        unverified=outcome.unverified,
        seconds=outcome.seconds,
    )


def moment(at: datetime) -> str:
    """How the id of an entry of this moment begins: ids in order are in order of time."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S%f}"
