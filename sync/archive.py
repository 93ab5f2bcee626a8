"""How the ledger's records are written down: JSON, the same in every store."""

from __future__ import annotations

from dataclasses import replace

from pydantic import TypeAdapter, ValidationError

from sync.core.record import Failure, Record
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


def _summary(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
