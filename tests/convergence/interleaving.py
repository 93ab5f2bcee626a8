"""Runs consumers step by step: a step ends at each call of a port. Nothing sleeps, and nothing is left to chance.

A consumer is a thread that goes on only when it is its turn, so the order of all steps is the schedule's alone. A
consumer is killed by an exception that no product code catches, at the call that was chosen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, cycle


class KilledError(BaseException):
    """The process ends here: nothing after this call happens, not even what handles errors."""


@dataclass(slots=True)
class Life:
    """How many more calls of ports a consumer makes before it is killed; None: it lives."""

    calls: int | None = None

    def spend(self) -> None:
        """One more call. Raises KilledError instead of making it."""
        if self.calls is None:
            return
        self.calls -= 1
        if self.calls < 0:
            raise KilledError


@dataclass(eq=False, slots=True)
class _Worker:
    job: Callable[[], None]
    life: Life
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    over: bool = False
    error: Exception | None = None


class Steps:
    """Where port calls report (`reached`). Outside `interleave` and `alone` nobody is ever killed."""

    def __init__(self, tick: Callable[[], None]) -> None:
        """`tick` is called at each step."""
        self._tick = tick
        self._running: _Worker | None = None
        self._life = Life()
        self._baton = threading.Semaphore(0)

    @property
    def interleaved(self) -> bool:
        """Whether several consumers are at work."""
        return self._running is not None

    def reached(self) -> None:
        """A port is about to be called: let somebody else go first, then go on, or die."""
        self._tick()
        worker = self._running
        if worker is not None:
            self._baton.release()
            worker.turn.acquire()
        (self._life if worker is None else worker.life).spend()

    def alone(self, job: Callable[[], None], life: Life) -> bool:
        """Run one job; return whether it lived to its end."""
        self._life = life
        try:
            job()
        except KilledError:
            return False
        finally:
            self._life = Life()
        return True

    def interleave(self, jobs: Sequence[tuple[Callable[[], None], Life]], schedule: Iterable[int]) -> None:
        """Run jobs at once, one step at a time: `schedule` names who is next, then they take turns."""
        workers = [_Worker(job, life) for job, life in jobs]
        threads = [threading.Thread(target=self._work, args=(worker,), daemon=True) for worker in workers]
        for thread in threads:
            thread.start()
        for number in chain(schedule, cycle(range(len(workers)))):
            if all(worker.over for worker in workers):
                break
            worker = workers[number]
            if not worker.over:
                self._running = worker
                worker.turn.release()
                self._baton.acquire()
        self._running = None
        for thread in threads:
            thread.join()
        for worker in workers:
            if worker.error is not None:
                raise worker.error

    def _work(self, worker: _Worker) -> None:
        worker.turn.acquire()
        try:
            worker.job()
        except KilledError:
            pass
        except Exception as error:  # noqa: BLE001 - told by `interleave`, in the thread of the test
            worker.error = error
        worker.over = True
        self._baton.release()
