"""Two real domain controllers that replicate: one is killed, one goes back in time, and nobody is missed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sync.adapters.active_directory import Access, ActiveDirectory
from sync.core.person import Person, Values
from tests.adapters.directory_contract import FIRST, LONG, SECOND, Follower
from tests.lab import require, samba_pair
from tests.lab.administrator import Account, Administrator
from tests.lab.samba import DomainController
from tests.lab.samba_pair import Pair
from tests.lab.setup import samba

pytestmark = pytest.mark.lab

PASSWORD = "Agent-Passw0rd!1"
THIRD = b"\x30\x05third"


@dataclass(frozen=True, slots=True)
class Stage:
    """The pair, the agent's account, and whose certificates are changed; both controllers know all of it."""

    pair: Pair
    agent: str
    unit: str
    anna: Account
    ca_file: Path

    def open(self, *controllers: DomainController) -> ActiveDirectory:
        hosts = tuple(controller.address for controller in controllers)
        return ActiveDirectory(Access(hosts=hosts, user=self.agent, password=PASSWORD, ca_file=self.ca_file))

    def change(self, controller: DomainController, *values: bytes) -> None:
        with Administrator.of(controller) as administrator:
            administrator.replace(self.anna, {"userCertificate": values})

    def add(self, controller: DomainController, name: str) -> bytes:
        with Administrator.of(controller) as administrator:
            return administrator.create_person(name, unit=self.unit, userCertificate=[FIRST]).guid


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    require("samba", samba.missing())
    folder = tmp_path_factory.mktemp("pair")
    with samba_pair.start(folder) as pair:
        with Administrator.of(pair.first) as administrator:
            unit = administrator.create_unit("Staff")
            agent = administrator.create_agent("agent", PASSWORD, unit=unit)
            anna = administrator.create_person("anna", unit=unit, userCertificate=[FIRST])
        pair.replicate(source=pair.first, target=pair.second)
        ca_file = folder / "both.pem"
        ca_file.write_bytes(b"".join(each.ca_file.read_bytes() for each in (pair.first, pair.second)))
        yield Stage(pair, agent, unit, anna, ca_file)


def living(follower: Follower) -> dict[bytes, Person]:
    return {guid: person for guid, person in follower.people.items() if not person.deleted}


def test_a_controller_is_killed_during_changes(stage: Stage) -> None:
    """The other one is read whole once; coming back to the first costs only what changed."""
    pair, anna = stage.pair, stage.anna.guid
    with contextlib.closing(stage.open(pair.first, pair.second)) as directory:
        (follower := Follower()).until_quiet(directory)
        stage.change(pair.first, SECOND)
        pair.replicate(source=pair.first, target=pair.second)
        pair.first.kill()
        assert directory.wait(LONG)
        assert follower.follow(directory)[-1].complete
        assert follower.people[anna].values == Values.of([SECOND])
        stage.change(pair.second, THIRD)
        added = stage.add(pair.second, "bert")
        assert not any(page.full for page in follower.follow(directory))
        assert follower.people[anna].values == Values.of([THIRD])
        assert follower.here(added)
        pair.first.run()
        pair.replicate(source=pair.second, target=pair.first)
        directory.close()  # as after a restart: the preferred controller is asked first again
        with contextlib.closing(stage.open(pair.first)) as there:
            pages = follower.follow(there)
            assert {person.anchor.object_guid for page in pages for person in page.people} >= {anna, added}
            assert not any(page.full for page in pages)
            (everybody := Follower()).follow(there)
        assert living(follower) == living(everybody)


def test_a_controller_goes_back_in_time(stage: Stage, tmp_path: Path) -> None:
    """A USN rollback: what it forgot, and its partner may keep for ever, is noticed by a full import."""
    second = stage.pair.second
    with contextlib.closing(stage.open(second)) as directory:
        follower = Follower()
        follower.until_quiet(directory)
        second.stop()
        _copy(second.directory / "private", tmp_path / "saved")
        second.run()
        stage.change(second, FIRST, SECOND, THIRD)
        forgotten = stage.add(second, "carl")
        follower.follow(directory)
        assert follower.here(forgotten)
        second.stop()
        _copy(tmp_path / "saved", second.directory / "private")
        second.run()
        assert follower.follow(directory)[-1].complete
        assert follower.here(forgotten) is None
        (everybody := Follower()).follow(directory)
        assert living(follower) == living(everybody)
        stage.pair.replicate(source=stage.pair.first, target=second)
        follower.until_quiet(directory)
        everybody.follow(directory)
        assert living(follower) == living(everybody)


def _copy(source: Path, target: Path) -> None:
    def sockets(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if (Path(folder) / name).is_socket()]

    shutil.copytree(source, target, ignore=sockets, dirs_exist_ok=True)
