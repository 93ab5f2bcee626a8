"""What lies beside the ledger: earlier states, failures, and the rate of writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import UpdateMode

from sync.adapters.table_ledger.table import BLOB, Table, etag, key, reading
from sync.archive import failure_from_json, failure_to_json, snapshot_from_json, snapshot_to_json
from sync.azure_errors import translated
from sync.core.digest import place
from sync.core.rate import Rate
from sync.core.record import Failure, Snapshot
from sync.errors import ErrorCode, TemporaryError
from sync.ports import SNAPSHOTS

_FAILURES: Final = "failures"
_PACE: Final = "pace"
_BOOKED: Final = "bookedUntil"
_TRIES: Final = 8


class TableHistory(Table):
    """History: an entity for each snapshot, those of a person side by side."""

    def keep(self, anchor: str, snapshot: Snapshot) -> None:
        """See ports.History. Raises PermanentError `event-too-large` over MAX_BYTES."""
        partition, row = place(anchor)[:2], key(anchor)
        with translated(self._service):
            entity = self._packed(partition, f"{row}.{snapshot.id}", snapshot_to_json(snapshot))
            self._client.upsert_entity(entity, mode=UpdateMode.REPLACE)
            for surplus in self._rows(anchor, ["RowKey", BLOB])[SNAPSHOTS:]:
                self._client.delete_entity(partition, str(surplus["RowKey"]))
                self._drop(str(surplus.get(BLOB) or ""))

    def all(self, anchor: str) -> Sequence[Snapshot]:
        """See ports.History."""
        return [self._snapshot(entity) for entity in self._rows(anchor)]

    def _rows(self, anchor: str, select: list[str] | None = None) -> list[Mapping[str, Any]]:
        partition, row = place(anchor)[:2], key(anchor)
        # "." comes right before "/" in the order of keys: all rows of this person and nobody else's.
        query = "PartitionKey eq @partition and RowKey ge @first and RowKey lt @last"
        keys = {"partition": partition, "first": f"{row}.", "last": f"{row}/"}
        with translated(self._service):
            found = list(self._client.query_entities(query, parameters=keys, select=select))
        return sorted(found, key=lambda entity: str(entity["RowKey"]), reverse=True)

    def _snapshot(self, entity: Mapping[str, Any]) -> Snapshot:
        with reading(entity):
            return snapshot_from_json(self._unpacked(entity))


@dataclass(frozen=True, slots=True)
class _Booked:
    """Until when turns are booked, and under which ETag that is stored."""

    until: datetime | None = None
    etag: str | None = None


class TablePace(Table):
    """Pace: one moment in one entity, swapped by whoever books the next turn."""

    # What this instance has booked itself. Where another one has booked since, the ETag says so, and it is read again.
    _last: _Booked | None = None

    def book(self, rate: Rate, now: datetime) -> datetime:
        """See ports.Pace. Instances that book at once meet at the ETag; a few tries are enough for a few instances."""
        for _ in range(_TRIES):
            # Taken by one thread: the second would only lose to the first.
            last, self._last = self._last or self._read(), None
            turn, until = rate.reserve(last.until, now)
            entity = {"PartitionKey": _PACE, "RowKey": _PACE, _BOOKED: until.isoformat()}
            with translated(self._service), suppress(ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
                self._last = _Booked(until, str(self._swap(entity, last.etag)["etag"]))
                return turn
        raise TemporaryError(ErrorCode.LEDGER_CONFLICT, "other instances book turns faster")

    def booked(self) -> datetime | None:
        """See ports.Pace."""
        return self._read().until

    def _read(self) -> _Booked:
        stored = self._get(_PACE, _PACE)
        return _Booked(datetime.fromisoformat(str(stored[_BOOKED])), etag(stored)) if stored else _Booked()


class TableFailures(Table):
    """Failures: an entity each in one partition, since they are few and are listed together."""

    def add(self, failure: Failure) -> None:
        """See ports.Failures. Raises PermanentError `event-too-large` over MAX_BYTES."""
        entity = self._packed(_FAILURES, key(failure.id), failure_to_json(failure))
        entity |= {"at": _at(failure.at), "reason": failure.reason, "anchor": failure.anchor}
        with translated(self._service):
            self._client.upsert_entity(entity, mode=UpdateMode.REPLACE)

    def get(self, failure_id: str) -> Failure | None:
        """See ports.Failures."""
        entity = self._get(_FAILURES, key(failure_id))
        return self._failure(entity) if entity is not None else None

    def all(
        self, *, reason: str | None = None, anchor: str | None = None, since: datetime | None = None
    ) -> Iterator[Failure]:
        """See ports.Failures: a light walk, then one read each, so that memory holds no bodies."""
        first = _at(since) if since else ""
        light = self._walk("PartitionKey eq @all", ["at", "reason", "anchor", "RowKey"], all=_FAILURES)
        # An entity of an earlier release says neither reason nor anchor: that one is read to see.
        chosen = sorted(
            (str(entity.get("at")), str(entity["RowKey"]))
            for entity in light
            if _may_be(entity.get("reason"), reason)
            and _may_be(entity.get("anchor"), anchor)
            and str(entity.get("at")) >= first
        )
        for _, row in chosen:
            # It may have been removed since the walk.
            if (entity := self._get(_FAILURES, row)) is None:
                continue
            failure = self._failure(entity)
            if reason in {None, failure.reason} and anchor in {None, failure.anchor}:
                yield failure

    def remove(self, failure_id: str) -> None:
        """See ports.Failures."""
        with translated(self._service):
            # The client takes a 404 for success here.
            self._client.delete_entity(_FAILURES, key(failure_id))

    def _failure(self, entity: Mapping[str, Any]) -> Failure:
        with reading(entity):
            return failure_from_json(self._unpacked(entity))


def _at(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _may_be(told: object, wanted: str | None) -> bool:
    return wanted is None or told is None or told == wanted
