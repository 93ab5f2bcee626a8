"""How the ledger's records are written down: JSON, the same in every store."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from sync import envelope
from sync.core.audit import Entry
from sync.core.digest import Digest
from sync.core.person import Attribute, Values
from sync.core.plan import Managed
from sync.core.record import Failure, Record, Snapshot
from sync.errors import ErrorCode, PermanentError, SyncError

_RECORD = TypeAdapter(Record)
_DIGEST = TypeAdapter(Digest)
_FAILURE = TypeAdapter(Failure)
_ENTRY = TypeAdapter(Entry)


def record_to_json(record: Record) -> bytes:
    """Write a record as JSON; its `version` belongs to the store and stays out."""
    return _RECORD.dump_json(replace(record, version=None), exclude_defaults=True)


def record_from_json(text: bytes | str, version: str) -> Record:
    """Read a record, an older release's too. Raises PermanentError `ledger-malformed`."""
    try:
        return replace(_completed(_RECORD.validate_json(text)), version=version)
    except ValidationError as error:
        raise PermanentError(ErrorCode.LEDGER_MALFORMED, f"a record of the ledger: {_summary(error)}") from error


def digest_to_json(digest: Digest) -> bytes:
    """Write a digest as JSON."""
    return _DIGEST.dump_json(digest, exclude_defaults=True)


def digest_from_json(text: bytes | str) -> Digest:
    """Read a digest. Raises PermanentError `ledger-malformed`."""
    try:
        return _DIGEST.validate_json(text)
    except ValidationError as error:
        raise PermanentError(ErrorCode.LEDGER_MALFORMED, f"a digest of the ledger: {_summary(error)}") from error


def failure_to_json(failure: Failure) -> bytes:
    """Write a failure as JSON."""
    return _FAILURE.dump_json(failure, exclude_defaults=True)


def failure_from_json(text: bytes | str) -> Failure:
    """Read a failure. Raises PermanentError `ledger-malformed`."""
    try:
        return _FAILURE.validate_json(text)
    except ValidationError as error:
        raise PermanentError(ErrorCode.LEDGER_MALFORMED, f"a failure of the ledger: {_summary(error)}") from error


def entry_to_json(entry: Entry) -> bytes:
    """Write an entry of the audit log as JSON."""
    return _ENTRY.dump_json(entry, exclude_defaults=True)


def entry_from_json(text: bytes | str) -> Entry:
    """Read an entry of the audit log. Raises PermanentError `ledger-malformed`."""
    try:
        return _ENTRY.validate_json(text)
    except ValidationError as error:
        raise PermanentError(ErrorCode.LEDGER_MALFORMED, f"an entry of the audit log: {_summary(error)}") from error


def snapshot_to_json(snapshot: Snapshot) -> bytes:
    """Write a snapshot as JSON, values in base64."""
    return _SNAPSHOT.dump_json(
        _Snapshot(
            id=snapshot.id,
            at=snapshot.at,
            values={
                each: [base64.b64encode(value).decode("ascii") for value in snapshot.values[each]] for each in Attribute
            },
            managed=snapshot.managed,
        )
    )


def snapshot_from_json(text: bytes | str) -> Snapshot:
    """Read a snapshot. Raises PermanentError `ledger-malformed`."""
    try:
        kept = _SNAPSHOT.validate_json(text)
        values = ([base64.b64decode(value, validate=True) for value in kept.values[each]] for each in Attribute)
        return Snapshot(id=kept.id, at=kept.at, values=Values.of(*values), managed=kept.managed)
    except ValidationError as error:
        raise PermanentError(ErrorCode.LEDGER_MALFORMED, f"a snapshot of the ledger: {_summary(error)}") from error
    except (KeyError, ValueError) as error:
        raise PermanentError(
            ErrorCode.LEDGER_MALFORMED, "a snapshot of the ledger: its values are no base64"
        ) from error


def _completed(record: Record) -> Record:
    """Before digests, a record said nothing of its event's person: it is read from the event where that is whole.

    What else is missing says that the person was judged on another basis, and comes with the next reconciliation.
    """
    if record.state_hash is not None or record.event is None:
        return record
    try:
        return record.told(envelope.parse(record.event), record.event)
    except SyncError:
        return record  # a reference to a large event, or an event of another version


@dataclass(frozen=True, slots=True, kw_only=True)
class _Snapshot:
    id: str
    at: datetime
    values: dict[Attribute, list[str]]
    managed: Managed


_SNAPSHOT = TypeAdapter(_Snapshot)


def _summary(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
