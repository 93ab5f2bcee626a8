"""Looks how everything stands: asks the ports, and gives the overview that `smime-sync status` shows.

What a walk of everybody finds (coverage, what expires) lies in a blob that a timer renews; the rest is asked now, and
costs the same for a thousand people as for a million.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError

from sync.canary_watch import CanaryWatch
from sync.core.digest import Digest
from sync.core.event import Cause
from sync.core.latency import Latency
from sync.core.record import Status
from sync.core.summary import Summary, summarise
from sync.errors import ErrorCode, PermanentError
from sync.overview import FEW, Overview
from sync.own_certificate import Expiry
from sync.ports import AuditLog, Backlog, BlobStore, Failures, Ledger, Pace
from sync.reconciling.runs import Runs, run_to_json

SUMMARY = "summary.json"
_ENTRIES = 50_000
"""So many audit entries are read for the latency, of whole hours; of a day with more only the later hours count."""
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_MOMENT = timedelta(microseconds=1)
_SUMMARY = TypeAdapter(Summary)


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
    throttled: Callable[[], datetime | None] | None = None
    docs: str = ""
    ends: Callable[[], Sequence[Expiry]] = tuple
    canary: CanaryWatch | None = None

    def look(self, *, latency: bool = True) -> Overview:
        """How it stands now; without `latency`, which reads a day of the audit log. Raises what the ports raise."""
        now = self.now()
        blob = self.blobs.get(SUMMARY)
        runs = Runs(blobs=self.blobs, now=self.now, patience=timedelta())
        run, guarded = runs.current(), runs.guarded()
        reconciled, unreconciled_since = runs.complete()
        beats = ((name, self.blobs.get(name)) for name in self.blobs.names("heartbeat/"))
        return Overview(
            at=now,
            agents={_source(name): _read(name, beat.content) for name, beat in beats if beat},
            queued=self.backlog.count(),
            oldest=self.backlog.oldest(),
            booked=self.pace.booked() if self.pace else None,
            failed=dict(Counter(failure.reason for failure in islice(self.failures.all(), FEW))),
            throttled=self.throttled() if self.throttled else None,
            run=run_to_json(run) if run else None,
            reconciled=run_to_json(reconciled) if reconciled else None,
            unreconciled_since=unreconciled_since,
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
