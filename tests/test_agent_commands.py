"""`smime-sync agent`: what an administrator can ask without a domain controller, and what systemd is told."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sync.adapters.agent_state import StateFile
from sync.adapters.embedded import Database, EmbeddedBlobs, EmbeddedQueue
from sync.adapters.service_manager import ServiceManager
from sync.agent import Agent
from sync.core.identity import SourceAnchor
from sync.core.person import Person
from sync.errors import ErrorCode, PermanentError
from sync.examination import examine
from sync.own_certificate import Expiry
from sync.ports import Page, Seen, nobody
from sync.signature import Signer, Verifier
from tests.office import person
from tests.test_cli import call

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "password").write_text("secret")
    return {
        "SMIME_SYNC_STORAGE": "UseDevelopmentStorage=true",
        "SMIME_SYNC_STATE_FILE": str(tmp_path / "agent.sqlite"),
        "SMIME_SYNC_LDAP_HOSTS": "127.0.0.1",
        "SMIME_SYNC_LDAP_USER": "agent@corp.example",
        "SMIME_SYNC_LDAP_PASSWORD_FILE": str(tmp_path / "password"),
    }


@dataclass
class There:
    """A directory in which `people` are."""

    people: tuple[Person, ...] = ()
    error: PermanentError | None = None
    name: str = "corp.example"
    skew: timedelta = timedelta(0)

    def changes(self, checkpoint: bytes | None, seen: Seen = nobody) -> Iterator[Page]:
        if self.error:
            raise self.error
        yield Page(people=self.people, checkpoint=b"1", full=True, complete=True)

    def find(self, guids: Sequence[bytes]) -> Sequence[Person]:
        return [Person(anchor=SourceAnchor(guid), deleted=True) for guid in guids]

    def anchored(self, consistency_guids: Sequence[bytes]) -> Sequence[Person]:
        return [each for each in self.people if each.anchor.consistency_guid in consistency_guids]

    def clock(self) -> datetime:
        return NOW + self.skew

    def wait(self, timeout: timedelta) -> bool:
        return True

    def close(self) -> None:
        return


def agent(state: StateFile, directory: There) -> Agent:
    return Agent(directory=directory, state=state, queue=EmbeddedQueue(Database(None, lambda: NOW)), now=lambda: NOW)


@pytest.fixture
def state() -> StateFile:
    return StateFile(None, lambda: NOW)


def test_status_of_a_new_agent_is_well(settings: dict[str, str]) -> None:
    """Exit 0, for people and for machines."""
    done = call("agent", "status", "--json", **settings)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["waiting"] == 0
    assert "nextEvent" in call("agent", "status", **settings).stdout


def test_what_is_held_is_shown_and_released_only_with_apply(settings: dict[str, str]) -> None:
    """Exit 1 of status until somebody answered."""
    state = StateFile(Path(settings["SMIME_SYNC_STATE_FILE"]), lambda: NOW)
    everybody = tuple(person(f"p{n}", b"value") for n in range(5))
    agent(state, There(everybody)).once()
    assert agent(state, There()).once().held == 5
    status = call("agent", "status", "--json", **settings)
    assert (status.returncode, json.loads(status.stdout)["held"]) == (1, 5)
    dry = call("agent", "release", "--json", **settings)
    assert json.loads(dry.stdout)["answered"] == 0
    assert set(json.loads(dry.stdout)["held"]) == {each.anchor.immutable_id for each in everybody}
    assert "5 of 5 held (dry run)" in call("agent", "release", **settings).stdout
    done = call("agent", "release", "--apply", "--json", **settings)
    assert json.loads(done.stdout)["answered"] == 5
    assert call("agent", "status", **settings).returncode == 0
    assert state.condition().waiting == 5


def test_a_full_import_is_dry_unless_asked(settings: dict[str, str]) -> None:
    """No domain controller is spoken to."""
    done = call("agent", "full-import", "--json", **settings)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["applied"] is False


def test_a_key_is_made_once_and_is_the_accounts_own(tmp_path: Path) -> None:
    """Its public half is what the function takes; a key that is there is never overwritten."""
    path = tmp_path / "agent.pem"
    done = call("agent", "key", path)
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    signer = Signer.load(path.read_bytes())
    Verifier.load(done.stdout.encode()).verify(b"content", signer.sign(b"content"))
    again = call("agent", "key", path)
    assert again.returncode == 2
    assert "file-unreadable" in again.stderr
    assert Signer.load(path.read_bytes()).id == signer.id


def lines(directory: There) -> dict[str, tuple[bool | None, str]]:
    checked = examine(
        agent(StateFile(None, lambda: NOW), directory),
        signing=lambda: "key",
        queue=lambda: 0,
        work=EmbeddedBlobs(Database(None, lambda: NOW)),
        certificates=[
            Expiry(name="a good certificate", at=NOW + timedelta(days=31)),
            Expiry(name="an old certificate", at=NOW + timedelta(days=29)),
        ],
    )
    return {line.part: (line.ok, line.hint) for line in checked}


def test_check_tells_each_part() -> None:
    """All well, and what is not set is said as such."""
    found = {part: ok for part, (ok, _) in lines(There((person("a"),))).items()}
    assert found == {
        "state": True,
        "bind and rights": True,
        "DirSync and read": True,
        "notification": True,
        "clock": True,
        "a good certificate": True,
        "an old certificate": False,
        "queue": True,
        "signing key": True,
        "heartbeat and census": True,
        "large events": None,
        "lease": None,
        "canary": None,
        "request queue": None,
    }


def test_check_goes_on_after_what_fails_and_says_what_to_do() -> None:
    """A refused DirSync and a clock six minutes off are two lines, each with a hint."""
    refused = PermanentError(ErrorCode.DIRECTORY_RIGHTS, "no")
    found = lines(There(error=refused, skew=timedelta(minutes=-6)))
    assert found["DirSync and read"] == (False, refused.hint)
    assert found["clock"][0] is False
    assert found["clock"][1]
    assert found["queue"][0] is True


def test_systemd_hears_of_start_life_and_stop(tmp_path: Path) -> None:
    """sd_notify(3); where nobody listens nothing happens."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        manager = ServiceManager(path)
        manager.ready()
        manager.alive("reads")
        manager.stopping()
        said = [listener.recv(100) for _ in range(3)]
    assert said == [b"READY=1", b"WATCHDOG=1\nSTATUS=reads", b"STOPPING=1"]
    for address in (None, "", str(tmp_path / "nobody")):
        ServiceManager(address).ready()


def test_the_watchdog_is_fed_while_the_cloud_is_away(state: StateFile) -> None:
    """An agent that waits for the cloud is well, and must not be killed for it."""
    fed: list[str] = []
    stop: list[bool] = []

    def pause(_: timedelta) -> None:
        stop.append(True)

    broken = agent(state, There(error=PermanentError(ErrorCode.QUEUE_REFUSED, "no")))
    broken.run(stopped=lambda: bool(stop), pause=pause, alive=fed.append)
    assert fed
    assert state.condition().notes["last-error"] == "queue-refused: no"
