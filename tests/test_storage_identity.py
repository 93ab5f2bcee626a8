"""Who the agent is to the storage account: an application with a certificate, workload identity, a SAS; by a proxy."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from azure.storage.blob import AccountSasPermissions, ContainerClient, ResourceTypes, Services, generate_account_sas

from sync import wiring
from sync.adapters.storage_queue import StorageQueue
from sync.core.event import Claim
from sync.errors import ErrorCode, PermanentError, SyncError
from sync.settings import AgentSettings, load
from sync.wiring.agent_side import reporting
from sync.wiring.storage import blob_store
from tests.lab.azurite import Azurite
from tests.lab.connect_proxy import ConnectProxy
from tests.lab.tenant import Tenant
from tests.lab.tenant.tokens import Tokens

pytestmark = pytest.mark.lab

ACCOUNT = "smimesynclab"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An account that takes tokens, a login host that gives them, and an agent's settings for both but who it is."""

    azurite: Azurite
    tokens: Tokens
    folder: Path
    settings: dict[str, str]

    def agent(self, **chosen: str) -> AgentSettings:
        given = {"STORAGE__credential": "certificate", **chosen}
        return load(AgentSettings, self.settings | {f"SMIME_SYNC_{name}": value for name, value in given.items()})


@pytest.fixture
def place(secure_azurite: Azurite, tenant: Tenant, tmp_path: Path) -> Place:
    name = f"identity-{uuid.uuid4().hex[:8]}"
    assert secure_azurite.ca_file is not None
    authorities = secure_azurite.ca_file.read_text() + Path(tenant.ca_file).read_text()
    (tmp_path / "ca.pem").write_text(authorities)
    (tmp_path / "application.pem").write_text(tenant.tokens.register_certificate())
    (tmp_path / "password").write_text("secret")
    with ContainerClient.from_connection_string(
        secure_azurite.connection_string, name, connection_verify=str(secure_azurite.ca_file)
    ) as container:
        container.create_container()
    for queue in (name, f"{name}-asked"):
        ca_file = str(secure_azurite.ca_file)
        StorageQueue.from_connection_string(secure_azurite.connection_string, queue, ca_file=ca_file).create()
    settings = {
        "STORAGE__queueServiceUri": secure_azurite.queue_url,
        "STORAGE__blobServiceUri": secure_azurite.blob_url,
        "STORAGE__loginUrl": tenant.url,
        "STORAGE__tenantId": tenant.id,
        "STORAGE__clientId": tenant.tokens.client_id,
        "STORAGE__clientCertificate": str(tmp_path / "application.pem"),
        "CA_FILE": str(tmp_path / "ca.pem"),
        "QUEUE": name,
        "REQUESTS_QUEUE": f"{name}-asked",
        "CLAIMS_CONTAINER": name,
        "LEASE_CONTAINER": name,
        "WORK_CONTAINER": name,
        "STATE_FILE": str(tmp_path / "agent.sqlite"),
        "LDAP_HOSTS": "127.0.0.1",
        "LDAP_USER": "agent@corp.example",
        "LDAP_PASSWORD_FILE": str(tmp_path / "password"),
    }
    named = {f"SMIME_SYNC_{name}": value for name, value in settings.items()}
    return Place(azurite=secure_azurite, tokens=tenant.tokens, folder=tmp_path, settings=named)


def everything(config: AgentSettings) -> None:
    """All that the agent does at the account."""
    wiring.storage_queue(config).send("event")
    requests = wiring.resend_requests(config)
    assert requests is not None
    requests.count()
    claims = wiring.claim_store(config)
    assert claims is not None
    claims.put(Claim("0" * 64, 5), b"event")
    lease = wiring.agent_lease(config)
    assert lease is not None
    assert lease.take(1) is not None
    lease.close()
    state = wiring.agent_state(config)
    state.note({"source": "urn:smime-sync:agent:corp.example"})
    reporting(config, state).beat()


def refused(config: AgentSettings) -> SyncError:
    with pytest.raises(SyncError) as error:
        wiring.storage_queue(config).send("event")
    return error.value


def test_an_application_with_a_certificate(place: Place) -> None:
    """It signs, Entra gives a token, the account takes it; for queue and blobs alike."""
    before = place.tokens.issued
    config = place.agent()
    everything(config)
    assert place.tokens.issued > before
    assert wiring.storage_queue(config).count() == 1
    (name,) = list(blob_store(config).names("heartbeat/"))
    beat = blob_store(config).get(name)
    assert beat is not None
    ends = json.loads(beat.content)["certificates"]["the certificate for the storage account"]
    assert datetime.fromisoformat(ends) > datetime.now(UTC), "the heartbeat tells when its certificate ends"


def test_workload_identity(place: Place) -> None:
    """The platform's token stands in a file, which is read anew whenever Entra is asked."""
    file = place.folder / "platform-token"

    def renewed() -> None:
        claims = {"aud": "api://AzureADTokenExchange", "sub": "agent", "exp": int(time.time()) + 60}
        file.write_text(jwt.encode(claims, place.tokens.federated, algorithm="HS256"))

    chosen = {"STORAGE__credential": "workloadidentity", "STORAGE__assertionFile": str(file)}
    missing = refused(place.agent(**chosen))
    assert str(file) in missing.message
    file.write_text("no token of theirs")
    assert refused(place.agent(**chosen)).code is ErrorCode.TOKEN_REFUSED
    renewed()
    everything(place.agent(**chosen))


def test_a_shared_access_signature(place: Place) -> None:
    """With only what the agent does; one that has expired is refused, and is not told in the error."""

    def sas(hours: float) -> str:
        now = datetime.now(UTC)
        return generate_account_sas(
            ACCOUNT,
            place.azurite.account_key,
            ResourceTypes(service=False, container=True, object=True),
            AccountSasPermissions(read=True, write=True, add=True, delete=True, list=True, process=True, create=True),
            expiry=now + timedelta(hours=hours),
            start=now - timedelta(hours=2),
            services=Services(blob=True, queue=True),
        )

    def settings(hours: float) -> AgentSettings:
        text = f"QueueEndpoint={place.azurite.queue_url};BlobEndpoint={place.azurite.blob_url}"
        given = {name: value for name, value in place.settings.items() if "STORAGE__" not in name}
        return load(AgentSettings, given | {"SMIME_SYNC_STORAGE": f"{text};SharedAccessSignature={sas(hours)}"})

    everything(settings(1))
    expired = refused(settings(-1))
    assert isinstance(expired, PermanentError)
    assert expired.code is ErrorCode.QUEUE_REFUSED
    assert "sig=" not in str(expired)


@pytest.mark.parametrize("content", [None, b"no certificate", b"\xff\xfe"])
def test_a_certificate_that_cannot_be_used(place: Place, content: bytes | None) -> None:
    """It ends in a code and the file's name, without a word of the file."""
    path = place.folder / "broken.pem"
    if content is not None:
        path.write_bytes(content)
    error = refused(place.agent(STORAGE__clientCertificate=str(path)))
    assert error.code is ErrorCode.FILE_UNREADABLE
    assert str(path) in error.message
    assert "no certificate" not in error.message


def test_an_application_that_entra_does_not_know(place: Place) -> None:
    """Its own words, and no second try: somebody must cure it."""
    error = refused(place.agent(STORAGE__clientId=str(uuid.uuid4())))
    assert isinstance(error, PermanentError)
    assert error.code is ErrorCode.TOKEN_REFUSED
    assert "AADSTS700016" in error.message


def test_by_a_proxy(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY leads queue, blobs and login; what it does not let pass is `unavailable`, and is tried again."""
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    login = place.settings["SMIME_SYNC_STORAGE__loginUrl"]
    hosts = {"127.0.0.1": place.azurite.queue_url, "localhost": login}
    with ConnectProxy.start(hosts) as proxy:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        wiring.storage_queue(place.agent()).send("event")
        assert set(proxy.asked) == {"127.0.0.1", "localhost"}
    with ConnectProxy.start({}) as closed:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, closed.url)
        assert refused(place.agent()).code in {ErrorCode.QUEUE_UNAVAILABLE, ErrorCode.TOKEN_UNAVAILABLE}
