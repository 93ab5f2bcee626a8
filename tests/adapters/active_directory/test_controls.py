"""The controls' bytes on the wire."""

from __future__ import annotations

import pytest
from asn1crypto import parser

from sync.adapters.active_directory.controls import dirsync, notification, paged, show_deleted


def value_of(control: bytes) -> bytes:
    return bytes(parts(control)[2][4])


def parts(control: bytes) -> list[tuple[int, int, int, bytes, bytes, bytes]]:
    found, content = [], parser.parse(control)[4]
    while content:
        found.append(parser.parse(content, strict=False))
        content = content[len(found[-1][3]) + len(found[-1][4]) :]
    return found


@pytest.mark.parametrize(
    ("flags", "encoded"),
    [
        (0x1, "020101"),  # LDAP_DIRSYNC_OBJECT_SECURITY
        (0x801, "02020801"),  # with LDAP_DIRSYNC_ANCESTORS_FIRST_ORDER
        (0x80000001, "020480000001"),  # with LDAP_DIRSYNC_INCREMENTAL_VALUES: four bytes, and so negative
    ],
)
def test_flags_are_a_signed_integer_of_at_most_four_bytes(flags: int, encoded: str) -> None:
    """MS-ADTS 3.1.1.3.4.1.3; a fifth byte is refused by domain controllers."""
    expected = bytes.fromhex(encoded) + bytes.fromhex("02020400") + bytes.fromhex("0403") + b"abc"
    assert value_of(dirsync(b"abc", flags=flags, max_bytes=1024)) == b"\x30" + bytes([len(expected)]) + expected


def test_dirsync_asks_for_what_the_account_may_read() -> None:
    """Object security is the default: without it the account would need the replication right."""
    assert value_of(dirsync(b""))[2:5] == bytes.fromhex("020101")


def test_dirsync_and_paging_are_critical() -> None:
    """A server that ignored them would send everything each time, or stop at its limit without a word."""
    for control in (dirsync(b""), paged(1000, b""), notification(), show_deleted()):
        assert parts(control)[1][4] == b"\xff"


def test_paging_is_as_rfc_2696_says() -> None:
    """Size, then cookie."""
    assert value_of(paged(1000, b"xy")) == bytes.fromhex("3008020203e804027879")
