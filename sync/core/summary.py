"""How many people have a usable certificate, and which expire when: one walk of the digests, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sync.core.certificate import Certificate
from sync.core.digest import Digest
from sync.core.revoked import issuer_mark, mark_of_issuer

WEEKS = 26
"""How far ahead certificates are told by week."""

OTHERS = ""
"""The issuer's mark of those beyond the first few, which a misconfigured directory could make any number of."""

_ISSUERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """`people` are those not deleted, `covered` those of them with a published certificate that is valid, `statuses`
    how their last events ended. `expiring` counts published certificates by week (its Monday) and issuer's mark, up to
    `WEEKS` ahead; `unknown` people were judged by a release that did not note when theirs expire."""

    at: datetime
    people: int = 0
    covered: int = 0
    unknown: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    expiring: dict[str, dict[str, int]] = field(default_factory=dict)


def summarise(digests: Iterable[Digest], now: datetime) -> Summary:
    """Count everybody once."""
    today = now.date()
    people = covered = unknown = 0
    statuses: Counter[str] = Counter()
    expiring: dict[str, Counter[str]] = {}
    issuers: set[str] = set()
    for digest in digests:
        if digest.deleted:
            continue
        people += 1
        statuses[digest.status or "none"] += 1
        if len(digest.expiries) < len(digest.certificates) or (digest.holding and not digest.certificates):
            unknown += 1
            continue
        covered += digest.holding and any(day >= today for day in digest.expiries)
        for issued, day in zip(digest.certificates, digest.expiries, strict=True):
            if not today <= day < today + timedelta(weeks=WEEKS):
                continue
            issuer = mark_of_issuer(issued)
            if issuer not in issuers and len(issuers) >= _ISSUERS:
                issuer = OTHERS
            issuers.add(issuer)
            expiring.setdefault(_monday(day).isoformat(), Counter())[issuer] += 1
    return Summary(
        at=now,
        people=people,
        covered=covered,
        unknown=unknown,
        statuses=dict(statuses),
        expiring={week: dict(counts) for week, counts in sorted(expiring.items())},
    )


def issuer_names(authorities: Iterable[Certificate]) -> dict[str, str]:
    """The names of these CAs by their marks as issuers."""
    return {issuer_mark(each.subject): each.subject_text for each in authorities}


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
