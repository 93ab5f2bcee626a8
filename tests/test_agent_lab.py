"""The agent's own process against a Samba domain controller and Azurite: examined, then killed at random instants."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from azure.storage.blob import ContainerClient

from sync import census, heartbeat
from sync.adapters.active_directory import Access, ActiveDirectory, Scope
from sync.adapters.agent_state import StateFile
from sync.adapters.storage_queue import StorageQueue
from sync.agent import Agent, Round
from sync.core.event import Event
from sync.core.identity import SourceAnchor
from sync.core.person import Attribute, Values
from sync.opening import Opener
from sync.resend import Asking
from sync.settings import AgentSettings, load
from sync.signature import Signer, Verifier
from sync.wiring import signing
from tests.lab import require
from tests.lab.administrator import Account, Administrator
from tests.lab.azurite import Azurite
from tests.lab.samba import DomainController
from tests.test_cli import call

pytestmark = pytest.mark.lab

KILLS = int(os.environ.get("SMIME_SYNC_DRILL", "2"))
CHANGES_A_KILL = 10
PEOPLE = 15
ROOT = Path(__file__).parents[1]
T = TypeVar("T")
CERTIFICATE = Attribute.USER_CERTIFICATE.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A directory's part, a queue, and an agent's settings for both, with everything set that can be."""

    name: str
    administrator: Administrator
    unit: str
    queue: StorageQueue
    settings: dict[str, str]
    opening: Opener

    def sent(self) -> Iterator[Event]:
        """All that lies on the queue, verified and taken away."""
        while messages := self.queue.receive(32, timedelta(minutes=1)):
            for message in messages:
                self.queue.delete(message)
                yield self.opening(message.body)


@pytest.fixture
def site(
    azurite: Azurite, domain_controller: DomainController, administrator: Administrator, tmp_path: Path
) -> Iterator[Site]:
    name = f"drill-{uuid.uuid4().hex[:8]}"
    unit = administrator.create_unit(name)
    (tmp_path / "password").write_text("The-agents-0wn-password")
    user = administrator.create_agent(f"a{name[-8:]}", "The-agents-0wn-password", unit=unit)
    signer = Signer.generate()
    (tmp_path / "agent.pem").write_bytes(signer.private_pem())
    with ContainerClient.from_connection_string(azurite.connection_string, name) as container:
        container.create_container()
    queues = [StorageQueue.from_connection_string(azurite.connection_string, each) for each in (name, f"{name}-asked")]
    for queue in queues:
        queue.create()
    with closing(queues[0]), closing(queues[1]):
        yield Site(
            name=name,
            administrator=administrator,
            unit=unit,
            queue=queues[0],
            opening=Opener(verifier=Verifier.load(signer.public_pem()), required=True),
            settings={
                "SMIME_SYNC_STORAGE": azurite.connection_string,
                "SMIME_SYNC_QUEUE": name,
                "SMIME_SYNC_REQUESTS_QUEUE": f"{name}-asked",
                "SMIME_SYNC_CLAIMS_CONTAINER": name,
                "SMIME_SYNC_WORK_CONTAINER": name,
                "SMIME_SYNC_SIGNING_KEY_FILE": str(tmp_path / "agent.pem"),
                "SMIME_SYNC_STATE_FILE": str(tmp_path / "agent.sqlite"),
                "SMIME_SYNC_LDAP_HOSTS": domain_controller.address,
                "SMIME_SYNC_LDAP_SERVER_NAME": domain_controller.fqdn,
                "SMIME_SYNC_LDAP_USER": user,
                "SMIME_SYNC_LDAP_PASSWORD_FILE": str(tmp_path / "password"),
                "SMIME_SYNC_LDAP_CA_FILE": str(domain_controller.ca_file),
                "SMIME_SYNC_LDAP_BASE": unit,
                "SMIME_SYNC_GUARD_PEOPLE": "100000",
                "SMIME_SYNC_GUARD_PERCENT": "100",
                "SMIME_SYNC_POLL_SECONDS": "1",
            },
        )


@contextmanager
def running(site: Site) -> Iterator[subprocess.Popen[bytes]]:
    """`smime-sync agent run`, killed with SIGKILL at the end of the block."""
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **site.settings}
    with subprocess.Popen(
        [sys.executable, "-m", "sync", "agent", "run"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_check_finds_all_well(site: Site) -> None:
    """A line for each part, and exit 0; a wrong password is one line that fails, with a hint, and the rest goes on."""
    done = call("agent", "check", **site.settings | {"SMIME_SYNC_LEASE_CONTAINER": site.settings["SMIME_SYNC_QUEUE"]})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fail" not in done.stdout
    (Path(site.settings["SMIME_SYNC_STATE_FILE"]).parent / "password").write_text("wrong")
    done = call("agent", "check", **site.settings)
    assert done.returncode == 1
    assert "directory-credentials" in done.stdout
    assert "messages wait" in done.stdout


def test_a_full_import_sends_differences_or_everybody(site: Site) -> None:
    """Through the command, against a real controller; status tells what was read."""
    site.administrator.create_person("a-full-import", unit=site.unit, **{CERTIFICATE: [b"value"]})
    sent = []
    for arguments in (["once"], ["full-import", "--apply"], ["full-import", "--everybody", "--apply"]):
        done = call("agent", *arguments, "--json", **site.settings)
        assert done.returncode == 0, done.stderr
        sent.append(json.loads(done.stdout)["sent"])
    assert sent[:2] == [1, 0]
    assert sent[2] == json.loads(done.stdout)["read"]
    status = json.loads(call("agent", "status", "--json", **site.settings).stdout)
    assert (status["withCertificates"], status["waiting"], status["lastError"]) == (1, 0, None)
    assert status["lastImport"] == sent[2]


def test_a_full_import_killed_in_the_middle_reads_only_the_rest(site: Site, tmp_path: Path) -> None:
    """Of 40 people in pages of 5, killed while the 20th is sent: the other 20 are read, and everybody was told of."""
    people = {
        site.administrator.create_person(f"import{number}", unit=site.unit, **{CERTIFICATE: [b"value"]}).guid
        for number in range(40)
    }
    config = load(AgentSettings, site.settings)
    access = Access(
        hosts=config.ldap_hosts,
        server_name=config.ldap_server_name,
        user=config.ldap_user or "",
        password="The-agents-0wn-password",
        ca_file=config.ldap_ca_file,
    )

    @dataclass
    class Killing:
        left: int

        def send(self, body: str, *, delay: timedelta = timedelta(0)) -> None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
            site.queue.send(body, delay=delay)

    def run(kill_at: int) -> Round:
        now = partial(datetime.now, UTC)
        state = StateFile(tmp_path / "import.sqlite", now)
        # Without the agent's own account, which lies somewhere among them.
        scope = Scope(base=site.unit, filter_=f"({CERTIFICATE}=*)")
        with closing(ActiveDirectory(access, scope, page_size=5)) as directory:
            queue = Killing(kill_at)
            return Agent(directory=directory, state=state, queue=queue, now=now, sign=signing(config)).once()

    with pytest.raises(KeyboardInterrupt):
        run(20)
    done = run(0)
    assert (done.before, done.read) == (20, 20)
    assert {event.person.anchor.object_guid for event in site.sent()} == people


def test_a_running_agent_tells_of_itself_and_of_everybody(site: Site) -> None:
    """A heartbeat and a signed census in the working container, and then who joins and leaves, when it is asked."""
    anna = site.administrator.create_person("anna-census", unit=site.unit, **{CERTIFICATE: [b"one"]})
    with running(site), closing(_container(site)) as container:
        beat = _awaited(lambda: _found(container, heartbeat.ROOT))
        assert json.loads(beat)["people"] == 1
        assert json.loads(beat)["clockSkewSeconds"] in {-1, 0, 1}
        manifest = census.manifest_from_json(_awaited(lambda: _found(container, census.ROOT)))
        (event,) = site.sent()
        assert manifest.signature is not None
        assert site.opening.verifier is not None
        site.opening.verifier.verify(manifest.signed_part(), manifest.signature)
        assert (manifest.source, manifest.watermark, manifest.people) == (event.source, event.watermark, 1)
        ((name, part),) = manifest.parts.items()
        content = container.download_blob(census.part_name(manifest, name)).readall()
        assert list(census.lines_of(content, part)) == [
            census.Line(event.person.anchor.immutable_id, event.person.state_hash)
        ]
        # Asked for both, it tells of the living as they are and of the stranger that there is nobody.
        asking = Asking(StorageQueue.from_connection_string(site.settings["SMIME_SYNC_STORAGE"], f"{site.name}-asked"))
        for guid in (anna.guid, uuid.uuid4().bytes):
            asking.ask(SourceAnchor(guid).immutable_id, event.source)
        told: list[Event] = []
        while len(told) < 2:
            told += _awaited(lambda: list(site.sent()))
        gone = {each.person.anchor.object_guid == anna.guid: each.person.deleted for each in told}
        assert gone == {True: False, False: True}


def _container(site: Site) -> ContainerClient:
    return ContainerClient.from_connection_string(site.settings["SMIME_SYNC_STORAGE"], site.name)


def _found(container: ContainerClient, prefix: str) -> bytes | None:
    names = [name for name in container.list_blob_names(name_starts_with=prefix) if name.endswith(".json")]
    return container.download_blob(names[0]).readall() if names else None


def _awaited(look: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + 90
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)
    return found


def test_of_two_agents_the_other_takes_over_and_late_events_of_the_first_lose(site: Site, tmp_path: Path) -> None:
    """Two whole processes on one lease. The active one is stopped, as a machine that hangs, and wakes too late."""
    first = replace(site, settings=site.settings | {"SMIME_SYNC_LEASE_CONTAINER": site.settings["SMIME_SYNC_QUEUE"]})
    second = replace(first, settings=first.settings | {"SMIME_SYNC_STATE_FILE": str(tmp_path / "second.sqlite")})
    told: list[Event] = []

    def told_of(guid: bytes, value: bytes) -> Event:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            told.extend(site.sent())
            for event in told:
                if event.person.anchor.object_guid == guid and event.person.values == Values.of([value]):
                    return event
            time.sleep(0.1)
        raise TimeoutError(f"nobody told of {value!r}: {[str(event.watermark) for event in told]}")

    with running(first) as active:
        alice = site.administrator.create_person("alice-of-two", unit=site.unit, **{CERTIFICATE: [b"one"]})
        before = told_of(alice.guid, b"one")
        with running(second):
            active.send_signal(signal.SIGSTOP)
            stopped = time.monotonic()
            site.administrator.replace(alice, {CERTIFICATE: [b"two"]})
            after = told_of(alice.guid, b"two")
            assert time.monotonic() - stopped < 60
            assert after.watermark.epoch > before.watermark.epoch
            active.send_signal(signal.SIGCONT)
            site.administrator.replace(alice, {CERTIFICATE: [b"three"]})
            last = told_of(alice.guid, b"three")
            assert last.watermark.epoch == after.watermark.epoch
            told.extend(site.sent())
    assert max(told, key=lambda event: event.watermark).person.values == Values.of([b"three"])


def test_a_full_disk_stops_the_reading_and_loses_nobody(site: Site, tmp_path: Path) -> None:
    """A real one, of a megabyte: the error says what to do, and after there is room the rest is read and sent."""
    disk = tmp_path / "small"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    mount = subprocess.run(command, capture_output=True, text=True, check=False)
    require("small disk", None if mount.returncode == 0 else f"it cannot be mounted: {mount.stderr.strip()}")
    try:
        settings = site.settings | {"SMIME_SYNC_STATE_FILE": str(disk / "agent.sqlite")}
        assert call("agent", "once", **settings).returncode == 0
        with contextlib.suppress(OSError), (disk / "somebody else's").open("wb", buffering=0) as ballast:
            for _ in range(1024):
                ballast.write(bytes(1024))
        people = [
            site.administrator.create_person(f"full{number}", unit=site.unit, **{CERTIFICATE: [os.urandom(8_000)]})
            for number in range(12)
        ]
        full = call("agent", "once", **settings)
        assert full.returncode == 75
        assert "state-full" in full.stderr
        (disk / "somebody else's").unlink()
        assert call("agent", "once", **settings).returncode == 0
        told = {event.person.anchor.object_guid for event in site.sent()}
        assert {person.guid for person in people} <= told
    finally:
        subprocess.run(["umount", disk], check=True)


def test_killed_at_random_instants_nobody_is_missing(site: Site) -> None:
    """The last event of each person on the queue, signed, is what the domain controller holds of them."""
    chance = random.Random(20260601)
    administrator = site.administrator
    accounts: dict[str, Account] = {}
    expected: dict[bytes, tuple[bytes, ...] | None] = {}
    last: dict[bytes, Event] = {}
    events = 0

    def change(number: int) -> None:
        name = f"p{chance.randrange(PEOPLE)}"
        value = b"value " + str(number).encode()
        account = accounts.get(name)
        if account is None:
            account = accounts[name] = administrator.create_person(
                f"{name}x{number}", unit=site.unit, **{CERTIFICATE: [value]}
            )
            expected[account.guid] = (value,)
        elif chance.random() < 0.15:
            administrator.delete(accounts.pop(name))
            expected[account.guid] = None
        else:
            values = () if chance.random() < 0.15 else (value,)
            administrator.replace(account, {CERTIFICATE: values})
            expected[account.guid] = values

    def collect() -> None:
        nonlocal events
        for event in site.sent():
            events += 1
            guid = event.person.anchor.object_guid
            if guid not in last or event.watermark >= last[guid].watermark:
                last[guid] = event

    def missing() -> list[bytes]:
        return [guid for guid, values in expected.items() if not _same(last.get(guid), values)]

    for kill in range(KILLS):
        with running(site):
            time.sleep(chance.random() * 2.5)  # from before its first line to in the midst of its work
            for step in range(CHANGES_A_KILL):
                change(kill * CHANGES_A_KILL + step)
                time.sleep(chance.random() * 0.02)
        collect()
    with running(site) as survivor:
        deadline = time.monotonic() + 120
        while missing():
            assert survivor.poll() is None
            assert time.monotonic() < deadline, f"missing: {missing()}"
            time.sleep(0.1)
            collect()
    sys.stdout.write(f"{KILLS} kills, {KILLS * CHANGES_A_KILL} changes, {events} events\n")


def _same(event: Event | None, values: tuple[bytes, ...] | None) -> bool:
    """Whoever came and went while nobody was looking need not have been told."""
    if values is None:
        return event is None or event.person.deleted
    if event is None:
        return not values
    return not event.person.deleted and event.person.values.user_certificate == values
