"""A drill: a thousand changes while every fifth call to the tenant fails in some way, over HTTPS."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from sync.adapters.embedded import EmbeddedPace
from sync.adapters.entra import ClientSecret, TokenSource
from sync.adapters.exchange_online import AdminApi, ExchangeOnline
from sync.core.person import Values
from sync.core.rate import Rate
from sync.core.record import Outcome, Status
from tests.lab.tenant import Fault, Tenant
from tests.lab.tenant.faults import Faults
from tests.mill import DAY, Issued
from tests.office import Office, person

pytestmark = pytest.mark.lab

SEED = 20260601
CHANGED, UNCHANGED, EACH = 500, 100, 2

KINDS = (
    Fault.status(429, Retry_After="30"),
    Fault.status(429),
    Fault.status(503),
    Fault.status(500, body=b"\x00\x00"),
    Fault.exception(400, "Microsoft.Exchange.Data.Directory.ServerBusyException", "The server is busy."),
    Fault(reset=True),
    Fault(reset=True, done=True),
    Fault(reply=Fault.status(504).reply, done=True),
)
"""Refused before anything happened, and, the last two, lost after it had happened."""


@dataclass(slots=True)
class EveryFifth(Faults):
    """A fault for one cmdlet in five, drawn from a seed that a failing run names."""

    dice: random.Random = field(default_factory=lambda: random.Random(SEED))
    thrown: int = 0

    def take(self, name: str) -> Fault | None:
        if name in {"token", ""} or self.dice.random() >= 0.2:
            return None
        self.thrown += 1
        return self.dice.choice(KINDS)


@pytest.fixture
def office(tenant: Tenant) -> Iterator[Office]:
    """The embedded cloud side on the tenant over HTTPS, at a tenant's rate of writes."""
    office = Office()
    cloud = tenant.cloud
    credential = ClientSecret(client_id=tenant.tokens.client_id, secret=tenant.tokens.secret)
    tokens = TokenSource(credential, tenant=tenant.id, cloud=cloud, ca_file=tenant.ca_file, instance_discovery=False)
    api = AdminApi(tenant=tenant.id, tokens=tokens, host=tenant.url, suffixes=cloud.suffixes, ca_file=tenant.ca_file)
    office.processor = replace(
        office.processor,
        recipients=ExchangeOnline(api),
        pace=EmbeddedPace(office.database),
        rate=Rate(per_second=10, at_once=3),
    )
    yield office
    tenant.faults = Faults()


def work_off(office: Office) -> list[Outcome]:
    """Drain until nothing waits any more, letting the clock go on in between; at most two days of it."""
    outcomes: list[Outcome] = []
    begun = office.now
    while office.queue.count():
        outcomes += [outcome for outcome in office.drain() if outcome]
        office.pass_time(timedelta(seconds=20))
        assert office.now - begun < 2 * DAY, f"{office.queue.count()} messages are still waiting (seed {SEED})"
    return outcomes


def test_a_thousand_changes_under_faults_end_with_every_mailbox_right(office: Office, tenant: Tenant) -> None:
    """Each change is written once, however often its call failed; whoever did not change is never written."""
    names = [f"user{number}" for number in range(CHANGED + UNCHANGED)]
    # One key serves everybody: a person's certificates are told apart by their serial numbers and dates.
    key = office.mill.key("ec256")
    issued: dict[str, Issued] = {}
    for name in names:
        tenant.add_mailbox(f"{name}@corp.example")
    quiet = names[CHANGED:]
    for name in quiet:
        issued[name] = office.issue(name, key=key)
        office.queue.send(office.event(person(name, issued[name])))
    work_off(office)
    before = {name: tenant.recipient(f"{name}@corp.example").writes for name in quiet}

    tenant.faults = EveryFifth()
    dice = random.Random(SEED + 1)
    for change in range(EACH):
        for name in names[:CHANGED]:
            issued[name] = office.issue(name, key=key, not_before=office.now - (EACH - change) * DAY)
        everybody = names.copy()
        dice.shuffle(everybody)
        for name in everybody:
            office.queue.send(office.event(person(name, issued[name])))
    outcomes = work_off(office)

    assert list(office.failures.all()) == [], f"seed {SEED}"
    assert tenant.faults.thrown > CHANGED * EACH / 5, "the drill threw too few faults to prove anything"
    assert {outcome.status for outcome in outcomes} >= {Status.WRITTEN, Status.DEFERRED, Status.UNCHANGED}
    for name in names:
        mailbox = tenant.recipient(f"{name}@corp.example")
        assert mailbox.values == Values.of([issued[name].der]), f"{name} (seed {SEED})"
        allowed = before.get(name, EACH)
        assert mailbox.writes <= allowed, f"{name} was written {mailbox.writes} times (seed {SEED})"
