"""Two domain controllers of one domain that replicate, each on a loopback address of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from tests.lab.administrator import Account, Administrator
from tests.lab.samba import (
    DOMAIN,
    FOLDERS,
    PASSWORD,
    REALM,
    SYSTEM_PYTHON,
    DomainController,
    LabError,
    free_address,
    seeing,
)

JOIN: Final = Path(__file__).with_name("samba_join.py")
SECOND: Final = "dc2"
REPLICATION: Final = "E3514235-4B06-11D1-AB04-00C04FC2DCD2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """`first` was provisioned, `second` joined it."""

    first: DomainController
    second: DomainController

    def replicate(self, *, source: DomainController, target: DomainController) -> None:
        """Have `target` fetch what `source` has, and come back when it did."""
        _run(
            target,
            *("/usr/bin/samba-tool", "drs", "replicate", target.fqdn, source.fqdn, target.base),
            *(f"-U{DOMAIN}/Administrator%{PASSWORD}", f"--configfile={target.smb_conf}"),
        )


@contextlib.contextmanager
def start(folder: Path) -> Iterator[Pair]:
    """Run both until the block ends; the second joins in about 4 s."""
    addresses = free_address(), free_address()
    names = (f"dc1.{REALM} dc1 {REALM}", f"{SECOND}.{REALM} {SECOND}")
    hosts = folder / "hosts"
    lines = ["127.0.0.1 localhost", *(f"{address} {name}" for address, name in zip(addresses, names, strict=True))]
    hosts.write_text("\n".join(lines) + "\n")
    with DomainController.start(folder / "dc1", address=addresses[0], hosts=hosts) as first:
        second = DomainController(directory=folder / SECOND, address=addresses[1], name=SECOND, hosts=hosts)
        _let_partners_log_on(first)  # before the join, which copies it
        _run(
            first,
            *(SYSTEM_PYTHON, "-I", str(JOIN), REALM, "DC", f"--server={first.fqdn}"),
            *(f"-U{DOMAIN}/Administrator%{PASSWORD}", f"--targetdir={second.directory}"),
            *("--dns-backend=NONE", "--backend-store=mdb", "--backend-store-size=2Gb"),
            *(f"--option=netbios name={SECOND.upper()}", f"--option=interfaces={second.address}/8"),
        )
        for part in FOLDERS:
            (second.directory / part).mkdir(parents=True, exist_ok=True)
        second.configure()
        _name_databases(hosts, first)
        try:
            second.run()
            yield Pair(first=first, second=second)
        finally:
            second.stop()


def _databases(first: DomainController) -> dict[str, UUID]:
    """Each controller's NTDS settings, whose objectGUID its partners know it by."""
    with Administrator.of(first) as administrator:
        sites = f"CN=Sites,CN=Configuration,{first.base}"
        found = administrator.values(sites, "(objectClass=nTDSDSA)", "objectGUID")
    return {dn.split(",")[1].partition("=")[2].lower(): UUID(bytes_le=guid) for dn, guid in found.items()}


def _let_partners_log_on(first: DomainController) -> None:
    """What samba_dnsupdate would add: the name under which a partner asks for a ticket (MS-DRSR 2.2.4.2)."""
    guid = _databases(first)[first.name]
    account = Account(dn=f"CN={first.name.upper()},OU=Domain Controllers,{first.base}", guid=b"")
    with Administrator.of(first) as administrator:
        administrator.add_value(account, "servicePrincipalName", f"{REPLICATION}/{guid}/{REALM}")


def _name_databases(hosts: Path, first: DomainController) -> None:
    """Partners look for each other as <GUID>._msdcs.<forest> (MS-ADTS 6.1.4.5), and no DNS runs here."""
    addresses = {line.split()[1]: line.split()[0] for line in hosts.read_text().splitlines()}
    with hosts.open("a") as file:
        for name, guid in _databases(first).items():
            file.write(f"{addresses[f'{name}.{REALM}']} {guid}._msdcs.{REALM}\n")


def _run(controller: DomainController, *command: str) -> str:
    done = subprocess.run(
        (*seeing(controller.hosts), *command),
        env={**os.environ, "KRB5_CONFIG": str(controller.krb5_conf)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"{command[:3]} failed:\n" + "\n".join(done.stdout.splitlines()[-15:]))
    return done.stdout
