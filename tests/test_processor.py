"""The processor: one event, six steps, three ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from sync.core.certificate import Certificate
from sync.core.context import Context
from sync.core.findings import Code
from sync.core.identity import Watermark
from sync.core.person import Attribute, Person, Values, fingerprint
from sync.core.plan import Managed
from sync.core.policy import PRIVATE_CA
from sync.core.recipient import Recipient, appearance
from sync.core.record import Outcome, Record, Snapshot, Status
from sync.core.revoked import mark
from sync.errors import ErrorCode, PermanentError
from sync.ports import History, Ledger
from sync.processor import CLAIM, WRITE
from sync.receiver import LOOK_AGAIN_AFTER
from tests.mill import DAY
from tests.office import Crash, Faulty, Office, anchor, person

SECOND = timedelta(seconds=1)


@pytest.fixture
def office() -> Office:
    return Office()


def overlapping(office: Office) -> Callable[[datetime], Context]:
    """A policy by which a predecessor stays for long."""
    return lambda moment: Context(
        now=moment, trust=office.trust, policy=replace(PRIVATE_CA, overlap=timedelta(days=365))
    )


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


def test_what_reconciliation_compares_is_remembered(office: Office) -> None:
    """The state, what the mailbox should hold by it, when time may change that, and on what it was judged."""
    office.mailbox("alice")
    certificate = office.issue("alice", not_after=office.now + 90 * DAY)
    alice = person("alice", certificate)
    office.process(alice)

    record = office.record("alice")

    assert (record.state_hash, record.deleted, record.names) == (alice.state_hash, False, ("alice@corp.example",))
    assert record.desired == appearance(office.mailbox("alice", certificate)) != appearance(office.mailbox("alice"))
    assert record.certificates == (mark(Certificate.parse(certificate.der)),)
    assert record.source == "urn:smime-sync:agent:corp.example"
    assert record.next_change is not None
    assert office.now < record.next_change <= office.now + 90 * DAY
    assert record.basis == office.processor.basis()
    assert office.receiving(withdraw_disabled=True).processor.basis() != record.basis

    office.process(person("alice", certificate, deleted=True))
    record = office.record("alice")
    assert record.deleted
    assert record.desired == appearance(office.mailbox("alice"))
    assert (record.next_change, record.certificates) == (None, ())


def test_what_is_not_ours_to_write_is_to_look_as_it_does(office: Office) -> None:
    """Reconciliation looks again when its owner, its addresses or its values are others."""
    rupert = office.mailbox("rupert", directory_synchronised=True)
    office.process(person("rupert", office.issue("rupert")))
    assert office.record("rupert").desired == appearance(rupert)


def test_a_failed_event_is_remembered_with_its_state(office: Office) -> None:
    """The census must not ask for it again: it is known, and waits for replay."""
    office.mailbox("alice")
    alice = person("alice", office.issue("alice"))
    fault = Faulty(office.recipients, before_write=PermanentError(ErrorCode.RECIPIENT_KIND, "a group"))
    office.receiving(recipients=fault).process(office.message(alice))
    record = office.record("alice")
    assert record.outcome is not None
    assert record.outcome.status is Status.FAILED
    assert record.state_hash == alice.state_hash


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
    outcome = office.receiving(recipients=tenant).process(office.message(alice, sequence=1))
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


def test_what_an_overtaken_processor_may_still_bring_stays_ours(office: Office) -> None:
    """Its claim lapsed, its write arrives after the newer one: it is no foreign value, and goes."""
    office.mailbox("alice")
    old, new = office.issue("alice"), office.issue("alice")
    with pytest.raises(KeyboardInterrupt):
        office.receiving(recipients=Faulty(office.recipients, before_write=KeyboardInterrupt())).process(
            office.message(person("alice", old))
        )
    office.pass_time(CLAIM)
    office.process(person("alice", new))
    alice = office.recipients.find(pinned=None, addresses=["alice@corp.example"])
    assert alice is not None
    office.recipients.write(alice, {Attribute.USER_CERTIFICATE: (old.der,)})

    office.pass_time(LOOK_AGAIN_AFTER)
    assert [outcome.status for outcome in office.drain() if outcome] == [Status.WRITTEN]

    assert office.held("alice") == Values.of([new.der])
    assert office.record("alice").managed == Managed(frozenset({new.fingerprint}))


class TestMadeAnew:
    """Somebody is deleted and made anew, or two accounts have one mailbox: another anchor, the same mailbox."""

    @staticmethod
    def anew(old: Person) -> Person:
        """The same person under another anchor."""
        return replace(old, anchor=anchor("made anew"))

    def test_the_new_account_comes_first(self, office: Office) -> None:
        """The deletion of the old one takes nothing that the new one has too; what it has not, goes."""
        office.mailbox("alice")
        kept, dropped = office.issue("alice"), office.issue("alice", not_before=office.now - 90 * DAY)
        both = office.receiving(judging=overlapping(office))
        alice = person("alice", kept, dropped)
        both.process(office.message(alice))
        assert office.held("alice") == Values.of([kept.der, dropped.der])

        assert both.process(office.message(self.anew(person("alice", kept)))).status is Status.UNCHANGED
        outcome = both.process(office.message(replace(alice, deleted=True)))

        assert office.held("alice") == Values.of([kept.der])
        assert outcome.withdrawn == (dropped.fingerprint,)
        assert office.record("alice").managed == Managed()
        assert office.record("made anew").managed == Managed(frozenset({kept.fingerprint}))

    def test_the_deletion_comes_first(self, office: Office) -> None:
        """The new account publishes anew."""
        office.mailbox("alice")
        certificate = office.issue("alice")
        alice = person("alice", certificate)
        office.process(alice)

        office.process(replace(alice, deleted=True))
        assert office.held("alice") == Values()
        office.process(self.anew(alice))

        assert office.held("alice") == Values.of([certificate.der])
        assert office.record("made anew").managed == Managed(frozenset({certificate.fingerprint}))

    @pytest.mark.parametrize("first", ["alice", "made anew"])
    def test_when_both_have_left_nothing_is_left(self, office: Office, first: str) -> None:
        """It was ours throughout, for whomever; a foreign value stays."""
        foreign = office.issue("alice", not_before=office.now - 90 * DAY)
        office.mailbox("alice", foreign)
        certificate = office.issue("alice")
        people = {"alice": person("alice", certificate), "made anew": self.anew(person("alice", certificate))}
        for each in people.values():
            office.process(each)

        for name in sorted(people, key=lambda name: name != first):
            assert office.held("alice") == Values.of([foreign.der, certificate.der])
            office.process(replace(people[name], deleted=True))

        assert office.held("alice") == Values.of([foreign.der])

    def test_a_certificate_of_its_own_stays_beside(self, office: Office) -> None:
        """While both accounts live neither takes the other's, however often they are handled."""
        office.mailbox("alice")
        one, other = office.issue("alice"), office.issue("alice")
        people = [person("alice", one), self.anew(person("alice", other))]
        for _ in range(2):
            for each in people:
                office.process(each)

        assert office.held("alice") == Values.of([one.der, other.der])
        office.process(replace(people[0], deleted=True))
        assert office.held("alice") == Values.of([other.der])

    def test_a_deletion_that_waits_for_replay_takes_nothing_later(self, office: Office) -> None:
        """It failed before the new account came, and is replayed long after."""
        office.mailbox("alice")
        certificate = office.issue("alice")
        alice = person("alice", certificate)
        office.process(alice)
        deletion = office.message(replace(alice, deleted=True))
        fault = PermanentError(ErrorCode.TENANT_ROLE, "403")
        office.receiving(recipients=Faulty(office.recipients, before_write=fault)).process(deletion)

        office.process(self.anew(alice))
        office.receiver.process(deletion)

        assert office.held("alice") == Values.of([certificate.der])

    @pytest.mark.parametrize("puts", [1, 2])
    def test_both_leave_at_one_moment(self, office: Office, puts: int) -> None:
        """Each leaves to the other what both have, unless it looks again once it has said that it is at work.

        Found by the machine in tests/convergence: both left it, and it was nobody's.
        """
        office.mailbox("alice")
        certificate = office.issue("alice")
        people = [person("alice", certificate), self.anew(person("alice", certificate))]
        for each in people:
            office.process(each)
        gone = [office.message(replace(each, deleted=True)) for each in people]

        meanwhile = Meanwhile(office.ledger, puts, lambda: office.receiver.process(gone[1]))
        office.receiving(ledger=meanwhile).process(gone[0])

        office.pass_time(CLAIM)
        office.drain()
        assert office.held("alice") == Values()
        assert office.record("alice").managed == office.record("made anew").managed == Managed()

    def test_one_waits_while_the_other_is_written(self, office: Office) -> None:
        """One writer of a mailbox, whoever it is written for: the new account must not rely on what is just going."""
        office.mailbox("alice")
        certificate = office.issue("alice")
        alice = person("alice", certificate)
        office.process(alice)
        deletion = office.message(replace(alice, deleted=True))
        with pytest.raises(KeyboardInterrupt):
            office.receiving(recipients=Faulty(office.recipients, before_write=KeyboardInterrupt())).process(deletion)

        waiting = office.process(self.anew(alice))
        assert (waiting.status, waiting.reason) == (Status.DEFERRED, ErrorCode.CLAIMED)

        office.pass_time(CLAIM)
        office.receiver.process(deletion)
        office.drain()
        assert office.held("alice") == Values.of([certificate.der])


def test_a_disabled_account_is_not_a_leaver(office: Office) -> None:
    """Shared mailboxes sit on disabled accounts; withdrawing on disable is a setting."""
    office.mailbox("info")
    certificate = office.issue("info")
    info = person("info", certificate, enabled=False)
    assert office.process(info).status is Status.WRITTEN
    office.receiving(withdraw_disabled=True).process(office.message(info))
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


def test_what_the_tenant_refuses_for_good_is_recorded_at_once(office: Office) -> None:
    """In the failures and in the person's record; the claim is let go."""
    office.mailbox("alice")
    refusal = PermanentError(ErrorCode.TENANT_ROLE, "the role lacks Set-Mailbox")
    processor = office.receiving(recipients=Faulty(office.recipients, before_write=refusal))
    outcome = processor.process(office.message(person("alice", office.issue("alice"))))
    assert (outcome.status, outcome.reason) == (Status.FAILED, ErrorCode.TENANT_ROLE)
    record = office.record("alice")
    assert record.claimed_until is None
    assert record.outcome == outcome
    assert len(list(office.failures.all())) == 1


@pytest.mark.parametrize(("crash_at", "written"), [(1, False), (2, True)])
def test_killed_before_or_after_the_write_it_ends_right_and_ours(office: Office, crash_at: int, written: bool) -> None:
    """Killed at the claim nothing happened; killed at the record the value is there and the ledger knows whose."""
    office.mailbox("alice")
    certificate = office.issue("alice")
    message = office.message(person("alice", certificate))
    with pytest.raises(KeyboardInterrupt):
        office.receiving(ledger=Crash(office.ledger, crash_at)).process(message)
    assert bool(office.held("alice")) is written
    office.pass_time(CLAIM)
    office.receiver.process(message)
    assert office.held("alice") == Values.of([certificate.der])
    assert office.process(person("alice")).withdrawn == (certificate.fingerprint,)


def test_a_claim_keeps_a_second_processor_away(office: Office) -> None:
    """One writer per person; the other's delivery comes again when the claim lapses at the latest."""
    office.mailbox("alice")
    alice = person("alice", office.issue("alice"))
    with pytest.raises(KeyboardInterrupt):
        office.receiving(ledger=Crash(office.ledger, 2)).process(office.message(alice))
    outcome = office.process(alice)
    assert (outcome.status, outcome.reason) == (Status.DEFERRED, ErrorCode.CLAIMED)
    assert outcome.again_in == CLAIM.total_seconds()
    office.pass_time(CLAIM)
    assert office.process(alice).status is Status.UNCHANGED


@dataclass
class Slow:
    """A history that takes its time, in which something else happens."""

    inner: History
    meanwhile: Callable[[], object]

    def keep(self, anchor: str, snapshot: Snapshot) -> None:
        self.inner.keep(anchor, snapshot)
        self.meanwhile()

    def all(self, anchor: str) -> Sequence[Snapshot]:
        return self.inner.all(anchor)


@dataclass
class Meanwhile:
    """A ledger before whose nth put something else happens."""

    inner: Ledger
    at: int
    act: Callable[[], object]
    puts: int = 0

    def put(self, record: Record) -> Record:
        self.puts += 1
        if self.puts == self.at:
            self.act()
        return self.inner.put(record)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_a_claim_that_lapsed_before_the_write_writes_nothing(office: Office) -> None:
    """Storage was slow, another processor took over meanwhile and wrote: what is older comes too late to undo it.

    Found by the machine in tests/convergence: the older value came back and belonged to nobody.
    """
    office.mailbox("alice")
    older, newer = office.issue("alice"), office.issue("alice", not_before=office.now - DAY)

    def taken_over() -> None:
        office.pass_time(CLAIM)
        assert office.process(person("alice", newer), sequence=2).status is Status.WRITTEN

    slow = office.receiving(history=Slow(office.history, taken_over))
    outcome = slow.process(office.message(person("alice", older), sequence=1))
    assert (outcome.status, outcome.reason) == (Status.DEFERRED, ErrorCode.LEDGER_CONFLICT)
    assert office.held("alice") == Values.of([newer.der])


@pytest.mark.parametrize(
    ("late", "status"), [(CLAIM - WRITE, Status.WRITTEN), (CLAIM - WRITE + SECOND, Status.DEFERRED)]
)
def test_a_write_begins_only_while_its_claim_lasts_longer(office: Office, late: timedelta, status: Status) -> None:
    """Otherwise the claim is given back, and the event comes again."""
    office.mailbox("alice")
    slow = office.receiving(history=Slow(office.history, lambda: office.pass_time(late)))
    message = office.message(person("alice", office.issue("alice")))
    outcome = slow.process(message)
    assert outcome.status is status
    assert office.record("alice").claimed_until is None
    assert office.receiver.process(message).status in {Status.UNCHANGED, Status.WRITTEN}


def test_a_lost_race_for_the_claim_writes_nothing(office: Office) -> None:
    """Compare-and-swap: somebody stored the record between our read and our claim."""
    office.mailbox("alice")
    alice = person("alice", office.issue("alice"))

    class Raced(Faulty):
        def find(self, *, pinned: str | None, addresses: Sequence[str]) -> Recipient | None:
            office.ledger.put(Record(anchor=alice.anchor.immutable_id))
            return super().find(pinned=pinned, addresses=addresses)

    tenant = Raced(office.recipients)
    outcome = office.receiving(recipients=tenant).process(office.message(alice))
    assert outcome.reason == ErrorCode.LEDGER_CONFLICT
    assert tenant.writes == 0


def test_in_report_mode_everything_is_decided_and_nothing_written(office: Office) -> None:
    """What would change is recorded; nothing becomes ours by it."""
    office.mailbox("alice")
    certificate = office.issue("alice")
    tenant = Faulty(office.recipients)
    outcome = office.receiving(report_only=True, recipients=tenant).process(
        office.message(person("alice", certificate))
    )
    assert (outcome.status, outcome.added) == (Status.REPORTED, (certificate.fingerprint,))
    assert tenant.writes == 0
    assert office.record("alice").managed == Managed()
    assert office.process(person("alice", certificate)).status is Status.WRITTEN


def test_a_synchronised_mailbox_may_be_tried(office: Office) -> None:
    """By setting; where the tenant takes it, it is written like any other."""
    office.mailbox("rupert", directory_synchronised=True)
    receiver = office.receiving(try_synchronised=True)
    assert receiver.process(office.message(person("rupert", office.issue("rupert")))).status is Status.WRITTEN


def test_a_tenant_that_refuses_a_synchronised_mailbox_is_no_failure(office: Office) -> None:
    """The wire says who owns the attribute: an outcome, and nothing is claimed for ours."""
    office.mailbox("rupert", directory_synchronised=True)
    mastered = PermanentError(ErrorCode.ON_PREMISES_MASTERED, "synchronised from your on-premises organization")
    receiver = office.receiving(try_synchronised=True, recipients=Faulty(office.recipients, before_write=mastered))
    outcome = receiver.process(office.message(person("rupert", office.issue("rupert"))))
    assert outcome.status is Status.MANAGED_ON_PREMISES
    assert list(office.failures.all()) == []
    assert office.record("rupert").managed == Managed()
    assert office.record("rupert").claimed_until is None


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
