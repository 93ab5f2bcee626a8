"""Where runs are kept: one at work at most, and what each found, as blobs that every instance sees.

`runs/current.json` is the run at work, or the last one. Whoever does a piece takes it by compare-and-swap and stores it
again at its end, so that no two pieces of it, and no two runs, are ever done at once. `runs/<id>.json` is a run that is
over; below `runs/<id>/` lies what it found.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sync.core.run import Kind, Phase, Run
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import BlobStore

KEPT = 300
"""So many runs that are over are kept; of the guarded ones what they found as well."""

_SHOWN = 10
_LOOKED_AT = 60  # runs of two days, of which most find nothing
_ROOT = "runs/"
_CURRENT = f"{_ROOT}current.json"
_RUN = TypeAdapter(Run)


@dataclass(frozen=True, slots=True)
class Taken:
    """A run, and the store's mark of it as it was taken."""

    run: Run
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Raises what BlobStore raises, and PermanentError `ledger-malformed`. `patience` is how long a piece may go
    unheard of before its run is taken for dead."""

    blobs: BlobStore
    now: Callable[[], datetime]
    patience: timedelta

    def current(self) -> Run | None:
        """The run at work, or the last one."""
        taken = self._look()
        return taken.run if taken else None

    def at_work(self) -> Run | None:
        """The run at work, if there is one."""
        current = self.current()
        return current if current and not current.phase.over else None

    def latest(self) -> list[Run]:
        """The last runs that are over, the latest first; ten of them."""
        return list(islice(self.past(), _SHOWN))

    def past(self) -> Iterator[Run]:
        """Runs that are over, the latest first."""
        for name in sorted(self._ended(), reverse=True):
            if (blob := self.blobs.get(name)) is not None:
                yield _read(blob.content, name)

    def told(self) -> dict[str, Any]:
        """For machines: the run at work (`current`) and the last ones (`past`), the latest first; `guarded` marks the
        one that waits for an administrator."""
        at_work, waits = self.at_work(), self.guarded()

        def shown(run: Run) -> dict[str, Any]:
            return {**run_to_json(run), "guarded": waits is not None and run.id == waits.id}

        return {"current": shown(at_work) if at_work else None, "past": [shown(run) for run in self.latest()]}

    def complete(self) -> tuple[Run | None, datetime | None]:
        """The last run of everybody that came to its end; and since when there was none, as far back as is looked."""
        since = None
        for run, _ in zip(self.past(), range(_LOOKED_AT), strict=False):
            if run.kind is Kind.FULL and run.phase is Phase.DONE:
                return run, run.ended or run.began
            since = run.began
        return None, since

    def guarded(self) -> Run | None:
        """The run that waits for an administrator: it stopped at a limit, and no full run came to its end since. One
        that would have changed nothing holds nothing up."""
        for run, _ in zip(self.past(), range(_LOOKED_AT), strict=False):
            if run.phase is Phase.GUARDED and run.apply:
                return run
            if run.phase is Phase.DONE and run.apply and run.kind is Kind.FULL:
                return None
        return None

    def seen(self, *, to_apply: bool) -> tuple[str, ...]:
        """The revocation lists (core.revoked) that everybody was held against last, in a run that did what came of it;
        for a run that is not `to_apply` anything, in any."""
        for run, _ in zip(self.past(), range(_LOOKED_AT), strict=False):
            if run.phase is Phase.DONE and run.kind is not Kind.SCOPE and (run.apply or not to_apply):
                return run.editions
        return ()

    def find(self, run_id: str) -> Run | None:
        """The run that is over and has this id."""
        blob = self.blobs.get(f"{_ROOT}{run_id}.json") if run_id.isalnum() else None
        run = _read(blob.content, run_id) if blob else None
        return run if run and run.id == run_id else None  # `current` is no id

    def stopped(self, run_id: str) -> Run:
        """The run of this id that stopped at a limit. Raises PermanentError `run-unknown`."""
        run = self.find(run_id)
        if run is None or run.phase is not Phase.GUARDED:
            raise PermanentError(ErrorCode.RUN_UNKNOWN, f"there is no guarded run {run_id[:40]}")
        return run

    def begin(
        self,
        kind: Kind,
        *,
        apply: bool,
        scope: str | None = None,
        approves: str | None = None,
        by: str | None = None,
        first: Phase | None = None,
    ) -> Run:
        """A new run, which begins in the phase `first`, else in its kind's.

        Raises TemporaryError `run-active` while another one is at work.
        """
        now, before = self.now(), self._look()
        if before is not None and not before.run.phase.over:
            if now < before.run.alive_until:
                told = f"run {before.run.id} is in phase {before.run.phase} until {before.run.alive_until:%H:%M:%S} UTC"
                raise TemporaryError(ErrorCode.RUN_ACTIVE, told, retry_after=before.run.alive_until - now)
            before = replace(before, run=replace(before.run, phase=Phase.ABANDONED, ended=now, working=False))
        if before is not None:
            # Also one that is over: whoever ended it may have been killed before this.
            self._archive(before.run)
        run = Run(
            id=self._new_id(now),
            kind=kind,
            began=now,
            apply=apply,
            scope=scope,
            approves=approves,
            by=by,
            phase=first or kind.first,
            alive_until=now + self.patience,
        )
        try:
            self.blobs.put(_CURRENT, _RUN.dump_json(run), version=before.version if before else None)
        except TemporaryError as error:
            if error.code is not ErrorCode.LEDGER_CONFLICT:
                raise
            raise TemporaryError(ErrorCode.RUN_ACTIVE, "another run has just begun") from error
        self._tidy(before.run if before else None)
        return run

    def take(self, run_id: str) -> Taken | None:
        """The run for a piece of work; None when it is over, another one, or somebody else is at it."""
        taken, now = self._look(), self.now()
        if taken is None or taken.run.id != run_id or taken.run.phase.over:
            return None
        if taken.run.working and now < taken.run.alive_until:
            return None
        return self.store(Taken(replace(taken.run, working=True), taken.version))

    def store(self, taken: Taken, *, wait: timedelta = timedelta(0)) -> Taken | None:
        """Keep it, to be gone on with after `wait`; None when somebody else has taken it over meanwhile."""
        run = taken.run
        if run.phase.over:
            run = replace(run, ended=self.now(), working=False)
        run = replace(run, alive_until=self.now() + wait + self.patience)
        try:
            version = self.blobs.put(_CURRENT, _RUN.dump_json(run), version=taken.version)
        except TemporaryError as error:
            if error.code is ErrorCode.LEDGER_CONFLICT:
                return None
            raise
        if run.phase.over:
            self._archive(run)
        return Taken(run, version)

    def abandon(self, run_id: str) -> None:
        """End the run, if it is still at work and nobody has just stored it: whoever did its pieces was stopped."""
        taken = self._look()
        if taken is not None and taken.run.id == run_id and not taken.run.phase.over:
            self.store(Taken(replace(taken.run, phase=Phase.ABANDONED), taken.version))

    # What a run found: blocks of lines, by a name within the run.

    def keep(self, run: Run, name: str, content: bytes) -> None:
        """Keep a block."""
        self.blobs.put(f"{_ROOT}{run.id}/{name}", zlib.compress(content, 1))

    def keep_lines(self, run: Run, name: str, lines: Iterable[Mapping[str, object]]) -> None:
        """Keep a block of JSON lines."""
        self.keep(run, name, "\n".join(json.dumps(line) for line in lines).encode("utf-8"))

    def block(self, run_id: str, name: str) -> bytes | None:
        """A block, if it is there."""
        blob = self.blobs.get(f"{_ROOT}{run_id}/{name}")
        try:
            return None if blob is None else zlib.decompress(blob.content)
        except zlib.error as error:
            raise PermanentError(ErrorCode.LEDGER_MALFORMED, f"{name} of run {run_id}: {error}") from error

    def lines(self, run_id: str, name: str) -> list[dict[str, Any]]:
        """The JSON lines of a block; none where it is not there."""
        content = self.block(run_id, name)
        try:
            return [json.loads(line) for line in (content or b"").splitlines()]
        except ValueError as error:
            raise PermanentError(ErrorCode.LEDGER_MALFORMED, f"{name} of run {run_id}: {error}") from error

    def all_lines(self, run_id: str, prefix: str) -> Iterator[dict[str, Any]]:
        """The JSON lines of every block whose name begins so, in order."""
        return (line for name in self.blocks(run_id, prefix) for line in self.lines(run_id, name))

    def blocks(self, run_id: str, prefix: str) -> list[str]:
        """The names of the run's blocks that begin so, in order."""
        root = f"{_ROOT}{run_id}/"
        return [name.removeprefix(root) for name in self.blobs.names(f"{root}{prefix}")]

    def _new_id(self, now: datetime) -> str:
        """A run's id is the moment at which it began, or the first after it that no other has."""
        while self.find(run_id := f"{now:%Y%m%dT%H%M%S%f}") is not None:
            now += timedelta(microseconds=1)
        return run_id

    def _look(self) -> Taken | None:
        blob = self.blobs.get(_CURRENT)
        return None if blob is None else Taken(_read(blob.content, _CURRENT), blob.version)

    def _archive(self, run: Run) -> None:
        self.blobs.put(f"{_ROOT}{run.id}.json", _RUN.dump_json(run))

    def _ended(self) -> list[str]:
        names = (name for name in self.blobs.names(_ROOT) if name.count("/") == 1)
        return [name for name in names if name != _CURRENT]

    def _tidy(self, before: Run | None) -> None:
        """What the last run found is of no use any more, unless it may be approved; and old runs are not at all."""
        ended = sorted(name.removeprefix(_ROOT).removesuffix(".json") for name in self._ended())
        old = set(ended[:-KEPT])
        used = {before.id} if before and before.phase is not Phase.GUARDED else set()
        for name in list(self.blobs.names(_ROOT)):
            owner, below, _ = name.removeprefix(_ROOT).partition("/")
            if owner.removesuffix(".json") in old or (below and owner in used):
                self.blobs.delete(name)


def _read(content: bytes, name: str) -> Run:
    try:
        return _RUN.validate_json(content)
    except ValidationError as error:
        raise PermanentError(
            ErrorCode.LEDGER_MALFORMED, f"the run {name} cannot be read: {error.error_count()} problems"
        ) from error


def run_to_json(run: Run) -> dict[str, Any]:
    """For machines."""
    return _RUN.dump_python(run, mode="json")  # type: ignore[no-any-return]
