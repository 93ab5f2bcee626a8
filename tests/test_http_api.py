"""Requests and answers over HTTP, without any server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta

import pytest

from sync.errors import HINTS, ErrorCode, PermanentError, SyncError, TemporaryError
from sync.http_api import ReplayRequest, answer, replay_request


def failing(error: SyncError) -> Mapping[str, object]:
    """A call that ends in `error`."""
    raise error


def test_a_result_is_answered_as_json() -> None:
    """And no cache keeps it."""
    answered = answer(lambda: {"failed": ["é"]})

    assert (answered.status, json.loads(answered.body)) == (200, {"failed": ["é"]})
    assert answered.headers == {"Cache-Control": "no-store"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PermanentError(ErrorCode.REQUEST_MALFORMED, "no"), 400),
        (PermanentError(ErrorCode.SETTINGS_INVALID, "no"), 500),
        (TemporaryError(ErrorCode.LEDGER_UNAVAILABLE, "no"), 503),
    ],
)
def test_an_error_is_answered_with_code_and_hint(error: SyncError, status: int) -> None:
    """The caller's fault, ours, or a passing one."""
    answered = answer(lambda: failing(error))

    assert answered.status == status
    assert json.loads(answered.body) == {"error": {"code": error.code, "message": "no", "hint": HINTS[error.code]}}


def test_a_passing_error_says_when_to_come_back() -> None:
    """In whole seconds, never too early."""
    error = TemporaryError(ErrorCode.LEDGER_UNAVAILABLE, "no", retry_after=timedelta(seconds=1.2))

    assert answer(lambda: failing(error)).headers["Retry-After"] == "2"


@pytest.mark.parametrize("body", [b"", b"  ", b"{}", b'{"apply": false}', b'{"apply": false, "reason": null}'])
def test_a_replay_is_dry_unless_asked(body: bytes) -> None:
    """Nothing is put back by an empty request."""
    assert replay_request(body) == ReplayRequest(apply=False, reason=None)


def test_a_replay_is_asked_for() -> None:
    """With its reason."""
    asked = replay_request(b'{"apply": true, "reason": "no-recipient"}')

    assert asked == ReplayRequest(apply=True, reason="no-recipient")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b'{"aply": true}',
        b'{"apply": true, "reasons": "no-recipient"}',
        b'{"apply": 1}',
        b'{"apply": "true"}',
        b'{"apply": null}',
        b'{"reason": 7}',
    ],
)
def test_a_request_with_anything_else_is_refused(body: bytes) -> None:
    """A misspelt reason would replay everything."""
    with pytest.raises(PermanentError) as refused:
        replay_request(body)

    assert refused.value.code is ErrorCode.REQUEST_MALFORMED
