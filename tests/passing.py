"""A ledger that passes on what it is asked: what stands in front of a real one changes only its own part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sync.core.digest import Digest
from sync.core.record import Record
from sync.ports import Ledger


@dataclass(frozen=True, slots=True)
class PassingLedger:
    """See ports.Ledger."""

    inner: Ledger

    def get(self, anchor: str) -> Record | None:
        return self.inner.get(anchor)

    def put(self, record: Record) -> Record:
        return self.inner.put(record)

    def records(self) -> Iterator[Record]:
        return self.inner.records()

    def digests(self, after: str = "", until: str | None = None) -> Iterator[Digest]:
        return self.inner.digests(after, until)

    def due(self, until: datetime, limit: int, after: str | None = None) -> Sequence[str]:
        return self.inner.due(until, limit, after)

    def named(self, name: str, *, besides: str = "") -> Sequence[Record]:
        return self.inner.named(name, besides=besides)
