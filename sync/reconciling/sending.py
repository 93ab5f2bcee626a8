"""Phase `send`: the differing people's events go back on the queue, and the agent is asked for whoever was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sync import envelope
from sync.core.event import Cause, Event
from sync.core.run import Asks, Phase, Run
from sync.errors import TemporaryError
from sync.ports import EventQueue, Ledger
from sync.reconciling.examining import FOUND, Difference, repairable
from sync.reconciling.runs import Runs
from sync.reconciling.suspecting import LOST
from sync.resend import Asking


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """`asking` None: no queue leads to the agent."""

    ledger: Ledger
    runs: Runs
    queue: EventQueue
    opening: Callable[[str], Event]
    asking: Asking | None

    def step(self, run: Run, enough: Callable[[], bool]) -> Run:
        """Send until `enough`. Whoever is sent twice after a crash comes to the same end. Raises what ports raise."""
        done = run
        for place, kind, line in self._everything(run):
            try:
                if kind == FOUND:
                    sent = self.one(Difference.from_json(line))
                    done = done.counted(sent=int(sent))
                elif self.asking is not None:
                    self.asking.ask(line["anchor"], line["source"])
                    done = done.counted(asked=1)
            except TemporaryError:
                if done.place == run.place:
                    raise
                return done
            done = replace(done, place=place)
            if enough():
                return done
        if done.asks is Asks.EVERYBODY and self.asking is not None:
            for source in self._sources(run):
                self.asking.ask(None, source)
            done = done.counted(asked=done.counts.lost)
        return done.enters(Phase.DONE)

    def one(self, difference: Difference) -> bool:
        """Send one person's last event again, where there is something to repair. Raises what queue and ledger raise,
        PermanentError for an event that cannot be opened."""
        record = self.ledger.get(difference.anchor) if repairable(difference) else None
        if record is None or record.event is None:
            return False
        self.queue.send(envelope.render(self.opening(record.event).anew(Cause.RECONCILIATION)))
        return True

    def _sources(self, run: Run) -> list[str]:
        """The agents of whose people any were lost."""
        names = self.runs.blocks(run.id, LOST)
        return sorted({line["source"] for name in names for line in self.runs.lines(run.id, name)})

    def _everything(self, run: Run) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """What is past the run's place, each with its place and kind."""
        for kind in (FOUND, *([LOST] if run.asks is Asks.EACH else [])):
            for name in self.runs.blocks(run.id, kind):
                for number, line in enumerate(self.runs.lines(run.id, name) if f"{name}:~" > run.place else ()):
                    if (place := f"{name}:{number:09}") > run.place:
                        yield place, kind, line
