"""The processor: one event, six steps, three ends."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from sync.core.findings import Code
from sync.core.identity import Watermark
from sync.core.person import Attribute, Values, fingerprint
from sync.core.recipient import Recipient
from sync.core.record import Outcome, Record, Status
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.ports import Ledger, Message, Recipients
from sync.processor import CLAIM
from tests.mill import DAY
from tests.office import Office, person


@pytest.fixture
def office() -> Office:
    return Office()


@dataclass
class Faulty:
    """The tenant, with a fault before or after the write. A real adapter does the work."""

    inner: Recipients
    before_write: SyncError | Exception | None = None
    after_write: SyncError | Exception | None = None
    reads: Values | None = None
    writes: int = 0

    def find(self, *, pinned: str | None, addresses: Sequence[str]) -> Recipient | None:
        return self.inner.find(pinned=pinned, addresses=addresses)

    def write(self, recipient: Recipient, changes: Mapping[Attribute, tuple[bytes, ...]]) -> None:
        if self.before_write:
            raise self.before_write
        self.writes += 1
        self.inner.write(recipient, changes)
        if self.after_write:
            raise self.after_write

    def read(self, recipient: Recipient) -> Values:
        return self.inner.read(recipient) if self.reads is None else self.reads


@dataclass
class Crash:
    """A ledger whose process is killed at the nth put: what was stored before stays, nothing after happens."""

    inner: Ledger
    at: int
    puts: int = 0

    def get(self, anchor: str) -> Record | None:
        return self.inner.get(anchor)

    def put(self, record: Record) -> Record:
        self.puts += 1
        if self.puts >= self.at:
            raise KeyboardInterrupt
        return self.inner.put(record)

    def records(self) -> None:
        raise AssertionError


def codes(outcome: Outcome) -> set[Code]:
    return {finding.code for judged in outcome.judged for finding in judged.findings}


def test_a_good_certificate_is_published_and_remembered_as_ours(office: Office) -> None:
    """The main job."""
    office.mailbox("alice")
    certificate = office.issue("alice")
    outcome = office.process(person("alice", certificate))
    assert outcome.status is Status.WRITTEN
    assert outcome.added == (certificate.fingerprint,)
    assert office.held("alice") == Values.of([certificate.der])
    record = office.record("alice")
    assert record.managed.user_certificate == {certificate.fingerprint}
    assert record.claimed_until is None
    assert record.watermark == Watermark(1, 1)
    assert record.outcome == outcome


def test_a_refused_certificate_is_an_ordinary_outcome(office: Office) -> None:
    """With its codes, and nothing written."""
    office.mailbox("bob")
    outcome = office.process(person("bob", office.issue("bob", not_after=office.now - DAY)))
    assert outcome.status is Status.UNCHANGED
    assert Code.EXPIRED in codes(outcome)
    assert office.held("bob") == Values()


def test_the_same_event_again_changes_nothing(office: Office) -> None:
    """The queue delivers at least once."""
    office.mailbox("alice")
    alice = person("alice", office.issue("alice"))
    office.process(alice, sequence=1)
    tenant = Faulty(office.recipients)
    outcome = office.with_processor(recipients=tenant).process(office.message(alice, sequence=1))
    assert outcome.status is Status.UNCHANGED
    assert tenant.writes == 0


def test_a_late_event_is_superseded(office: Office) -> None:
    """It must not bring back what a newer one withdrew."""
    office.mailbox("alice")
    old, new = office.issue("alice"), office.issue("alice")
    office.process(person("alice", new), sequence=2)
    outcome = office.process(person("alice", old), sequence=1)
    assert outcome.status is Status.SUPERSEDED
    assert office.held("alice") == Values.of([new.der])


def test_a_removed_certificate_is_withdrawn_and_a_foreign_one_kept(office: Office) -> None:
    """We withdraw only what we published."""
    foreign, ours = office.issue("alice", not_before=office.now - 90 * DAY), office.issue("alice")
    office.mailbox("alice", foreign)
    office.process(person("alice", ours))
    assert office.held("alice") == Values.of([foreign.der, ours.der])
    outcome = office.process(person("alice"))
    assert outcome.withdrawn == (ours.fingerprint,)
    assert office.held("alice") == Values.of([foreign.der])
    assert office.record("alice").managed.user_certificate == frozenset()


def test_a_deleted_person_loses_what_we_published(office: Office) -> None:
    """Though the certificate is still valid."""
    office.mailbox("peggy")
    certificate = office.issue("peggy")
    office.process(person("peggy", certificate))
    office.process(person("peggy", certificate, deleted=True))
    assert office.held("peggy") == Values()


def test_a_deleted_person_without_a_mailbox_is_gone(office: Office) -> None:
    """Nothing to wait for."""
    assert office.process(person("peggy", deleted=True)).status is Status.GONE


def test_a_disabled_account_is_not_a_leaver(office: Office) -> None:
    """Shared mailboxes sit on disabled accounts; withdrawing on disable is a setting."""
    office.mailbox("info")
    certificate = office.issue("info")
    info = person("info", certificate, enabled=False)
    assert office.process(info).status is Status.WRITTEN
    office.with_processor(withdraw_disabled=True).process(office.message(info))
    assert office.held("info") == Values()


def test_a_synchronised_mailbox_is_left_to_entra_connect(office: Office) -> None:
    """Judged and reported, never written."""
    office.mailbox("rupert", directory_synchronised=True)
    outcome = office.process(person("rupert", office.issue("rupert")))
    assert outcome.status is Status.MANAGED_ON_PREMISES
    assert office.held("rupert") == Values()
    assert not any(judged.published for judged in outcome.judged)
    assert outcome.detail is not None


def test_seventeen_values_of_a_synchronised_mailbox_are_told_to_be_stuck(office: Office) -> None:
    """Entra Connect exports nothing at all beyond fifteen, and tells nobody."""
    office.mailbox("grace", directory_synchronised=True)
    certificate = office.issue("grace")
    outcome = office.process(person("grace", certificate, *(bytes([n]) for n in range(16))))
    assert "exports nothing of 17" in (outcome.detail or "")


def test_a_synchronised_mailbox_whose_attributes_are_cloud_managed_is_written(office: Office) -> None:
    """From then on this product is the only way."""
    office.mailbox("trent", directory_synchronised=True, cloud_managed=True)
    assert office.process(person("trent", office.issue("trent"))).status is Status.WRITTEN


def test_the_addresses_that_count_are_the_clouds(office: Office) -> None:
    """An event's claim of addresses proves nothing."""
    office.mailbox("frank")
    claiming = replace(person("frank", office.issue("mallory")), proxy_addresses=("smtp:mallory@corp.example",))
    outcome = office.process(claiming)
    assert Code.MAILBOX_MISMATCH in codes(outcome)
    assert office.held("frank") == Values()


def test_the_recipient_is_pinned_once_found(office: Office) -> None:
    """A renamed person stays the same recipient, whatever the directory calls them meanwhile."""
    mailbox = office.mailbox("alice")
    certificate = office.issue("alice")
    office.process(person("alice", certificate))
    assert office.record("alice").recipient == mailbox.id
    renamed = replace(person("alice"), mail="alice.married@corp.example")
    assert office.process(renamed).withdrawn == (certificate.fingerprint,)


def test_no_recipient_yet_is_tried_again(office: Office) -> None:
    """Provisioning takes minutes to hours."""
    with pytest.raises(TemporaryError) as later:
        office.process(person("newcomer", office.issue("newcomer")))
    assert later.value.code is ErrorCode.NO_RECIPIENT


def test_the_last_attempt_is_recorded_with_its_reason(office: Office) -> None:
    """Before the queue's poison copy forgets it; replayed after the mailbox is there, it succeeds."""
    certificate = office.issue("newcomer")
    message = office.message(person("newcomer", certificate), dequeue_count=5)
    outcome = office.processor.process(message)
    assert (outcome.status, outcome.reason) == (Status.FAILED, ErrorCode.NO_RECIPIENT)
    (failure,) = office.failures.all()
    assert (failure.id, failure.reason, failure.body) == (message.id, ErrorCode.NO_RECIPIENT, message.body)
    office.mailbox("newcomer")
    office.replayer.replay(apply=True)
    assert [done.status for done in office.drain() if done] == [Status.WRITTEN]
    assert list(office.failures.all()) == []
    assert office.held("newcomer") == Values.of([certificate.der])


@pytest.mark.parametrize("body", ["", "not json", "{}", "\ufffd"])
def test_a_message_that_is_no_event_is_recorded_at_once(office: Office, body: str) -> None:
    """Never retried in vain, and kept as it came."""
    outcome = office.processor.process(Message(id="m1", body=body))
    assert outcome.status is Status.FAILED
    (failure,) = office.failures.all()
    assert (failure.body, failure.reason) == (body, outcome.reason)


def test_what_the_tenant_refuses_for_good_is_recorded_at_once(office: Office) -> None:
    """In the failures and in the person's record; the claim is let go."""
    office.mailbox("alice")
    refusal = PermanentError(ErrorCode.TENANT_ROLE, "the role lacks Set-Mailbox")
    processor = office.with_processor(recipients=Faulty(office.recipients, before_write=refusal))
    outcome = processor.process(office.message(person("alice", office.issue("alice"))))
    assert (outcome.status, outcome.reason) == (Status.FAILED, ErrorCode.TENANT_ROLE)
    record = office.record("alice")
    assert record.claimed_until is None
    assert record.outcome == outcome
    assert len(list(office.failures.all())) == 1


def test_throttling_passes_its_retry_after_on(office: Office) -> None:
    """And lets the claim go, so that the next delivery need not wait for it."""
    office.mailbox("alice")
    throttled = TemporaryError(ErrorCode.TENANT_THROTTLED, "slow down", retry_after=timedelta(seconds=7))
    processor = office.with_processor(recipients=Faulty(office.recipients, before_write=throttled))
    with pytest.raises(TemporaryError) as later:
        processor.process(office.message(person("alice", office.issue("alice"))))
    assert later.value.retry_after == timedelta(seconds=7)
    assert office.record("alice").claimed_until is None


def test_a_read_back_that_differs_is_no_success(office: Office) -> None:
    """The record does not say written, and the difference is told in numbers."""
    office.mailbox("alice")
    processor = office.with_processor(recipients=Faulty(office.recipients, reads=Values()))
    with pytest.raises(TemporaryError, match="1 values missing") as later:
        processor.process(office.message(person("alice", office.issue("alice"))))
    assert later.value.code is ErrorCode.READ_BACK_DIFFERS
    assert office.record("alice").outcome is None


def test_a_defect_of_ours_loses_nothing(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    """It is delivered again, and on the last attempt recorded as unexpected, with its trace in the log."""
    office.mailbox("alice")
    processor = office.with_processor(recipients=Faulty(office.recipients, before_write=ZeroDivisionError("oops")))
    alice = person("alice", office.issue("alice"))
    with pytest.raises(TemporaryError) as later:
        processor.process(office.message(alice))
    assert later.value.code is ErrorCode.UNEXPECTED
    office.pass_time(CLAIM)
    assert processor.process(office.message(alice, dequeue_count=5)).reason == ErrorCode.UNEXPECTED
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(("crash_at", "written"), [(1, False), (2, True)])
def test_killed_before_or_after_the_write_it_ends_right_and_ours(office: Office, crash_at: int, written: bool) -> None:
    """Killed at the claim nothing happened; killed at the record the value is there and the ledger knows whose."""
    office.mailbox("alice")
    certificate = office.issue("alice")
    message = office.message(person("alice", certificate))
    with pytest.raises(KeyboardInterrupt):
        office.with_processor(ledger=Crash(office.ledger, crash_at)).process(message)
    assert bool(office.held("alice")) is written
    office.pass_time(CLAIM)
    office.processor.process(message)
    assert office.held("alice") == Values.of([certificate.der])
    assert office.process(person("alice")).withdrawn == (certificate.fingerprint,)


def test_a_claim_keeps_a_second_processor_away(office: Office) -> None:
    """One writer per person; the other's delivery comes again when the claim lapses at the latest."""
    office.mailbox("alice")
    alice = person("alice", office.issue("alice"))
    with pytest.raises(KeyboardInterrupt):
        office.with_processor(ledger=Crash(office.ledger, 2)).process(office.message(alice))
    with pytest.raises(TemporaryError) as later:
        office.process(alice)
    assert later.value.code is ErrorCode.CLAIMED
    assert later.value.retry_after == CLAIM
    office.pass_time(CLAIM)
    assert office.process(alice).status is Status.UNCHANGED


def test_a_lost_race_for_the_claim_writes_nothing(office: Office) -> None:
    """Compare-and-swap: somebody stored the record between our read and our claim."""
    office.mailbox("alice")
    alice = person("alice", office.issue("alice"))

    class Raced(Faulty):
        def find(self, *, pinned: str | None, addresses: Sequence[str]) -> Recipient | None:
            office.ledger.put(Record(anchor=alice.anchor.immutable_id))
            return super().find(pinned=pinned, addresses=addresses)

    tenant = Raced(office.recipients)
    with pytest.raises(TemporaryError) as later:
        office.with_processor(recipients=tenant).process(office.message(alice))
    assert later.value.code is ErrorCode.LEDGER_CONFLICT
    assert tenant.writes == 0


def test_a_buried_message_is_kept_whole(office: Office) -> None:
    """The host's own poison copy expires after a week and forgets the reason."""
    message = office.message(person("alice", office.issue("alice")))
    failure = office.processor.bury(message)
    assert failure.reason == ErrorCode.RETRIES_EXHAUSTED
    assert failure.anchor == person("alice").anchor.immutable_id
    assert office.failures.get(message.id) == failure
    assert office.processor.bury(Message(id="m2", body="\ufffd")).anchor is None


def test_a_log_line_names_nobody(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    """Anchor, cause, status, codes and fingerprints; no address, no certificate."""
    office.mailbox("alice")
    certificate = office.issue("alice")
    with caplog.at_level(logging.DEBUG):
        office.process(person("alice", certificate, b"broken"))
    assert fingerprint(certificate.der)[:16] in caplog.text
    assert str(person("alice").anchor) in caplog.text
    assert "alice" not in caplog.text
    assert "corp.example" not in caplog.text
