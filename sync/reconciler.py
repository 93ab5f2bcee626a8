"""Full reconciliation: finds what events cannot tell, and puts it right through the same queue.

It writes nothing itself. A run goes through phases (core.run), in pieces of bounded time that any instance may do:

1 Read the directory, where it is reached from here; read what every recipient looks like. 2 Hold everybody in the
ledger against that, against the lists of everybody, time, policy, trust store and revocation lists: by digests, so that
a million people cost seconds. 3 Examine whoever is suspect as the processor would. 4 Stop when too many would lose
their last certificate, or change at all: an administrator looks, and approves that very run. 5 Send the differing
people's last event again, and ask the agent for whoever was lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sync import envelope
from sync.core.event import Event
from sync.core.revoked import NOTHING_REVOKED, Revoked
from sync.core.run import Kind, Phase, Run
from sync.core.scope import covering, is_many
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.loss_guard import LossGuard
from sync.ports import BlobStore, Directory, EventQueue, Ledger, RecipientList
from sync.processor import Processor
from sync.reconciling import continuation
from sync.reconciling.censuses import Censuses
from sync.reconciling.examining import Examining
from sync.reconciling.found import Reconciliation, found
from sync.reconciling.limits import Limiting, Limits
from sync.reconciling.listing import Listing
from sync.reconciling.one import one
from sync.reconciling.reading import Reading
from sync.reconciling.runs import Runs, Taken
from sync.reconciling.sending import Sending
from sync.reconciling.suspecting import Suspecting
from sync.resend import Asking

logger = logging.getLogger("smime_sync.reconciler")

_FOREGROUND = timedelta(seconds=5)
"""A piece that a command does: it shows how far it is in between."""
_TROUBLES = 10
_PAUSE = timedelta(minutes=1)
_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """`recipients` None: the tenant shows nothing. `directory` connects to it where it is reached from here: a full run
    then lists everybody itself, beside what other agents list in `censuses`. `asking` leads to the agent, `continuing`
    to whichever instance does the next piece; `waiting` tells how many events lie on the change queue, `revoked` what
    the lists name now, fetched when it is asked. A piece takes about `piece`; a run of which nothing was heard for
    three is taken for dead.
    """

    ledger: Ledger
    queue: EventQueue
    processor: Processor
    blobs: BlobStore
    now: Callable[[], datetime]
    limits: Limits = _LIMITS
    losses: LossGuard | None = None
    opening: Callable[[str], Event] = envelope.parse
    recipients: RecipientList | None = None
    censuses: Censuses | None = None
    directory: Callable[[], Directory] | None = None
    asking: Asking | None = None
    continuing: EventQueue | None = None
    waiting: Callable[[], int] = field(default=lambda: 0)
    revoked: Callable[[], Revoked] = field(default=lambda: NOTHING_REVOKED)
    piece: timedelta = timedelta(seconds=60)

    # The command's way: all pieces, one after the other.

    def reconcile(
        self,
        *,
        apply: bool,
        scope: str | None = None,
        approve: str | None = None,
        progress: Callable[[Run], None] | None = None,
    ) -> Reconciliation:
        """Examine everybody, or whom `scope` names (core.scope); with `apply`, repair.

        `approve` is the id of a guarded run: this one may do what that one would have done, and no more.
        Raises PermanentError `person-unknown`, `scope-malformed`, `run-unknown`; TemporaryError `run-active`; and what
        the ports raise.
        """
        approved = self.guarded(approve) if approve is not None else None
        if scope is not None:
            if not is_many(scope):
                return one(scope, apply=apply, examining=self._examining, sending=self._sending)
            try:
                covering(scope)
            except ValueError as error:
                raise PermanentError(ErrorCode.SCOPE_MALFORMED, str(error)) from error
        kind = Kind.SCOPE if scope is not None else Kind.FULL
        if approved is not None and scope is None:
            kind, scope = approved.kind, approved.scope
        run = self._begin(kind, apply=apply, scope=scope, approves=approve)
        return found(self.runs, self._through(run, progress or (lambda _: None)))

    def guarded(self, run_id: str) -> Run:
        """The run of this id that stopped at a limit. Raises PermanentError `run-unknown`."""
        return self.runs.stopped(run_id)

    # The function's way: each piece by whoever has the message.

    def start(self, kind: Kind, *, apply: bool) -> Run | None:
        """Begin a run whose pieces are done as messages of `continuing` arrive (where that is None, do it all now);
        None while another one is at work.

        Raises what the ports raise.
        """
        run = self._begun(kind, apply=apply)
        return None if run is None else self._sent_off(run)

    def approve(self, run_id: str, *, apply: bool, by: str | None = None) -> Run:
        """Begin a run, in pieces as `start` does, that may do what this guarded one would have done, and no more; `by`
        is who let it.

        Raises PermanentError `run-unknown`, TemporaryError `run-active`, and what the ports raise.
        """
        approved = self.guarded(run_id)
        kind, scope = approved.kind, approved.scope
        return self._sent_off(self._begin(kind, apply=apply, scope=scope, approves=approved.id, by=by))

    def advance(self, body: str) -> Run | None:
        """Do the piece that a message asks for, and hand on the next; None when there is nothing for it to do.

        A message says nothing that could be trusted or not: at worst it has a piece done earlier. Raises what BlobStore
        and `continuing` raise: the message comes again.
        """
        asked = continuation.read(body)
        current = self.runs.current() if asked else None
        if asked is None or current is None or current.id != asked[0] or current.phase.over:
            return None
        taken = self.runs.take(current.id)
        if taken is None:
            if asked[1] >= current.pieces:
                # Somebody is at this very piece. Should they die, it is done by this message.
                self._hand_on(current, current.alive_until - self.now())
            return None
        wait = timedelta(0)
        try:
            run = self._piece(taken, self.piece)
        except SyncError as error:
            failed = self._troubled(taken, error)
            if failed is None:
                return None
            run, wait = failed
        if not run.phase.over:
            self._hand_on(run, wait)
        return run

    @property
    def runs(self) -> Runs:
        """Where runs are kept."""
        return Runs(blobs=self.blobs, now=self.now, patience=3 * self.piece)

    def _begin(
        self,
        kind: Kind,
        *,
        apply: bool,
        scope: str | None = None,
        approves: str | None = None,
        by: str | None = None,
    ) -> Run:
        first = Phase.DIRECTORY if kind is Kind.FULL and self.directory is not None else kind.first
        return self.runs.begin(kind, apply=apply, scope=scope, approves=approves, by=by, first=first)

    def _begun(self, kind: Kind, *, apply: bool) -> Run | None:
        try:
            return self._begin(kind, apply=apply)
        except TemporaryError as error:
            if error.code is not ErrorCode.RUN_ACTIVE:
                raise
            logger.info("run kind=%s not begun: %s", kind, error.message)
            return None

    def _sent_off(self, run: Run) -> Run:
        told = run.id, run.kind, run.apply, run.approves or "-", run.by or "-"
        logger.info("run id=%s kind=%s begun apply=%s approves=%s by=%s", *told)
        self._hand_on(run)
        return run if self.continuing is not None else self._through(run, lambda _: None)

    def _through(self, run: Run, progress: Callable[[Run], None]) -> Run:
        """All pieces, one after the other; whatever stops them ends the run."""
        try:
            while not run.phase.over:
                # A directory's search begins anew with each piece, so these are as long as anybody's.
                lasts = self.piece if run.phase is Phase.DIRECTORY else min(self.piece, _FOREGROUND)
                run = self._piece(self.runs.take(run.id), lasts)
                progress(run)
        finally:
            if not run.phase.over:
                self.runs.abandon(run.id)
        return run

    def _piece(self, taken: Taken | None, lasts: timedelta) -> Run:
        """One bounded piece. Raises TemporaryError `run-active` when somebody else has taken the run over."""
        if taken is not None:
            end = self.now() + lasts
            run = self._step(taken.run, lambda: self.now() >= end)
            if run.phase is Phase.SEND and taken.run.phase is Phase.EXAMINE:
                run = self._limiting.limited(run)
            stored = self.runs.store(replace(taken, run=replace(run, pieces=run.pieces + 1, working=False, troubles=0)))
            if stored is not None:
                _log(stored.run)
                return stored.run
        raise TemporaryError(ErrorCode.RUN_ACTIVE, "somebody else has taken this run over")

    def _step(self, run: Run, enough: Callable[[], bool]) -> Run:
        match run.phase:
            case Phase.DIRECTORY if self.directory is not None:
                return Listing(connect=self.directory, ledger=self.ledger, runs=self.runs).step(run, enough)
            case Phase.DIRECTORY:
                return run.enters(Phase.READ)  # begun with another setting
            case Phase.READ:
                return Reading(recipients=self.recipients, runs=self.runs).step(run, enough)
            case Phase.COMPARE:
                return self._suspecting.compare(run, enough)
            case Phase.SIFT:
                return self._suspecting.sift(run, enough)
            case Phase.DUE:
                return self._suspecting.due(run, enough)
            case Phase.LISTS:
                return self._suspecting.lists(run, enough)
            case Phase.EXAMINE:
                return self._examining.step(self._suspecting.examinable(run), enough)
            case _:
                return self._sending.step(run, enough)

    def _troubled(self, taken: Taken, error: SyncError) -> tuple[Run, timedelta] | None:
        """A piece came to nothing: it is tried again later, or the run ends; None when it is somebody else's by now."""
        run, wait = taken.run, timedelta(0)
        told = run.id, run.phase, error.code, error.message
        if isinstance(error, TemporaryError) and run.troubles < _TROUBLES:
            logger.warning("run id=%s phase=%s later reason=%s detail=%s", *told)
            wait = error.retry_after or _PAUSE
            run = replace(run, troubles=run.troubles + 1)
        else:
            logger.error("run id=%s phase=%s failed reason=%s detail=%s", *told)
            run = run.enters(Phase.FAILED).noting(f"{error.code}: {error.message}")
        stored = self.runs.store(replace(taken, run=replace(run, pieces=run.pieces + 1, working=False)), wait=wait)
        return (stored.run, wait) if stored else None

    def _hand_on(self, run: Run, wait: timedelta = timedelta(0)) -> None:
        if self.continuing is not None:
            self.continuing.send(continuation.write(run), delay=max(wait, timedelta(0)))

    @property
    def _limiting(self) -> Limiting:
        return Limiting(
            runs=self.runs,
            limits=self.limits,
            waiting=self.waiting,
            may_ask=self.asking is not None,
            losses=self.losses,
        )

    @property
    def _suspecting(self) -> Suspecting:
        censuses = self.censuses or Censuses(blobs=self.blobs, now=self.now)
        return Suspecting(
            ledger=self.ledger,
            runs=self.runs,
            now=self.now,
            basis=self.processor.basis,
            revoked=self.revoked,
            censuses=censuses,
        )

    @property
    def _examining(self) -> Examining:
        return Examining(
            ledger=self.ledger, runs=self.runs, processor=self.processor, opening=self.opening, now=self.now
        )

    @property
    def _sending(self) -> Sending:
        return Sending(ledger=self.ledger, runs=self.runs, queue=self.queue, opening=self.opening, asking=self.asking)


def _log(run: Run) -> None:
    counts = run.counts
    where = (run.id, run.kind, run.phase, run.place or "-", counts.recipients, counts.people, counts.suspects)
    what = (counts.examined, counts.differing, counts.losing, counts.lost, counts.sent, counts.asked, counts.unreadable)
    logger.info(
        "run id=%s kind=%s phase=%s place=%s recipients=%d people=%d suspects=%d "
        "examined=%d differing=%d losing=%d lost=%d sent=%d asked=%d unreadable=%d",
        *where,
        *what,
    )
