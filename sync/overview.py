"""Is it keeping up? The whole product at a glance: `smime-sync status`.

What a walk of everybody finds (coverage, what expires) lies in a blob that a timer renews; the rest is asked now, and
costs the same for a thousand people as for a million.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from itertools import islice
from typing import Any
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError

from sync.canary_watch import CanaryWatch
from sync.core.canary import Standing
from sync.core.digest import Digest
from sync.core.event import Cause
from sync.core.latency import Latency
from sync.core.record import Status
from sync.core.run import Phase
from sync.core.summary import OTHERS, Summary, summarise
from sync.errors import ErrorCode, PermanentError
from sync.own_certificate import URGENT, Expiry
from sync.ports import AuditLog, Backlog, BlobStore, Failures, Ledger, Pace
from sync.reconciling.runs import Runs, run_to_json

SUMMARY = "summary.json"
MISSED = 5
"""So many heartbeats that did not come are silence."""
_USUAL_BEAT = timedelta(minutes=1)
"""Of an agent of a release that did not say how often it beats."""
_RAREST_BEAT = 300
"""Seconds that may be set (settings.AgentSettings). Whoever says more shall not be silent for days."""
SLOW_AFTER = timedelta(minutes=15)
STUCK_AFTER = timedelta(hours=1)
RECONCILED_WITHIN = timedelta(hours=48)
FEW = 1000
"""So many failures are counted; beyond them it is said to be more."""
_ENTRIES = 50_000
"""So many audit entries are read for the latency, of whole hours; of a day with more only the later hours count."""
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_MOMENT = timedelta(microseconds=1)
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
    QUEUE_SLOW = "queue-slow"
    WRITES_BEHIND = "writes-behind"
    FAILED = "messages-failed"
    GUARDED = "run-guarded"
    RUN_FAILED = "run-failed"
    NOT_COUNTED = "not-counted"
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
    counts failures by reason, `run` is the reconciliation at work or the last one, `guarded` the one that waits for an
    administrator, `issuers` names the CAs of the summary by their marks, `docs` is where our pages can be read, `ends`
    are the certificates that the app itself goes by, and when each is over, `canary` is None where none is set."""

    at: datetime
    agents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    queued: int = 0
    oldest: datetime | None = None
    booked: datetime | None = None
    failed: Mapping[str, int] = field(default_factory=dict)
    run: Mapping[str, Any] | None = None
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
            "writesBookedUntil": self.booked.isoformat() if self.booked else None,
            "failed": dict(self.failed),
            "run": dict(self.run) if self.run else None,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Overseer:
    """`issuers` gives the names of CAs by their marks, `ends` until when the app's own certificates are good."""

    ledger: Ledger
    failures: Failures
    backlog: Backlog
    blobs: BlobStore
    audit: AuditLog
    issuers: Callable[[], Mapping[str, str]]
    now: Callable[[], datetime]
    pace: Pace | None = None
    docs: str = ""
    ends: Callable[[], Sequence[Expiry]] = tuple
    canary: CanaryWatch | None = None

    def look(self, *, latency: bool = True) -> Overview:
        """How it stands now; without `latency`, which reads a day of the audit log. Raises what the ports raise."""
        now = self.now()
        blob = self.blobs.get(SUMMARY)
        runs = Runs(blobs=self.blobs, now=self.now, patience=timedelta())
        run, guarded = runs.current(), runs.guarded()
        beats = ((name, self.blobs.get(name)) for name in self.blobs.names("heartbeat/"))
        return Overview(
            at=now,
            agents={_source(name): _read(name, beat.content) for name, beat in beats if beat},
            queued=self.backlog.count(),
            oldest=self.backlog.oldest(),
            booked=self.pace.booked() if self.pace else None,
            failed=dict(Counter(failure.reason for failure in islice(self.failures.all(), FEW))),
            run=run_to_json(run) if run else None,
            guarded=guarded.id if guarded else None,
            latency=self._latency(now) if latency else None,
            canary=self.canary.look() if self.canary else None,
            summary=_summary(blob.content) if blob else None,
            issuers=self.issuers(),
            docs=self.docs,
            ends=self.ends(),
        )

    def count(self, progress: Callable[[int], None] | None = None) -> Summary:
        """Walk everybody, and keep what was found for `look`."""
        summary = summarise(_told(self.ledger.digests(), progress), self.now())
        self.blobs.put(SUMMARY, _SUMMARY.dump_json(summary))
        return summary

    def _latency(self, now: datetime) -> Latency | None:
        """Of the last day, the latest hours first; of fewer hours when more decisions than are read were in it."""
        seconds: list[float] = []
        read, counted = 0, now
        while read < _ENTRIES and counted > now - _DAY:
            since, before, hour = counted - _HOUR, read, list[float]()
            until = counted if counted < now else now + _MOMENT
            for entry in islice(self.audit.between(since, until), _ENTRIES - before + 1):
                read += 1
                if entry.status is Status.WRITTEN and entry.cause == Cause.CHANGE and entry.seconds is not None:
                    hour.append(entry.seconds)
            if before and read > _ENTRIES:
                break  # not whole: only how this hour began would count
            seconds += hour
            counted = since
        return Latency.of(seconds, counted)


def _warning(worry: Worry, text: str) -> Concern:
    return Concern(worry=worry, health=Health.WARNING, text=text)


def _critical(worry: Worry, text: str) -> Concern:
    return Concern(worry=worry, health=Health.CRITICAL, text=text)


def _told(digests: Iterable[Digest], progress: Callable[[int], None] | None) -> Iterator[Digest]:
    for number, digest in enumerate(digests, start=1):
        if progress is not None and number % 500 == 0:
            progress(number)
        yield digest


def _source(name: str) -> str:
    return unquote(name.removeprefix("heartbeat/").removesuffix(".json"))


def _read(name: str, content: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(content)
    except ValueError as error:
        raise PermanentError(ErrorCode.LEDGER_MALFORMED, f"the blob {name} is not JSON") from error
    if not isinstance(told, dict):
        raise PermanentError(ErrorCode.LEDGER_MALFORMED, f"the blob {name} is not a JSON object")
    return told


def _summary(content: bytes) -> Summary | None:
    """Of another release it is none: the timer counts again."""
    try:
        return _SUMMARY.validate_json(content)
    except ValidationError:
        return None


def _moment(beat: Mapping[str, Any]) -> datetime:
    try:
        return datetime.fromisoformat(str(beat.get("at")))
    except ValueError as error:
        raise PermanentError(ErrorCode.LEDGER_MALFORMED, "a heartbeat says no time") from error


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
