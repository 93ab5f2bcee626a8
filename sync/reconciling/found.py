"""What a run found, as a command shows it."""

from __future__ import annotations

from dataclasses import dataclass

from sync.core.lost import Lost
from sync.core.run import Asks, Counts, Phase, Run
from sync.reconciling.examining import FOUND, Difference, repairable
from sync.reconciling.runs import Runs

_NOTHING = Counts()


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


def found(runs: Runs, run: Run) -> Reconciliation:
    """What a run that is over has found. Raises what BlobStore raises."""
    met = [Difference.from_json(line) for line in runs.all_lines(run.id, FOUND)]
    return Reconciliation(
        examined=run.counts.people,
        holding=run.counts.holding,
        losing=run.counts.losing + (run.counts.gone_holding if run.asks is not Asks.NOBODY else 0),
        differing=tuple(each for each in met if repairable(each)),
        unreadable=tuple(each for each in met if not repairable(each)),
        applied=run.apply and run.phase is Phase.DONE,
        guarded=run.id if run.phase is Phase.GUARDED else None,
        counts=run.counts,
        notes=run.notes,
    )
