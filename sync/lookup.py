"""Finds a person in the ledger by whatever an administrator calls them."""

from __future__ import annotations

from collections.abc import Callable

from sync.core.event import Event
from sync.core.record import Record
from sync.errors import ErrorCode, PermanentError
from sync.ports import Ledger


def find_record(ledger: Ledger, opening: Callable[[str], Event], who: str) -> Record:
    """The record of the person with this ImmutableId, address or UPN; for the latter two the ledger is walked.

    Raises PermanentError `person-unknown`.
    """
    if (record := ledger.get(who)) is not None:
        return record
    for record in ledger.records():
        if record.event is None:
            continue
        if who.casefold() in {address.casefold() for address in opening(record.event).person.addresses}:
            return record
    raise PermanentError(ErrorCode.PERSON_UNKNOWN, f"the ledger knows nobody as {who}")
