"""Full reconciliation: finds what events cannot tell, and puts it right through the same queue.

It writes nothing itself. A run goes through phases (core.run), in pieces of bounded time that any instance may do:

1 Read the directory, where it is reached from here; read what every recipient looks like. 2 Hold everybody in the
ledger against that, against the lists of everybody, time, policy, trust store and revocation lists: by digests, so that
a million people cost seconds. 3 Examine whoever is suspect as the processor would. 4 Stop when too many would lose
their last certificate, or change at all: an administrator looks, and approves that very run. 5 Send the differing
people's last event again, and ask the agent for whoever was lost.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sync import envelope
from sync.core.event import Event
from sync.core.guard import FEW, Guard
from sync.core.lost import Lost
from sync.core.revoked import NOTHING_REVOKED, Revoked
from sync.core.run import Asks, Counts, Kind, Phase, Run
from sync.core.scope import covering, is_many
from sync.core.suspicion import WAITING, Reason
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.lookup import find_record
from sync.loss_guard import LossGuard
from sync.ports import BlobStore, Directory, EventQueue, Ledger, RecipientList
from sync.processor import Processor
from sync.reconciling.censuses import Censuses
from sync.reconciling.examining import FOUND, Difference, Examining, repairable
from sync.reconciling.listing import Listing
from sync.reconciling.reading import Reading
from sync.reconciling.runs import Runs, Taken
from sync.reconciling.sending import Sending
from sync.reconciling.suspecting import LOST, Suspecting
from sync.resend import Asking

logger = logging.getLogger("smime_sync.reconciler")

_TYPE = "smime-sync.run.v1"
_FOREGROUND = timedelta(seconds=5)
"""A piece that a command does: it shows how far it is in between."""
_TROUBLES = 10
_PAUSE = timedelta(minutes=1)
_MANY_ASKED, _MANY_PERCENT = 100, 10
"""Over both, the agent is asked for everybody instead of for each."""
_NOTHING = Counts()
_BUSY = "as many events wait on the queue as were lost: perhaps they are these, so the agent was not asked"
_NO_WAY = "no requests queue is set, so the agent could not be asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Over any of them a run stops and asks: people who would lose their last certificate, their share of those who
    have one in percent, and the share of people who would change at all."""

    losing: Guard = Guard()
    changing_percent: float = 30.0

    def exceeded(self, *, losing: int, holding: int, changing: int, people: int) -> bool:
        """A handful may always change: in a small company one person is a large share."""
        many = changing > FEW and changing * 100 > self.changing_percent * people
        return many or self.losing.alarming(losing, holding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What one run found; `applied` tells whether it was put right.

    `examined` are the people who were compared, `guarded` is the run's id when it stopped at a limit: with it an
    administrator approves. `counts` and `notes` are the run's.
    """

    examined: int
    holding: int
    losing: int
    differing: tuple[Difference, ...]
    unreadable: tuple[Difference, ...]
    applied: bool
    guarded: str | None = None
    counts: Counts = _NOTHING
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        counts = self.counts
        return {
            "examined": self.examined,
            "holding": self.holding,
            "losing": self.losing,
            "applied": self.applied,
            "guarded": self.guarded,
            "lost": {str(each): getattr(counts, each) for each in Lost},
            "sent": counts.sent,
            "asked": counts.asked,
            "notes": list(self.notes),
            "differing": [difference.to_json() for difference in self.differing],
            "unreadable": [difference.to_json() for difference in self.unreadable],
        }


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
    limits: Limits = Limits()
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
                return self._one(scope, apply=apply)
            try:
                covering(scope)
            except ValueError as error:
                raise PermanentError(ErrorCode.SCOPE_MALFORMED, str(error)) from error
        kind = Kind.SCOPE if scope is not None else Kind.FULL
        if approved is not None and scope is None:
            kind, scope = approved.kind, approved.scope
        run = self._begin(kind, apply=apply, scope=scope, approves=approve)
        return self.found(self._through(run, progress or (lambda _: None)))

    def found(self, run: Run) -> Reconciliation:
        """What a run that is over has found. Raises what BlobStore raises."""
        found = [Difference.from_json(line) for line in self._lines(run.id, FOUND)]
        return Reconciliation(
            examined=run.counts.people,
            holding=run.counts.holding,
            losing=run.counts.losing + (run.counts.gone_holding if run.asks is not Asks.NOBODY else 0),
            differing=tuple(each for each in found if repairable(each)),
            unreadable=tuple(each for each in found if not repairable(each)),
            applied=run.apply and run.phase is Phase.DONE,
            guarded=run.id if run.phase is Phase.GUARDED else None,
            counts=run.counts,
            notes=run.notes,
        )

    def guarded(self, run_id: str) -> Run:
        """The run of this id that stopped at a limit. Raises PermanentError `run-unknown`."""
        run = self.runs.find(run_id)
        if run is None or run.phase is not Phase.GUARDED:
            raise PermanentError(ErrorCode.RUN_UNKNOWN, f"there is no guarded run {run_id[:40]}")
        return run

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
        asked = _asked(body)
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
                run = self._piece(self.runs.take(run.id), min(self.piece, _FOREGROUND))
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
                run = self._limited(run)
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
                return self._examining.step(run, enough)
            case _:
                return self._sending.step(run, enough)

    def _limited(self, run: Run) -> Run:
        """1 How the agent is to be asked. 2 Stop at a limit. 3 A dry run ends here. 4 What was approved may go."""
        # 1
        lost = run.counts.lost
        if lost and self.waiting() - run.counts.deferred >= lost:
            run = replace(run, asks=Asks.NOBODY).noting(_BUSY)
        elif lost and self.asking is None:
            run = replace(run, asks=Asks.NOBODY).noting(_NO_WAY)
        elif lost > _MANY_ASKED and lost * 100 > _MANY_PERCENT * (run.counts.people + run.counts.unknown):
            run = replace(run, asks=Asks.EVERYBODY)
        # 2
        counts, size = run.counts, self._size(run)
        leaving = run.asks is not Asks.NOBODY
        losing = counts.losing + (counts.gone_holding if leaving else 0)
        changing = counts.differing + (counts.gone if leaving else 0)
        exceeded = self.limits.exceeded(losing=losing, holding=size.holding, changing=changing, people=size.people)
        if exceeded and not self._covered(run, changing):
            told = run.id, losing, size.holding, changing, size.people
            hint = f"see trust store, directory and clock; then `smime-sync reconcile --approve {run.id} --apply`"
            # A dry run, or one in report mode, holds nothing up: nobody is to be called for it.
            level = logging.ERROR if run.apply else logging.INFO
            logger.log(level, "guarded run=%s losing=%d of=%d changing=%d of=%d hint=%s", *told, hint)
            return run.enters(Phase.GUARDED)
        # 3
        if not run.apply:
            return run.enters(Phase.DONE)
        # 4
        if run.approves is not None and self.losses is not None:
            self.losses.approve(self._losing(run))
        return run

    def _size(self, run: Run) -> Counts:
        """How many people there are: a run that looks only for whom time has changed has it from the last full one."""
        if run.kind is not Kind.DUE:
            return run.counts
        full = (each for each in self.runs.past() if each.kind is Kind.FULL and each.phase is Phase.DONE)
        known = next(full, None)
        # Without one there is no share, only the number of people.
        return known.counts if known else Counts(people=10**9, holding=10**9)

    def _covered(self, run: Run, changing: int) -> bool:
        """Whether this does nothing that the approved run would not have done."""
        if run.approves is None:
            return False
        approved = self.guarded(run.approves)
        if self._losing(run) - self._losing(approved):
            return False
        return changing <= approved.counts.differing + approved.counts.gone

    def _losing(self, run: Run) -> set[str]:
        """Who would lose the last certificate that we published."""
        losing = {line["anchor"] for line in self._lines(run.id, FOUND) if line["losesLast"]}
        if run.asks is Asks.NOBODY:
            return losing
        gone = (line for line in self._lines(run.id, LOST) if line["lost"] == Lost.GONE and line["holding"])
        return losing | {line["anchor"] for line in gone}

    def _lines(self, run_id: str, prefix: str) -> Iterator[dict[str, Any]]:
        runs = self.runs
        return (line for name in runs.blocks(run_id, prefix) for line in runs.lines(run_id, name))

    def _one(self, who: str, *, apply: bool) -> Reconciliation:
        """One person, at once: nobody needs a guard or another's leave for that."""
        record = find_record(self.ledger, who)
        waits = record.outcome is not None and record.outcome.status in WAITING
        unreadable: tuple[Difference, ...] = ()
        met = None
        try:
            met = self._examining.one(record.anchor, (Reason.SCOPE,), settle=apply)
        except SyncError as error:
            unreadable = (Difference(anchor=record.anchor, reason=error.code, detail=error.message),)
        sent = met is not None and apply and self._sending.one(met)
        return Reconciliation(
            examined=int(not waits),
            holding=int(bool(record.managed)),
            losing=int(met is not None and met.loses),
            differing=(met,) if met else (),
            unreadable=unreadable,
            applied=apply,
            counts=Counts(sent=int(sent)),
        )

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
            message = {"type": _TYPE, "run": run.id, "piece": run.pieces}
            self.continuing.send(json.dumps(message), delay=max(wait, timedelta(0)))

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


def _asked(body: str) -> tuple[str, int] | None:
    """The run and the piece that a message asks for; None for what is no message of ours."""
    try:
        told = json.loads(body)
        if told["type"] == _TYPE:
            return str(told["run"]), int(told["piece"])
    except (ValueError, KeyError, TypeError):
        pass
    logger.warning("ignored a message on the runs queue that is none of ours")
    return None


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
