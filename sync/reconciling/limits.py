"""Before anything is sent: too many who would lose their last certificate, or change at all, and a run stops."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from sync.core.guard import FEW, Guard
from sync.core.lost import Lost
from sync.core.run import Asks, Counts, Kind, Phase, Run
from sync.loss_guard import LossGuard
from sync.reconciling.examining import FOUND
from sync.reconciling.runs import Runs
from sync.reconciling.suspecting import LOST

logger = logging.getLogger("smime_sync.reconciler")

_MANY_ASKED, _MANY_PERCENT = 100, 10
"""Over both, the agent is asked for everybody instead of for each."""
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
class Limiting:
    """`waiting` tells how many events lie on the change queue, `may_ask` whether a queue leads to the agent.

    Raises what BlobStore and `waiting` raise.
    """

    runs: Runs
    limits: Limits
    waiting: Callable[[], int]
    may_ask: bool
    losses: LossGuard | None

    def limited(self, run: Run) -> Run:
        """1 How the agent is to be asked. 2 Stop at a limit. 3 A dry run ends here. 4 What was approved may go."""
        # 1
        lost = run.counts.lost
        if lost and self.waiting() - run.counts.deferred >= lost:
            run = replace(run, asks=Asks.NOBODY).noting(_BUSY)
        elif lost and not self.may_ask:
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
        approved = self.runs.stopped(run.approves)
        if self._losing(run) - self._losing(approved):
            return False
        return changing <= approved.counts.differing + approved.counts.gone

    def _losing(self, run: Run) -> set[str]:
        """Who would lose the last certificate that we published."""
        losing = {line["anchor"] for line in self.runs.all_lines(run.id, FOUND) if line["losesLast"]}
        if run.asks is Asks.NOBODY:
            return losing
        gone = (line for line in self.runs.all_lines(run.id, LOST) if line["lost"] == Lost.GONE and line["holding"])
        return losing | {line["anchor"] for line in gone}
