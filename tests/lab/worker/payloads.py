"""What the Functions host hands to a worker, in its own shapes, as JSON-able values for the child process.

The host sends a string as `string`, bytes as `bytes` and any other value as `json`; a request's headers in lower
case and its body as bytes (GrpcMessageConversionExtensions.cs in Azure/azure-functions-host). Nothing of the product is
imported here: the child process must find it in the folder that it is told.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Typed = Mapping[str, Any]
"""One entry: the kind of TypedData and its value, bytes in base64."""

_NOW = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The trigger's value and the metadata beside it."""

    value: Typed
    metadata: Mapping[str, Typed] = field(default_factory=dict)


def queue_message(
    body: str, *, message_id: str, dequeue_count: int = 1, receipt: str = "", encoded: bool = True
) -> Payload:
    """A message as the queue extension gives it with messageEncoding none: as it lies on the queue, in base64 unless
    it is not `encoded`.
    """
    text = base64.b64encode(body.encode("utf-8")).decode("ascii") if encoded else body
    metadata = {
        "Id": _string(message_id),
        "DequeueCount": _json(dequeue_count),
        "InsertionTime": _json(_NOW.isoformat()),
        "ExpirationTime": _json("9999-12-31T23:59:59+00:00"),
        "NextVisibleTime": _json((_NOW + timedelta(minutes=10)).isoformat()),
        "PopReceipt": _string(receipt),
        "QueueTrigger": _string(text),
        "sys": _json({"MethodName": "function", "UtcNow": _NOW.isoformat(), "RandGuid": message_id}),
    }
    return Payload(value=_string(text), metadata=metadata)


def timer(*, past_due: bool = False) -> Payload:
    """A timer that fires, `past_due` when it should have fired while nobody was there."""
    never = "0001-01-01T00:00:00"
    status = {"Last": never, "Next": _NOW.isoformat(), "LastUpdated": never}
    return Payload(value=_json({"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}))


def http_request(method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Payload:
    """An HTTP request, already routed and let through by its key."""
    request = {
        "method": method,
        "url": url,
        "headers": {name.lower(): value for name, value in (headers or {}).items()},
        "query": dict(parse_qsl(urlsplit(url).query)),
        "params": {},
        "body": {"bytes": base64.b64encode(body).decode("ascii")} if body else {},
    }
    return Payload(value={"http": request})


def _string(text: str) -> Typed:
    return {"string": text}


def _json(value: object) -> Typed:
    return {"json": json.dumps(value)}
