"""What a recipient looks like, in short."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync.core.person import Values
from sync.core.recipient import Recipient, RecipientKind, appearance

ALICE = Recipient(
    id="0a", kind=RecipientKind.MAILBOX, addresses=("alice@corp.example", "a@corp.example", "al@corp.example")
)


def test_the_same_recipient_looks_the_same_whatever_the_order_in_which_it_is_told() -> None:
    """Values and secondary addresses have no order, and ids no case."""
    values = Values.of([b"1", b"2"], [b"3"])
    told = replace(ALICE, id="0A", addresses=("alice@corp.example", "al@corp.example", "a@corp.example"))
    assert appearance(replace(ALICE, values=values)) == appearance(
        replace(told, values=Values.of([b"2", b"1", b"2"], [b"3"]))
    )


@pytest.mark.parametrize(
    "other",
    [
        replace(ALICE, id="0b"),
        replace(ALICE, kind=RecipientKind.MAIL_USER),
        replace(ALICE, directory_synchronised=True),
        replace(ALICE, directory_synchronised=True, cloud_managed=True),
        replace(ALICE, addresses=("a@corp.example", "alice@corp.example", "al@corp.example")),
        replace(ALICE, addresses=ALICE.addresses[:2]),
        replace(ALICE, values=Values.of([b"1"])),
        replace(ALICE, values=Values.of([], [b"1"])),
        replace(ALICE, values=Values.of([b"1"], [b"1"])),
        replace(ALICE, values=Values.of([b"1", b"2"])),
    ],
)
def test_whatever_decides_shows(other: Recipient) -> None:
    """Who it is, its kind and owner, which address is the primary one, and each value in its attribute."""
    assert appearance(other) != appearance(ALICE)
