"""Is it keeping up? The whole product at a glance, as values: what `smime-sync status` shows, and what of it somebody
should look at. Whoever gathers it is `sync.overseer`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any

from pydantic import TypeAdapter

from sync.core.canary import Standing
from sync.core.latency import Latency
from sync.core.run import Phase
from sync.core.summary import OTHERS, Summary
from sync.errors import ErrorCode, PermanentError
from sync.own_certificate import URGENT, Expiry

MISSED = 5
"""So many heartbeats that did not come are silence."""
_USUAL_BEAT = timedelta(minutes=1)
"""Of an agent of a release that did not say how often it beats."""
_RAREST_BEAT = 300
"""Seconds that may be set (settings.AgentSettings). Whoever says more shall not be silent for days."""
SLOW_AFTER = timedelta(minutes=15)
STUCK_AFTER = timedelta(hours=1)
RECONCILED_WITHIN = timedelta(hours=48)
BEHIND_AFTER = timedelta(minutes=75)
"""An agent reads once an hour at least (SMIME_SYNC_POLL_SECONDS)."""
FEW = 1000
"""So many failures are counted; beyond them it is said to be more."""
_SUMMARY = TypeAdapter(Summary)


class Health(IntEnum):
    """The exit code, as monitoring plug-ins have it."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


class Worry(StrEnum):
    """What a concern is about: the word by which alerts find it in the log."""

    AGENT_NEVER_HEARD = "agent-never-heard"
    AGENT_SILENT = "agent-silent"
    AGENT_HOLDS = "agent-holds"
    AGENT_ERROR = "agent-error"
    AGENT_BEHIND = "agent-behind"
    QUEUE_SLOW = "queue-slow"
    WRITES_BEHIND = "writes-behind"
    FAILED = "messages-failed"
    GUARDED = "run-guarded"
    RUN_FAILED = "run-failed"
    NOT_COUNTED = "not-counted"
    NOT_RECONCILED = "not-reconciled"
    CERTIFICATE_EXPIRES = "certificate-expires"
    CANARY_MISSING = "canary-missing"
    CANARY_LATE = "canary-late"
    CANARY_ERROR = "canary-error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """One thing that somebody should look at."""

    worry: Worry
    health: Health
    text: str

    def to_json(self) -> dict[str, str]:
        """For `--json`, monitoring and the console."""
        return {"worry": self.worry, "health": self.health.name.lower(), "text": self.text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """`agents` are the heartbeats by source, `booked` is until when the tenant's turns of writing are booked, `failed`
    counts failures by reason, `throttled` is when the tenant asked us last to slow down, `issuers` names the CAs of the
    summary by their marks, `docs` is where our pages can be read, `ends` are the certificates that the app itself goes
    by, and when each is over, `canary` is None where none is set.

    `run` is the reconciliation at work or the last one, `guarded` the one that waits for an administrator, `reconciled`
    the last of everybody that came to its end; `unreconciled_since` none did, as far back as was looked.
    """

    at: datetime
    agents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    queued: int = 0
    oldest: datetime | None = None
    booked: datetime | None = None
    failed: Mapping[str, int] = field(default_factory=dict)
    throttled: datetime | None = None
    run: Mapping[str, Any] | None = None
    reconciled: Mapping[str, Any] | None = None
    unreconciled_since: datetime | None = None
    guarded: str | None = None
    latency: Latency | None = None
    canary: Standing | None = None
    summary: Summary | None = None
    issuers: Mapping[str, str] = field(default_factory=dict)
    docs: str = ""
    ends: Sequence[Expiry] = ()

    @property
    def health(self) -> Health:
        """The worst of what there is."""
        return max((each.health for each in self.concerns), default=Health.OK)

    @property
    def concerns(self) -> tuple[Concern, ...]:
        """What somebody should look at, the worst first."""
        return tuple(sorted(self._concerns(), key=lambda each: -each.health))

    def _concerns(self) -> Iterator[Concern]:
        if not self.agents:
            yield _warning(Worry.AGENT_NEVER_HEARD, "no agent has been heard of")
        if self.oldest is not None and (age := self.at - self.oldest) > SLOW_AFTER:
            concern = _critical if age > STUCK_AFTER else _warning
            yield concern(Worry.QUEUE_SLOW, f"a message waits for {_span(age)} on the change queue")
        if self.booked is not None and (ahead := self.booked - self.at) > SLOW_AFTER:
            yield _warning(Worry.WRITES_BEHIND, f"writes wait for their turn: it is {_span(ahead)} ahead")
        if self.failed:
            yield _warning(Worry.FAILED, f"{_most(self.failed.values())} messages failed: see `failed`")
        if self.guarded is not None:
            yield _critical(Worry.GUARDED, f"reconciliation {self.guarded} is guarded: it waits for you")
        if self.run is not None and self.run.get("phase") == Phase.FAILED:
            told = f"reconciliation {self.run.get('id')} failed: see `reconcile --status`"
            yield _warning(Worry.RUN_FAILED, told)
        if self.summary is None or self.at - self.summary.at > RECONCILED_WITHIN:
            yield _warning(Worry.NOT_COUNTED, "coverage was not counted for two days: does the timer run?")
        if self.unreconciled_since is not None and self.at - self.unreconciled_since > RECONCILED_WITHIN:
            yield _warning(Worry.NOT_RECONCILED, "no reconciliation of everybody came to its end for two days")
        yield from self._of_agents()
        yield from self._of_certificates()
        yield from self._of_the_canary()

    def _of_agents(self) -> Iterator[Concern]:
        for source, beat in self.agents.items():
            age = self.at - _moment(beat)
            if age > MISSED * _every(beat):
                yield _critical(Worry.AGENT_SILENT, f"the agent of {source} is silent for {_span(age)}")
            if beat.get("held"):
                yield _warning(Worry.AGENT_HOLDS, f"the agent of {source} holds events back: see `agent status`")
            if (lag := behind(beat)) and lag > BEHIND_AFTER and not beat.get("importing"):
                yield _warning(Worry.AGENT_BEHIND, f"the agent of {source} has read nothing for {_span(lag)}")
            if error := beat.get("lastError"):
                yield _warning(Worry.AGENT_ERROR, f"the agent of {source} had an error: {error}")

    def _of_certificates(self) -> Iterator[Concern]:
        agents = (each for source, beat in self.agents.items() for each in _ends(source, beat))
        for each in (*self.ends, *agents):
            if (left := each.at - self.at) < each.notice:
                concern = _critical if left < URGENT else _warning
                yield concern(Worry.CERTIFICATE_EXPIRES, f"{each.name} is good until {each.at:%Y-%m-%d %H:%M} UTC")

    def _of_the_canary(self) -> Iterator[Concern]:
        watched = self.canary.anchor if self.canary else None
        for source, beat in self.agents.items():
            told = beat.get("canary")
            if not isinstance(told, Mapping):
                continue
            if error := told.get("error"):
                yield _warning(Worry.CANARY_ERROR, f"the canary of {source} cannot be changed: {error}")
            if (changed := told.get("anchor")) and changed != watched:
                other = (
                    f"the agent of {source} changes the canary {changed}, and the function watches {watched or 'none'}"
                )
                yield _warning(Worry.CANARY_ERROR, f"{other}: see SMIME_SYNC_CANARY")
        if self.canary is None:
            return
        if self.canary.last is None:
            yield _warning(Worry.CANARY_MISSING, "no change of the canary was ever written: does the agent know of it?")
        elif self.canary.missing(self.at):
            age = self.at - self.canary.last.at
            yield _warning(Worry.CANARY_MISSING, f"the canary's last change was written {_span(age)} ago")
        elif self.canary.late:
            told = f"{self.canary.last.seconds:.0f} s to be written, more than {self.canary.limit:g}"
            yield _warning(Worry.CANARY_LATE, f"the canary's last change took {told}")

    def to_json(self) -> dict[str, object]:
        """For `--json`, monitoring and the console."""
        return {
            "at": self.at.isoformat(),
            "health": self.health.name.lower(),
            "concerns": [each.to_json() for each in self.concerns],
            "agents": {source: dict(beat) for source, beat in self.agents.items()},
            "queue": {"messages": self.queued, "oldest": self.oldest.isoformat() if self.oldest else None},
            "cursors": {source: _cursor(beat) for source, beat in self.agents.items()},
            "writesBookedUntil": self.booked.isoformat() if self.booked else None,
            "throttledLast": self.throttled.isoformat() if self.throttled else None,
            "failed": dict(self.failed),
            "run": dict(self.run) if self.run else None,
            "reconciled": dict(self.reconciled) if self.reconciled else None,
            "latency": self.latency.to_json() if self.latency else None,
            "canary": self.canary.to_json(self.at) if self.canary else None,
            "summary": json.loads(_SUMMARY.dump_json(self.summary)) if self.summary else None,
            "issuers": dict(self.issuers),
            "docs": self.docs,
            "certificates": {each.name: each.at.isoformat() for each in self.ends},
        }

    def issuer(self, mark: str) -> str:
        """A CA's name by its mark."""
        return "others" if mark == OTHERS else self.issuers.get(mark, f"unknown CA {mark}")


def _warning(worry: Worry, text: str) -> Concern:
    return Concern(worry=worry, health=Health.WARNING, text=text)


def _critical(worry: Worry, text: str) -> Concern:
    return Concern(worry=worry, health=Health.CRITICAL, text=text)


def _moment(beat: Mapping[str, Any]) -> datetime:
    try:
        return datetime.fromisoformat(str(beat.get("at")))
    except ValueError as error:
        raise PermanentError(ErrorCode.LEDGER_MALFORMED, "a heartbeat says no time") from error


def behind(beat: Mapping[str, Any]) -> timedelta | None:
    """How long before its heartbeat the agent had read the directory to the end: both by its own clock."""
    try:
        return max(_moment(beat) - datetime.fromisoformat(str(beat.get("lastRound"))), timedelta(0))
    except (ValueError, TypeError):
        return None


def _cursor(beat: Mapping[str, Any]) -> dict[str, object]:
    lag = behind(beat)
    return {"lagSeconds": lag.total_seconds() if lag is not None else None, "waiting": beat.get("waiting", 0)}


def _every(beat: Mapping[str, Any]) -> timedelta:
    told = beat.get("everySeconds")
    return timedelta(seconds=told) if isinstance(told, int | float) and 0 < told <= _RAREST_BEAT else _USUAL_BEAT


def _ends(source: str, beat: Mapping[str, Any]) -> Iterator[Expiry]:
    """Of the agent's own certificates, as it told; an older agent tells none."""
    told = beat.get("certificates") or {}
    try:
        for name, at in told.items():
            yield Expiry(name=f"{name} of the agent of {source}", at=datetime.fromisoformat(at).astimezone(UTC))
    except (AttributeError, TypeError, ValueError) as error:
        raise PermanentError(ErrorCode.LEDGER_MALFORMED, "a heartbeat does not say when certificates end") from error


def _most(counts: Iterable[int]) -> str:
    total = sum(counts)
    return f"{total} or more" if total >= FEW else str(total)


def _span(time: timedelta) -> str:
    return str(time).partition(".")[0]
