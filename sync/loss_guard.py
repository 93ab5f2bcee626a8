"""Suddenly everybody is an alarm between two reconciliations too: how many may lose their last certificate in an hour.

A wrong trust store, or a directory that shows nobody, would empty every mailbox one event at a time. Over the limit,
which all instances share, such an event fails as `guarded`, with nothing written and nothing lost; an administrator
approves, and replays it. What is approved lies in the store and never in a message: whoever can write to the queue
approves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sync.core.losses import Losses
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import BlobStore

_PLACE = "guard/losses.json"
_TRIES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class LossGuard:
    """At most `limit` people an hour. The `canary` (an anchor) is none of them: its certificates come and go on
    purpose, and would use up what is left for the others."""

    blobs: BlobStore
    limit: int = 20
    canary: str | None = None

    def admits(self, anchor: str, now: datetime) -> bool:
        """Whether this person may lose their last certificate now; if so, it is counted.

        Raises TemporaryError `ledger-conflict` when others were faster several times, and what BlobStore raises;
        PermanentError `ledger-malformed`.
        """
        if anchor == self.canary:
            return True
        return self._change(lambda losses: losses.admitting(anchor, now, self.limit))

    def approve(self, anchors: Iterable[str]) -> None:
        """Let these people go, whatever the limit. Raises what `admits` raises."""
        more = frozenset(anchors)
        self._change(lambda losses: replace(losses, approved=losses.approved | more))

    def open(self, until: datetime | None) -> None:
        """Let everybody go until then; None shuts it. Raises what `admits` raises."""
        self._change(lambda losses: replace(losses, open_until=until))

    def look(self, now: datetime) -> Losses:
        """How it stands now. Raises what `admits` raises."""
        return self._read()[0].at(now)

    def to_json(self, losses: Losses) -> dict[str, object]:
        """For `--json` and over HTTP: who lost theirs within the hour, how many may, and until when everybody may."""
        until = losses.open_until
        return {
            "recent": [who for who, _ in losses.recent],
            "limit": self.limit,
            "openUntil": until.isoformat() if until else None,
        }

    def _change(self, change: Callable[[Losses], Losses | None]) -> bool:
        for attempt in range(_TRIES):
            losses, version = self._read()
            changed = change(losses)
            if changed is None or changed == losses:
                return changed is not None
            try:
                self.blobs.put(_PLACE, _written(changed), version=version)
            except TemporaryError as error:
                if error.code is not ErrorCode.LEDGER_CONFLICT or attempt + 1 == _TRIES:
                    raise
            else:
                return True
        raise AssertionError

    def _read(self) -> tuple[Losses, str | None]:
        blob = self.blobs.get(_PLACE)
        if blob is None:
            return Losses(), None
        try:
            told = json.loads(blob.content)
            until = told["openUntil"]
            losses = Losses(
                recent=tuple((str(who), datetime.fromisoformat(at)) for who, at in told["recent"]),
                approved=frozenset(map(str, told["approved"])),
                open_until=None if until is None else datetime.fromisoformat(until),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise PermanentError(ErrorCode.LEDGER_MALFORMED, f"{_PLACE}: {type(error).__name__}") from error
        return losses, blob.version


def _written(losses: Losses) -> bytes:
    return json.dumps(
        {
            "recent": [[who, at.isoformat()] for who, at in losses.recent],
            "approved": sorted(losses.approved),
            "openUntil": losses.open_until.isoformat() if losses.open_until else None,
        }
    ).encode("utf-8")
