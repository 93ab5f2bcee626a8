"""Phase `examine`: whoever is suspect is examined as the processor would examine them now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sync.core.event import Event
from sync.core.record import Record
from sync.core.run import Phase, Run
from sync.core.suspicion import WAITING, Reason
from sync.errors import ErrorCode, SyncError, TemporaryError
from sync.ports import Ledger
from sync.processor import Processor
from sync.reconciling.runs import Runs
from sync.reconciling.suspecting import SUSPECTS

FOUND = "found/"
_IN_A_ROW = 5
"""So many people who cannot be read one after the other are no matter of theirs: the piece ends, and is tried later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One person whose recipient is not as it should be, by the fingerprints of values; or who could not be examined.

    `loses` is whether the last certificate that we published would go; `because` why they were looked at.
    """

    anchor: str
    added: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    loses: bool = False
    reason: str | None = None
    detail: str | None = None
    because: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """For machines, and for the run's blocks."""
        return {
            "anchor": self.anchor,
            "added": list(self.added),
            "withdrawn": list(self.withdrawn),
            "losesLast": self.loses,
            "reason": self.reason,
            "detail": self.detail,
            "because": list(self.because),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Difference:
        """Read it again."""
        return cls(
            anchor=told["anchor"],
            added=tuple(told["added"]),
            withdrawn=tuple(told["withdrawn"]),
            loses=told["losesLast"],
            reason=told["reason"],
            detail=told["detail"],
            because=tuple(told["because"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Examining:
    """Asks the processor's own question (`examine`), so that the two can never disagree."""

    ledger: Ledger
    runs: Runs
    processor: Processor
    opening: Callable[[str], Event]
    now: Callable[[], datetime]

    def step(self, run: Run, enough: Callable[[], bool]) -> Run:
        """Examine one after the other until `enough`, and keep what was found.

        Raises what the ports raise; TemporaryError only when the piece came to nothing.
        """
        done, found = run, list[Difference]()
        doubtful: list[tuple[str, Difference]] = []

        def take(place: str, met: Difference | None) -> None:
            nonlocal done
            done = replace(done.counted(examined=1, **_counted(met)), place=place)
            found.extend([met] if met else [])

        for place, anchor, reasons in self._suspects(run):
            try:
                met = self.one(anchor, reasons, settle=run.apply)
            except SyncError as error:
                # One person who cannot be read must not keep the others from being repaired.
                met = Difference(anchor=anchor, reason=error.code, detail=error.message, because=reasons)
                if isinstance(error, TemporaryError):
                    doubtful.append((place, met))
                    if len(doubtful) < _IN_A_ROW:
                        continue
                    if done.place == run.place:
                        raise
                    return self._keep(done, found)
            for each in doubtful:
                take(*each)
            doubtful.clear()
            take(place, met)
            if enough():
                return self._keep(done, found)
        for each in doubtful:
            take(*each)
        return self._keep(done, found).enters(Phase.SEND)

    def one(self, anchor: str, reasons: Sequence[str], *, settle: bool) -> Difference | None:
        """How one person's recipient differs from what it should be; with `settle`, what was judged on is remembered
        where it does not. Raises what `examine` raises."""
        record = self.ledger.get(anchor)
        if record is None or record.event is None or (record.outcome and record.outcome.status in WAITING):
            return None
        if tuple(reasons) == (Reason.TIME,) and not _due(record, self.now()):
            return None  # an index of next changes may say too much
        event = self.opening(record.event)
        examined = self.processor.examine(event, record)
        decision = examined.decision
        if decision is None and not event.person.deleted:
            return Difference(anchor=anchor, reason=ErrorCode.NO_RECIPIENT, because=tuple(reasons))
        if decision is None or not decision.writes:
            if settle:
                self.processor.settle(examined)
            return None
        return Difference(
            anchor=anchor,
            added=decision.plan.added.fingerprints,
            withdrawn=decision.plan.withdrawn.fingerprints,
            loses=decision.loses_last,
            because=tuple(reasons),
        )

    def _suspects(self, run: Run) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Those past the run's place, each with its place."""
        for name in self.runs.blocks(run.id, SUSPECTS):
            for number, line in enumerate(self.runs.lines(run.id, name) if f"{name}:~" > run.place else ()):
                if (place := f"{name}:{number:09}") > run.place:
                    yield place, line["anchor"], tuple(line["reasons"])

    def _keep(self, run: Run, found: Sequence[Difference]) -> Run:
        if not found:
            return run
        self.runs.keep_lines(run, f"{FOUND}{run.blocks:06}", [each.to_json() for each in found])
        return replace(run, blocks=run.blocks + 1)


def repairable(difference: Difference) -> bool:
    """Whether an event is to be sent: a missing recipient too, so that somebody sees how it fails."""
    return difference.reason in {None, ErrorCode.NO_RECIPIENT}


def _due(record: Record, now: datetime) -> bool:
    return record.next_change is not None and record.next_change <= now


def _counted(met: Difference | None) -> dict[str, int]:
    if met is None:
        return {"settled": 1}
    if repairable(met):
        return {"differing": 1, "losing": int(met.loses)}
    return {"unreadable": 1}
