"""Kerberos from a keytab, against a real domain controller that hands out the tickets."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.adapters.active_directory import Access, ActiveDirectory
from sync.errors import ErrorCode, PermanentError, SyncError
from tests.lab import ROOT, require
from tests.lab.administrator import Account, Administrator
from tests.lab.samba import REALM, DomainController, free_address
from tests.lab.setup import kerberos

pytestmark = pytest.mark.lab

PASSWORD = "Agent-Passw0rd!1"
PRINCIPAL = f"agent@{REALM.upper()}"
RENEWED = f"renewed@{REALM.upper()}"


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DomainController]:
    """With a service principal for its name, as `samba_dnsupdate` registers it."""
    require(kerberos.PART, kerberos.missing())
    folder, address = tmp_path_factory.mktemp("kerberos"), free_address()
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{address} dc1.{REALM} dc1\n")
    with (
        # Before Samba 4.21 there is no channel binding to ask for: it takes Kerberos inside TLS or it does not.
        DomainController.start(
            folder / "dc", address=address, hosts=hosts, strong_auth="allow_sasl_over_tls"
        ) as controller,
        Administrator.of(controller) as administrator,
    ):
        computer = Account(dn=f"CN=DC1,OU=Domain Controllers,{controller.base}", guid=b"")
        administrator.add_value(computer, "servicePrincipalName", f"ldap/{controller.fqdn}")
        unit = administrator.create_unit("Staff")
        administrator.create_agent("agent", PASSWORD, unit=unit)
        administrator.create_agent("renewed", PASSWORD, unit=unit)
        yield controller


@pytest.fixture
def keytab(controller: DomainController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The agent's; and this process asks the controller for tickets."""
    monkeypatch.setenv("KRB5_CONFIG", str(controller.krb5_conf))
    path = tmp_path / "agent.keytab"
    for principal in (PRINCIPAL, RENEWED):
        command = ("samba-tool", "domain", "exportkeytab", str(path), f"--principal={principal}")
        subprocess.run((*command, f"--configfile={controller.smb_conf}"), check=True, capture_output=True)
    return path


def logon(controller: DomainController, keytab: Path, *, start_tls: bool = False, user: str = PRINCIPAL) -> int:
    """How many people are read."""
    access = Access(
        hosts=(controller.address,),
        user=user,
        keytab=keytab,
        ca_file=controller.ca_file,
        server_name=controller.fqdn,
        start_tls=start_tls,
    )
    with contextlib.closing(ActiveDirectory(access)) as directory:
        return sum(len(page.people) for page in directory.changes(None))


@pytest.mark.parametrize("start_tls", [False, True], ids=["ldaps", "start-tls"])
def test_a_keytab_logs_on(controller: DomainController, keytab: Path, start_tls: bool) -> None:
    """No password anywhere."""
    assert logon(controller, keytab, start_tls=start_tls)


def test_an_old_key_is_told_as_credentials(controller: DomainController, keytab: Path) -> None:
    """Somebody changed the password after the keytab was made: with the principal's name, and no trying on."""
    account = Account(dn=f"CN=renewed,OU=Staff,{controller.base}", guid=b"")
    with Administrator.of(controller) as administrator:
        administrator.replace(account, {"unicodePwd": ['"Another-Passw0rd!2"'.encode("utf-16-le")]})
    assert RENEWED in refused(controller, keytab, RENEWED).message


def test_an_unknown_principal_is_told_alike(controller: DomainController, keytab: Path) -> None:
    """The keytab holds no key of theirs."""
    refused(controller, keytab, f"nobody@{REALM.upper()}")


def test_a_keytab_that_is_not_there_is_told_by_name(controller: DomainController, tmp_path: Path) -> None:
    """Not as a trouble of the controller's."""
    with pytest.raises(PermanentError, match=r"none\.keytab") as caught:
        logon(controller, tmp_path / "none.keytab")
    assert caught.value.code is ErrorCode.FILE_UNREADABLE


@pytest.mark.parametrize(
    ("ahead", "corrects", "well"),
    [("+10m", True, True), ("-10m", True, True), ("+4m", False, True), ("+10m", False, False), ("-10m", False, False)],
)
def test_a_wrong_clock(  # noqa: PLR0917 - fixtures
    controller: DomainController, keytab: Path, tmp_path: Path, ahead: str, corrects: bool, well: bool
) -> None:
    """The whole process in another time. MIT's library goes by the controller's clock (kdc_timesync, its default);
    where it does not, five minutes are borne (RFC 4120, 5.2.3), and more is told in Kerberos's own words."""
    require(kerberos.PART, kerberos.without_clock())
    configuration = tmp_path / "krb5.conf"
    timesync = f"[libdefaults]\n    kdc_timesync = {int(corrects)}\n"
    configuration.write_text(controller.krb5_conf.read_text().replace("[libdefaults]\n", timesync))
    assert timesync in configuration.read_text()
    settings = {
        "SMIME_SYNC_STORAGE": "UseDevelopmentStorage=true",
        "SMIME_SYNC_STATE_FILE": str(tmp_path / "agent.sqlite"),
        "SMIME_SYNC_LDAP_HOSTS": controller.address,
        "SMIME_SYNC_LDAP_SERVER_NAME": controller.fqdn,
        "SMIME_SYNC_LDAP_USER": PRINCIPAL,
        "SMIME_SYNC_LDAP_KEYTAB": str(keytab),
        "SMIME_SYNC_LDAP_CA_FILE": str(controller.ca_file),
    }
    program = (
        "from sync import settings, wiring; import os; "
        "print(wiring.active_directory(settings.load(settings.AgentSettings, os.environ)).name)"
    )
    done = subprocess.run(
        ["faketime", "-f", ahead, sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], "KRB5_CONFIG": str(configuration), **settings},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if well:
        assert done.stdout.strip() == REALM, done.stderr
    else:
        assert "directory-credentials" in done.stderr
        assert "Clock skew too great" in done.stderr


def refused(controller: DomainController, keytab: Path, user: str) -> SyncError:
    with pytest.raises(PermanentError) as caught:
        logon(controller, keytab, user=user)
    assert caught.value.code is ErrorCode.DIRECTORY_CREDENTIALS
    return caught.value
