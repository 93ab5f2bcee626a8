"""What every adapter of ports.Recipients promises. Each one runs this suite: subclass it and give it a `world`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Protocol

import pytest

from sync.core.person import Attribute, Values
from sync.core.recipient import Owner, Recipient, RecipientKind
from sync.errors import ErrorCode, PermanentError
from sync.ports import RecipientList, Recipients

EVERY_BYTE = bytes(range(256))
LONG = bytes([0x30, 0x82, 0x0B, 0xB4]) + bytes(2996)
SHORT = bytes([0x30, 0x03, 0x02, 0x01, 0x05])

USER, SMIME = Attribute.USER_CERTIFICATE, Attribute.USER_SMIME_CERTIFICATE


class World(Protocol):
    """A tenant with the adapter on it."""

    @property
    def recipients(self) -> Recipients:
        """The adapter."""

    @property
    def everybody(self) -> RecipientList:
        """The same adapter, as the list of all."""

    def add(self, recipient: Recipient) -> None:
        """Make this recipient in the tenant, behind the adapter's back."""

    def remove(self, recipient: Recipient) -> None:
        """Take it away again."""

    def holds(self, recipient: Recipient) -> Values:
        """What the tenant holds for it, seen behind the adapter's back."""


def made(
    *addresses: str,
    kind: RecipientKind = RecipientKind.MAILBOX,
    directory_synchronised: bool = False,
    cloud_managed: bool = False,
    values: Values = Values(),
) -> Recipient:
    """A recipient with a new id."""
    return Recipient(
        id=str(uuid.uuid4()),
        kind=kind,
        addresses=addresses,
        directory_synchronised=directory_synchronised,
        cloud_managed=cloud_managed,
        values=values,
    )


def listed(everybody: RecipientList) -> Iterator[Recipient]:
    """All pages of the list, one after the other."""
    page = everybody.page(None)
    yield from page.recipients
    while page.cursor is not None:
        page = everybody.page(page.cursor)
        yield from page.recipients


class RecipientsContract:
    """The suite."""

    @pytest.fixture
    def world(self) -> World:
        """The adapter's own tenant, empty."""
        raise NotImplementedError

    def test_nobody_answers(self, world: World) -> None:
        """An address that nobody has is no error: there is no recipient."""
        world.add(made("ada@corp.example"))

        assert world.recipients.find(pinned=None, addresses=["bob@corp.example"]) is None
        assert world.recipients.find(pinned=None, addresses=[]) is None

    @pytest.mark.parametrize("address", ["ada@corp.example", "ADA@Corp.Example", "countess@corp.example"])
    def test_found_by_any_of_its_addresses(self, world: World, address: str) -> None:
        """Primary or secondary, in any case; it comes with all that it is."""
        ada = made("Ada@corp.example", "countess@corp.example", values=Values.of([SHORT], [LONG]))
        world.add(ada)

        assert world.recipients.find(pinned=None, addresses=[address]) == ada

    def test_the_first_address_that_anybody_has_decides(self, world: World) -> None:
        """Addresses come best first."""
        ada, bob = made("ada@corp.example"), made("bob@corp.example")
        world.add(ada)
        world.add(bob)

        found = world.recipients.find(
            pinned=None, addresses=["nobody@corp.example", "bob@corp.example", "ada@corp.example"]
        )

        assert found == bob

    def test_the_pinned_one_wins(self, world: World) -> None:
        """Once found, a recipient is known by its id, whatever becomes of addresses."""
        ada, bob = made("ada@corp.example"), made("bob@corp.example")
        world.add(ada)
        world.add(bob)

        assert world.recipients.find(pinned=ada.id, addresses=["bob@corp.example"]) == ada

    def test_a_pinned_one_that_is_gone_is_looked_for_by_address(self, world: World) -> None:
        """A mailbox that was deleted and made again has a new id."""
        old, new = made("ada@corp.example"), made("ada@corp.example")
        world.add(old)
        world.remove(old)
        world.add(new)

        assert world.recipients.find(pinned=old.id, addresses=["ada@corp.example"]) == new

    def test_two_with_one_address(self, world: World) -> None:
        """We do not choose whose mailbox it is."""
        world.add(made("ada@corp.example"))
        world.add(made("ada@corp.example"))

        with pytest.raises(PermanentError) as caught:
            world.recipients.find(pinned=None, addresses=["ada@corp.example"])

        assert caught.value.code is ErrorCode.RECIPIENT_AMBIGUOUS

    @pytest.mark.parametrize("kind", list(RecipientKind))
    def test_every_kind_is_found_written_and_read(self, world: World, kind: RecipientKind) -> None:
        """Mailboxes, mail users and mail contacts hold certificates alike."""
        someone = made("someone@corp.example", kind=kind)
        world.add(someone)

        found = world.recipients.find(pinned=None, addresses=["someone@corp.example"])
        assert found == someone
        world.recipients.write(found, {USER: (SHORT,), SMIME: (LONG,)})

        assert world.recipients.read(found) == world.holds(someone) == Values.of([SHORT], [LONG])

    @pytest.mark.parametrize(
        ("synchronised", "managed", "owner"),
        [(False, False, Owner.CLOUD), (True, True, Owner.CLOUD_MANAGED), (True, False, Owner.ON_PREMISES)],
    )
    def test_who_owns_it(self, world: World, synchronised: bool, managed: bool, owner: Owner) -> None:
        """The two flags come through: whether we may write hangs on them."""
        world.add(made("ada@corp.example", directory_synchronised=synchronised, cloud_managed=managed))

        found = world.recipients.find(pinned=None, addresses=["ada@corp.example"])

        assert found is not None
        assert found.owner is owner

    def test_values_are_exact_to_the_byte(self, world: World) -> None:
        """Every byte value, in both directions."""
        ada = made("ada@corp.example", values=Values.of([EVERY_BYTE, LONG], [EVERY_BYTE[::-1]]))
        world.add(ada)
        assert world.recipients.read(ada) == ada.values

        world.recipients.write(ada, {USER: (EVERY_BYTE[::-1],), SMIME: (EVERY_BYTE, LONG)})

        assert world.recipients.read(ada) == world.holds(ada) == Values.of([EVERY_BYTE[::-1]], [EVERY_BYTE, LONG])

    def test_a_write_replaces_the_whole_list(self, world: World) -> None:
        """What is not in the list is gone afterwards."""
        ada = made("ada@corp.example", values=Values.of([SHORT, EVERY_BYTE]))
        world.add(ada)

        world.recipients.write(ada, {USER: (EVERY_BYTE, LONG)})

        assert world.holds(ada) == Values.of([EVERY_BYTE, LONG])

    def test_an_attribute_that_is_not_named_stays(self, world: World) -> None:
        """Only changed attributes are touched."""
        ada = made("ada@corp.example", values=Values.of([SHORT], [LONG]))
        world.add(ada)

        world.recipients.write(ada, {USER: (EVERY_BYTE,)})

        assert world.holds(ada) == Values.of([EVERY_BYTE], [LONG])

    def test_an_empty_list_clears(self, world: World) -> None:
        """That is how a stale blob is taken away."""
        ada = made("ada@corp.example", values=Values.of([SHORT], [LONG]))
        world.add(ada)

        world.recipients.write(ada, {SMIME: ()})

        assert world.holds(ada) == Values.of([SHORT])

    def test_no_changes_are_no_write(self, world: World) -> None:
        """An empty plan does nothing."""
        ada = made("ada@corp.example", values=Values.of([SHORT]))
        world.add(ada)

        world.recipients.write(ada, {})

        assert world.holds(ada) == ada.values

    def test_the_same_write_twice(self, world: World) -> None:
        """A delivery after a crash repeats the write and does no harm."""
        ada = made("ada@corp.example")
        world.add(ada)

        for _ in range(2):
            world.recipients.write(ada, {USER: (SHORT, LONG)})

        assert world.holds(ada) == Values.of([SHORT, LONG])

    def test_fifteen_values(self, world: World) -> None:
        """As many as Entra Connect carries."""
        ada = made("ada@corp.example")
        world.add(ada)
        values = tuple(SHORT[:-1] + bytes([each]) for each in range(15))

        world.recipients.write(ada, {USER: values})

        assert world.recipients.read(ada) == Values.of(values)

    def test_everybody_is_listed(self, world: World) -> None:
        """Each kind, with what each holds; reconciliation reads the whole tenant so."""
        crowd = [
            made(f"{kind}@corp.example", kind=kind, values=Values.of([SHORT + bytes([place])]))
            for place, kind in enumerate(RecipientKind)
        ]
        for each in crowd:
            world.add(each)

        assert sorted(listed(world.everybody), key=lambda each: each.kind) == sorted(crowd, key=lambda each: each.kind)
