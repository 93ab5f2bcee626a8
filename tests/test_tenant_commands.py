"""`smime-sync probe` and `preflight` as an administrator calls them, on the simulated tenant."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jwt
import pytest

from sync.core import certificate_store
from sync.core.person import Values
from tests.lab.tenant import Fault, Tenant
from tests.lab.tenant.objects import Entry
from tests.mill import Mill

pytestmark = pytest.mark.lab

HELD = bytes([0x30, 3, 2, 1, 5])


@pytest.fixture
def mailbox(tenant: Tenant) -> Entry:
    """The test mailbox, with a value of its own."""
    return tenant.add_mailbox("probe@corp.example", user_certificate=[HELD])


@pytest.fixture
def environment(tenant: Tenant, tmp_path: Path) -> dict[str, str]:
    """The function's settings."""
    root = Mill().root()
    (tmp_path / "root.pem").write_text(root.pem)
    tenant.trust(certificate_store.write((root.der,)))
    settings = {
        "TENANT_ID": tenant.id,
        "CREDENTIAL": "secret",
        "CLIENT_ID": tenant.tokens.client_id,
        "CLIENT_SECRET": tenant.tokens.secret,
        "LOGIN_URL": tenant.url,
        "EXCHANGE_URL": tenant.url,
        "CA_FILE": tenant.ca_file,
        "TRUST_ANCHORS": str(tmp_path / "root.pem"),
        "STORAGE": "UseDevelopmentStorage=true",
        "REQUIRE_SIGNED_EVENTS": "false",
    }
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "COLUMNS": "200"} | {
        f"SMIME_SYNC_{name}": value for name, value in settings.items()
    }


def start(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command, running in a folder of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "sync", *arguments],
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[1])},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_probe_says_which_settings_to_use(
    tenant: Tenant, mailbox: Entry, environment: dict[str, str], tmp_path: Path
) -> None:
    """As JSON; the transcript is there and names nobody; the mailbox is as it was."""
    process = start(environment, tmp_path, "probe", "--mailbox", "probe@corp.example", "--apply", "--json")
    output, errors = process.communicate(timeout=120)

    assert process.returncode == 0, errors
    said = json.loads(output)
    assert said["settings"]["SMIME_SYNC_WRITE_ENCODING"] == "tagged-integers"
    assert said["restored"] is True
    assert mailbox.values == Values.of([HELD])
    transcript = (tmp_path / "smime-sync-probe.json").read_text("utf-8")
    assert "probe@corp.example" not in transcript
    assert tenant.tokens.secret not in transcript
    assert list(tmp_path.glob("*.kept.json")) == []


def test_probe_is_dry_by_default(tenant: Tenant, mailbox: Entry, environment: dict[str, str], tmp_path: Path) -> None:
    """It only reads."""
    process = start(environment, tmp_path, "probe", "--mailbox", "probe@corp.example", "--throttle", "7")
    output, errors = process.communicate(timeout=120)

    assert process.returncode == 0, errors
    assert "never in 7, one at a time" in output
    assert "nothing was written (dry run)" in output
    assert not [name for name in tenant.cmdlets() if name.startswith("Set-")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_probe_restores(
    tenant: Tenant, mailbox: Entry, environment: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C and SIGTERM in the middle of the writing."""
    tenant.faults.next(Fault(cmdlet="Set-Mailbox"), Fault(cmdlet="Set-Mailbox", delay=3.0, reset=True))
    process = start(environment, tmp_path, "probe", "--mailbox", "probe@corp.example", "--apply")
    wait_until(lambda: mailbox.writes > 0)

    process.send_signal(number)
    _, errors = process.communicate(timeout=120)

    assert process.returncode != 0
    assert "Traceback" not in errors
    assert mailbox.values == Values.of([HELD])
    assert mailbox.writes >= 2
    assert (tmp_path / "smime-sync-probe.json").exists()


def test_a_killed_probe_is_restored_by_the_next(
    tenant: Tenant, mailbox: Entry, environment: dict[str, str], tmp_path: Path
) -> None:
    """Nothing runs after a kill: the file that it kept is what the next one goes by."""
    tenant.faults.next(Fault(cmdlet="Set-Mailbox"), Fault(cmdlet="Set-Mailbox", delay=3.0, reset=True))
    process = start(environment, tmp_path, "probe", "--mailbox", "probe@corp.example", "--apply")
    wait_until(lambda: mailbox.writes > 0)
    process.kill()
    process.communicate(timeout=60)
    assert mailbox.values != Values.of([HELD])
    # A second write that was on its way is broken by its fault; one that never came must not break the next probe's.
    tenant.faults.clear()

    again = start(environment, tmp_path, "probe", "--mailbox", "probe@corp.example", "--apply", "--json")
    output, errors = again.communicate(timeout=120)

    assert again.returncode == 0, errors
    assert json.loads(output)["restored"] is True
    assert mailbox.values == Values.of([HELD])


def test_preflight(tenant: Tenant, environment: dict[str, str], tmp_path: Path) -> None:
    """A line for each check; warnings are no failure, a missing right is one."""
    tenant.add_mailbox("outside@corp.example", outside_scope=True)
    process = start(environment, tmp_path, "preflight", "--outside", "outside@corp.example", "--json")
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    levels = {line["check"]: line["level"] for line in json.loads(output)}
    assert levels["Set-MailContact"] == "ok"
    assert levels["a write outside the scope"] == "ok"
    assert levels["trust store of Outlook on the web"] == "ok"

    del tenant.roles.cmdlets["Set-MailContact"]
    process = start(environment, tmp_path, "preflight")
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert "fail Set-MailContact" in output
    assert tenant.tokens.secret not in output + errors


def test_workload_identity(tenant: Tenant, environment: dict[str, str], tmp_path: Path) -> None:
    """The platform's token file is enough; without it the settings say what is missing. A list is out of reach."""
    del environment["SMIME_SYNC_CLIENT_SECRET"]
    environment["SMIME_SYNC_CREDENTIAL"] = "workload-identity"
    process = start(environment, tmp_path, "preflight", "--json")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "SMIME_SYNC_ASSERTION_FILE" in errors

    content = {"aud": "api://AzureADTokenExchange", "sub": "a workload", "exp": int(time.time()) + 600}
    (tmp_path / "token").write_text(jwt.encode(content, tenant.tokens.federated, algorithm="HS256") + "\n")
    environment["SMIME_SYNC_ASSERTION_FILE"] = str(tmp_path / "token")
    sources = '[[source]]\nissuer = "CN=Example Root CA"\ncrl = ["http://127.0.0.1:1/root.crl"]\n'
    (tmp_path / "sources.toml").write_text(sources)
    environment["SMIME_SYNC_REVOCATION_SOURCES"] = str(tmp_path / "sources.toml")
    process = start(environment, tmp_path, "preflight", "--json")
    output, errors = process.communicate(timeout=120)

    assert process.returncode == 1, errors
    failed = [line for line in json.loads(output) if line["level"] == "fail"]
    assert [(line["check"], "revocation-source" in line["detail"]) for line in failed] == [
        ("revocation list of CN=Example Root CA", True)
    ]
    assert json.loads(output)[0] == {
        "check": "token",
        "level": "ok",
        "detail": "given, with Exchange.ManageAsApp",
        "hint": "",
    }
    assert "client secret" not in errors


def wait_until(happened: object) -> None:
    """With a generous limit."""
    assert callable(happened)
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)
