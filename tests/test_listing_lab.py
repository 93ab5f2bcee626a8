"""The function reads the directory itself: a real domain controller, Azurite, the simulated tenant."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import pytest

from sync import wiring
from sync.adapters.active_directory import Access, ActiveDirectory, Scope
from sync.adapters.blob_store import BlobStore
from sync.adapters.storage_queue import StorageQueue
from sync.agent import Agent
from sync.core.person import Values
from sync.core.record import Status
from sync.core.run import Kind, Phase
from sync.reconciling.censuses import Opened
from sync.reconciling.listing import Listing, own_list
from sync.settings import AgentSettings, CloudSettings, load
from tests.lab.account import account
from tests.lab.administrator import Account, Administrator
from tests.lab.azurite import Azurite
from tests.lab.samba import DomainController
from tests.lab.site import CERTIFICATE
from tests.lab.tenant import Tenant
from tests.mill import Authority

pytestmark = pytest.mark.lab
PASSWORD = "The-agents-0wn-password"


@dataclass(kw_only=True)
class Site:
    """A unit of the domain, its agent, and the function's side, which reaches the controller too."""

    administrator: Administrator
    unit: str
    tenant: Tenant
    issuing: Authority
    agent: Agent
    app: wiring.App
    queue: StorageQueue
    work: BlobStore
    settings: Mapping[str, str]

    def joins(self, name: str) -> Account:
        """Somebody with a mailbox and a certificate."""
        self.tenant.add_mailbox(f"{name}@corp.example")
        mail = f"{name}@corp.example"
        value = self.issuing.issue(mail).der
        return self.administrator.create_person(name, unit=self.unit, mail=mail, **{CERTIFICATE: [value]})

    def told(self, *, lost: bool = False) -> None:
        """The agent tells what changed; its events arrive, or are lost on the way."""
        self.agent.once()
        while messages := self.queue.receive(16, timedelta(minutes=5)):
            for message in messages:
                if not lost:
                    assert self.app.process(message).status is not Status.FAILED
                self.queue.delete(message)

    def held(self, name: str) -> Values:
        return self.tenant.recipient(f"{name}@corp.example").values


@pytest.fixture(scope="module")
def site(
    domain_controller: DomainController, azurite: Azurite, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("listing")
    (folder / "password").write_text(PASSWORD)
    with contextlib.ExitStack() as running:
        administrator = running.enter_context(Administrator.of(domain_controller))
        tenant = running.enter_context(Tenant.start())
        made = running.enter_context(account(azurite, tenant, folder))
        unit = administrator.create_unit(f"Listing {made.name}")
        settings = {
            **made.settings,
            "SMIME_SYNC_DIRECTORY": "ldap",
            "SMIME_SYNC_STATE_FILE": str(folder / "agent.sqlite"),
            "SMIME_SYNC_LDAP_HOSTS": domain_controller.address,
            "SMIME_SYNC_LDAP_SERVER_NAME": domain_controller.fqdn,
            "SMIME_SYNC_LDAP_USER": administrator.create_agent(f"agent-{made.name}", PASSWORD, unit=unit),
            "SMIME_SYNC_LDAP_PASSWORD_FILE": str(folder / "password"),
            "SMIME_SYNC_LDAP_CA_FILE": str(domain_controller.ca_file),
            "SMIME_SYNC_LDAP_BASE": unit,
        }
        agent = wiring.agent(load(AgentSettings, settings))
        running.callback(agent.directory.close)
        yield Site(
            administrator=administrator,
            unit=unit,
            tenant=tenant,
            issuing=made.issuing,
            agent=agent,
            app=wiring.cloud_from(load(CloudSettings, settings)),
            queue=made.queue,
            work=made.work,
            settings=settings,
        )


def test_what_was_lost_is_found_with_no_list_of_the_agent(site: Site) -> None:
    """A renewal, somebody new, a leaver; the agent's own account has no certificates, and is nobody's loss."""
    people = {name: site.joins(name) for name in ("lana", "lars", "lena")}
    site.told()
    assert all(site.held(name) for name in people)
    renewed = site.issuing.issue("lana@corp.example").der
    site.administrator.replace(people["lana"], {CERTIFICATE: [renewed]})
    site.administrator.delete(people["lars"])
    site.joins("lothar")
    site.told(lost=True)
    assert not list(site.work.names("census/"))

    found = site.app.reconcile(apply=True)

    counts = found.counts
    assert (counts.unknown, counts.different, counts.gone, counts.asked) == (1, 1, 1, 3), found
    assert found.notes == ()
    site.told()
    assert site.held("lana") == Values.of([renewed])
    assert (bool(site.held("lothar")), site.held("lars"), bool(site.held("lena"))) == (True, Values(), True)
    assert list(site.app.failures.all()) == []


def test_it_is_read_in_pieces_each_over_a_connection_of_its_own(site: Site) -> None:
    """Two people a page and a page a piece: everybody is on the list once, as the agent remembers them."""
    for number in range(7):
        site.joins(f"piece{number}")
    site.told()
    config = load(CloudSettings, site.settings)
    access = Access(
        hosts=config.ldap_hosts,
        server_name=config.ldap_server_name,
        user=config.ldap_user or "",
        password=PASSWORD,
        ca_file=config.ldap_ca_file,
    )
    runs = site.app.reconciler.runs
    run = runs.begin(Kind.FULL, apply=False, first=Phase.DIRECTORY)
    listing = Listing(
        connect=lambda: ActiveDirectory(access, Scope(base=site.unit), page_size=2),
        ledger=site.app.reconciler.ledger,
        runs=runs,
    )
    run, pieces = listing.step(run, lambda: False), 0
    while run.place == "read":
        run, pieces = listing.step(run, lambda: True), pieces + 1
    assert pieces > 3
    while run.phase is Phase.DIRECTORY:
        run = listing.step(run, lambda: False)
    own = own_list(runs, run)
    runs.abandon(run.id)
    assert own is not None
    opened = Opened(lists=(own,), notes=())
    told = [line for number in range(256) for line in opened.partition(number).told]
    assert own.manifest.source == site.agent.source
    assert [(line.anchor, line.state_hash) for line in told if line.holds] == list(site.agent.state.told())
    assert own.manifest.people == run.counts.directory == len(told)
