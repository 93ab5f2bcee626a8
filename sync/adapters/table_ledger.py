"""Ledger and failures on Azure Tables: one entity each, the whole value in it as JSON, compare-and-swap by ETag.

Azure takes 64 KiB a property and 1 MiB an entity, so the JSON lies in as many binary properties as it needs.
Source: "Understanding the Table service data model", Azure Storage REST reference.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.data.tables import TableClient, UpdateMode

from sync.archive import (
    failure_from_json,
    failure_to_json,
    record_from_json,
    record_to_json,
    snapshot_from_json,
    snapshot_to_json,
)
from sync.azure_errors import Service, service_code, translated
from sync.core.rate import Rate
from sync.core.record import Failure, Record, Snapshot
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import SNAPSHOTS

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

MAX_BYTES: Final = 15 * 65_536
"""Of one record or failure as JSON: fifteen full properties leave room in the entity's 1 MiB for names and keys."""

_SERVICE: Final = Service(name="the table", unavailable=ErrorCode.LEDGER_UNAVAILABLE, refused=ErrorCode.LEDGER_REFUSED)
_SCHEMA: Final = 1
_PROPERTY_BYTES: Final = 65_536
_FAILURES: Final = "failures"
_PACE: Final = "pace"
_BOOKED: Final = "bookedUntil"
_TRIES: Final = 8


class _Table:
    """What ledger and failures share: how one logs in to a table, makes it and walks it."""

    def __init__(self, client: TableClient) -> None:
        """Use a client; `from_identity` and `from_connection_string` make one with bounded retries."""
        self._client = client
        self._service = replace(_SERVICE, name=f"the table {client.table_name} of {client.account_name}")

    @classmethod
    def from_identity(
        cls, account_url: str, credential: TokenCredential, table: str, *, ca_file: str | None = None
    ) -> Self:
        """Log in with an Entra token. `ca_file` (PEM) replaces the public authorities, behind an inspecting proxy.

        Raises PermanentError `settings-invalid`.
        """
        with translated(_SERVICE):
            return cls(TableClient(account_url, table, credential=credential, **_options(ca_file)))

    @classmethod
    def from_connection_string(cls, connection_string: str, table: str) -> Self:
        """Log in with the account's key or a shared access signature. Raises PermanentError `settings-invalid`."""
        with translated(_SERVICE):
            return cls(TableClient.from_connection_string(connection_string, table, **_options(None)))

    @property
    def name(self) -> str:
        """The table's name."""
        return self._client.table_name

    def create(self) -> None:
        """Make the table unless it is there."""
        with translated(self._service):
            try:
                self._client.create_table()
            except ResourceExistsError as error:
                # A table that is just being deleted answers 409 as well, and must not pass for one that is there.
                if service_code(error) != "TableAlreadyExists":
                    raise

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def _get(self, partition: str, row: str) -> Mapping[str, Any] | None:
        with translated(self._service):
            try:
                return self._client.get_entity(partition, row)
            except ResourceNotFoundError as error:
                if service_code(error) == "TableNotFound":
                    raise
                return None

    def _walk(self, select: list[str] | None = None) -> Iterator[Mapping[str, Any]]:
        """Every entity, a page of the service at a time."""
        pages = self._client.list_entities(select=select).by_page()
        while True:
            with translated(self._service):
                page = next(pages, None)
                entities = list(page) if page is not None else None
            if entities is None:
                return
            yield from entities

    def _swap(self, entity: dict[str, Any], version: str | None) -> Mapping[str, Any]:
        if version is None:
            return self._client.create_entity(entity)
        # Replaced, not merged: a shorter record would keep the last properties of a longer one.
        return self._client.update_entity(
            entity, mode=UpdateMode.REPLACE, etag=version, match_condition=MatchConditions.IfNotModified
        )


class TableLedger(_Table):
    """Ledger: an entity a person, spread over 256 partitions so that a million people do not share one server."""

    def get(self, anchor: str) -> Record | None:
        """See ports.Ledger."""
        entity = self._get(*_place(anchor))
        return _record(entity) if entity is not None else None

    def put(self, record: Record) -> Record:
        """See ports.Ledger. Raises PermanentError `event-too-large` over MAX_BYTES.

        When a first answer is lost, the client's own second try meets its own first one and reports a conflict:
        the message is delivered again and looks again, which costs time and does no harm.
        """
        partition, row = _place(record.anchor)
        entity = _entity(partition, row, record_to_json(record))
        with translated(self._service):
            try:
                stored = self._swap(entity, record.version)
            except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError) as error:
                # A 404 on creation, or of the table itself, is no race: nobody made the table.
                missing = isinstance(error, ResourceNotFoundError)
                if missing and (record.version is None or service_code(error) == "TableNotFound"):
                    raise
                raise TemporaryError(
                    ErrorCode.LEDGER_CONFLICT, f"somebody else has just stored {record.anchor}"
                ) from error
        return replace(record, version=str(stored["etag"]))

    def records(self) -> Iterator[Record]:
        """See ports.Ledger."""
        return map(_record, self._walk())


class TableHistory(_Table):
    """History: an entity for each snapshot, those of a person side by side."""

    def keep(self, anchor: str, snapshot: Snapshot) -> None:
        """See ports.History. Raises PermanentError `event-too-large` over MAX_BYTES."""
        partition, row = _place(anchor)
        with translated(self._service):
            entity = _entity(partition, f"{row}.{snapshot.id}", snapshot_to_json(snapshot))
            self._client.upsert_entity(entity, mode=UpdateMode.REPLACE)
            for surplus in self._rows(anchor, ["RowKey"])[SNAPSHOTS:]:
                self._client.delete_entity(partition, str(surplus["RowKey"]))

    def all(self, anchor: str) -> Sequence[Snapshot]:
        """See ports.History."""
        return [_snapshot(entity) for entity in self._rows(anchor)]

    def _rows(self, anchor: str, select: list[str] | None = None) -> list[Mapping[str, Any]]:
        partition, row = _place(anchor)
        # "." comes right before "/" in the order of keys: all rows of this person and nobody else's.
        query = "PartitionKey eq @partition and RowKey ge @first and RowKey lt @last"
        keys = {"partition": partition, "first": f"{row}.", "last": f"{row}/"}
        with translated(self._service):
            found = list(self._client.query_entities(query, parameters=keys, select=select))
        return sorted(found, key=lambda entity: str(entity["RowKey"]), reverse=True)


class TablePace(_Table):
    """Pace: one moment in one entity, swapped by whoever books the next turn."""

    def book(self, rate: Rate, now: datetime) -> datetime:
        """See ports.Pace. Instances that book at once meet at the ETag; a few tries are enough for a few instances."""
        for _ in range(_TRIES):
            stored = self._get(_PACE, _PACE)
            booked = datetime.fromisoformat(str(stored[_BOOKED])) if stored else None
            turn, booked_until = rate.reserve(booked, now)
            entity = {"PartitionKey": _PACE, "RowKey": _PACE, _BOOKED: booked_until.isoformat()}
            with translated(self._service), suppress(ResourceExistsError, ResourceModifiedError):
                self._swap(entity, _etag(stored) if stored else None)
                return turn
        raise TemporaryError(ErrorCode.LEDGER_CONFLICT, "other instances book turns faster")


class TableFailures(_Table):
    """Failures: an entity each in one partition, since they are few and are listed together."""

    def add(self, failure: Failure) -> None:
        """See ports.Failures. Raises PermanentError `event-too-large` over MAX_BYTES."""
        entity = _entity(_FAILURES, _key(failure.id), failure_to_json(failure))
        entity["at"] = failure.at.astimezone(UTC).isoformat(timespec="microseconds")
        with translated(self._service):
            self._client.upsert_entity(entity, mode=UpdateMode.REPLACE)

    def get(self, failure_id: str) -> Failure | None:
        """See ports.Failures."""
        entity = self._get(_FAILURES, _key(failure_id))
        return _failure(entity) if entity is not None else None

    def all(self) -> Iterator[Failure]:
        """See ports.Failures: a light walk over the times, then one read each, so that memory holds no bodies."""
        times = sorted((str(entity.get("at")), str(entity["RowKey"])) for entity in self._walk(["at", "RowKey"]))
        for _, row in times:
            # It may have been removed since the walk.
            if (entity := self._get(_FAILURES, row)) is not None:
                yield _failure(entity)

    def remove(self, failure_id: str) -> None:
        """See ports.Failures."""
        with translated(self._service):
            # The client takes a 404 for success here.
            self._client.delete_entity(_FAILURES, _key(failure_id))


def _options(ca_file: str | None) -> dict[str, Any]:
    return {
        # Two more tries within seconds; what lasts longer is for the queue's redelivery.
        "retry_total": 2,
        "retry_backoff_factor": 0.5,
        "connection_timeout": 10,
        "read_timeout": 30,
        "connection_verify": ca_file or True,
        # The default writes two log entries with headers per request, at the level of our own outcomes.
        "http_logging_level": logging.DEBUG,
    }


def _place(anchor: str) -> tuple[str, str]:
    """PartitionKey and RowKey of a person."""
    return hashlib.sha256(anchor.encode("utf-8")).hexdigest()[:2], _key(anchor)


def _key(text: str) -> str:
    """Write any text in characters that keys can hold, one to one; of base64 only + and / look different.

    Keys hold no control character and none of / \\ # ?.
    """
    escaped = re.sub(r"[^A-Za-z0-9=+/]", lambda match: f".{ord(match[0]):x}.", text)
    return escaped.replace("+", "-").replace("/", "_")


def _entity(partition: str, row: str, text: bytes) -> dict[str, Any]:
    if len(text) > MAX_BYTES:
        raise PermanentError(
            ErrorCode.EVENT_TOO_LARGE, f"{len(text)} bytes to keep of {row}; a table takes {MAX_BYTES}"
        )
    parts = [text[start : start + _PROPERTY_BYTES] for start in range(0, len(text), _PROPERTY_BYTES)]
    properties = {f"record{number}": part for number, part in enumerate(parts)}
    return {"PartitionKey": partition, "RowKey": row, "schema": _SCHEMA, **properties}


def _etag(entity: Mapping[str, Any]) -> str:
    etag: str = getattr(entity, "metadata", {}).get("etag", "")
    return etag


def _record(entity: Mapping[str, Any]) -> Record:
    with _named(entity):
        return record_from_json(_text(entity), _etag(entity))


def _snapshot(entity: Mapping[str, Any]) -> Snapshot:
    with _named(entity):
        return snapshot_from_json(_text(entity))


def _failure(entity: Mapping[str, Any]) -> Failure:
    with _named(entity):
        return failure_from_json(_text(entity))


@contextmanager
def _named(entity: Mapping[str, Any]) -> Iterator[None]:
    """Say in which of a million entities an error lies."""
    try:
        yield
    except PermanentError as error:
        where = f"entity {entity.get('PartitionKey')}, {entity.get('RowKey')}"
        raise PermanentError(error.code, f"{where}: {error.message}") from error


def _text(entity: Mapping[str, Any]) -> bytes:
    """The JSON of an entity. Raises PermanentError `ledger-malformed` for an unknown schema."""
    if entity.get("schema") != _SCHEMA:
        raise PermanentError(ErrorCode.LEDGER_MALFORMED, f"schema {entity.get('schema')}, not {_SCHEMA}")
    parts: list[bytes] = []
    while isinstance(part := entity.get(f"record{len(parts)}"), bytes):
        parts.append(part)
    return b"".join(parts)
