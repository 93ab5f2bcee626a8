"""What is not established of a real tenant, as switches: the product must work, or say why not, in each position."""

from __future__ import annotations

import random
import threading
from collections import deque
from dataclasses import dataclass, field

from sync.adapters.exchange_online import Clearing, Encoding


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """How this tenant behaves where real ones may differ. Change a field at any time.

    `binds` are the encodings of byte[] that it takes, `clears` the ways to empty an attribute. `bytes_in_json` says
    whether JSON answers hold the bytes (base64) or only `System.Byte[]`; `clixml_bare` whether CLIXML is the whole
    body or a text inside JSON. `no_content` answers a Set with 204 in place of an empty list.

    `provisioning` lookups of a new recipient find nobody, and `lag` reads after a write still show what was there
    before. `most_values` refuses a longer list. `shuffled_batches` answers the parts of a batch in another order.
    """

    binds: set[Encoding] = field(default_factory=lambda: {Encoding.TAGGED_INTEGERS})
    clears: set[Clearing] = field(default_factory=lambda: set(Clearing))
    bytes_in_json: bool = True
    clixml_bare: bool = False
    no_content: bool = False
    provisioning: int = 0
    lag: int = 0
    most_values: int | None = None
    shuffled_batches: bool = True


@dataclass(slots=True, kw_only=True)
class Budget:
    """So many cmdlets in so many seconds: 429 beyond it. None is no limit.

    No throttling figure is published (facts.md); each part of a batch counts, which is the stricter reading, unless
    `batch_is_one`. `headers` come with a 429 too.
    """

    cmdlets: int | None = None
    seconds: float = 1.0
    retry_after: int | None = 1
    batch_is_one: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    refused: int = 0
    _spent: deque[float] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def forget(self) -> None:
        """Nothing was spent."""
        with self._lock:
            self._spent.clear()

    def take(self, now: float) -> bool:
        """Whether one more cmdlet may run at `now` (seconds of a clock that only goes forward)."""
        with self._lock:
            while self._spent and now - self._spent[0] >= self.seconds:
                self._spent.popleft()
            if self.cmdlets is None or len(self._spent) < self.cmdlets:
                self._spent.append(now)
                return True
            self.refused += 1
            return False


@dataclass(slots=True, kw_only=True)
class Weather:
    """Faults by probability (0 to 1), drawn with a seed: the same run meets the same weather, request by request."""

    faulty: float = 0.0
    seed: int = 0
    met: int = 0
    _random: random.Random | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def draw(self, kinds: int) -> int | None:
        """The number of the fault that this request meets, or None for a fair day."""
        with self._lock:
            self._random = self._random or random.Random(self.seed)
            if self.faulty and self._random.random() < self.faulty:
                self.met += 1
                return self._random.randrange(kinds)
            return None
