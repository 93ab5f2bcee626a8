"""The agent: reads what changed in the directory, sends an event per person, then saves the checkpoint.

Killed at any instant it repeats and never skips: a checkpoint is saved only when all before it lies on the queue, and
a sequence number is taken durably before it is used, so that a repeated read never sends a newer state as older.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync import envelope
from sync.core.event import Cause, Event
from sync.core.identity import Watermark
from sync.core.person import Person
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import Checkpoints, Directory, EventQueue, Page, Sent

logger = logging.getLogger("smime_sync.agent")

_PIECE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one read of the directory brought: people read, events sent, and anchors whose event cannot be sent."""

    read: int = 0
    sent: int = 0
    refused: tuple[str, ...] = ()

    def __add__(self, other: Round) -> Round:
        return Round(read=self.read + other.read, sent=self.sent + other.sent, refused=self.refused + other.refused)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """`once` is one round; `run` goes on until it is told to stop."""

    directory: Directory
    checkpoints: Checkpoints
    queue: EventQueue
    now: Callable[[], datetime]

    def once(self, progress: Callable[[Round], None] | None = None) -> Round:
        """Read all that changed since the checkpoint and send it. Raises TemporaryError with nothing lost."""
        total = Round()
        seen: set[bytes] = set()
        for page in self.directory.changes(self.checkpoints.load()):
            total += self._page(page, page.people)
            seen.update(person.anchor.object_guid for person in page.people)
            if page.complete:
                # Whoever was known and is on no page of a full import was deleted or left the scope meanwhile.
                gone = [replace(person, deleted=True) for person in self.checkpoints.absent(seen)]
                total += self._page(page, gone)
            if progress:
                progress(total)
        return total

    def run(
        self,
        *,
        stopped: Callable[[], bool],
        pause: Callable[[timedelta], object],
        every: timedelta = timedelta(seconds=30),
    ) -> None:
        """Round after round: at once when the directory says that something changed, else `every` so often.

        `pause` sleeps and returns early when it is time to stop.
        """
        while not stopped():
            try:
                self.once()
                self._wait(every, stopped)
            except TemporaryError as error:
                logger.warning("later reason=%s detail=%s", error.code, error.message)
                pause(error.retry_after or timedelta(seconds=5))

    def _wait(self, every: timedelta, stopped: Callable[[], bool]) -> None:
        """Wait in short pieces, so that a signal to stop is heeded within a second."""
        waited = timedelta(0)
        while waited < every and not stopped() and not self.directory.wait(min(_PIECE, every - waited)):
            waited += _PIECE

    def _page(self, page: Page, people: Sequence[Person]) -> Round:
        """Send those whose state differs from what was sent last, then save."""
        known = self.checkpoints.known([person.anchor.object_guid for person in people])
        changed = [event for person in people for event in _news(person, known.get(person.anchor.object_guid))]
        epoch, first = self.checkpoints.reserve(len(changed))
        sent: list[Person] = []
        refused: list[str] = []
        for sequence, person in enumerate(changed, start=first):
            try:
                self.queue.send(envelope.render(self._event(page, person, Watermark(epoch, sequence))))
            except PermanentError as error:
                if error.code not in {ErrorCode.EVENT_TOO_LARGE, ErrorCode.EVENT_MALFORMED}:
                    raise
                # One person must not hold up everybody. Not saved as sent: the next full import tries again.
                logger.warning("refused anchor=%s reason=%s detail=%s", person.anchor, error.code, error.message)
                refused.append(person.anchor.immutable_id)
            else:
                sent.append(person)
        self.checkpoints.save(sent, page.checkpoint)
        return Round(read=len(people), sent=len(sent), refused=tuple(refused))

    def _moment(self, changed_at: datetime | None) -> datetime:
        """When it changed. Active Directory keeps that to the second: within it, this moment is the better guess."""
        now = self.now()
        return changed_at if changed_at is not None and now - changed_at > timedelta(seconds=1) else now

    def _event(self, page: Page, person: Person, watermark: Watermark) -> Event:
        return Event(
            id=str(watermark),
            source=f"urn:smime-sync:agent:{self.directory.name}",
            time=self._moment(page.changed_at),
            watermark=watermark,
            person=person,
            cause=Cause.FULL_IMPORT if page.full else Cause.CHANGE,
        )


def _news(person: Person, sent: Sent | None) -> Iterator[Person]:
    """What there is to send of a person: nothing, their state, or also that they are no longer who they were.

    Someone new matters once they have a certificate; someone known matters whenever their state differs.
    """
    if sent is None:
        if person.values and not person.deleted:
            yield person
    elif person.deleted:
        # A tombstone has lost mS-DS-ConsistencyGuid, mail and addresses: who it was is what we remember.
        remembered = replace(sent.person, deleted=True)
        if remembered.state_hash != sent.state_hash:
            yield remembered
    elif person.state_hash != sent.state_hash:
        if person.anchor.immutable_id != sent.person.anchor.immutable_id and not sent.person.deleted:
            # Somebody set mS-DS-ConsistencyGuid: what was published under the old anchor must not be orphaned.
            yield replace(sent.person, deleted=True)
        yield person
