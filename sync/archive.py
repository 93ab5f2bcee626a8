"""How the ledger's records are written down: JSON, the same in every store."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from sync.core.person import Attribute, Values
from sync.core.plan import Managed
from sync.core.record import Failure, Record, Snapshot
from sync.errors import ErrorCode, PermanentError

_RECORD = TypeAdapter(Record)
_FAILURE = TypeAdapter(Failure)


def record_to_json(record: Record) -> bytes:
    """Write a record as JSON; its `version` belongs to the store and stays out."""
    return _RECORD.dump_json(replace(record, version=None), exclude_defaults=True)


def record_from_json(text: bytes | str, version: str) -> Record:
    """Read a record. Raises PermanentError `ledger-malformed`."""
    try:
        return replace(_RECORD.validate_json(text), version=version)
    except ValidationError as error:
        raise PermanentError(ErrorCode.LEDGER_MALFORMED, f"a record of the ledger: {_summary(error)}") from error


def failure_to_json(failure: Failure) -> bytes:
    """Write a failure as JSON."""
    return _FAILURE.dump_json(failure, exclude_defaults=True)


def failure_from_json(text: bytes | str) -> Failure:
    """Read a failure. Raises PermanentError `ledger-malformed`."""
    try:
        return _FAILURE.validate_json(text)
    except ValidationError as error:
        raise PermanentError(ErrorCode.LEDGER_MALFORMED, f"a failure of the ledger: {_summary(error)}") from error


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
