"""A tenant that shows no bytes: memory stands in where it can, and nobody's value is wiped where it cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from sync.adapters.embedded import EmbeddedBlobs
from sync.core.person import Attribute, Values
from sync.core.recipient import Recipient
from sync.core.record import Outcome, Status
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import Message, Recipients
from sync.remembering import RememberedRecipients
from tests.mill import DAY, Issued
from tests.office import Office, person


@dataclass
class Hiding:
    """A tenant that tells of what it holds how many values there are. A write can be lost, or kill who writes."""

    inner: Recipients
    loses: bool = False
    kills: bool = False
    writes: int = 0

    def find(self, *, pinned: str | None, addresses: Sequence[str]) -> Recipient | None:
        found = self.inner.find(pinned=pinned, addresses=addresses)
        if found is None:
            return None
        return replace(found, values=Values(), hidden=tuple(len(found.values[each]) for each in Attribute))

    def write(self, recipient: Recipient, changes: Mapping[Attribute, tuple[bytes, ...]]) -> None:
        self.writes += 1
        if not self.loses:
            self.inner.write(recipient, changes)
        if self.kills:
            raise KeyboardInterrupt

    def read(self, recipient: Recipient) -> Values:
        raise AssertionError("there is nothing to read")


class Blind(Office):
    """An office whose tenant shows no bytes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.tenant = Hiding(self.recipients)
        self.processor = replace(
            self.processor, recipients=RememberedRecipients(self.tenant, EmbeddedBlobs(self.database))
        )

    def tell(self, name: str, *certificates: Issued) -> Outcome:
        """An event of the person, handled."""
        self.sequence += 1
        event = self.event(person(name, *certificates), sequence=self.sequence)
        return self.receiver.process(Message(id=str(self.sequence), body=event))


@pytest.fixture
def office() -> Blind:
    return Blind()


def test_an_empty_mailbox_is_written_and_the_outcome_says_that_nobody_saw_it(office: Blind) -> None:
    """Nothing can be wiped there. From the second look on our memory stands in."""
    office.mailbox("alice")
    first, renewed = office.issue("alice"), office.issue("alice", not_before=office.now - DAY / 2)

    outcomes = [office.tell("alice", first), office.tell("alice", first), office.tell("alice", first, renewed)]

    assert [each.status for each in outcomes] == [Status.WRITTEN, Status.UNCHANGED, Status.WRITTEN]
    assert [each.unverified for each in outcomes] == [False, True, True]
    assert office.held("alice") == Values.of([renewed.der])
    assert office.tenant.writes == 2


def test_values_that_we_did_not_put_there_are_never_wiped(office: Blind) -> None:
    """Whose they are cannot be told: the event fails, and says what to do."""
    theirs = office.issue("alice")
    office.mailbox("alice", theirs)

    outcome = office.tell("alice", office.issue("alice"))

    assert (outcome.status, outcome.reason) == (Status.FAILED, ErrorCode.READ_BACK_UNREADABLE)
    assert office.held("alice") == Values.of([theirs.der])
    assert office.tenant.writes == 0


def test_a_value_that_somebody_added_since_stops_us(office: Blind) -> None:
    """One more than after our last write."""
    mailbox = office.mailbox("alice")
    office.tell("alice", office.issue("alice"))
    office.recipients.add(replace(mailbox, values=Values.of([*office.held("alice").user_certificate, b"theirs"])))

    assert office.tell("alice").reason == ErrorCode.READ_BACK_UNREADABLE
    assert b"theirs" in office.held("alice").user_certificate


def test_a_write_that_is_lost_is_noticed_by_number(office: Blind) -> None:
    """And tried again, as after any read-back that differs."""
    office.mailbox("alice")
    office.tenant.loses = True

    outcome = office.tell("alice", office.issue("alice"))

    assert (outcome.status, outcome.reason) == (Status.DEFERRED, ErrorCode.READ_BACK_DIFFERS)


@pytest.mark.parametrize("arrived", [True, False])
def test_killed_at_the_write_the_same_is_written_again(office: Blind, arrived: bool) -> None:
    """One value in the place of another: the number is the same whether the write arrived or not."""
    office.mailbox("alice")
    first, renewed = office.issue("alice"), office.issue("alice", not_before=office.now - DAY / 2)
    office.tell("alice", first)
    office.tenant.kills, office.tenant.loses = True, not arrived
    with pytest.raises(KeyboardInterrupt):
        office.tell("alice", renewed)
    office.tenant.kills = office.tenant.loses = False
    office.now += DAY  # the claim has lapsed

    office.sequence -= 1  # the very same event comes again
    outcome = office.tell("alice", renewed)

    assert outcome.status is Status.WRITTEN
    assert office.held("alice") == Values.of([renewed.der])


def test_a_recipient_that_is_gone_after_the_write(office: Blind) -> None:
    """Deleted in between: said, not taken for right."""
    mailbox = office.mailbox("alice")
    remembered = office.processor.recipients
    remembered.write(mailbox, {Attribute.USER_CERTIFICATE: (b"one",)})
    office.recipients.remove(mailbox.id)

    with pytest.raises(TemporaryError) as caught:
        remembered.read(mailbox)
    assert caught.value.code is ErrorCode.READ_BACK_DIFFERS


@pytest.mark.parametrize("content", [b"", b"{}", b"[7]", b'[{"userCertificate": ["?"]}]', b"\xff"])
def test_a_memory_that_cannot_be_read_writes_nothing(office: Blind, content: bytes) -> None:
    """Damaged by hand: a clear error, and the mailbox stays as it is."""
    mailbox = office.mailbox("alice", office.issue("alice"))
    EmbeddedBlobs(office.database).put(f"held/{mailbox.id}.json", content)

    with pytest.raises(PermanentError) as caught:
        office.processor.recipients.find(pinned=mailbox.id, addresses=())
    assert caught.value.code in {ErrorCode.LEDGER_MALFORMED, ErrorCode.READ_BACK_UNREADABLE}
