"""`smime-sync validate --jsonl`: a verdict per line, whatever the line."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.core.policy import PRIVATE_CA
from sync.validator import validate_line
from tests.mill import DAY, NOW, Mill
from tests.mill.revocation import crl

MILL = Mill()
ROOT = MILL.root()
ISSUING = ROOT.issue_ca("Example Issuing CA")
ALICE = ISSUING.issue("alice@corp.example")


def text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


GOOD: dict[str, Any] = {
    "id": "1",
    "value": text(ALICE.der),
    "anchors": [text(ROOT.der)],
    "intermediates": [text(ISSUING.der)],
}


def verdict(**changes: object) -> dict[str, Any]:
    line = json.dumps({name: value for name, value in (GOOD | changes).items() if value is not None})
    return validate_line(line, policy=PRIVATE_CA, now=NOW)


def codes(of: dict[str, Any]) -> list[str]:
    return [finding["code"] for finding in of["findings"]]


def test_a_good_certificate_is_accepted_and_named() -> None:
    """By the SHA-256 of its DER."""
    assert verdict() == {"id": "1", "accepted": True, "findings": [], "fingerprint": ALICE.fingerprint}


def test_without_addresses_the_address_rules_are_left_out() -> None:
    """With them they count."""
    assert verdict()["accepted"]
    assert verdict(addresses=["alice@corp.example"])["accepted"]
    assert codes(verdict(addresses=["bob@corp.example"])) == ["mailbox-mismatch"]
    assert codes(verdict(addresses=[])) == ["mailbox-mismatch"]


def test_the_time_of_the_case_counts() -> None:
    """Without one, it is now."""
    late = (NOW + 400 * DAY).isoformat()
    assert codes(verdict(at=late)) == ["expired"]


def test_a_blob_is_opened_in_its_attribute() -> None:
    """The fingerprint is that of the certificate to encrypt to."""
    signing, encryption = ISSUING.issue("a@corp.example", ku=("digitalSignature",)), ALICE
    judged = verdict(value=text(signing.smime_blob(encryption)), attribute="userSMIMECertificate")
    assert judged["accepted"]
    assert judged["fingerprint"] == ALICE.fingerprint


@pytest.mark.parametrize(("wanted", "accepted"), [("off", True), ("soft", True), ("hard", False)])
def test_revocation_is_never_guessed(wanted: str, accepted: bool) -> None:
    """Whoever asks for it without a list is told that it is unknown, of the leaf and of its CA."""
    judged = verdict(revocation=wanted)
    assert judged["accepted"] is accepted
    assert codes(judged) == ([] if wanted == "off" else ["revocation-unknown"] * 2)


@pytest.mark.parametrize("mode", [None, "soft", "hard"])
def test_lists_are_looked_at(mode: str | None) -> None:
    """Where there are lists, revocation is soft unless the case says otherwise."""
    root_list, good = text(crl(ROOT)), text(crl(ISSUING))
    revoking = text(crl(ISSUING, [ALICE.certificate.serial_number]))
    assert verdict(crls=[root_list, good], revocation=mode) == verdict()
    assert codes(verdict(crls=[root_list, revoking], revocation=mode)) == ["revoked"]
    assert verdict(crls=[root_list, revoking], revocation="off")["accepted"]


def test_a_list_that_cannot_be_read_is_told_of() -> None:
    """It is no reason to drop the case."""
    judged = verdict(crls=[text(crl(ROOT)), text(b"no list")])
    assert judged["accepted"]
    assert codes(judged) == ["revocation-unknown"]
    assert "number 2" in judged["findings"][0]["detail"]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "null",
        "{",
        "\x00",
        json.dumps({}),
        json.dumps(GOOD | {"anchors": []}),
        json.dumps(GOOD | {"anchors": ["!"]}),
        json.dumps(GOOD | {"anchors": [text(b"no certificate")]}),
        json.dumps(GOOD | {"value": None}),
        json.dumps(GOOD | {"at": "yesterday"}),
        json.dumps(GOOD | {"at": "2026-01-01T00:00:00"}),
        json.dumps(GOOD | {"attribute": "mail"}),
        json.dumps(GOOD | {"surprise": 1}),
        b"\xff\xfe",
    ],
)
def test_a_bad_line_is_a_refused_case(line: str | bytes) -> None:
    """With a code and where; the stream goes on."""
    judged = validate_line(line, policy=PRIVATE_CA, now=NOW)
    assert not judged["accepted"]
    assert codes(judged) == ["case-malformed"]


def test_a_bad_line_keeps_its_id() -> None:
    """So that the caller can tell which one it was."""
    assert verdict(anchors=[])["id"] == "1"


@given(st.text() | st.binary())
def test_no_line_does_anything_but_get_a_verdict(line: str | bytes) -> None:
    """Whatever it holds."""
    assert not validate_line(line, policy=PRIVATE_CA, now=NOW)["accepted"]


@given(st.binary(max_size=200))
def test_no_value_does_anything_but_get_a_verdict(value: bytes) -> None:
    """Whatever its bytes."""
    assert verdict(value=text(value))["id"] == "1"
