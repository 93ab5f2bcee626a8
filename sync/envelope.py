"""Reads and writes an event as it travels: a CloudEvents 1.0 JSON envelope around a person's whole state.

Its shape is in `sync.wire`.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from sync.core.event import Claim, Event
from sync.errors import ErrorCode, PermanentError
from sync.ports import MAX_MESSAGE_BYTES
from sync.wire import MAX_CLAIM_BYTES, UNSIGNED, Envelope, Reference

TYPE_PREFIX = "smime-sync.person-state."
TYPE = "smime-sync.person-state.v1"
# An older function takes it for an event of another version, and says so.
REFERENCE_TYPE = "smime-sync.person-state.reference.v1"
ROOM = 256
"""Bytes that the extension attributes of an event may grow by on its way."""


def parse(body: str, *, limit: int = MAX_MESSAGE_BYTES) -> Event:
    """Read an event as it came from the queue; nothing in it is trusted. `limit` is in bytes.

    Raises PermanentError `event-too-large`, `event-not-text`, `event-not-json`, `event-version`, `event-malformed`.
    """
    # A character is at least one byte: a long body is refused before it is encoded or parsed.
    if len(body) > limit or len(body.encode("utf-8", "replace")) > limit:
        raise PermanentError(ErrorCode.EVENT_TOO_LARGE, f"the event is longer than {limit} bytes")
    if "\ufffd" in body or any("\ud800" <= character <= "\udfff" for character in body):
        raise PermanentError(ErrorCode.EVENT_NOT_TEXT, "the message is not UTF-8 text")
    try:
        raw = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise PermanentError(ErrorCode.EVENT_NOT_JSON, f"the message is not JSON: {error}") from error
    kind = raw.get("type") if isinstance(raw, dict) else None
    if isinstance(kind, str) and kind.startswith(TYPE_PREFIX) and kind != TYPE:
        raise PermanentError(ErrorCode.EVENT_VERSION, f"the event is of another version: {kind[:80]!r}, not {TYPE!r}")
    try:
        return Envelope.model_validate_json(body, strict=True).to_event()
    except ValidationError as error:
        raise PermanentError(ErrorCode.EVENT_MALFORMED, _problems(error)) from error


def write(event: Event) -> str:
    """Write an event of any size. Raises PermanentError `event-malformed`."""
    try:
        return Envelope.from_event(event).model_dump_json(by_alias=True, exclude_none=True)
    except ValidationError as error:
        raise PermanentError(ErrorCode.EVENT_MALFORMED, f"{event.person.anchor}: {_problems(error)}") from error


def too_large(body: str) -> bool:
    """Whether a written event leaves no room in a message for what is added when it is sent again."""
    return len(body.encode("utf-8")) > MAX_MESSAGE_BYTES - ROOM


def signed_part(event: Event) -> bytes:
    """What the agent signs: all that decides, in one canonical form, and nothing that the cloud adds to an event.

    Raises PermanentError `event-malformed`.
    """
    try:
        signed = Envelope.from_event(event).model_dump_json(by_alias=True, exclude_none=True, exclude=UNSIGNED)
    except ValidationError as error:
        raise PermanentError(ErrorCode.EVENT_MALFORMED, f"{event.person.anchor}: {_problems(error)}") from error
    return signed.encode("utf-8")


def referring(body: str, claim: Claim) -> str:
    """A message that stands for a written event which lies elsewhere as `claim`."""
    return _refer(parse(body, limit=MAX_CLAIM_BYTES), claim)


def reference(body: str) -> Reference | None:
    """The reference that a message holds in an event's place; None when it holds none. Raises `event-malformed`."""
    if len(body) > MAX_MESSAGE_BYTES or f'"{REFERENCE_TYPE}"' not in body:
        return None
    try:
        return Reference.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise PermanentError(ErrorCode.EVENT_MALFORMED, _problems(error)) from error


def _refer(event: Event, claim: Claim) -> str:
    return Reference.of(event, claim).model_dump_json(by_alias=True, exclude_none=True)


def render(event: Event) -> str:
    """Write an event for the queue, or its reference. Raises PermanentError `event-too-large`, `event-malformed`."""
    if event.claim is not None:
        return _refer(event, event.claim)
    body = write(event)
    # Whoever sends an event again adds to it: a first sending leaves room for that.
    limit = MAX_MESSAGE_BYTES - (0 if event.attempts or event.replays else ROOM)
    if (size := len(body.encode("utf-8"))) > limit:
        raise PermanentError(
            ErrorCode.EVENT_TOO_LARGE,
            f"the event of {event.person.anchor} has {size} bytes and {len(event.person.values)} values; "
            f"a message holds {limit} bytes",
        )
    return body


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the event, as docs/event.schema.json holds it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Envelope.model_json_schema(by_alias=True),
        "title": "smime-sync event",
    }


def _problems(error: ValidationError) -> str:
    """All that is wrong, without a byte of what was sent."""
    problems = error.errors(include_input=False, include_url=False)
    told = [f"{_place(problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}" for problem in problems[:8]]
    return "; ".join([*told, *([f"and {len(problems) - 8} more"] if len(problems) > 8 else [])])


def _place(location: tuple[int | str, ...]) -> str:
    """Where it is wrong; an unknown member's name is the sender's, so it is cut."""
    return ".".join(str(step)[:40] for step in location) or "event"
