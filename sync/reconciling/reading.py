"""Phase `read`: what every recipient looks like, page by page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sync.core.mirror import Mirror, entry
from sync.core.run import Phase, Run
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.ports import RecipientList
from sync.reconciling.runs import Runs

UNSEEN = "the recipients could not be read: what was changed there by hand goes unseen"
MIRROR = "mirror"
_RESTARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """`recipients` None: the tenant does not show what they hold."""

    recipients: RecipientList | None
    runs: Runs

    def step(self, run: Run, enough: Callable[[], bool]) -> Run:
        """Read until `enough`. A list whose next page has expired is read again from the beginning, three times.

        Raises what RecipientList and BlobStore raise.
        """
        if self.recipients is None:
            return run.noting(UNSEEN).enters(Phase.COMPARE)
        block, cursor, pages = bytearray(), run.place or None, 0
        try:
            while not (pages and (cursor is None or enough())):
                page = self.recipients.page(cursor)
                block += b"".join(map(entry, page.recipients))
                cursor, pages = page.cursor, pages + 1
        except SyncError as error:
            if error.code is ErrorCode.PAGE_EXPIRED or error.code is ErrorCode.READ_BACK_UNREADABLE:
                return self._anew(run, error)
            if isinstance(error, PermanentError) or not pages:
                raise
        self.runs.keep(run, f"read/{run.blocks:06}", bytes(block))
        run = replace(run, place=cursor or "", blocks=run.blocks + 1)
        return run if cursor else self._whole(run)

    def _whole(self, run: Run) -> Run:
        names = (f"read/{number:06}" for number in range(run.blocks))
        mirror = Mirror.of(block for name in names if (block := self.runs.block(run.id, name)) is not None)
        self.runs.keep(run, MIRROR, mirror.dump())
        return replace(run.counted(recipients=len(mirror)), blocks=0).enters(Phase.COMPARE)

    @staticmethod
    def _anew(run: Run, error: SyncError) -> Run:
        run = replace(run, place="", blocks=0, restarts=run.restarts + 1)
        if isinstance(error, TemporaryError) and run.restarts <= _RESTARTS:
            return run
        return run.noting(f"{UNSEEN} ({error.code})").enters(Phase.COMPARE)
