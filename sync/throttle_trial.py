"""Finds out what no document says of throttling: when it comes, what a 429 carries, and how much a `$batch` counts.

1. Read one recipient again and again until the tenant throttles. 2. Read until it answers again.
3. Rest, so that the tenant forgets. 4. Read in batches of ten until it throttles again: after as many batches as there
were reads, a batch counts as one; after a tenth of them, as ten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sync.core.recipient import Recipient
from sync.errors import ErrorCode, SyncError
from sync.probe_report import Observation, Reads

BATCH = 10
REST = timedelta(minutes=5)
"""How long a tenant remembers is not documented; its limits are commonly told per five minutes."""
_PAUSE = timedelta(seconds=5)
_TRIES = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleTrial:
    """`most` requests of each kind at the most; `clock` counts seconds; `refusals` are the headers of each 429 that
    speak of limits, so far."""

    tenant: Reads
    recipient: Recipient
    most: int
    clock: Callable[[], float]
    pause: Callable[[timedelta], None]
    refusals: Callable[[], Sequence[Mapping[str, str]]]
    told: Callable[[str], None]

    def observations(self) -> Iterator[Observation]:
        """One at a time. Nothing is written."""
        # 1. Until it throttles.
        self.told(f"reading until a 429, at most {self.most} times")
        begun = self.clock()
        reads, met = self._until(self._one)
        took = f"{self.clock() - begun:.1f} s"
        if met is None:
            yield Observation(question="reads until it throttles", answer=f"never in {reads}, one at a time, in {took}")
            return
        if met.code is not ErrorCode.TENANT_THROTTLED:
            yield Observation(question="reads until it throttles", answer=f"ended by {met.code} after {reads}")
            return
        yield Observation(question="reads until it throttles", answer=f"{reads} in {took}")
        yield Observation(question="what a 429 carries", answer=self._carried())
        # 2. Until it answers again.
        begun = self.clock()
        again = self._answers_again(met)
        waited = f"after {self.clock() - begun:.1f} s"
        yield Observation(question="it answers again", answer=waited if again else f"not {waited}")
        if not again:
            return
        # 3. Rest.
        self.told("resting, so that the tenant forgets")
        self.pause(REST)
        # 4. In batches.
        self.told(f"reading in batches of {BATCH}")
        batches, met = self._until(self._ten, min(reads, self.most))
        if met is not None and met.code is not ErrorCode.TENANT_THROTTLED:
            answer = f"not known: ended by {met.code} after {batches}"
        else:
            # Between the two on a scale of ratios: reads / √10.
            counts = "one" if met is None or batches**2 * BATCH > reads**2 else "ten"
            end = "none throttled" if met is None else "then throttled"
            answer = f"{counts} ({batches} batches, {end}; {reads} single reads)"
        yield Observation(question=f"a batch of {BATCH} counts as", answer=answer)

    def _until(self, act: Callable[[], SyncError | None], most: int | None = None) -> tuple[int, SyncError | None]:
        """How often `act` went well, and the error that ended it, if one did."""
        count = 0
        while count < (self.most if most is None else most):
            if (met := act()) is not None:
                return count, met
            count += 1
        return count, None

    def _one(self) -> SyncError | None:
        try:
            self.tenant.read(self.recipient)
        except SyncError as error:
            return error
        return None

    def _ten(self) -> SyncError | None:
        try:
            answers = self.tenant.read_many([self.recipient] * BATCH)
        except SyncError as error:
            return error
        return next((each for each in answers if isinstance(each, SyncError)), None)

    def _answers_again(self, met: SyncError) -> bool:
        """Wait as it asked, or a little at a time, until a read goes well."""
        for _ in range(_TRIES):
            self.pause(getattr(met, "retry_after", None) or _PAUSE)
            again = self._one()
            if again is None:
                return True
            met = again
        return False

    def _carried(self) -> str:
        names = [f"{name}: {value}" for headers in self.refusals() for name, value in headers.items()]
        return ", ".join(dict.fromkeys(names)) or "nothing that speaks of limits"
