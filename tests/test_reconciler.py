"""Reconciliation: what events cannot tell goes back on the queue, and only that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from sync import envelope
from sync.adapters.embedded import Database, EmbeddedQueue
from sync.core.certificate import Certificate
from sync.core.context import Context
from sync.core.event import Cause
from sync.core.guard import Guard
from sync.core.path import TrustStore
from sync.core.person import Values
from sync.core.policy import PRIVATE_CA, Revocation
from sync.core.recipient import Recipient
from sync.core.record import Record, Status
from sync.core.revocation import Knowledge
from sync.core.revocation_list import RevocationList
from sync.core.revoked import Revoked
from sync.core.run import Kind, Phase, Run
from sync.core.suspicion import Reason
from sync.core.units import units
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.reconciler import Reconciler
from sync.reconciling.examining import Difference
from sync.reconciling.limits import Limits
from tests.mill import DAY, Mill
from tests.mill.revocation import crl
from tests.office import Office, person


@pytest.fixture
def office() -> Office:
    """Alice and Bob are as they should be."""
    office = Office()
    for name in ("alice", "bob"):
        office.mailbox(name)
        office.process(person(name, office.issue(name)))
    return office


def test_nobody_differs_and_nothing_is_sent(office: Office) -> None:
    """A second run finds nothing as well."""
    found = office.reconciler.reconcile(apply=True)
    assert (found.examined, found.differing, found.unreadable) == (2, (), ())
    assert office.queue.count() == 0


def test_a_value_removed_by_hand_is_published_again(office: Office) -> None:
    """Drift in the cloud; dry first, then applied."""
    before = office.held("alice")
    office.mailbox("alice")
    found = office.reconciler.reconcile(apply=False)
    alice = Difference(anchor=person("alice").anchor.immutable_id, added=before.fingerprints, because=(Reason.DRIFT,))
    assert found.differing == (alice,)
    assert office.queue.count() == 0
    office.reconciler.reconcile(apply=True)
    (message,) = office.queue.receive(9, timedelta(0))
    assert envelope.parse(message.body).cause is Cause.RECONCILIATION
    assert [outcome.status for outcome in office.drain() if outcome] == [Status.WRITTEN]
    assert office.held("alice") == before


def test_a_certificate_that_has_expired_meanwhile_is_withdrawn(office: Office) -> None:
    """No event of the directory says so."""
    office.pass_time(timedelta(days=400))
    assert len(office.reconciler.reconcile(apply=True).differing) == 2
    office.drain()
    assert office.held("alice") == office.held("bob") == Values()


def test_a_failed_event_waits_for_replay(office: Office) -> None:
    """Sending it again by the clock would be retrying in vain."""
    office.receiver.process(office.message(person("newcomer", office.issue("newcomer")), waited=timedelta(days=1)))
    found = office.reconciler.reconcile(apply=True)
    assert found.examined == 2
    assert office.queue.count() == 0


def test_one_person_who_cannot_be_examined_is_told_and_the_others_are_repaired(office: Office) -> None:
    """The tenant fails for one of them."""
    before = office.held("bob")
    broken, _ = office.mailbox("alice"), office.mailbox("bob")

    class Unreachable:
        def find(self, *, pinned: str | None, addresses: Sequence[str]) -> Recipient | None:
            if pinned == broken.id:
                raise TemporaryError(ErrorCode.TENANT_UNAVAILABLE, "a passing fault")
            return office.recipients.find(pinned=pinned, addresses=addresses)

        write = office.recipients.write
        read = office.recipients.read

    reconciler = replace(office.reconciler, processor=office.receiving(recipients=Unreachable()).processor)
    found = reconciler.reconcile(apply=True)
    assert [each.reason for each in found.unreadable] == [ErrorCode.TENANT_UNAVAILABLE]
    assert len(found.differing) == 1
    office.drain()
    assert office.held("bob") == before
    assert office.held("alice") == Values()


def test_a_mailbox_that_is_gone_is_told(office: Office) -> None:
    """Its person is still in the directory: the event goes back and ends as a failure that somebody sees."""
    office.recipients.remove(office.record("alice").recipient or "")
    found = office.reconciler.reconcile(apply=False)
    assert [each.reason for each in found.differing] == [ErrorCode.NO_RECIPIENT]
    assert found.to_json()["examined"] == 2


def crowd(size: int = 40) -> Office:
    """So many people, each with a certificate of ours."""
    office = Office()
    for number in range(size):
        office.mailbox(f"person{number}")
        office.process(person(f"person{number}", office.issue(f"person{number}", key="ec256")))
    return office


def without_its_anchor(office: Office) -> Office:
    """The same with another trust anchor, as after a careless renewal of the file."""
    stranger = Mill().root("Another Root", key="ec256")
    office.trust = TrustStore.of([stranger.der])
    return office


def test_a_trust_store_that_lost_its_anchor_withdraws_nobody() -> None:
    """The run stops before anything is sent, tells its id, and a second one stops as well."""
    office = without_its_anchor(crowd())
    for _ in range(2):
        found = office.reconciler.reconcile(apply=True)
        assert (found.losing, found.holding, found.applied) == (40, 40, False)
        assert found.guarded
    assert office.queue.count() == 0
    assert all(office.held(f"person{number}") for number in range(40))


@pytest.mark.parametrize(("apply", "level"), [(True, "ERROR"), (False, "INFO")])
def test_a_guarded_run_raises_an_alert_unless_it_was_dry(
    apply: bool, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The alert rule looks for this line."""
    office = without_its_anchor(crowd())
    with caplog.at_level("INFO", logger="smime_sync.reconciler"):
        run = office.reconciler.reconcile(apply=apply).guarded
    (line,) = [each for each in caplog.records if each.getMessage().startswith("guarded ")]
    assert (line.levelname, f"run={run} losing=40 of=40" in line.getMessage()) == (level, True)


def test_what_was_guarded_is_done_when_it_is_approved() -> None:
    """Just that: those people, and not one more. The live guard lets them go too."""
    office = without_its_anchor(crowd())
    run = office.reconciler.reconcile(apply=True).guarded
    assert not office.reconciler.reconcile(apply=False, approve=run).guarded
    assert office.queue.count() == 0
    assert office.reconciler.reconcile(apply=True, approve=run).applied
    assert {outcome.status for outcome in office.drain() if outcome} == {Status.WRITTEN}
    assert not any(office.held(f"person{number}") for number in range(40))


def test_an_approval_covers_nobody_who_was_not_in_that_run() -> None:
    """Somebody more would lose by now: it is asked again."""
    office = crowd()
    trust = office.trust
    without_its_anchor(office)
    run = office.reconciler.reconcile(apply=True).guarded
    office.trust = trust
    office.mailbox("newcomer")
    office.process(person("newcomer", office.issue("newcomer", key="ec256")))
    without_its_anchor(office)

    assert office.reconciler.reconcile(apply=True, approve=run).guarded
    assert office.queue.count() == 0


def test_an_approval_is_of_these_people_and_not_of_as_many() -> None:
    """Others would lose theirs by now, though fewer."""
    office = crowd(40)
    strict = replace(office.reconciler, limits=Limits(losing=Guard(people=3)))
    for number in range(10):
        office.process(person(f"person{number}", office.issue(f"person{number}", not_after=office.now + DAY)))
    office.pass_time(3 * DAY)
    run = strict.reconcile(apply=True).guarded
    assert run
    for number in range(5):
        office.process(person(f"person{number}", office.issue(f"person{number}", key="ec256")))
        office.process(person(f"person2{number}", office.issue(f"person2{number}", not_after=office.now + DAY)))
    office.pass_time(3 * DAY)
    assert strict.reconcile(apply=True, approve=run).guarded


def test_an_approval_covers_no_further_changes() -> None:
    """Nobody would lose anything by now; but somebody emptied one mailbox more than was to change."""
    office = crowd(9)
    for number in range(3):
        office.mailbox(f"person{number}")
    run = office.reconciler.reconcile(apply=True).guarded
    assert run
    office.mailbox("person3")
    assert office.reconciler.reconcile(apply=True, approve=run).guarded
    assert not office.queue.count()


@pytest.mark.parametrize("run", ["", "x", "../guard/losses", "20260601T000000000000"])
def test_a_run_that_nobody_knows_approves_nothing(run: str) -> None:
    """A mistyped id."""
    office = without_its_anchor(crowd(5))
    with pytest.raises(PermanentError) as caught:
        office.reconciler.reconcile(apply=True, approve=run)
    assert caught.value.code is ErrorCode.RUN_UNKNOWN


def test_many_changes_are_asked_about_though_nobody_loses() -> None:
    """Somebody emptied a third of all mailboxes: to fill them again may be right, or fight somebody."""
    office = crowd(9)
    for number in range(3):
        office.mailbox(f"person{number}")
    found = office.reconciler.reconcile(apply=True)
    assert (found.losing, len(found.differing), bool(found.guarded)) == (0, 3, True)


@pytest.mark.parametrize(
    ("scope", "examined"),
    [
        ("person1@corp.example", 1),
        (person("person2").anchor.immutable_id, 1),
        ("@CORP.example", 5),
        ("@other.example", 0),
        ("ou=sales,dc=corp,dc=example", 2),
        ("DC=corp,DC=example", 2),
        ("OU=Sale,DC=corp,DC=example", 0),
    ],
)
def test_a_scope_examines_only_some(scope: str, examined: int) -> None:
    """One person, a mail domain, or whoever is in a container."""
    office = crowd(5)
    for number in range(2):
        told = person(f"person{number}", office.issue(f"person{number}", key="ec256"))
        office.process(replace(told, units=units(f"CN=P{number},OU=North,OU=Sales,DC=corp,DC=example")))

    assert office.reconciler.reconcile(apply=False, scope=scope).examined == examined


def test_a_container_that_is_none_is_refused() -> None:
    """Rather than covering nobody, which would look like nothing to do."""
    with pytest.raises(PermanentError) as refused:
        crowd(1).reconciler.reconcile(apply=False, scope="OU=Sales,,DC=corp")

    assert refused.value.code is ErrorCode.SCOPE_MALFORMED


def test_somebody_elses_value_is_looked_at_once(office: Office) -> None:
    """It stays, nothing is sent, and the next run has no reason to look again. A dry run remembers nothing."""
    held = office.held("alice")
    foreign = office.issuing.issue("somebody@other.example")
    office.recipients.add(replace(office.mailbox("alice"), values=Values.of([*held.user_certificate, foreign.der])))
    for apply, suspects in ((False, 1), (True, 1), (True, 0)):
        found = office.reconciler.reconcile(apply=apply)
        assert (found.counts.suspects, found.differing) == (suspects, ())
    assert office.queue.count() == 0
    assert foreign.der in office.held("alice").user_certificate
    assert office.record("alice").managed.user_certificate == set(held.fingerprints)


def test_an_address_that_the_mailbox_got_meanwhile(office: Office) -> None:
    """No event tells of it: a certificate that nobody's address matched is published now."""
    office.mailbox("carol")
    certificate = office.issuing.issue("carol.maiden@corp.example")
    office.process(person("carol", certificate))
    assert office.held("carol") == Values()
    office.recipients.add(
        replace(office.mailbox("carol"), addresses=("carol@corp.example", "carol.maiden@corp.example"))
    )
    found = office.reconciler.reconcile(apply=True)
    assert [each.because for each in found.differing] == [(Reason.DRIFT,)]
    office.drain()
    assert office.held("carol") == Values.of([certificate.der])


def test_an_owner_who_has_changed(office: Office) -> None:
    """A recipient that was moved to the cloud is ours to write from now on."""
    certificate = office.issue("carol")
    office.mailbox("carol", directory_synchronised=True)
    office.process(person("carol", certificate))
    assert office.reconciler.reconcile(apply=True).counts.suspects == 0
    office.mailbox("carol", directory_synchronised=True, cloud_managed=True)
    assert len(office.reconciler.reconcile(apply=True).differing) == 1
    office.drain()
    assert office.held("carol") == Values.of([certificate.der])


def test_another_basis_has_everybody_examined_once(office: Office) -> None:
    """A setting that changes nobody's certificates sends nobody's event, and is remembered as the basis."""
    office.change(withdraw_disabled=True)
    for suspects in (2, 0):
        found = office.reconciler.reconcile(apply=True)
        assert (found.counts.suspects, found.differing) == (suspects, ())
    assert office.queue.count() == 0


def test_whoever_was_judged_by_another_setting_is_judged_again(office: Office) -> None:
    """And what comes of it goes through the queue."""
    office.process(person("bob", office.issue("bob"), enabled=False))
    office.change(withdraw_disabled=True)
    (bob,) = office.reconciler.reconcile(apply=True).differing
    assert (bob.anchor, bob.because, bob.loses) == (person("bob").anchor.immutable_id, (Reason.BASIS,), True)
    office.drain()
    assert office.held("bob") == Values()


def test_what_was_settled_meanwhile_by_an_event_is_not_overwritten(office: Office) -> None:
    """An event is handled while its person is examined: what it recorded goes before."""
    record = office.record("alice")
    assert record.event is not None
    examined = office.processor.examine(envelope.parse(record.event), record)
    office.process(person("alice"))
    office.change(withdraw_disabled=True)
    office.processor.settle(examined)
    assert office.record("alice").managed.user_certificate == frozenset()
    assert office.record("alice").basis == record.basis


@pytest.mark.parametrize("left", [9, -9])
def test_whoever_is_being_written_is_not_settled(office: Office, left: int) -> None:
    """Their claim says what may be there, also when nobody was heard of since."""
    claimed = office.ledger.put(replace(office.record("alice"), claimed_until=office.now + timedelta(seconds=left)))
    assert claimed.event is not None
    office.change(withdraw_disabled=True)
    office.processor.settle(office.processor.examine(envelope.parse(claimed.event), claimed))
    assert office.record("alice") == claimed


class TestRevalidation:
    """Hourly: only whom time has changed."""

    def test_nobody_is_due(self, office: Office) -> None:
        """Nobody is read."""
        run = office.reconciler.start(Kind.DUE, apply=True)
        assert run is not None
        assert (run.phase, run.counts.suspects) == (Phase.DONE, 0)

    def test_whoever_is_due_is_looked_at(self, office: Office) -> None:
        """Their certificate has expired; nobody else is touched."""
        office.process(person("bob", office.issue("bob", not_after=office.now + timedelta(days=3))))
        office.pass_time(timedelta(days=5))
        run = office.reconciler.start(Kind.DUE, apply=True)
        assert run is not None
        assert (run.counts.suspects, run.counts.differing, run.counts.losing, run.counts.sent) == (1, 1, 1, 1)
        office.drain()
        assert (bool(office.held("alice")), office.held("bob")) == (True, Values())

    def test_whoever_time_has_not_changed_is_due_again_later(self, office: Office) -> None:
        """A warning begins: nothing to write, and the next moment is remembered."""
        office.process(person("bob", office.issue("bob", not_after=office.now + timedelta(days=31))))
        office.pass_time(timedelta(days=2))
        for suspects in (1, 0):
            run = office.reconciler.start(Kind.DUE, apply=True)
            assert run is not None
            assert (run.counts.suspects, run.counts.settled) == (suspects, suspects)
        assert office.queue.count() == 0

    def test_many_are_due_page_by_page(self) -> None:
        """More than a page; each is found once."""
        office = Office()
        for number in range(1200):
            anchor = f"anchor{number}"
            office.ledger.put(Record(anchor=anchor, next_change=office.now - timedelta(hours=1)))
        run = office.reconciler.start(Kind.DUE, apply=True)
        assert run is not None
        assert (run.counts.suspects, run.counts.examined) == (1200, 1200)

    def test_its_limits_are_shares_of_the_last_full_run(self) -> None:
        """It does not know how many people there are; without a full run only the number counts."""
        for full in (True, False):
            office = crowd(30)
            if full:
                office.reconciler.reconcile(apply=True)
            for number in range(4):
                short = office.issue(f"person{number}", key="ec256", not_after=office.now + timedelta(days=3))
                office.process(person(f"person{number}", short))
            office.pass_time(timedelta(days=5))
            run = office.reconciler.start(Kind.DUE, apply=True)
            assert run is not None
            assert run.phase is (Phase.GUARDED if full else Phase.DONE)
            if full:
                assert office.reconciler.reconcile(apply=True, approve=run.id).applied
                assert next(office.reconciler.runs.past()).kind is Kind.DUE


def test_a_list_that_names_a_published_certificate(office: Office) -> None:
    """It is looked up by its mark, and judged by what the processor knows."""
    bob = Certificate.parse(office.held("bob").user_certificate[0])
    listed = RevocationList.parse(crl(office.issuing, [bob.serial]))
    policy = replace(PRIVATE_CA, revocation=Revocation.SOFT)
    office.change(
        judging=lambda moment: Context(now=moment, trust=office.trust, policy=policy),
        consult=lambda context, _: replace(context, revocation=Knowledge.of([listed])),
    )
    reconciler = replace(office.reconciler, revoked=lambda: Revoked.of([listed], []))
    found = reconciler.reconcile(apply=True)
    assert [(Reason.REVOCATION in each.because, each.loses) for each in found.differing] == [(True, True)]
    office.drain()
    assert (bool(office.held("alice")), office.held("bob")) == (True, Values())
    assert reconciler.reconcile(apply=True).counts.suspects == 0


class TestLists:
    """Hourly: a revocation list that is new, where doubt refuses what is not published yet."""

    @pytest.fixture
    def lists(self, office: Office) -> list[RevocationList]:
        """What is at hand, to be changed. At first a list of each CA."""
        lists = [
            RevocationList.parse(crl(each, next_update=office.now + 9 * DAY)) for each in (office.issuing, office.root)
        ]
        policy = replace(PRIVATE_CA, revocation=Revocation.HARD)
        office.change(
            judging=lambda moment: Context(now=moment, trust=office.trust, policy=policy),
            consult=lambda context, _: replace(context, revocation=Knowledge.of(lists)),
        )
        return lists

    @staticmethod
    def hourly(office: Office, lists: list[RevocationList], *, apply: bool = True) -> Run:
        """A run to its end, and the events that come of it."""
        reconciler = replace(office.reconciler, revoked=lambda: Revoked.of(lists, []))
        run = reconciler.start(Kind.DUE, apply=apply)
        assert run is not None
        office.drain()
        return run

    @staticmethod
    def next_list(office: Office, *names: str) -> RevocationList:
        """The issuing CA's, with what these people hold."""
        serials = [Certificate.parse(office.held(name).user_certificate[0]).serial for name in names]
        return RevocationList.parse(
            crl(office.issuing, serials, this_update=office.now, next_update=office.now + 9 * DAY)
        )

    def test_nobody_loses_anything_by_an_old_list(self, office: Office, lists: list[RevocationList]) -> None:
        """No newer one can be had: nobody is due, and whoever is examined for another reason keeps what they have."""
        self.hourly(office, lists)
        office.pass_time(20 * DAY)
        assert self.hourly(office, lists).counts.suspects == 0
        office.change(withdraw_disabled=True)
        found = office.reconciler.reconcile(apply=True)
        assert (found.counts.suspects, found.differing) == (2, ())
        assert all(office.held(name) for name in ("alice", "bob"))

    def test_whoever_is_in_doubt_is_published_when_the_list_comes(
        self, office: Office, lists: list[RevocationList]
    ) -> None:
        """By the next look, and nobody else is examined."""
        office.pass_time(20 * DAY)
        office.mailbox("newcomer")
        office.process(person("newcomer", office.issue("newcomer")))
        assert self.hourly(office, lists).counts.differing == 0
        assert not office.held("newcomer")
        lists[:] = [self.next_list(office), RevocationList.parse(crl(office.root, next_update=office.now + 9 * DAY))]
        run = self.hourly(office, lists)
        assert (run.counts.examined, run.counts.differing) == (1, 1)
        assert office.held("newcomer")
        assert self.hourly(office, lists).counts.examined == 0

    def test_what_is_released_is_published_again(self, office: Office, lists: list[RevocationList]) -> None:
        """A certificate on hold: listed, then not any more."""
        held = office.held("bob")
        self.hourly(office, lists)
        lists[0] = self.next_list(office, "bob")
        assert (self.hourly(office, lists).counts.losing, office.held("bob")) == (1, Values())
        assert self.hourly(office, lists).counts.examined == 0
        office.pass_time(DAY)
        lists[0] = self.next_list(office)
        assert self.hourly(office, lists).counts.examined == 1
        assert office.held("bob") == held

    def test_a_list_that_was_seen_by_a_dry_run_only_is_new(self, office: Office, lists: list[RevocationList]) -> None:
        """It had nobody withdrawn. To another dry run it is not."""
        lists[0] = self.next_list(office, "bob")
        found = [self.hourly(office, lists, apply=apply).counts.differing for apply in (False, False, True)]
        assert found == [1, 0, 1]

    def test_whoever_is_due_is_examined_once(self, office: Office, lists: list[RevocationList]) -> None:
        """Also when the list names them besides."""
        office.process(person("bob", office.issue("bob", not_after=office.now + 3 * DAY)))
        lists[0] = self.next_list(office, "alice", "bob")
        office.pass_time(5 * DAY)
        run = self.hourly(office, lists)
        assert (run.counts.suspects, run.counts.examined, run.counts.losing) == (2, 2, 2)

    def test_an_instance_with_older_lists_does_not_hide_what_a_newer_one_names(
        self, office: Office, lists: list[RevocationList]
    ) -> None:
        """Each fetches for itself: what one suspects another may not see yet, so the next run looks again."""
        self.hourly(office, lists)
        older, lists[0] = [*lists], self.next_list(office, "bob")
        queue = EmbeddedQueue(Database(None, lambda: office.now))
        newer = [*lists]

        def instance(known: list[RevocationList]) -> Reconciler:
            return replace(office.reconciler, continuing=queue, revoked=lambda: Revoked.of(known, []))

        run = instance(newer).start(Kind.DUE, apply=True)
        while run is not None and not run.phase.over:
            lists[:] = older if run.phase is Phase.EXAMINE else newer
            (message,) = queue.receive(1, timedelta(hours=1))
            run = instance([*lists]).advance(message.body)
            queue.delete(message)
        assert run is not None
        assert (run.phase, run.counts.suspects, run.counts.settled) == (Phase.DONE, 1, 1)
        lists[:] = newer
        assert self.hourly(office, lists).counts.losing == 1
        assert office.held("bob") == Values()

    def test_a_list_that_names_many_is_asked_about_until_it_was_approved(
        self, office: Office, lists: list[RevocationList]
    ) -> None:
        """A guarded run sends nothing, so what it saw stays new."""
        for number in range(40):
            office.mailbox(f"person{number}")
            office.process(person(f"person{number}", office.issue(f"person{number}", key="ec256")))
        lists[0] = self.next_list(office, *(f"person{number}" for number in range(40)))
        runs = [self.hourly(office, lists) for _ in range(2)]
        assert [(each.phase, each.counts.losing) for each in runs] == [(Phase.GUARDED, 40)] * 2
        reconciler = replace(office.reconciler, revoked=lambda: Revoked.of(lists, []))
        assert reconciler.reconcile(apply=True, approve=runs[0].id).applied
        office.drain()
        assert not any(office.held(f"person{number}") for number in range(40))


def test_a_few_who_cannot_be_read_are_no_trouble_and_many_in_a_row_are() -> None:
    """The tenant is away: what is done stays done, and the rest is tried later."""
    office = crowd(12)
    for number in range(12):
        office.mailbox(f"person{number}")
    away: set[str | None] = set()

    class Away:
        def find(self, *, pinned: str | None, addresses: Sequence[str]) -> Recipient | None:
            if pinned in away:
                raise TemporaryError(ErrorCode.TENANT_UNAVAILABLE, "away")
            return office.recipients.find(pinned=pinned, addresses=addresses)

        write = office.recipients.write
        read = office.recipients.read

    limits = Limits(changing_percent=100)
    reconciler = replace(office.reconciler, limits=limits, processor=replace(office.processor, recipients=Away()))
    in_order = [record.recipient for record in office.ledger.records()]
    for first in (2, 8):
        away = set(in_order[first : first + 4])
        found = reconciler.reconcile(apply=False)
        assert (len(found.differing), len(found.unreadable)) == (8, 4)
    away = set(in_order[2:])
    with pytest.raises(TemporaryError):
        reconciler.reconcile(apply=False)
    stopped = next(reconciler.runs.past())
    assert (stopped.phase, stopped.counts.differing, stopped.counts.unreadable) == (Phase.ABANDONED, 2, 0)
