"""The agent: reads what changed in the directory, writes it into its outbox and sends that.

One round:

1. Become or stay the active agent, where several share a lease.
2. Take resend requests.
3. Read: each page becomes letters, and one transaction holds them, whom they tell of, and the checkpoint.
4. Settle: letters that withdraw go only if they are few; else an administrator is asked (core.guard).
5. Send the outbox, then clear it.

Killed at any instant it repeats and never skips: what the checkpoint has passed lies in the outbox or on the queue.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sync import envelope, telemetry
from sync.canary import Canary
from sync.core.event import Cause, Event, agent_of
from sync.core.guard import Guard
from sync.core.identity import Watermark
from sync.core.news import News, news
from sync.core.person import Person
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.outbox import Outbox
from sync.ports import AgentState, ClaimStore, Directory, EventQueue, Lease, Letter, Page
from sync.reporting import Reporting
from sync.resend import Asked, ResendRequests

logger = logging.getLogger("smime_sync.agent")

_PIECE = timedelta(seconds=1)
_STANDBY = timedelta(seconds=5)
_REST = timedelta(seconds=10)
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=1)
_PERMANENT_PAUSE = timedelta(minutes=5)
"""After an error that a person must cure. Short enough to go on by itself after the cure, long enough that a wrong
password does not lock the account out."""
_GONE_AT_ONCE = 500
_GUARD = Guard()


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round brought: people read, events written, sent and held, anchors whose event cannot be sent.

    `expected` is how many people a full import is expected to read, 0 when that is not known; `before` how many of them
    were read when it was interrupted.
    """

    read: int = 0
    written: int = 0
    sent: int = 0
    held: int = 0
    refused: tuple[str, ...] = ()
    expected: int = 0
    before: int = 0


Told = Callable[[Round], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """`once` is one round; `run` goes on until it is told to stop. `sign` gives an event its signature."""

    directory: Directory
    state: AgentState
    queue: EventQueue
    now: Callable[[], datetime]
    guard: Guard = _GUARD
    claims: ClaimStore | None = None
    lease: Lease | None = None
    requests: ResendRequests | None = None
    reporting: Reporting | None = None
    canary: Canary | None = None
    sign: Callable[[Event], Event] = lambda event: event

    def once(self, progress: Told | None = None, *, asked: bool = True) -> Round:
        """One round, in which resend requests are taken if `asked`.

        Raises TemporaryError or PermanentError with nothing lost; `lease-held` when we stand by.
        """
        # 1. Become or stay the active agent.
        if not self.active():
            raise TemporaryError(ErrorCode.LEASE_HELD, "another agent is active; this one stands by")
        # 2. Take resend requests.
        taken = Asked()
        if self.requests is not None and asked:
            taken = self.requests.take(self.state, self.directory, self.source)
        # 3. to 5.
        done = self._read(progress or (lambda _: None), taken)
        self.state.note({"last-round": self.now().isoformat(), "last-error": ""})
        return done

    def run(
        self,
        *,
        stopped: Callable[[], bool],
        pause: Callable[[timedelta], object],
        every: timedelta = timedelta(seconds=30),
        alive: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Round after round: at once when the directory says that something changed, else `every` so often.

        `pause` sleeps and returns early when it is time to stop. `alive` hears, at least while each page is read and
        each second of waiting, what the agent does: a watchdog's food.
        """
        failures = 0
        asked: datetime | None = None

        def told(done: Round) -> None:
            alive(f"{done.read} people read, {done.sent} events sent")
            self._beat()

        while not stopped():
            try:
                # No change waits for a look at the request queue: that is done in the timed rounds.
                timed = asked is None or self.now() - asked >= every
                self.once(told, asked=timed)
                failures, asked = 0, self.now() if timed else asked
                if not self._wait(every, stopped, alive):
                    asked = None
            except SyncError as error:
                failures += 1
                if error.code is ErrorCode.LEASE_HELD:
                    alive("stands by")
                    self._leave_the_canary()
                    pause(_STANDBY)
                    continue
                alive(f"{error.code}: tries again")
                self._tell(error)
                self._rest(_pause(error, failures), stopped, pause, alive)
        self._leave_the_canary()

    @property
    def source(self) -> str:
        """Who tells, as events say it. Raises what the directory raises when it must be asked for its name."""
        return agent_of(self.directory.name)

    def active(self) -> bool:
        """Whether this is the active agent, or has just become it."""
        if self.lease is None or self.lease.held():
            return True
        ours = self.state.next_watermark().epoch
        term = self.lease.take(ours + 1)
        if term is None:
            return False
        # Somebody else was active since we were: what they told is unknown here, so our memory counts for less.
        self.state.adopt(term.epoch, doubt=term.previous not in {None, ours})
        if self.reporting is not None:
            self.reporting.restart()
        logger.info("active epoch=%d previous=%s", term.epoch, term.previous)
        return True

    def report(self, told: Callable[[], object] = lambda: None) -> None:
        """Tell what is due to be told of us and of everybody, to its end. Raises what AgentState raises."""
        while self._report():
            told()

    def _report(self) -> bool:
        """Send a heartbeat when it is time, and a piece of a census; True when there is more of that."""
        self._beat()
        return self.reporting is not None and self._leads() and self.reporting.census()

    def _beat(self, *, alone: bool = False) -> None:
        """Send a heartbeat when it is time; `alone` without asking the domain controller for its clock."""
        if self.reporting is None or not self.reporting.due or not self._leads():
            return
        there = None
        if not alone:
            with contextlib.suppress(SyncError):  # whoever reads from it will say so
                there = self.directory.clock()
        self.reporting.beat(None if there is None else round((self.now() - there).total_seconds()))

    def _leave_the_canary(self) -> None:
        """Stopped, or standing by: what we took of it goes back, whoever is active now."""
        if self.canary is not None:
            self.canary.rest()

    def _leads(self) -> bool:
        return self.lease is None or self.lease.held()

    def _rest(
        self,
        wait: timedelta,
        stopped: Callable[[], bool],
        pause: Callable[[timedelta], object],
        alive: Callable[[str], object],
    ) -> None:
        """Pause in pieces that keep the watchdog and whoever listens for our heartbeat quiet."""
        while wait > timedelta(0) and not stopped():
            with contextlib.suppress(SyncError):
                self._beat(alone=True)
            pause(min(wait, _REST))
            wait -= _REST
            alive("waits to try again")

    def _tell(self, error: SyncError) -> None:
        level = logging.WARNING if isinstance(error, TemporaryError) else logging.ERROR
        logger.log(level, "later reason=%s detail=%s hint=%s", error.code, error.message, error.hint)
        try:
            self.state.note({"last-error": f"{error.code}: {error.message}"})
        except SyncError:
            logger.warning("the state takes no note of it either")

    def _wait(self, every: timedelta, stopped: Callable[[], bool], alive: Callable[[str], object]) -> bool:
        """Wait in short pieces, so that a signal to stop is heeded within a second, and report in between; whether it
        was a change that ended it."""
        waited = timedelta(0)
        while waited < every and not stopped():
            piece = timedelta(0) if self._report() else min(_PIECE, every - waited)
            if self.canary is not None and self._leads():
                self.canary.turn()
            if self.directory.wait(piece):
                return True
            waited += piece
            alive("waits for changes")
            if self.lease is not None and not self.lease.held():
                break
        return False

    def _read(self, progress: Told, asked: Asked) -> Round:
        doubt, total = self.state.doubt(), Round()
        away: SyncError | None = None
        if asked.people or asked.gone:
            page = Page(people=(), checkpoint=b"")
            more = self._record(asked.people, page, doubt=True, keep=False, gone=asked.gone)
            total = self._told(total, more)
        if self.requests is not None:
            self.requests.done(asked)
        begun: set[str] = set()
        troubles: list[SyncError] = []
        # 3. Read: letters, people and checkpoint in one transaction a page.
        for page in self._pages(troubles):
            if page.full and page.scope not in begun:
                begun.add(page.scope)
                total = self._begun(total, page)
            # The last page's checkpoint counts only when those who are missing have been recorded too.
            total = self._told(total, self._record(page.people, page, doubt=doubt, keep=not page.complete))
            if page.complete:
                total = self._told(total, self._missing(page))
                self.state.end_import(page.scope, page.checkpoint)
                if self.reporting is not None:
                    self.reporting.imported(self.source)
            # 5. Send as we go, unless the cloud is away: then what is read is kept in the outbox all the same.
            if away is None:
                total, away = self._send(total, progress)
            progress(total)
        # 4. Settle.
        held = self.state.settle(self.guard.alarming, complete=not troubles)
        if held is not None:
            total = replace(total, held=len(held.anchors))
            logger.error(
                "held events=%d of=%d since=%s hint=%s",
                len(held.anchors),
                held.holding,
                held.since.isoformat(timespec="seconds"),
                "many people would lose their certificates; see `smime-sync agent release`",
            )
        # 5. Send.
        if away is None:
            total, away = self._send(total, progress)
        for trouble in (*troubles, away):
            if trouble is not None:
                raise trouble
        return total

    def _begun(self, total: Round, page: Page) -> Round:
        """The first page of a full import: it begins, or goes on."""
        if not page.resumed:
            return replace(total, expected=total.expected + self.state.begin_import(page.scope))
        so_far = self.state.condition()
        return replace(total, expected=max(total.expected, so_far.last_import), before=so_far.import_read)

    def _pages(self, troubles: list[SyncError]) -> Iterator[Page]:
        """What the directory shows until it fails: what was read by then is settled and sent all the same."""
        try:
            yield from self.directory.changes(self.state.checkpoint(), self.state.seen)
        except SyncError as error:
            troubles.append(error)

    def _send(self, total: Round, progress: Told) -> tuple[Round, SyncError | None]:
        outbox = Outbox(state=self.state, queue=self.queue, claims=self.claims, lease=self.lease)
        try:
            sent = outbox.send(lambda: progress(total))
        except SyncError as error:
            return total, error
        return replace(total, sent=total.sent + sent), None

    def _missing(self, page: Page) -> Round:
        """Whoever was known and is on no page of a full import was deleted or left the scope meanwhile."""
        total = Round()
        gone: list[Person] = []
        for person in self.state.unseen(page.scope):
            gone.append(replace(person, deleted=True))
            if len(gone) == _GONE_AT_ONCE:
                total = self._told(total, self._record(gone, page, doubt=False, keep=False))
                gone = []
        return self._told(total, self._record(gone, page, doubt=False, keep=False)) if gone else total

    def _record(
        self, people: Sequence[Person], page: Page, *, doubt: bool, keep: bool, gone: Sequence[News] = ()
    ) -> Round:
        """Write a letter for each piece of news, of who is `gone` first: they may live on under another anchor. `keep`
        saves the page's checkpoint besides."""
        guids = [person.anchor.object_guid for person in people]
        known, expected = self.state.known(guids), self.state.next_watermark()
        letters: list[Letter] = []
        refused: list[str] = []
        living = (p for person in people for p in news(person, known.get(person.anchor.object_guid), doubt=doubt))
        for piece in (*gone, *living):
            watermark = Watermark(expected.epoch, expected.sequence + len(letters))
            try:
                letters.append(self._letter(page, piece, watermark))
            except PermanentError as error:
                # One person must not hold up everybody. Not remembered as told: the next full import tries again.
                logger.warning("refused anchor=%s reason=%s detail=%s", piece.person.anchor, error.code, error.message)
                refused.append(piece.person.anchor.immutable_id)
        checkpoint = page.checkpoint if keep else None
        if letters or guids or checkpoint is not None:
            seen = guids if page.full else ()
            self.state.record(letters, expected=expected, checkpoint=checkpoint, scope=page.scope, seen=seen)
        return Round(read=len(people), written=len(letters), refused=tuple(refused))

    def _letter(self, page: Page, piece: News, watermark: Watermark) -> Letter:
        event = Event(
            id=str(watermark),
            source=self.source,
            time=self._moment(page.changed_at),
            watermark=watermark,
            person=piece.person,
            # Who differs in a full import may have differed for long; unless the directory tells since when.
            cause=Cause.FULL_IMPORT if page.full and page.changed_at is None else Cause.CHANGE,
        )
        with telemetry.noticing(event) as traceparent:
            event = self.sign(replace(event, traceparent=traceparent))
        body = envelope.render(event) if self.claims is None else envelope.write(event)
        return Letter(person=piece.person, watermark=watermark, body=body, withdraws=piece.withdraws)

    def _moment(self, changed_at: datetime | None) -> datetime:
        """When it changed. Active Directory keeps that to the second: within it, this moment is the better guess."""
        now = self.now()
        return changed_at if changed_at is not None and now - changed_at > timedelta(seconds=1) else now

    @staticmethod
    def _told(total: Round, more: Round) -> Round:
        return replace(
            total,
            read=total.read + more.read,
            written=total.written + more.written,
            refused=total.refused + more.refused,
        )


def _pause(error: SyncError, failures: int) -> timedelta:
    if not isinstance(error, TemporaryError):
        return _PERMANENT_PAUSE
    return error.retry_after or min(_FIRST_PAUSE * 2 ** min(failures - 1, 10), _LONGEST_PAUSE)
