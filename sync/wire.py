"""The event's shape on the wire: a CloudEvents 1.0 JSON envelope (CNCF CloudEvents 1.0.2, JSON event format).

`sync.envelope` reads and writes it; docs/event.schema.json is generated from the models here.
"""

from __future__ import annotations

import base64
import binascii
import re
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
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from sync.core.event import Cause, Claim, Event
from sync.core.identity import SourceAnchor, Watermark
from sync.core.person import Person, Values

MAX_CLAIM_BYTES = 16 * 2**20
"""An event that lies elsewhere: 1,500 values of a person as they are usual, and then some."""
UNSIGNED = {"cause", "replays", "attempts", "waitingsince", "turn", "signature", "traceparent"}
"""What the cloud adds to an event or changes in it, or what an older version does not know: no signature is over it."""

_TRACEPARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_COUNTER = Field(ge=0, lt=2**63)


def _decode(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("not a string")  # noqa: TRY004 - pydantic turns ValueError into a finding of the field
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64 (RFC 4648, section 4)") from error


def _trace(text: object) -> str | None:
    """Nothing depends on it, so one that cannot be read is dropped and refuses no event."""
    return text if isinstance(text, str) and _TRACEPARENT.fullmatch(text) else None


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

_Mark = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]


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
    units: tuple[_Mark, ...] | None = Field(
        None,
        max_length=64,
        description="marks of the containers above the person, the nearest first (sync/core/units.py)",
    )
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
    traceparent: Annotated[str | None, BeforeValidator(_trace)] = Field(
        None, max_length=55, description="extension attribute: the trace that it belongs to (W3C Trace Context)"
    )

    def _way(self) -> dict[str, Any]:
        """What an event gathers on its way, and by what it is not changed."""
        return {
            "cause": self.cause,
            "replays": self.replays,
            "attempts": self.attempts,
            "since": self.waitingsince,
            "turn": self.turn,
            "traceparent": self.traceparent,
        }


def _attributes(event: Event) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "source": event.source,
        "id": event.id,
        "time": event.time,
        "subject": event.person.anchor.immutable_id,
        "datacontenttype": "application/json",
        "cause": event.cause,
        "replays": event.replays,
        "attempts": event.attempts,
        "waitingsince": event.since,
        "turn": event.turn,
        "traceparent": event.traceparent,
    }


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
            **_attributes(event),
            type="smime-sync.person-state.v1",
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
                units=person.units or None,
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
            **self._way(),
            signature=self.signature,
            watermark=Watermark(data.watermark.epoch, data.watermark.sequence),
            person=Person(
                anchor=anchor,
                user_principal_name=data.identity.user_principal_name,
                mail=data.identity.mail,
                proxy_addresses=data.identity.proxy_addresses,
                enabled=data.enabled,
                deleted=data.deleted,
                units=data.units or (),
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

    @classmethod
    def of(cls, event: Event, claim: Claim) -> Reference:
        return cls(
            **_attributes(event),
            type="smime-sync.person-state.reference.v1",
            data=ClaimPart(sha256=claim.sha256, length=claim.length),
        )

    @property
    def claim(self) -> Claim:
        """What lies elsewhere."""
        return Claim(self.data.sha256, self.data.length)

    def delivered(self, event: Event) -> Event:
        """The event that was fetched, with what its reference says of this delivery."""
        return replace(event, **self._way(), claim=self.claim)
