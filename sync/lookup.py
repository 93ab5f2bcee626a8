"""Finds a person in the ledger by whatever an administrator calls them."""

from __future__ import annotations

from sync.core.record import Record
from sync.errors import ErrorCode, PermanentError
from sync.ports import Ledger


def find_record(ledger: Ledger, who: str) -> Record:
    """The record of the person with this ImmutableId, address or UPN. Of two who had the address, it is whoever has
    not left the directory.

    Raises PermanentError `person-unknown`.
    """
    if (record := ledger.get(who)) is not None:
        return record
    found = ledger.named(who)
    if not found:
        raise PermanentError(ErrorCode.PERSON_UNKNOWN, f"the ledger knows nobody as {who}")
    return min(found, key=lambda record: record.deleted)
