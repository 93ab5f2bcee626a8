"""From raw attribute values to a person."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sync.adapters.active_directory.entries import Entry, changed_at, object_guid, person
from sync.core.identity import SourceAnchor
from sync.core.person import Person, Values
from sync.core.units import unit
from sync.errors import ErrorCode, PermanentError

GUID = bytes(range(16))
ENTRY: Entry = {
    "objectguid": [GUID],
    "userprincipalname": ["zoë@corp.example".encode()],
    "mail": [b"zoe@example.com"],
    "proxyaddresses": [b"smtp:z@example.com", b"SMTP:zoe@example.com"],
    "useraccountcontrol": [b"512"],
    "distinguishedname": ["CN=Zoë,OU=Sales,DC=corp,DC=example".encode()],
    "usercertificate": [b"two", b"one"],
    "usersmimecertificate": [b"blob"],
}


def test_a_whole_entry() -> None:
    """Text is UTF-8, values stay bytes, and both are in one order whatever the order of the answer."""
    assert person(ENTRY) == Person(
        anchor=SourceAnchor(GUID),
        user_principal_name="zoë@corp.example",
        mail="zoe@example.com",
        proxy_addresses=("SMTP:zoe@example.com", "smtp:z@example.com"),
        units=tuple(map(unit, ("OU=Sales,DC=corp,DC=example", "DC=corp,DC=example", "DC=example"))),
        values=Values.of([b"one", b"two"], [b"blob"]),
    )


def test_the_smallest_entry() -> None:
    """Nothing but an objectGUID: an enabled person without addresses and certificates."""
    assert person({"objectguid": [GUID]}) == Person(anchor=SourceAnchor(GUID))


@pytest.mark.parametrize(
    ("control", "enabled"),
    [(b"512", True), (b"514", False), (b"66048", True), (b"66050", False), (b"2", False)],
)
def test_the_disabled_bit_is_one_of_many(control: bytes, enabled: bool) -> None:
    """ADS_UF_ACCOUNTDISABLE, 0x2 (MS-ADTS 2.2.16)."""
    assert person({**ENTRY, "useraccountcontrol": [control]}).enabled is enabled


@pytest.mark.parametrize(("value", "expected"), [(bytes(16), bytes(16)), (b"", None)])
def test_the_consistency_guid(value: bytes, expected: bytes | None) -> None:
    """An empty one is none."""
    assert person({**ENTRY, "ms-ds-consistencyguid": [value]}).anchor.consistency_guid == expected


def test_a_tombstone_has_no_values() -> None:
    """Even where the recycle bin kept them."""
    tombstone = person({**ENTRY, "isdeleted": [b"TRUE"]})
    assert tombstone.deleted
    assert not tombstone.units
    assert not tombstone.values


def test_text_that_is_no_text_holds_nobody_up() -> None:
    """As it is, it names no mailbox."""
    assert person({**ENTRY, "mail": [b"\xffzoe@example.com"]}).mail == "\ufffdzoe@example.com"


@pytest.mark.parametrize("values", [[], [b""], [GUID[:15]], [GUID + b"\0"]])
def test_without_a_proper_guid_nobody_can_be_told(values: list[bytes]) -> None:
    """A clear error, not a person without identity."""
    with pytest.raises(PermanentError) as caught:
        object_guid({**ENTRY, "objectguid": values})
    assert caught.value.code is ErrorCode.DIRECTORY_MALFORMED


def test_account_control_that_is_no_number_is_malformed() -> None:
    """Not silently enabled."""
    with pytest.raises(PermanentError) as caught:
        person({**ENTRY, "useraccountcontrol": [b"x"]})
    assert caught.value.code is ErrorCode.DIRECTORY_MALFORMED


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"20261124060912.0Z", datetime(2026, 11, 24, 6, 9, 12, tzinfo=UTC)),
        (b"yesterday", None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_when_it_changed(value: bytes, expected: datetime | None) -> None:
    """Generalized time in UTC; what is none is not known."""
    assert changed_at({"whenchanged": [value]}) == expected
