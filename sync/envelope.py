"""The event on the wire: a CloudEvents 1.0 JSON envelope (CNCF CloudEvents 1.0.2, JSON event format) around a
person's whole state. docs/event.schema.json is generated from the models here.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

from sync.core.event import Cause, Claim, Event
from sync.core.identity import SourceAnchor, Watermark
from sync.core.person import Person, Values
from sync.errors import ErrorCode, PermanentError
from sync.ports import MAX_MESSAGE_BYTES

TYPE_PREFIX = "smime-sync.person-state."
TYPE = "smime-sync.person-state.v1"
# An older function takes it for an event of another version, and says so.
REFERENCE_TYPE = "smime-sync.person-state.reference.v1"
MAX_CLAIM_BYTES = 16 * 2**20
"""An event that lies elsewhere: 1,500 values of a person as they are usual, and then some."""
_UNSIGNED = {"cause", "replays", "attempts", "waitingsince", "turn", "signature"}
ROOM = 256
"""Bytes that the extension attributes of an event may grow by on its way."""

_COUNTER = Field(ge=0, lt=2**63)


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
        signed = Envelope.from_event(event).model_dump_json(by_alias=True, exclude_none=True, exclude=_UNSIGNED)
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
    return Reference(
        specversion="1.0",
        type="smime-sync.person-state.reference.v1",
        source=event.source,
        id=event.id,
        time=event.time,
        subject=event.person.anchor.immutable_id,
        datacontenttype="application/json",
        cause=event.cause,
        replays=event.replays,
        attempts=event.attempts,
        waitingsince=event.since,
        turn=event.turn,
        data=ClaimPart(sha256=claim.sha256, length=claim.length),
    ).model_dump_json(by_alias=True, exclude_none=True)


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


def _decode(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("not a string")  # noqa: TRY004 - pydantic turns ValueError into a finding of the field
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64 (RFC 4648, section 4)") from error


def _sixteen(value: bytes) -> bytes:
    if len(value) != 16:
        raise ValueError(f"a GUID has 16 bytes, not {len(value)}")
    return value


_Base64 = Annotated[
    bytes,
    BeforeValidator(_decode, json_schema_input_type=str),
    PlainSerializer(lambda value: base64.b64encode(value).decode("ascii"), return_type=str),
]
_Bytes = Annotated[_Base64, WithJsonSchema({"type": "string", "contentEncoding": "base64"})]
_Guid = Annotated[
    _Base64,
    AfterValidator(_sixteen),
    WithJsonSchema(
        {
            "type": "string",
            "contentEncoding": "base64",
            "minLength": 24,
            "maxLength": 24,
            "description": "16 bytes as AD stores them",
        }
    ),
]
_Address = Annotated[str, Field(min_length=1, max_length=1123)]  # rangeUpper of proxyAddresses in the AD schema


class _Part(BaseModel):
    """Data of the event: camel case on the wire, and a field more is a version more."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, extra="forbid", frozen=True, val_json_bytes="utf8"
    )


class AnchorPart(_Part):
    object_guid: _Guid
    consistency_guid: _Guid | None = Field(None, description="mS-DS-ConsistencyGuid, which goes before objectGUID")


class WatermarkPart(_Part):
    epoch: int = _COUNTER
    sequence: int = _COUNTER


class IdentityPart(_Part):
    user_principal_name: _Address | None = None
    mail: _Address | None = None
    proxy_addresses: tuple[_Address, ...] = ()


class PersonState(_Part):
    source_anchor: AnchorPart
    watermark: WatermarkPart
    identity: IdentityPart
    enabled: bool
    deleted: bool
    user_certificate: tuple[_Bytes, ...] = Field(description="every value of userCertificate")
    user_smime_certificate: tuple[_Bytes, ...] = Field(
        alias="userSMIMECertificate", description="every value of userSMIMECertificate"
    )


class _Attributes(BaseModel):
    """CloudEvents 1.0 attributes. Extension attributes that we do not know are ignored, as CloudEvents asks."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    specversion: Literal["1.0"]
    source: str = Field(min_length=1, max_length=512, description="the agent's domain: urn:smime-sync:agent:<domain>")
    id: str = Field(min_length=1, max_length=128, description="unique with source")
    time: AwareDatetime = Field(description="when the directory changed, as far as it is known")
    subject: str = Field(min_length=1, max_length=128, description="the ImmutableId, for those who route or filter")
    datacontenttype: Literal["application/json"]
    cause: Cause = Field(Cause.CHANGE, description="extension attribute: who asked to look again")
    replays: int = Field(0, ge=0, lt=2**31, description="extension attribute: how often it was replayed")
    attempts: int = Field(
        0, ge=0, lt=2**31, description="extension attribute: deliveries that ended in a passing fault"
    )
    waitingsince: AwareDatetime | None = Field(None, description="extension attribute: when the first of them was")
    turn: AwareDatetime | None = Field(None, description="extension attribute: its turn in the tenant's rate of writes")


class Envelope(_Attributes):
    """A CloudEvents 1.0 event. Extension attributes that we do not know are ignored, as CloudEvents asks."""

    type: Literal["smime-sync.person-state.v1"]
    signature: str | None = Field(
        None,
        max_length=1024,
        description="extension attribute: the agent's detached JWS (RFC 7515, appendix F), see docs/decisions",
    )
    data: PersonState

    @classmethod
    def from_event(cls, event: Event) -> Envelope:
        person = event.person
        return cls(
            specversion="1.0",
            type="smime-sync.person-state.v1",
            source=event.source,
            id=event.id,
            time=event.time,
            subject=person.anchor.immutable_id,
            datacontenttype="application/json",
            cause=event.cause,
            replays=event.replays,
            attempts=event.attempts,
            waitingsince=event.since,
            turn=event.turn,
            signature=event.signature,
            data=PersonState.model_construct(
                source_anchor=AnchorPart.model_construct(
                    object_guid=person.anchor.object_guid, consistency_guid=person.anchor.consistency_guid
                ),
                watermark=WatermarkPart(epoch=event.watermark.epoch, sequence=event.watermark.sequence),
                identity=IdentityPart(
                    user_principal_name=person.user_principal_name,
                    mail=person.mail,
                    proxy_addresses=person.proxy_addresses,
                ),
                enabled=person.enabled,
                deleted=person.deleted,
                user_certificate=person.values.user_certificate,
                user_smime_certificate=person.values.user_smime_certificate,
            ),
        )

    def to_event(self) -> Event:
        data = self.data
        anchor = SourceAnchor(data.source_anchor.object_guid, data.source_anchor.consistency_guid)
        return Event(
            id=self.id,
            source=self.source,
            time=self.time,
            cause=self.cause,
            replays=self.replays,
            attempts=self.attempts,
            since=self.waitingsince,
            turn=self.turn,
            signature=self.signature,
            watermark=Watermark(data.watermark.epoch, data.watermark.sequence),
            person=Person(
                anchor=anchor,
                user_principal_name=data.identity.user_principal_name,
                mail=data.identity.mail,
                proxy_addresses=data.identity.proxy_addresses,
                enabled=data.enabled,
                deleted=data.deleted,
                values=Values.of(data.user_certificate, data.user_smime_certificate),
            ),
        )


class ClaimPart(_Part):
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    length: int = Field(gt=0, le=MAX_CLAIM_BYTES)


class Reference(_Attributes):
    """Stands in a message for an event that is too large for one (the claim check pattern)."""

    type: Literal["smime-sync.person-state.reference.v1"]
    data: ClaimPart

    @property
    def claim(self) -> Claim:
        """What lies elsewhere."""
        return Claim(self.data.sha256, self.data.length)

    def delivered(self, event: Event) -> Event:
        """The event that was fetched, with what its reference says of this delivery."""
        return replace(
            event,
            cause=self.cause,
            replays=self.replays,
            attempts=self.attempts,
            since=self.waitingsince,
            turn=self.turn,
            claim=self.claim,
        )
