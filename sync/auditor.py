"""The audit log, from the reader's side: `smime-sync audit export`, and the end of what was kept long enough."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync.core.audit import Entry
from sync.lookup import find_record
from sync.ports import AuditLog, Ledger

logger = logging.getLogger("smime_sync.audit")

COLUMNS = (
    "id",
    "at",
    "anchor",
    "status",
    "reason",
    "cause",
    "watermark",
    "policy",
    "owner",
    "added",
    "withdrawn",
    "published",
    "refused",
    "findings",
    "unverified",
    "seconds",
)
"""Of the CSV, in order; they never change their meaning, new ones come last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Auditor:
    """`days` is how long an entry is kept."""

    log: AuditLog
    ledger: Ledger
    now: Callable[[], datetime]
    days: int = 400

    def entries(
        self, *, since: datetime | None = None, until: datetime | None = None, user: str | None = None
    ) -> Iterator[Entry]:
        """Entries from `since` (else all that is kept) to before `until` (else now), oldest first; with `user` those
        of one person: ImmutableId, address or UPN. Raises PermanentError `person-unknown`."""
        anchor = find_record(self.ledger, user).anchor if user is not None else None
        now = self.now()
        # One day of grace: pruning is by whole days.
        first = since or now - timedelta(days=self.days + 1)
        for entry in self.log.between(first, until or now + timedelta(microseconds=1)):
            if anchor in {None, entry.anchor}:
                yield entry

    def prune(self) -> int:
        """Delete what is older than `days`; return how many entries that were."""
        gone = self.log.prune(self.now() - timedelta(days=self.days))
        if gone:
            logger.info("audit entries older than %d days deleted: %d", self.days, gone)
        return gone


def row(entry: Entry) -> dict[str, str]:
    """An entry as a row of the CSV: several words of one column are parted by blanks."""
    return {
        "id": entry.id,
        "at": entry.at.isoformat(),
        "anchor": entry.anchor or "",
        "status": entry.status,
        "reason": entry.reason or "",
        "cause": entry.cause or "",
        "watermark": entry.watermark or "",
        "policy": entry.policy or "",
        "owner": entry.owner or "",
        "added": " ".join(entry.added),
        "withdrawn": " ".join(entry.withdrawn),
        "published": " ".join(each.value for each in entry.values if each.published),
        "refused": " ".join(f"{each.value}:{','.join(each.findings)}" for each in entry.values if not each.published),
        "findings": " ".join(entry.findings),
        "unverified": "yes" if entry.unverified else "",
        "seconds": "" if entry.seconds is None else f"{entry.seconds:.3f}",
    }
