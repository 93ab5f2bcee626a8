"""From an event to the mailbox in each national cloud, by the names that it has there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import pytest

from sync import settings, wiring
from sync.adapters.entra import CLOUDS, Cloud
from sync.core.person import Values
from sync.core.record import Status
from sync.errors import ErrorCode, PermanentError
from tests.lab.connect_proxy import ConnectProxy
from tests.lab.tenant import Fault, Tenant
from tests.mill import Mill
from tests.office import Office, person

pytestmark = pytest.mark.lab

HOSTS = {
    "worldwide": ("login.microsoftonline.com", "outlook.office365.com"),
    "gcc-high": ("login.microsoftonline.us", "outlook.office365.us"),
    "dod": ("login.microsoftonline.us", "outlook-dod.office365.us"),
    "china": ("login.partner.microsoftonline.cn", "partner.outlook.cn"),
}
"""Entra's and Exchange Online's, as Microsoft documents them; of China's that the admin API is there is not known."""
REGION, ELSEWHERE = "region.{suffix}", "outlook.office365.example"


@dataclass
class Abroad:
    """A national cloud, whose every name leads to the simulated tenant."""

    cloud: Cloud
    tenant: Tenant
    proxy: ConnectProxy
    config: settings.CloudSettings

    @property
    def region(self) -> str:
        """A host to which this cloud may send a request on."""
        return REGION.format(suffix=self.cloud.suffixes[0])


def host(origin: str) -> str:
    """Its name."""
    return str(urlsplit(origin).hostname)


@pytest.fixture(params=sorted(CLOUDS))
def abroad(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Abroad]:
    """With settings that name the cloud and no address at all."""
    cloud = CLOUDS[request.param]
    region = REGION.format(suffix=cloud.suffixes[0])
    folder = tmp_path_factory.mktemp("abroad")
    (folder / "root.pem").write_text(Mill().root().pem)
    names = dict.fromkeys((host(cloud.login), host(cloud.admin), region, ELSEWHERE))
    with (
        Tenant.start(resource=cloud.resource, names=names) as tenant,
        ConnectProxy.start(dict.fromkeys(names, tenant.url)) as proxy,
    ):
        (folder / "application.pem").write_text(tenant.tokens.register_certificate())
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        chosen = {
            "TENANT_ID": tenant.id,
            "CLOUD": cloud.name,
            "CREDENTIAL": "certificate",
            "CLIENT_ID": tenant.tokens.client_id,
            "CLIENT_CERTIFICATE": str(folder / "application.pem"),
            "CA_FILE": tenant.ca_file,
            "TRUST_ANCHORS": str(folder / "root.pem"),
            "STORAGE": "UseDevelopmentStorage=true",
            "REQUIRE_SIGNED_EVENTS": "false",
        }
        config = settings.load(settings.CloudSettings, {f"SMIME_SYNC_{n}": v for n, v in chosen.items()})
        yield Abroad(cloud, tenant, proxy, config)


def test_an_event_reaches_the_mailbox(abroad: Abroad) -> None:
    """Token, search, write and read-back go to that cloud's hosts, also by way of a region, and to no other."""
    office = Office()
    alice = office.issue("alice")
    mailbox = abroad.tenant.add_mailbox("alice@corp.example")
    abroad.tenant.faults.next(Fault.redirect(f"https://{abroad.region}/adminapi/beta/{abroad.tenant.id}/InvokeCommand"))
    office.processor = replace(office.processor, recipients=wiring.exchange_online(abroad.config))

    outcome = office.process(person("alice", alice))

    assert outcome.status is Status.WRITTEN
    assert mailbox.values == Values.of([alice.der])
    assert set(abroad.proxy.asked) == {*HOSTS[abroad.cloud.name], abroad.region}


def test_no_other_host_gets_the_token(abroad: Abroad) -> None:
    """A redirect out of the cloud is refused, not followed."""
    abroad.tenant.add_mailbox("alice@corp.example")
    abroad.tenant.faults.next(Fault.redirect(f"https://{ELSEWHERE}/adminapi/beta/{abroad.tenant.id}/InvokeCommand"))

    with pytest.raises(PermanentError) as caught:
        wiring.exchange_online(abroad.config).find(pinned=None, addresses=["alice@corp.example"])

    assert caught.value.code is ErrorCode.TENANT_REDIRECT
    assert ELSEWHERE not in abroad.proxy.asked


@pytest.mark.parametrize("faults", [[], [Fault(cmdlet=""), Fault.status(404, cmdlet="")]])
def test_a_refused_token(abroad: Abroad, faults: list[Fault]) -> None:
    """Is one, also when msal asks the cloud for its other names then and gets no answer; nobody else is asked."""
    abroad.tenant.tokens.resource = "https://outlook.other.example"
    abroad.tenant.faults.next(*faults)

    with pytest.raises(PermanentError) as caught:
        wiring.tenant_tokens(abroad.config).token()

    assert caught.value.code is ErrorCode.TOKEN_REFUSED
    assert abroad.tenant.faults.waiting == []
    assert set(abroad.proxy.asked) == {HOSTS[abroad.cloud.name][0]}
