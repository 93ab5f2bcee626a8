"""The event on the wire."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sync import envelope
from sync.core.event import Cause, Event
from sync.core.identity import SourceAnchor, Watermark
from sync.core.person import Person, Values
from sync.errors import ErrorCode, PermanentError

SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "event.schema.json").read_text("utf-8"))
EVENT = Event(
    id="1.7",
    source="urn:smime-sync:agent:corp.example",
    time=datetime(2026, 6, 1, 12, 0, 0, 250_000, tzinfo=UTC),
    watermark=Watermark(1, 7),
    person=Person(
        anchor=SourceAnchor(bytes(range(16)), bytes(range(16, 32))),
        user_principal_name="alice@corp.example",
        mail="alice@corp.example",
        proxy_addresses=("SMTP:alice@corp.example", "smtp:a.liddell@corp.example", "X500:/o=corp/cn=alice"),
        values=Values.of([b"\x30\x00\xff", b""], [b"blob"]),
    ),
)

_counters = st.integers(0, 2**63 - 1)
_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd"), min_size=1, max_size=40)
_people = st.builds(
    Person,
    anchor=st.builds(
        SourceAnchor, st.binary(min_size=16, max_size=16), st.none() | st.binary(min_size=16, max_size=16)
    ),
    user_principal_name=st.none() | _texts,
    mail=st.none() | _texts,
    proxy_addresses=st.lists(_texts, max_size=3).map(tuple),
    enabled=st.booleans(),
    deleted=st.booleans(),
    units=st.lists(st.from_regex("[0-9a-f]{16}", fullmatch=True, alphabet="0123456789abcdef"), max_size=3).map(tuple),
    values=st.builds(Values.of, st.lists(st.binary(), max_size=3), st.lists(st.binary(), max_size=2)),
)
_events = st.builds(
    Event,
    id=_texts,
    source=_texts,
    time=st.datetimes(timezones=st.just(UTC), min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001
    watermark=st.builds(Watermark, _counters, _counters),
    person=_people,
    cause=st.sampled_from(Cause),
    replays=st.integers(0, 1000),
)


def wire(**changes: Any) -> dict[str, Any]:
    """The event as JSON, with top-level members changed; None takes one away."""
    members = json.loads(envelope.render(EVENT)) | changes
    return {name: value for name, value in members.items() if value is not None}


def data(**changes: Any) -> str:
    """The event with members of its data changed."""
    whole = wire()
    return json.dumps(whole | {"data": {**whole["data"], **changes}})


@given(_events)
def test_what_is_sent_is_what_arrives(event: Event) -> None:
    """And it is valid by the published schema."""
    body = envelope.render(event)
    assert envelope.parse(body) == event
    Draft202012Validator(SCHEMA).validate(json.loads(body))


def test_the_published_schema_is_the_one_of_the_code() -> None:
    """`smime-sync schema > docs/event.schema.json` renews it."""
    assert envelope.schema() == SCHEMA
    Draft202012Validator.check_schema(SCHEMA)


def test_the_envelope_is_a_cloudevent() -> None:
    """CloudEvents 1.0.2: the required context attributes, and extension names of lower-case letters and digits."""
    sent = wire()
    assert sent["specversion"] == "1.0"
    assert {"id", "source", "type", "time", "subject", "datacontenttype", "data"} <= set(sent)
    assert all(name.isalnum() and name.islower() for name in sent)


def test_an_extension_attribute_that_we_do_not_know_is_ignored() -> None:
    """A newer agent may add one."""
    assert envelope.parse(json.dumps(wire(comexampleregion="north"))) == EVENT


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_trace_travels_with_its_event() -> None:
    """Sent again or not, and outside the signature: an older function knows no such attribute."""
    traced = replace(EVENT, traceparent=TRACE)

    assert envelope.parse(envelope.render(traced)) == traced
    assert envelope.signed_part(traced) == envelope.signed_part(EVENT)


@pytest.mark.parametrize("trace", ["", "00-abc-def-01", TRACE.upper(), f"{TRACE} ", 7, None, ["00"]])
def test_a_trace_that_cannot_be_read_refuses_no_event(trace: object) -> None:
    """Nothing depends on it."""
    assert envelope.parse(json.dumps(wire(traceparent=trace))) == EVENT


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ("", ErrorCode.EVENT_NOT_JSON, "not JSON"),
        ("smime", ErrorCode.EVENT_NOT_JSON, "not JSON"),
        ("[" * 40_000, ErrorCode.EVENT_NOT_JSON, "recursion"),
        ('{"type": NaN}', ErrorCode.EVENT_NOT_JSON, "not JSON"),
        ("\ufffd\ufffd", ErrorCode.EVENT_NOT_TEXT, "UTF-8"),
        ("\ud800", ErrorCode.EVENT_NOT_TEXT, "UTF-8"),
        ("[]", ErrorCode.EVENT_MALFORMED, "object"),
        ("{}", ErrorCode.EVENT_MALFORMED, "data: Field required"),
        (" " * 49_153, ErrorCode.EVENT_TOO_LARGE, "49152"),
        ("é" * 30_000, ErrorCode.EVENT_TOO_LARGE, "49152"),
        (json.dumps(wire(type="smime-sync.person-state.v2")), ErrorCode.EVENT_VERSION, "v2"),
        (json.dumps(wire(type="com.example.other")), ErrorCode.EVENT_MALFORMED, "type"),
        (json.dumps(wire(specversion="0.3")), ErrorCode.EVENT_MALFORMED, "specversion"),
        (json.dumps(wire(time="2026-06-01T12:00:00")), ErrorCode.EVENT_MALFORMED, "time"),
        (json.dumps(wire(id=None)), ErrorCode.EVENT_MALFORMED, "id: Field required"),
        (data(userCertificate=["!!"]), ErrorCode.EVENT_MALFORMED, "data.userCertificate.0: not base64"),
        (data(userCertificate=["QUJD\n"]), ErrorCode.EVENT_MALFORMED, "not base64"),
        (data(userCertificate=[7]), ErrorCode.EVENT_MALFORMED, "not a string"),
        (data(userCertificate=None), ErrorCode.EVENT_MALFORMED, "userCertificate"),
        (data(watermark={"epoch": "1", "sequence": 1}), ErrorCode.EVENT_MALFORMED, "epoch"),
        (data(watermark={"epoch": -1, "sequence": 1}), ErrorCode.EVENT_MALFORMED, "epoch"),
        (data(watermark={"epoch": 1, "sequence": 2**63}), ErrorCode.EVENT_MALFORMED, "sequence"),
        (data(sourceAnchor={"objectGuid": "AAAA"}), ErrorCode.EVENT_MALFORMED, "16 bytes"),
        (data(enabled="yes"), ErrorCode.EVENT_MALFORMED, "enabled"),
        (data(distinguishedName="CN=x"), ErrorCode.EVENT_MALFORMED, "distinguishedName"),
    ],
)
def test_a_bad_event_is_a_clear_permanent_error(body: str, code: ErrorCode, told: str) -> None:
    """It has a code, says where, and has a hint."""
    with pytest.raises(PermanentError) as refused:
        envelope.parse(body)
    assert refused.value.code is code
    assert told in refused.value.message
    assert refused.value.hint


def test_an_error_tells_nothing_of_what_was_sent() -> None:
    """Messages go to logs: no certificate, no address."""
    with pytest.raises(PermanentError) as refused:
        envelope.parse(data(userCertificate=["c2VjcmV0!"], identity={"mail": ["alice@corp.example"]}))
    assert "c2VjcmV0" not in str(refused.value)
    assert "alice" not in str(refused.value)


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_no_text_does_anything_but_parse_or_be_refused(body: str) -> None:
    """Whatever lies on the queue."""
    with pytest.raises(PermanentError):
        envelope.parse(body)


def test_an_event_too_large_for_a_message_is_refused_before_it_is_sent() -> None:
    """With the size and the person, so that somebody can act."""
    values = Values.of(bytes([n]) * 2_500 for n in range(17))
    with pytest.raises(PermanentError, match="17 values") as refused:
        envelope.render(replace(EVENT, person=replace(EVENT.person, values=values)))
    assert refused.value.code is ErrorCode.EVENT_TOO_LARGE


def test_a_person_whom_the_wire_cannot_carry_is_refused_before_sending() -> None:
    """Such as an address longer than the directory's own limit."""
    with pytest.raises(PermanentError) as refused:
        envelope.render(replace(EVENT, person=replace(EVENT.person, mail="a" * 2_000)))
    assert refused.value.code is ErrorCode.EVENT_MALFORMED
