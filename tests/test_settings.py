"""Settings: all problems at once, no value shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from sync.errors import ErrorCode, PermanentError
from sync.settings import AgentSettings, CloudSettings, load

CLOUD = {
    "SMIME_SYNC_STORAGE": "UseDevelopmentStorage=true",
    "SMIME_SYNC_TRUST_ANCHORS": "anchors.pem",
    "SMIME_SYNC_EVENT_KEYS_FILE": "agents.pem",
    "SMIME_SYNC_TENANT_ID": "11111111-2222-3333-4444-555555555555",
}
AGENT = {
    "SMIME_SYNC_STORAGE": "UseDevelopmentStorage=true",
    "SMIME_SYNC_STATE_FILE": "agent.sqlite",
    "SMIME_SYNC_LDAP_HOSTS": "dc1.corp.example, dc2.corp.example",
    "SMIME_SYNC_LDAP_USER": "agent@corp.example",
    "SMIME_SYNC_LDAP_PASSWORD_FILE": "password",
}


def test_the_least_that_a_function_needs() -> None:
    """Everything else has a default."""
    settings = load(CloudSettings, CLOUD | {"PATH": "/bin", "FUNCTIONS_WORKER_RUNTIME": "python"})
    assert settings.trust_anchors == Path("anchors.pem")
    assert settings.credential == "managed-identity"
    assert not settings.withdraw_disabled


def test_the_least_that_an_agent_needs() -> None:
    """Hosts are a list with commas."""
    assert load(AgentSettings, AGENT).ldap_hosts == ("dc1.corp.example", "dc2.corp.example")


def test_an_identity_takes_the_place_of_a_connection_string() -> None:
    """By the names that the Functions host itself reads, whatever their case."""
    settings = load(
        CloudSettings,
        {
            **{name: value for name, value in CLOUD.items() if name != "SMIME_SYNC_STORAGE"},
            "SMIME_SYNC_STORAGE__queueServiceUri": "https://corp.queue.core.windows.net",
            "SMIME_SYNC_STORAGE__tableServiceUri": "https://corp.table.core.windows.net",
            "SMIME_SYNC_STORAGE__blobServiceUri": "https://corp.blob.core.windows.net",
            "SMIME_SYNC_STORAGE__credential": "managedidentity",
            "SMIME_SYNC_STORAGE__clientId": "11111111-2222-3333-4444-555555555555",
        },
    )
    assert settings.storage is None
    assert settings.storage__queueserviceuri == "https://corp.queue.core.windows.net"


def test_settings_of_the_other_half_are_no_mistake() -> None:
    """A lab sets both in one place."""
    assert load(CloudSettings, AGENT | CLOUD).queue == load(AgentSettings, AGENT | CLOUD).queue


def test_every_problem_is_told_at_once() -> None:
    """Missing, malformed, unknown and inconsistent ones, each by its name."""
    with pytest.raises(PermanentError) as refused:
        load(
            CloudSettings,
            {
                "SMIME_SYNC_TENANT_ID": "corp",
                "SMIME_SYNC_TRUST_ANCHOR": "anchors.pem",
                "SMIME_SYNC_QUEUE": "changes-poison",
                "SMIME_SYNC_CREDENTIAL": "secret",
                "SMIME_SYNC_WITHDRAW_DISABLED": "perhaps",
            },
        )
    told = refused.value.message.split("; ")
    assert refused.value.code is ErrorCode.SETTINGS_INVALID
    assert "SMIME_SYNC_TRUST_ANCHORS is missing" in told
    assert "SMIME_SYNC_TENANT_ID is not a GUID" in told
    assert "SMIME_SYNC_TRUST_ANCHOR is unknown: did you mean SMIME_SYNC_TRUST_ANCHORS?" in told
    assert "SMIME_SYNC_CREDENTIAL=secret needs SMIME_SYNC_CLIENT_ID" in told
    assert "SMIME_SYNC_CREDENTIAL=secret needs SMIME_SYNC_CLIENT_SECRET" in told
    assert any(line.startswith("SMIME_SYNC_QUEUE is not a queue name") for line in told)
    assert any(line.startswith("SMIME_SYNC_WITHDRAW_DISABLED") for line in told)
    assert any(line.startswith("set SMIME_SYNC_STORAGE") for line in told)


@pytest.mark.parametrize("kind", [CloudSettings, AgentSettings])
def test_no_value_is_shown(kind: type[CloudSettings] | type[AgentSettings]) -> None:
    """A secret in the wrong place must not reach a log, nor a right one a repr."""
    with pytest.raises(PermanentError) as refused:
        load(
            kind, {"SMIME_SYNC_TENANT_ID": "hunter2", "SMIME_SYNC_CLIENT_SECRET": "hunter2", "SMIME_SYNC_X": "hunter2"}
        )
    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in repr(load(CloudSettings, CLOUD | {"SMIME_SYNC_CLIENT_SECRET": "hunter2"}))
