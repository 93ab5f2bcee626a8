"""The audit log in a table: a partition for each day, a row for each entry, in order of time.

One partition takes 2,000 entities a second, far above what a tenant lets us write; so a day needs no shards, and its
entries come in order. Source: "Scalability and performance targets for Table storage".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import groupby, islice
from typing import Any, Final

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from sync.adapters.table_ledger.table import Table, key, reading
from sync.archive import entry_from_json, entry_to_json
from sync.azure_errors import translated
from sync.core.audit import Entry, moment

_DAY: Final = len("20260601")
_BATCH: Final = 100
"""Operations that one transaction takes."""


class TableAudit(Table):
    """AuditLog: entities are inserted, and never replaced."""

    def append(self, entry: Entry) -> None:
        """See ports.AuditLog. A table that is not there is made: the entry tells of what was done already, and a new
        log forgets nothing that anybody decides by."""
        entity = self._packed(entry.id[:_DAY], key(entry.id), entry_to_json(entry))
        with translated(self._service), suppress(ResourceExistsError):
            try:
                self._client.create_entity(entity)
            except ResourceNotFoundError:
                self.create()
                self._client.create_entity(entity)

    def between(self, since: datetime, until: datetime) -> Iterator[Entry]:
        """See ports.AuditLog."""
        first, last = moment(since), moment(until)
        walk = self._walk(
            "PartitionKey ge @firstday and PartitionKey le @lastday and RowKey ge @first and RowKey lt @last",
            firstday=first[:_DAY],
            lastday=last[:_DAY],
            first=first,
            last=last,
        )
        for entity in walk:
            yield self._entry(entity)

    def prune(self, before: datetime) -> int:
        """See ports.AuditLog."""
        pruned = 0
        old = self._walk("PartitionKey lt @day", ["PartitionKey", "RowKey"], day=moment(before)[:_DAY])
        for day, entities in groupby(old, lambda entity: str(entity["PartitionKey"])):
            while rows := [str(entity["RowKey"]) for entity in islice(entities, _BATCH)]:
                with translated(self._service):
                    self._client.submit_transaction([("delete", {"PartitionKey": day, "RowKey": row}) for row in rows])
                pruned += len(rows)
        return pruned

    def _entry(self, entity: Mapping[str, Any]) -> Entry:
        with reading(entity):
            return entry_from_json(self._unpacked(entity))
