"""One company, everything that can go wrong at once, one reconciliation (agent, queue, ledger and tenant embedded)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sync.adapters.agent_state import StateFile
from sync.adapters.embedded import Database, EmbeddedQueue, EmbeddedRecipients
from sync.adapters.ldif import LdifDirectory
from sync.agent import Agent
from sync.core.certificate import Certificate
from sync.core.context import Context
from sync.core.guard import Guard
from sync.core.person import Attribute, Values
from sync.core.policy import PRIVATE_CA, Revocation
from sync.core.recipient import Recipient
from sync.core.revocation import Knowledge
from sync.core.revocation_list import RevocationList
from sync.core.revoked import Revoked
from sync.core.run import Kind, Phase
from sync.reconciler import Reconciler
from sync.reconciling.found import Reconciliation
from sync.reconciling.limits import Limits
from sync.reporting import Reporting
from sync.resend import Asking, ResendRequests
from tests.mill import DAY, NOW, Issued
from tests.mill.revocation import crl
from tests.office import Office, anchor

PEOPLE = 2000
PERCENT = PEOPLE // 100


class Counted(EmbeddedRecipients):
    """A tenant that tells who was written."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.written: list[str] = []

    def write(self, recipient: Recipient, changes: Mapping[Attribute, tuple[bytes, ...]]) -> None:
        self.written.append(recipient.addresses[0].partition("@")[0])
        super().write(recipient, changes)


class Company:
    """An LDIF file in the place of the directory, and everything behind it."""

    def __init__(self, folder: Path) -> None:
        self.office = office = Office()
        self.file = folder / "directory.ldif"
        self.people: dict[str, Issued] = {}
        self.serials: set[int] = set()
        self.revoked = RevocationList.parse(crl(office.issuing, next_update=NOW + 60 * DAY))
        self.tenant = office.recipients = Counted(office.database)
        self.requests = EmbeddedQueue(Database(None, lambda: office.now))
        office.losses = replace(office.losses, limit=PEOPLE // 10)
        policy = replace(PRIVATE_CA, revocation=Revocation.SOFT)
        office.change(
            recipients=self.tenant,
            judging=lambda moment: Context(now=moment, trust=office.trust, policy=policy),
            consult=lambda context, _: replace(context, revocation=Knowledge.of([self.revoked])),
            admits=office.losses.admits,
        )
        state = StateFile(None, lambda: office.now)
        self.agent = Agent(
            directory=LdifDirectory(self.file),
            state=state,
            queue=office.queue,
            now=lambda: office.now,
            guard=Guard(people=PERCENT, percent=5),
            requests=ResendRequests(self.requests),
            reporting=Reporting(state, office.losses.blobs, lambda: office.now, version="test"),
        )

    @property
    def reconciler(self) -> Reconciler:
        authorities = [Certificate.parse(each.der) for each in (self.office.root, self.office.issuing)]
        return replace(
            self.office.reconciler,
            limits=Limits(losing=Guard(people=PEOPLE // 10, percent=5)),
            asking=Asking(self.requests),
            revoked=lambda: Revoked.of([self.revoked], authorities),
        )

    def joins(self, name: str, *, lasts: timedelta = 400 * DAY) -> None:
        """Somebody new in the directory, with a mailbox and a certificate."""
        self.office.mailbox(name)
        self.renews(name, lasts=lasts)

    def renews(self, name: str, *, lasts: timedelta = 400 * DAY) -> None:
        """Their certificate is exchanged for another."""
        now = self.office.now
        self.people[name] = self.office.issue(name, key="ec256", not_before=now - DAY, not_after=now + lasts)

    def told(self, *, lost: bool = False) -> None:
        """The agent tells the directory's changes, and its list; the events arrive, or are lost on the way."""
        self.file.write_text("\n".join(_entry(name, held) for name, held in self.people.items()))
        self.agent.once()
        self.agent.report()
        if lost:
            while messages := self.office.queue.receive(32, timedelta(hours=1)):
                for message in messages:
                    self.office.queue.delete(message)
        self.office.drain()

    def listed(self, *serials: int, lasts: timedelta) -> None:
        """The CA issues its next list, with these certificates besides."""
        now, number = self.office.now, (self.revoked.number or 0) + 1
        self.serials |= {*serials}
        listed = crl(self.office.issuing, sorted(self.serials), number=number, this_update=now, next_update=now + lasts)
        self.revoked = RevocationList.parse(listed)

    def reconcile(self) -> Reconciliation:
        """One run, what the agent answers to it, and all events that come of it."""
        found = self.reconciler.reconcile(apply=True)
        while self.requests.count():
            self.agent.once()
        self.office.drain()
        return found

    def holds(self) -> dict[str, Values]:
        """What each mailbox holds."""
        held: dict[str, Values] = {}
        cursor: str | None = None
        while True:
            page = self.tenant.page(cursor)
            held |= {each.addresses[0].partition("@")[0]: each.values for each in page.recipients}
            if (cursor := page.cursor) is None:
                return held


def _entry(name: str, held: Issued) -> str:
    guid, value = (base64.b64encode(each).decode() for each in (anchor(name).object_guid, held.der))
    return f"dn: CN={name}\nobjectGUID:: {guid}\nmail: {name}@corp.example\nuserCertificate:: {value}\n"


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """Everybody has what they should have, and nobody was lost."""
    company = Company(tmp_path_factory.mktemp("company"))
    for number in range(PEOPLE):
        # Two per cent of all certificates end soon; half of these people renew in time.
        company.joins(f"person{number}", lasts=10 * DAY if number < PERCENT else 400 * DAY)
    company.told()
    return company


def test_one_reconciliation_puts_everything_right_and_touches_nobody_else(company: Company) -> None:
    """One per cent each: events lost, mailboxes edited, people gone, expired, revoked. A second run finds nothing."""
    office, tenant = company.office, company.tenant
    names = list(company.people)
    groups = [names[number * PERCENT : (number + 1) * PERCENT] for number in range(6)]
    expired, renewed, edited, gone, revoked, given = groups
    expected = {name: Values.of([held.der]) for name, held in company.people.items()}
    assert company.holds() == expected
    office.pass_time(20 * DAY)

    # 1 Lost: renewals, and somebody who is new, of whom the ledger never heard.
    for name in renewed[1:]:
        company.renews(name)
    company.joins("newcomer")
    # 2 Gone from the directory, which nobody told either.
    for name in gone:
        del company.people[name]
    company.told(lost=True)
    for name in (*renewed, "newcomer"):
        expected[name] = Values.of([company.people[name].der])
    # 3 Edited: ours taken away, every second time with another in its place; and somebody else's put beside ours.
    foreign = office.issuing.issue("somebody@other.example", key="ec256").der
    for number, name in enumerate(edited):
        expected[name] = Values.of([*expected[name].user_certificate, *([foreign] if number % 2 else [])])
        tenant.add(replace(_recipient(company, name), values=Values.of([foreign] if number % 2 else [])))
    for name in given:
        expected[name] = Values.of([*expected[name].user_certificate, foreign])
        tenant.add(replace(_recipient(company, name), values=expected[name]))
    # 4 Expired, while nobody looked. 5 Revoked.
    company.listed(*(Certificate.parse(company.people[name].der).serial for name in revoked), lasts=40 * DAY)
    for name in (*expired, *gone, *revoked):
        expected[name] = Values()

    tenant.written.clear()
    found = company.reconcile()

    assert company.holds() == expected
    assert sorted(tenant.written) == sorted([*renewed[1:], "newcomer", *gone, *edited, *expired, *revoked])
    assert found.applied
    assert (found.counts.unknown, found.counts.different, found.counts.gone) == (1, PERCENT - 1, PERCENT)
    assert (len(found.differing), found.unreadable) == (3 * PERCENT, ())
    because = {
        name: {reason for each in found.differing for reason in each.because if each.anchor in of}
        for name, of in {"edited": _anchors(edited), "expired": _anchors(expired), "revoked": _anchors(revoked)}.items()
    }
    assert because == {"edited": {"drift"}, "expired": {"time"}, "revoked": {"revocation"}}
    assert found.counts.suspects == 4 * PERCENT

    tenant.written.clear()
    again = company.reconcile()

    assert (again.differing, again.unreadable, again.counts.lost, again.counts.suspects) == ((), (), 0, 0)
    assert tenant.written == []
    assert company.holds() == expected
    assert list(office.failures.all()) == []


def test_a_new_list_costs_whom_it_names_and_an_old_one_nobody(company: Company) -> None:
    """Two thousand people below one CA: its list becomes old, and nobody is due; another comes, and one is examined."""
    office, tenant = company.office, company.tenant
    office.pass_time(30 * DAY)
    company.listed(lasts=10 * DAY)
    company.reconcile()
    tenant.written.clear()
    office.pass_time(20 * DAY)

    def hourly() -> tuple[int, int, int]:
        run = company.reconciler.start(Kind.DUE, apply=True)
        assert run is not None
        assert run.phase is Phase.DONE
        office.drain()
        return run.counts.suspects, run.counts.examined, run.counts.losing

    assert hourly() == (0, 0, 0)
    name = list(company.people)[-1]
    company.listed(Certificate.parse(company.people[name].der).serial, lasts=10 * DAY)
    assert hourly() == (1, 1, 1)
    assert (tenant.written, company.holds()[name]) == ([name], Values())
    assert hourly() == (0, 0, 0)


def _recipient(company: Company, name: str) -> Recipient:
    recipient = company.tenant.find(pinned=None, addresses=[f"{name}@corp.example"])
    assert recipient is not None
    return recipient


def _anchors(names: list[str]) -> set[str]:
    return {anchor(name).immutable_id for name in names}
