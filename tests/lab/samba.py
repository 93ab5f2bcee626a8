"""A real Active Directory domain controller: Samba's, as plain processes on a loopback address of its own.

    with DomainController.start(directory) as controller:
        controller.host, controller.ca_file, controller.base, ...

The domain is provisioned once and kept as a snapshot under build/lab; each controller runs on its own copy, with its
own test CA, on its own 127.x.y.z (a domain controller's ports are fixed), so that several run side by side. Its
processes form one group, which is ended on leaving the block, and by the kernel when the test run is killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar, Final, Self

from tests.lab import BUILD

REALM: Final = "corp.example"
DOMAIN: Final = "CORP"
NAME: Final = "dc1"
PASSWORD: Final = "Lab-Passw0rd!23"
LDAPS_PORT: Final = 636
SYSTEM_PYTHON: Final = "/usr/bin/python3"
PROVISION: Final = Path(__file__).with_name("samba_provision.py")
FOLDERS: Final = ("lock", "state", "cache", "run/ncalrpc", "run/winbindd", "bind-dns", "private/tls")

# Only what an LDAP client needs. One LDAP worker: a write then wakes a notification search at once, where several
# workers learn of one another's writes on a 5 s timer. No fsync: a test domain is worth no disk's time.
CONFIGURATION: Final = """\
[global]
    netbios name = {netbios}
    realm = {realm}
    workgroup = {domain}
    server role = active directory domain controller
    server services = {services}
    prefork children:ldap = 1
    ldb:nosync = true
    interfaces = {address}/8
    bind interfaces only = yes
    private dir = {directory}/private
    lock directory = {directory}/lock
    state directory = {directory}/state
    cache directory = {directory}/cache
    pid directory = {directory}/run
    ncalrpc dir = {directory}/run/ncalrpc
    winbindd socket directory = {directory}/run/winbindd
    binddns dir = {directory}/bind-dns
    log file = {directory}/log.samba
    logging = file
    panic action =
    tls enabled = yes
    tls keyfile = {directory}/private/tls/key.pem
    tls certfile = {directory}/private/tls/cert.pem
    tls cafile = {directory}/private/tls/ca.pem
    ldap server require strong auth = {strong_auth}
"""

KERBEROS: Final = """\
[libdefaults]
    default_realm = {realm}
    dns_lookup_realm = false
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
[realms]
    {realm} = {{
        kdc = {address}
    }}
[domain_realm]
    .{domain} = {realm}
    {domain} = {realm}
"""


class LabError(Exception):
    """A part of the lab did not come up; the message ends with what it said last."""


@dataclass(slots=True, kw_only=True)
class DomainController:
    """One running controller of the domain corp.example.

    With `hosts`, a file in the form of /etc/hosts that it sees in the place of that, it also replicates.
    """

    directory: Path
    address: str
    name: str = NAME
    hosts: Path | None = None
    strong_auth: str = "yes"
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    base: ClassVar[str] = "DC=corp,DC=example"
    administrator: ClassVar[str] = f"Administrator@{REALM}"
    password: ClassVar[str] = PASSWORD

    @property
    def fqdn(self) -> str:
        """Its DNS name."""
        return f"{self.name}.{REALM}"

    @property
    def ca_file(self) -> Path:
        """The test CA that signed the controller's certificate; its names are `fqdn` and `address`."""
        return self.directory / "private/tls/ca.pem"

    @classmethod
    @contextlib.contextmanager
    def start(
        cls, directory: Path, *, address: str | None = None, hosts: Path | None = None, strong_auth: str = "yes"
    ) -> Iterator[Self]:
        """Run a fresh controller in the empty folder `directory`, on `address` or a free one, until the block ends."""
        controller = cls(directory=directory, address=address or free_address(), hosts=hosts, strong_auth=strong_auth)
        _copy(snapshot(), directory)
        for folder in FOLDERS:
            (directory / folder).mkdir(parents=True, exist_ok=True)
        controller.configure()
        try:
            controller.run()
            yield controller
        finally:
            controller.stop()

    def run(self, *, timeout: float = 60, verify: bool = True) -> None:
        """Start the processes and come back when LDAPS answers; also after `kill` or `stop`.

        Without `verify` an answer is enough, whatever its certificate is worth.
        """
        for stale in (self.directory / "run").glob("*.pid"):
            stale.unlink()
        with (self.directory / "samba.out").open("ab") as output:
            # setpriv: when this Python dies, however it dies, the kernel ends the controller too.
            self._process = subprocess.Popen(
                (
                    *seeing(self.hosts),
                    *("setpriv", "--pdeathsig", "TERM"),
                    *("samba", "-F", "--no-process-group", "-s", str(self.smb_conf)),
                ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "KRB5_CONFIG": str(self.krb5_conf)},
            )
        deadline = time.monotonic() + timeout
        while not (self._answers() if verify else self._listens()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self._last_words()
                self.kill()
                raise LabError(f"the domain controller on {self.address} did not come up:\n{said}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the processes in good order, or after 5 s in bad."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)
        self.kill()

    def kill(self) -> None:
        """End the processes as a power cut would."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        while self._listens():  # the last of the group may need a moment to die
            time.sleep(0.01)

    @property
    def smb_conf(self) -> Path:
        """Its configuration."""
        return self.directory / "etc/smb.conf"

    @property
    def krb5_conf(self) -> Path:
        """What tells Kerberos where the domain's keys are handed out: here."""
        return self.directory / "etc/krb5.conf"

    def configure(self) -> None:
        """Write its configuration, with a certificate of a CA of its own."""
        self.smb_conf.write_text(
            CONFIGURATION.format(
                netbios=self.name.upper(),
                realm=REALM,
                domain=DOMAIN,
                address=self.address,
                directory=self.directory,
                strong_auth=self.strong_auth,
                services="ldap, cldap, kdc, rpc, drepl" if self.hosts else "ldap",
            ),
            encoding="ascii",
        )
        self.krb5_conf.write_text(KERBEROS.format(realm=REALM.upper(), domain=REALM, address=self.address))
        self.issue_certificate()

    def issue_certificate(self, *, expired: bool = False) -> None:
        """Give it a new one, of a new CA; it counts when the processes start."""
        import trustme

        authority = trustme.CA(organization_name="smime-sync lab")
        until = datetime(2020, 1, 1, tzinfo=UTC) if expired else None
        certificate = authority.issue_cert(
            self.fqdn, self.address, not_before=until and until - timedelta(days=1), not_after=until
        )
        authority.cert_pem.write_to_path(self.ca_file)
        folder = self.ca_file.parent
        certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        key = folder / "key.pem"
        key.touch(mode=0o600)  # Samba refuses a key that others may read
        certificate.private_key_pem.write_to_path(key)

    def _answers(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        try:
            with (
                socket.create_connection((self.address, LDAPS_PORT), timeout=5) as plain,
                context.wrap_socket(plain, server_hostname=self.fqdn),
            ):
                return True
        except OSError:
            return False

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.address, LDAPS_PORT)) == 0

    def _last_words(self) -> str:
        logs = (self.directory / "samba.out", *sorted(self.directory.glob("log.*")))
        return "\n".join("\n".join(log.read_text(errors="replace").splitlines()[-20:]) for log in logs if log.exists())


def seeing(hosts: Path | None) -> tuple[str, ...]:
    """What stands before a command so that it sees `hosts` in the place of /etc/hosts, in a mount namespace."""
    if hosts is None:
        return ()
    return ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts))


def snapshot() -> Path:
    """The folder of a provisioned domain, made on first use (5 to 10 s) and kept for this version of Samba."""
    version = subprocess.run(("samba", "--version"), capture_output=True, text=True, check=True).stdout
    recipe = hashlib.sha256("\n".join((version, REALM, DOMAIN, NAME, PASSWORD)).encode() + PROVISION.read_bytes())
    kept = BUILD / f"samba-{recipe.hexdigest()[:12]}"
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "samba.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test run may be making the same one
        if not kept.exists():
            _provision(kept)
    return kept


def _provision(kept: Path) -> None:
    unfinished = kept.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    done = subprocess.run(
        (
            *(
                SYSTEM_PYTHON,
                "-I",
                str(PROVISION),
                f"--realm={REALM.upper()}",
                f"--domain={DOMAIN}",
                f"--host-name={NAME}",
            ),
            *("--server-role=dc", "--dns-backend=NONE", "--backend-store=mdb", "--backend-store-size=2Gb"),
            *(f"--adminpass={PASSWORD}", f"--targetdir={unfinished}", "--host-ip=127.0.0.1"),
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise LabError("provisioning the domain failed:\n" + "\n".join(done.stdout.splitlines()[-20:]))
    unfinished.rename(kept)


def free_address() -> str:
    """A loopback address on which nobody listens to a domain controller's ports."""
    while True:
        address = f"127.{random.randint(64, 254)}.{random.randint(0, 254)}.{random.randint(1, 254)}"
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((address, LDAPS_PORT))
            return address


def _copy(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(("cp", "--archive", "--sparse=always", f"{source}/.", str(target)), check=True)
