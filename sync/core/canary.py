"""The canary: a test person whose certificate is changed on purpose, to measure how long a change takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sync.core.certificate import Certificate, MalformedCertificateError
from sync.core.clients import encrypts
from sync.core.latency import Latency

DAY: Final = timedelta(days=1)
FORGIVEN: Final = 2
"""So many turns may pass without a write before it is missed."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A change of the canary that was written at this moment, so many seconds after it was made."""

    at: datetime
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lately:
    """Of one day: the quantiles, and the share that was within the limit."""

    latency: Latency
    within: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the canary `anchor` does: every change, one each `every`, shall be written within `limit` seconds."""

    anchor: str
    every: timedelta
    limit: float
    turns: tuple[Turn, ...] = ()

    @property
    def last(self) -> Turn | None:
        """The latest one."""
        return self.turns[-1] if self.turns else None

    def missing(self, now: datetime) -> bool:
        """Whether no change was written for longer than is forgiven."""
        return self.last is None or now - self.last.at > FORGIVEN * self.every

    @property
    def late(self) -> bool:
        """Whether the latest one took longer than it may."""
        return self.last is not None and self.last.seconds > self.limit

    def lately(self, now: datetime) -> Lately | None:
        """How it did in the last day; None when nothing was written."""
        seconds = [turn.seconds for turn in self.turns if now - turn.at <= DAY]
        latency = Latency.of(seconds, now - DAY)
        if latency is None:
            return None
        return Lately(latency=latency, within=sum(each <= self.limit for each in seconds) / len(seconds))

    def to_json(self, now: datetime) -> dict[str, object]:
        """For `--json` and the console."""
        lately = self.lately(now)
        return {
            "anchor": self.anchor,
            "lastWritten": self.last.at.isoformat() if self.last else None,
            "lastSeconds": self.last.seconds if self.last else None,
            "limitSeconds": self.limit,
            "everyMinutes": self.every / timedelta(minutes=1),
            "lastDay": lately.latency.to_json() if lately else None,
            "withinLimit": lately.within if lately else None,
        }


def remembered(turns: Sequence[Turn], turn: Turn) -> tuple[Turn, ...]:
    """These turns with another one, in order of time: those of the last day, so that there are never many."""
    return tuple(sorted({*(each for each in turns if turn.at - each.at <= DAY), turn}, key=lambda each: each.at))


def takeable(values: Sequence[bytes], now: datetime) -> bytes | None:
    """The certificate whose absence will be seen: the newest, since that one is published (rules.md, C3).

    None unless another one stays that can be encrypted to as well: nobody shall lose their last certificate by this.
    """
    usable = sorted(_usable(values, now))
    return usable[0][-1] if len(usable) > 1 else None


def _usable(values: Sequence[bytes], now: datetime) -> Iterator[tuple[float, float, str, bytes]]:
    for value in values:
        try:
            certificate = Certificate.parse(value)
        except MalformedCertificateError:
            continue
        if encrypts(certificate, now):
            begin, end = certificate.not_before.timestamp(), certificate.not_after.timestamp()
            yield -begin, -end, certificate.fingerprint, value
