"""Opening values, A1, A2 and A6, and the MAPI form."""

from __future__ import annotations

import base64
import struct

import pytest

from sync.core.codes import Code
from sync.core.person import Attribute
from sync.core.policy import PRIVATE_CA
from sync.core.values import Format, Opened, open_value
from tests.core.company import ALICE
from tests.mill import Issued, Mill, certificates_only_blob, mapi_blob


@pytest.fixture(scope="module")
def alice() -> Issued:
    """Some certificate; what is in it does not matter here."""
    return Mill().root(key="ec256").issue(ALICE, key="ec256")


def codes(opened: Opened) -> list[Code]:
    """The codes of what was found on opening."""
    return [finding.code for finding in opened.findings]


@pytest.mark.parametrize("attribute", Attribute)
def test_an_empty_value_is_refused(attribute: Attribute) -> None:
    """LDIF can say it, Active Directory cannot hold it."""
    opened = open_value(attribute, b"")

    assert codes(opened) == [Code.VALUE_EMPTY]
    assert opened.leaf is None


def test_the_largest_value_that_active_directory_holds_is_opened_and_one_byte_more_is_not() -> None:
    """32,768 bytes."""
    largest = b"\x30\x82\x7f\xfc\x30" + bytes(32_763)
    assert len(largest) == 32_768

    assert open_value(Attribute.USER_CERTIFICATE, largest).leaf == largest
    assert codes(open_value(Attribute.USER_CERTIFICATE, largest + b"\0")) == [Code.VALUE_TOO_LARGE]


def test_the_form_is_told_by_the_bytes(alice: Issued) -> None:
    """In either attribute."""
    forms = {
        alice.der: Format.CERTIFICATE,
        alice.smime_blob(): Format.CMS,
        certificates_only_blob(alice): Format.CMS,
        mapi_blob(alice): Format.MAPI,
        b"\x30\x80\x30\x80": Format.CERTIFICATE,
        b"\x30\x80\x06\x01": Format.CMS,
    }
    for attribute in Attribute:
        assert {value: open_value(attribute, value).format for value in forms} == forms


@pytest.mark.parametrize(
    "value",
    [
        b"\x00",
        b"\x30",
        b"\x30\x00",
        b"\x30\x82",
        b"\x30\x03\x02\x01\x01",
        b"not a certificate",
        bytes(100),
        b"\x01\x00\x09\x00\x01\x00\x00\x00",
        b"\x01\x00\x03\x00\x01",
        b"\x09\x00\x01\x00\x01" + bytes(252),  # a length within its own header, from where another one would fit
        b"\x01\x00\x08\x00\x01\x00\x00\x00\x03",
    ],
)
def test_what_has_no_known_form_is_refused(value: bytes) -> None:
    """Cut off headers, lengths that do not fit, plain text."""
    opened = open_value(Attribute.USER_SMIME_CERTIFICATE, value)

    assert codes(opened) == [Code.VALUE_UNKNOWN_FORMAT]
    assert opened.format is Format.UNKNOWN


def test_text_is_recognised_as_such(alice: Issued) -> None:
    """The commonest mistake of scripts deserves its own words."""
    for text in (alice.pem.encode("ascii"), base64.b64encode(alice.der)):
        opened = open_value(Attribute.USER_CERTIFICATE, text)
        assert codes(opened) == [Code.VALUE_UNKNOWN_FORMAT]
        assert "text" in opened.findings[0].detail


def test_a_bare_certificate_belongs_in_user_certificate(alice: Issued) -> None:
    """In the other attribute it is opened as well, with a warning, and is not fit to be copied."""
    there = open_value(Attribute.USER_SMIME_CERTIFICATE, alice.der)

    assert open_value(Attribute.USER_CERTIFICATE, alice.der).findings == ()
    assert there.leaf == alice.der
    assert codes(there) == [Code.SMIME_BARE_CERTIFICATE]
    assert not there.copyable


def test_the_key_exchange_certificate_of_a_mapi_blob_is_the_persons(alice: Issued) -> None:
    """Whatever settings stand around it."""
    other = struct.pack("<I", 7)
    blob = mapi_blob(alice, before=[(1, other), (0x22, bytes(20))]) + struct.pack("<HH", 0x20, 8) + other

    opened = open_value(Attribute.USER_SMIME_CERTIFICATE, blob)

    assert opened.format is Format.MAPI
    assert opened.leaf == alice.der
    assert opened.copyable


def test_a_mapi_blob_without_a_key_exchange_certificate_is_refused(alice: Issued) -> None:
    """Tag 8 is the signing certificate: nobody encrypts to it."""
    opened = open_value(Attribute.USER_SMIME_CERTIFICATE, mapi_blob(alice, tag=8))

    assert codes(opened) == [Code.VALUE_UNKNOWN_FORMAT]
    assert opened.format is Format.MAPI


def test_of_a_repeated_setting_the_first_counts(alice: Issued) -> None:
    """MS-OXOABK forbids repeats; a second certificate must not slip in."""
    other = Mill().root(key="ec256").issue("eve@corp.example", key="ec384")

    opened = open_value(Attribute.USER_SMIME_CERTIFICATE, mapi_blob(alice) + mapi_blob(other, before=[(9, b"x")]))

    assert opened.leaf == alice.der


def test_the_size_limit_is_the_policys(alice: Issued) -> None:
    """As every threshold is."""
    assert PRIVATE_CA.max_value_bytes == 32_768
