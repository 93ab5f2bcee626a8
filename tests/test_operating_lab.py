"""What an operator sees, on real parts: the agent's own process, and the command's own process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sync import canary, wiring
from sync.adapters.active_directory import Access, ActiveDirectoryCanary
from sync.adapters.agent_state import StateFile
from sync.core.identity import SourceAnchor
from sync.core.person import Values
from sync.errors import ErrorCode, PermanentError
from sync.overview import Health, Overview
from sync.ports import Sighting
from sync.settings import AgentSettings, CloudSettings, load
from tests.lab import ROOT, require, worker
from tests.lab.administrator import Account
from tests.lab.samba import DomainController
from tests.lab.setup import azurite
from tests.lab.site import CERTIFICATE, Site, start
from tests.mill import DAY
from tests.test_cli import call

pytestmark = pytest.mark.lab

PATIENCE = 90
"""Seconds until something must have happened, however busy the machine is."""


@pytest.fixture(scope="module")
def site(domain_controller: DomainController, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    require("azurite", azurite.missing())
    require("worker", worker.missing())
    with start(tmp_path_factory.mktemp("operated"), controller=domain_controller) as site:
        yield site


@contextmanager
def agent(environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`smime-sync agent run` as a process of its own, killed at the end of the block if it was not before."""
    with subprocess.Popen(
        [sys.executable, "-m", "sync", "agent", "run"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environment},
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def status(site: Site) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of `smime-sync status --json`, a process of its own."""
    done = call("status", "--json", **site.function_environment)
    assert done.returncode in set(Health), done.stderr
    return done.returncode, json.loads(done.stdout)


def awaited(site: Site, true: Callable[[Overview], bool]) -> None:
    """Look as `status` does, until it is so."""
    overseer = wiring.cloud_from(load(CloudSettings, site.function_environment)).overseer
    deadline = time.monotonic() + PATIENCE
    while not true(seen := overseer.look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)


def silent(concerns: Iterable[str]) -> list[str]:
    return [text for text in concerns if "is silent" in text]


def alive(seen: Overview) -> bool:
    return bool(seen.agents) and not silent(each.text for each in seen.concerns)


def test_a_killed_agent_is_seen_when_its_heartbeat_is_overdue(site: Site) -> None:
    """Alive while it beats each second; after SIGKILL critical, exit code 2; and well again when it is back."""
    environment = {**site.agent_environment, "SMIME_SYNC_HEARTBEAT_SECONDS": "1"}
    with agent(environment) as running:
        awaited(site, alive)
        running.send_signal(signal.SIGKILL)
        running.wait()
    awaited(site, lambda seen: not alive(seen))
    code, told = status(site)
    assert (code, told["health"]) == (2, "critical")
    (source,) = told["agents"]
    (text,) = silent(each["text"] for each in told["concerns"])
    assert text.startswith(f"the agent of {source} is silent for 0:0")
    with agent(environment):
        awaited(site, alive)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bird:
    """The canary of a test: an account with two certificates and a mailbox."""

    site: Site
    account: Account
    older: bytes
    newer: bytes

    @property
    def anchor(self) -> str:
        return SourceAnchor(self.account.guid).immutable_id

    @property
    def directory(self) -> Sighting:
        """As the agent sees it, with the agent's own account."""
        return ActiveDirectoryCanary([access(self.site)], self.anchor).look()

    @property
    def mailbox(self) -> Values:
        return self.site.held("canary")


def access(site: Site) -> Access:
    config = load(AgentSettings, site.agent_environment)
    assert config.ldap_password_file is not None
    return Access(
        hosts=config.ldap_hosts,
        server_name=config.ldap_server_name,
        user=str(config.ldap_user),
        password=config.ldap_password_file.read_text(),
        ca_file=config.ldap_ca_file,
    )


def hatch(site: Site, name: str) -> Bird:
    """A person with two certificates, whom nobody but an administrator may change."""
    older, newer = (site.issue(name, not_before=datetime.now(UTC) - days * DAY).der for days in (300, 3))
    account = site.administrator.create_person(
        name, unit=site.people, mail=f"{name}@corp.example", **{CERTIFICATE: [older, newer]}
    )
    return Bird(site=site, account=account, older=older, newer=newer)


@pytest.fixture(scope="module")
def bird(site: Site) -> Bird:
    """The canary: with a mailbox, and the right of the agent's account on it as infra/agent/README.md grants it."""
    site.tenant.add_mailbox("canary@corp.example")
    bird = hatch(site, "canary")
    site.administrator.allow_writing(site.agent_environment["SMIME_SYNC_LDAP_USER"], bird.account, CERTIFICATE)
    return bird


def test_without_the_right_the_canary_is_never_touched(site: Site) -> None:
    """Said by the controller itself, by the look before, and by `agent check`, whichever way the canary is named."""
    wild = hatch(site, "wild")
    person = ActiveDirectoryCanary([access(site)], "wild@corp.example")
    assert not person.look().writable
    with pytest.raises(PermanentError) as refused:
        person.take(wild.account.guid, wild.newer)
    assert refused.value.code is ErrorCode.CANARY_RIGHTS
    checked = call("agent", "check", "--json", **site.agent_environment, SMIME_SYNC_CANARY=wild.account.dn)
    assert checked.returncode == 1
    (line,) = [each for each in json.loads(checked.stdout) if not each["ok"] and each["ok"] is not None]
    assert (line["part"], line["said"].partition(":")[0]) == ("canary", "canary-rights")
    assert "infra/agent" in line["hint"]
    assert set(wild.directory.certificates) == {wild.older, wild.newer}


def test_the_canary_is_found_by_each_of_its_names(site: Site) -> None:
    """Both anchors, the UPN in any case, the DN: one person, and the anchor of their events."""
    own = b"GUID of its own!"
    account = site.administrator.create_person("finch", unit=site.people, **{"mS-DS-ConsistencyGuid": own})
    names = [
        SourceAnchor(b"", own).immutable_id,
        SourceAnchor(account.guid).immutable_id,
        "Finch@CORP.example",
        account.dn,
    ]
    seen = [ActiveDirectoryCanary([access(site)], name).look() for name in names]
    assert {each.anchor for each in seen} == {SourceAnchor(account.guid, own)}
    assert {each.certificates for each in seen} == {()}
    twin = site.administrator.create_person("twin", unit=site.people, **{"mS-DS-ConsistencyGuid": own})
    with pytest.raises(PermanentError) as refused:
        ActiveDirectoryCanary([access(site)], names[0]).look()
    assert refused.value.code is ErrorCode.CANARY_UNKNOWN
    assert "more than one" in refused.value.message
    site.administrator.delete(twin)


@pytest.mark.parametrize("who", ["nobody@corp.example", "CN=nobody,DC=corp,DC=example", "no name", "A" * 22 + "=="])
def test_who_is_not_found_is_nobody(site: Site, who: str) -> None:
    """With a code; what is no name at all is a mistake of the settings."""
    with pytest.raises(PermanentError) as refused:
        ActiveDirectoryCanary([access(site)], who).look()
    assert refused.value.code in {ErrorCode.CANARY_UNKNOWN, ErrorCode.SETTINGS_INVALID}


def test_the_right_is_on_that_one_object(site: Site, bird: Bird) -> None:
    """Granted as infra/agent/README.md says; of somebody else the controller still refuses it."""
    person = ActiveDirectoryCanary([access(site)], bird.anchor)
    assert person.look().writable
    somebody = site.administrator.create_person("somebody", unit=site.people, **{CERTIFICATE: [bird.older]})
    with pytest.raises(PermanentError) as refused:
        person.take(somebody.guid, bird.older)
    assert refused.value.code is ErrorCode.CANARY_RIGHTS
    for step in (person.put_back, person.take, person.take, person.put_back, person.put_back):
        step(bird.account.guid, bird.newer)
    assert set(bird.directory.certificates) == {bird.older, bird.newer}
    with pytest.raises(PermanentError) as unknown:
        person.put_back(b"nobody's GUID 16", bird.newer)
    assert unknown.value.code is ErrorCode.CANARY_UNKNOWN
    checked = call("agent", "check", "--json", **site.agent_environment, SMIME_SYNC_CANARY=bird.anchor)
    (line,) = [each for each in json.loads(checked.stdout) if each["part"] == "canary"]
    assert line["ok"], line
    assert bird.anchor in line["said"]


def test_the_canary_turns_through_to_the_tenant_and_status_tells_how_long_it_took(site: Site, bird: Bird) -> None:
    """Taken, killed, put back, at a stop put back too: the mailbox follows each time, and no guard says a word."""
    environment = {**site.agent_environment, "SMIME_SYNC_CANARY": bird.anchor, "SMIME_SYNC_HEARTBEAT_SECONDS": "1"}
    # On a machine that is busy with other tests a turn may take its time.
    watching = {"SMIME_SYNC_CANARY": bird.anchor, "SMIME_SYNC_CANARY_SECONDS": "3600"}
    app = wiring.cloud_from(load(CloudSettings, {**site.function_environment, **watching}))

    def deliver() -> None:
        """Hand what is visible to the function, in this process: the worker's settings know no canary."""
        for message in site.queue.receive(16, timedelta(minutes=10)):
            app.process(message)
            site.queue.delete(message)

    def arrives(*held: bytes) -> None:
        deadline = time.monotonic() + PATIENCE
        while bird.mailbox != Values.of(held):
            assert time.monotonic() < deadline, app.overseer.look()
            deliver()
            time.sleep(0.05)

    # Published to begin with; the first turn takes it away, and the agent is killed.
    with agent(environment):
        arrives(bird.older)
        assert bird.directory.certificates == (bird.older,)
    # Its next process knows what it took. It waits for its time: told that this was long ago, it does not.
    with closing(StateFile(Path(environment["SMIME_SYNC_STATE_FILE"]), lambda: datetime.now(UTC))) as memory:
        assert memory.noted(canary.TAKEN)
        memory.note({canary.CHANGED: (datetime.now(UTC) - timedelta(hours=1)).isoformat()})
    with agent(environment):
        arrives(bird.newer)
        assert set(bird.directory.certificates) == {bird.older, bird.newer}
    turns = app.overseer.look().canary
    assert turns is not None
    assert len(turns.turns) >= 2
    assert all(0 <= turn.seconds < PATIENCE for turn in turns.turns)
    # Stopped in order while it is away: it goes back before the process ends, and the change is told at the next start.
    with closing(StateFile(Path(environment["SMIME_SYNC_STATE_FILE"]), lambda: datetime.now(UTC))) as memory:
        memory.note({canary.CHANGED: (datetime.now(UTC) - timedelta(hours=1)).isoformat()})
    with agent(environment) as running:
        arrives(bird.older)
        running.send_signal(signal.SIGTERM)
        running.wait(timeout=PATIENCE)
    assert set(bird.directory.certificates) == {bird.older, bird.newer}
    assert app.losses.look(datetime.now(UTC)).recent == ()
    done = call("status", "--json", **{**site.function_environment, **watching})
    told = json.loads(done.stdout)["canary"]
    assert told["anchor"] == bird.anchor
    assert told["lastDay"]["writes"] == len(app.overseer.look().canary.turns)  # type: ignore[union-attr]
    assert told["withinLimit"] == 1
