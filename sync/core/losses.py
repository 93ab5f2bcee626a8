"""Who lost the last usable certificate lately: the guard over live events, as values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """`recent` are the people of the last hour, by source anchor, and when; `approved` those whom an administrator let
    go; until `open_until` everybody may."""

    recent: tuple[tuple[str, datetime], ...] = ()
    approved: frozenset[str] = frozenset()
    open_until: datetime | None = None

    def at(self, now: datetime) -> Losses:
        """How it stands at this moment: without what is over."""
        recent = tuple((who, at) for who, at in self.recent if now - at < WINDOW)
        return replace(self, recent=recent, open_until=self.open_until if self._opened(now) else None)

    def admitting(self, anchor: str, now: datetime, limit: int) -> Losses | None:
        """What is remembered when this person may lose their last certificate now; None when they may not.

        Whoever was let go within the hour may be again: an event that is delivered twice counts once.
        """
        recent = self.at(now).recent
        known = any(who == anchor for who, _ in recent)
        allowed = known or anchor in self.approved or self._opened(now)
        if not allowed and len(recent) >= limit:
            return None
        # Whoever was approved does not use up what is left for the others.
        counted = recent if known or anchor in self.approved else (*recent, (anchor, now))
        return replace(self, recent=counted)

    def _opened(self, now: datetime) -> bool:
        return self.open_until is not None and now < self.open_until
