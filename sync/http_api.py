"""What the HTTP triggers answer, free of any server: the Functions host is one, others may follow."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypedDict

from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer; `body` is JSON."""

    status: int
    body: str
    headers: Mapping[str, str]


def answer(call: Callable[[], Mapping[str, object]]) -> Answer:
    """Make an answer of what `call` returns, or of the SyncError in which it ends, with its code and hint."""
    try:
        return _answer(200, call())
    except SyncError as error:
        told = {"code": error.code, "message": error.message, "hint": error.hint}
        if error.code is ErrorCode.REQUEST_MALFORMED:
            return _answer(400, {"error": told})
        if not isinstance(error, TemporaryError):
            return _answer(500, {"error": told})
        # RFC 9110, 10.2.3: whole seconds.
        wait = {} if error.retry_after is None else {"Retry-After": str(math.ceil(error.retry_after.total_seconds()))}
        return _answer(503, {"error": told}, wait)


def _answer(status: int, content: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status=status, body=json.dumps(content), headers={"Cache-Control": "no-store", **(headers or {})})


class ReplayRequest(TypedDict):
    """Which failed messages to put back, and whether to do it."""

    apply: bool
    reason: str | None


def replay_request(body: bytes) -> ReplayRequest:
    """Read `{"apply": bool, "reason": CODE}`, both optional; dry unless `apply` is said.

    Raises PermanentError `request-malformed`.
    """
    try:
        asked = json.loads(body) if body.strip() else {}
    except ValueError as error:
        raise PermanentError(ErrorCode.REQUEST_MALFORMED, "the body is not JSON") from error
    if not isinstance(asked, dict) or not asked.keys() <= {"apply", "reason"}:
        # A misspelt member must not turn into a replay of everything.
        raise PermanentError(
            ErrorCode.REQUEST_MALFORMED, "the body is an object with apply and reason and nothing else"
        )
    apply, reason = asked.get("apply", False), asked.get("reason")
    if not isinstance(apply, bool) or not isinstance(reason, str | None):
        raise PermanentError(ErrorCode.REQUEST_MALFORMED, "apply is true or false, reason is a code or null")
    return ReplayRequest(apply=apply, reason=reason)
