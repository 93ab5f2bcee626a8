"""The ledger on Azure Tables: an entity a person, compare-and-swap by ETag.

    partition          row                    what
    00 … ff            place                  a record and its digest; rows in order are everybody in order of place
    00 … ff            ~moment.place          that a next change of the person was due at that moment
    n00 … nff          hash of name.place     that somebody had this address, UPN or recipient
    schema             schema                 the version of all this, once nothing older is left

The partition is the first two digits of the place: 256 of them, so that a million people do not share one server.
A moment is stored in one transaction with its record. A name is stored before the record that has it. Neither is
taken away when the record changes, so both may say too much and never too little: whoever reads them looks at the
record, and clears away moments that are none any more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from azure.core import MatchConditions
from azure.core.exceptions import (
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableClient, TableTransactionError, UpdateMode

from sync.adapters.table_ledger.table import BLOB, Table, etag, insist, key, reading
from sync.archive import digest_from_json, digest_to_json, record_from_json, record_to_json
from sync.azure_errors import service_code, translated
from sync.core.digest import Digest, digest, place
from sync.core.record import Record
from sync.errors import ErrorCode, TemporaryError
from sync.ports import BlobStore

_SCHEMA: Final = 2
_MARK: Final = "schema"
_LOST: Final = frozenset({404, 409, 412})
_OURS: Final = MatchConditions.IfNotModified


class _Operation(NamedTuple):
    """As TableClient.submit_transaction takes it."""

    kind: str
    entity: dict[str, Any]
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Version:
    """A record's version: the ETag; which moment and names are stored beside it, so that they are not again; and the
    blob that it takes with it when it is replaced."""

    etag: str = ""
    moment: str = ""
    names: str = ""
    blob: str = ""

    @classmethod
    def of(cls, record: Record, entity: Mapping[str, Any]) -> _Version:
        moment = _moment(record.next_change) if record.next_change else ""
        names = hashlib.sha256("\n".join(sorted(record.known_as)).encode("utf-8")).hexdigest()[:16]
        return cls(etag(entity), moment, names, str(entity.get(BLOB) or ""))

    @classmethod
    def read(cls, version: str | None) -> _Version:
        return cls(*(version or "").split(" "))

    def __str__(self) -> str:
        return f"{self.etag} {self.moment} {self.names} {self.blob}"


class TableLedger(Table):
    """See ports.Ledger, and above."""

    def __init__(self, client: TableClient, large: BlobStore | None = None) -> None:
        super().__init__(client, large)
        # None: not looked yet. False: entities of the first schema may be left.
        self._current: bool | None = None

    def create(self) -> bool:
        """Make the table unless it is there; return whether it was made."""
        made = super().create()
        if made:
            self._mark()
        return made

    def get(self, anchor: str) -> Record | None:
        """See ports.Ledger."""
        here = place(anchor)
        current = self._is_current()
        entity = self._get(here[:2], here)
        if entity is None and not current:
            older = self._get(here[:2], key(anchor))
            return self._renew(older) if older is not None else None
        return self._record(entity) if entity is not None else None

    def put(self, record: Record) -> Record:
        """See ports.Ledger. Raises PermanentError `event-too-large` over MAX_BYTES where there is no place for it.

        When a first answer is lost, the client's own second try meets its own first one and reports a conflict:
        the message is delivered again and looks again, which costs time and does no harm.
        """
        self._is_current()
        entity, known = self._entity(record), _Version.read(record.version)
        if record.version is None:
            swap = _Operation("create", entity, {})
        else:
            # Replaced, not merged: a shorter record would keep the last properties of a longer one.
            condition = {"mode": UpdateMode.REPLACE, "etag": known.etag, "match_condition": _OURS}
            swap = _Operation("update", entity, condition)
        return self._store(record, known, swap)

    def records(self) -> Iterator[Record]:
        """See ports.Ledger."""
        return map(self._record, self._everybody("", None))

    def digests(self, after: str = "", until: str | None = None) -> Iterator[Digest]:
        """See ports.Ledger."""
        select = ["PartitionKey", "RowKey", "schema", "digest"]
        return map(_digest, self._everybody(after, until, select))

    def due(self, until: datetime, limit: int, after: str | None = None) -> Sequence[str]:
        """See ports.Ledger."""
        self._bring_up_to_date()
        start = "" if after is None else place(after)
        found: list[str] = []
        for number in range(int(start[:2] or "00", 16), 256):
            for here, anchor in self._due_in(f"{number:02x}", until):
                if here <= start:
                    continue
                if len(found) == limit:
                    return found
                found.append(anchor)
        return found

    def named(self, name: str, *, besides: str = "") -> Sequence[Record]:
        """See ports.Ledger."""
        self._bring_up_to_date()
        partition, first = _name_key(name.casefold())
        query = "PartitionKey eq @partition and RowKey ge @first and RowKey lt @last"
        rows = self._walk(query, ["anchor"], partition=partition, first=f"{first}.", last=f"{first}/")
        anchors = sorted(anchor for row in rows if (anchor := str(row["anchor"])) != besides)
        found = map(self.get, anchors)
        return [record for record in found if record is not None and name.casefold() in record.known_as]

    def _everybody(self, after: str, until: str | None, select: list[str] | None = None) -> Iterator[Mapping[str, Any]]:
        """The entities of people in order. The range of partitions spares the service a look at the others."""
        self._bring_up_to_date()
        query = "PartitionKey ge @first and PartitionKey le @last and RowKey gt @after and RowKey lt @until"
        keys = {"first": after[:2] or "00", "last": (until or "ff")[:2], "after": after or "/", "until": until or "g"}
        return self._walk(query, select, **keys)

    def _due_in(self, partition: str, until: datetime) -> Sequence[tuple[str, str]]:
        query = "PartitionKey eq @partition and RowKey ge '~' and RowKey lt @last"
        rows = sorted(
            self._walk(query, partition=partition, last=f"~{_moment(until)}/"), key=lambda row: _split(row)[1]
        )
        found: list[tuple[str, str]] = []
        for row in rows:
            moment, here = _split(row)
            entity = self._get(partition, here, ["PartitionKey", "RowKey", "schema", "digest"])
            if entity is not None and (now := _digest(entity).next_change) and _moment(now) == moment:
                found.append((here, str(row["anchor"])))
            else:
                self._clear(row)
        return found

    def _clear(self, row: Mapping[str, Any]) -> None:
        """Take a moment away unless it was stored again since it was read."""
        with translated(self._service), suppress(ResourceModifiedError):
            self._client.delete_entity(
                str(row["PartitionKey"]), str(row["RowKey"]), etag=etag(row), match_condition=_OURS
            )

    def _store(self, record: Record, known: _Version, *swap: _Operation) -> Record:
        """The names, then in one transaction what `swap` says, the record's entity last of it, and its moment."""
        version = _Version.of(record, swap[-1].entity)
        operations = [*swap]
        if version.moment and version.moment != known.moment:
            operations.append(_Operation("upsert", _moment_entity(record, version.moment), {}))
        with translated(self._service):
            if record.known_as and version.names != known.names:
                self._name(record)
            try:
                answers = self._commit(operations)
            except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError, TableTransactionError) as error:
                # A 404 on creation, or of the table itself, is no race: nobody made the table.
                missing = error.status_code == 404
                no_race = missing and (record.version is None or service_code(error) == "TableNotFound")
                if no_race or error.status_code not in _LOST:
                    raise
                self._drop(version.blob)
                raise TemporaryError(
                    ErrorCode.LEDGER_CONFLICT, f"somebody else has just stored {record.anchor}"
                ) from error
        self._drop(known.blob)
        return replace(record, version=str(replace(version, etag=str(answers[len(swap) - 1]["etag"]))))

    def _commit(self, operations: Sequence[_Operation]) -> Sequence[Mapping[str, Any]]:
        if len(operations) > 1:
            return self._client.submit_transaction(operations)
        [(kind, entity, options)] = operations
        if kind == "create":
            return [self._client.create_entity(entity)]
        return [self._client.update_entity(entity, **options)]

    def _name(self, record: Record) -> None:
        for name in record.known_as:
            partition, first = _name_key(name)
            row = {"PartitionKey": partition, "RowKey": f"{first}.{place(record.anchor)}", "anchor": record.anchor}
            self._client.upsert_entity(row, mode=UpdateMode.REPLACE)

    def _is_current(self) -> bool:
        """Whether nothing of the first schema is left. Raises PermanentError `ledger-malformed` for a later one."""
        if self._current is None:
            mark = self._get(_MARK, _MARK)
            if mark is not None:
                with reading(mark):
                    insist(mark, _SCHEMA)
            self._current = mark is not None
        return self._current

    def _bring_up_to_date(self) -> None:
        """Renew what is left of the first schema. Interrupted, it goes on where it was."""
        if self._is_current():
            return
        for entity in self._walk("schema eq 1"):
            self._renew(entity)
        self._mark()

    def _mark(self) -> None:
        with translated(self._service):
            self._client.upsert_entity({"PartitionKey": _MARK, "RowKey": _MARK, "schema": _SCHEMA})
        self._current = True

    def _renew(self, older: Mapping[str, Any]) -> Record:
        """Store an entity of the first schema as one of ours, and take it away, in one transaction."""
        with reading(older):
            record = record_from_json(self._unpacked(older), etag(older))
        keys = {"PartitionKey": older["PartitionKey"], "RowKey": older["RowKey"]}
        gone = _Operation("delete", keys, {"etag": etag(older), "match_condition": _OURS})
        return self._store(record, _Version(), gone, _Operation("create", self._entity(record), {}))

    def _entity(self, record: Record) -> dict[str, Any]:
        here = place(record.anchor)
        text = digest_to_json(digest(record)).decode("utf-8")
        own = {"anchor": record.anchor, "digest": text}
        return self._packed(here[:2], here, record_to_json(record), _SCHEMA) | own

    def _record(self, entity: Mapping[str, Any]) -> Record:
        with reading(entity):
            record = record_from_json(self._unpacked(entity, _SCHEMA), "")
        return replace(record, version=str(_Version.of(record, entity)))


def _moment_entity(record: Record, moment: str) -> dict[str, Any]:
    here = place(record.anchor)
    return {"PartitionKey": here[:2], "RowKey": f"~{moment}.{here}", "anchor": record.anchor}


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%S%f}"


def _split(row: Mapping[str, Any]) -> tuple[str, str]:
    """Moment and place of an entity that names a moment."""
    moment, _, here = str(row["RowKey"]).removeprefix("~").partition(".")
    return moment, here


def _name_key(folded: str) -> tuple[str, str]:
    """Partition and beginning of the row under which a name lies."""
    mark = hashlib.sha256(folded.encode("utf-8")).hexdigest()
    return f"n{mark[:2]}", mark


def _digest(entity: Mapping[str, Any]) -> Digest:
    with reading(entity):
        insist(entity, _SCHEMA)
        return digest_from_json(str(entity.get("digest")))
