"""Several cmdlets in one request: `$batch`, as Microsoft's module and public tools send it, ten at most.

The answers come in any order and are told apart by `id`; each has its own status. Whether a real tenant counts a batch
as one request or as ten against its budget is not established.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sync.adapters.exchange_online import answers as answering
from sync.adapters.exchange_online.answers import Answer
from sync.adapters.exchange_online.refusals import refusal
from sync.errors import ErrorCode, PermanentError, SyncError

LARGEST = 10
_OF_THE_WHOLE = {"User-Agent", "connection-id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One cmdlet that only reads, with its parameters."""

    cmdlet: str
    parameters: Mapping[str, object]


def body(calls: Sequence[Call], url: str, headers: Callable[[str], Mapping[str, str]]) -> bytes:
    """The request that runs `calls` at `url`; `headers` are those of a cmdlet. The token stands on the whole only."""
    requests = [
        {
            "id": str(number),
            "method": "POST",
            "url": url,
            "headers": {name: value for name, value in headers(call.cmdlet).items() if name not in _OF_THE_WHOLE},
            "body": {"CmdletInput": {"CmdletName": call.cmdlet, "Parameters": dict(call.parameters)}},
        }
        for number, call in enumerate(calls)
    ]
    return json.dumps({"requests": requests}, separators=(",", ":")).encode("utf-8")


def answers(calls: Sequence[Call], content: bytes) -> Iterator[Answer | SyncError]:
    """What each of `calls` was answered, in their order. Raises PermanentError `tenant-answer`."""
    by_id = _parts(content)
    for number, call in enumerate(calls):
        part = by_id.get(str(number))
        if part is None:
            yield PermanentError(ErrorCode.TENANT_ANSWER, f"{call.cmdlet}: the batch came back without its part")
            continue
        try:
            yield _answer(call.cmdlet, part)
        except SyncError as error:
            yield error


def _parts(content: bytes) -> Mapping[str, Mapping[str, object]]:
    try:
        responses = json.loads(content)["responses"]
        return {str(each["id"]): each for each in responses}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise PermanentError(
            ErrorCode.TENANT_ANSWER, f"$batch was answered with something unreadable ({type(error).__name__})"
        ) from error


def _answer(cmdlet: str, part: Mapping[str, object]) -> Answer:
    from requests.structures import CaseInsensitiveDict

    try:
        status = int(str(part.get("status")))
    except ValueError as error:
        raise PermanentError(ErrorCode.TENANT_ANSWER, f"{cmdlet}: a part of a batch without a status") from error
    given = part.get("headers")
    # JSON, unlike HTTP, tells `retry-after` from `Retry-After`.
    headers = CaseInsensitiveDict((str(n), str(v)) for n, v in given.items()) if isinstance(given, dict) else {}
    octets = _octets(part.get("body"))
    if status not in range(200, 300):
        raise refusal(cmdlet, status, headers, octets)
    answer = answering.read(cmdlet, status, headers, octets)
    if answer.next:
        # A page in the middle would pass for the whole.
        raise PermanentError(ErrorCode.TENANT_ANSWER, f"{cmdlet} answered with pages inside a batch")
    return answer


def _octets(value: object) -> bytes:
    """A part's body: JSON stands in it as JSON, anything else as text, which may be base64 (OData 4.01, 19.1)."""
    if value is None:
        return b""
    if not isinstance(value, str):
        return json.dumps(value).encode("utf-8")
    if value[:1] not in {"", "{", "<", "#"}:
        try:
            return base64.b64decode(value, validate=True)
        except ValueError:
            pass
    return value.encode("utf-8", "surrogatepass")
