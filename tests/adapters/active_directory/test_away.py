"""No domain controller for five minutes: the agent waits, and misses nothing."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from pathlib import Path

import pytest

from sync import envelope
from sync.adapters.active_directory import Access, ActiveDirectory
from sync.adapters.agent_state import StateFile
from sync.agent import Agent
from tests.adapters.directory_contract import FIRST, SECOND
from tests.lab import require
from tests.lab.administrator import Administrator
from tests.lab.samba import DomainController
from tests.lab.setup import samba
from tests.mill import NOW

pytestmark = pytest.mark.lab


class Kept:
    """A queue that keeps what it was sent."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    def send(self, body: str, *, delay: timedelta = timedelta(0)) -> None:
        self.bodies.append(body)


def test_five_minutes_without_a_controller(tmp_path: Path) -> None:
    """The pauses are counted and not slept. The last change before and the first one after both arrive."""
    require(samba.PART, samba.missing())
    queue, paused = Kept(), timedelta(0)
    with DomainController.start(tmp_path / "dc") as controller:
        with Administrator.of(controller) as administrator:
            unit = administrator.create_unit("Staff")
            anna = administrator.create_person("anna", unit=unit, userCertificate=[FIRST])
        access = Access(
            hosts=(controller.address,),
            user=controller.administrator,
            password=controller.password,
            ca_file=controller.ca_file,
        )
        agent = Agent(
            directory=ActiveDirectory(access), state=StateFile(None, lambda: NOW), queue=queue, now=lambda: NOW
        )

        def pause(wait: timedelta) -> None:
            nonlocal paused
            before, paused = paused, paused + wait
            if before < timedelta(minutes=5) <= paused:
                controller.run()
                with Administrator.of(controller) as administrator:
                    administrator.add_value(anna, "userCertificate", SECOND)

        with contextlib.closing(agent.directory):
            agent.once()
            assert [held(body) for body in queue.bodies] == [(FIRST,)]
            controller.kill()
            agent.run(stopped=lambda: len(queue.bodies) > 1 or paused > timedelta(hours=1), pause=pause)
    assert paused >= timedelta(minutes=5)
    assert [set(held(body)) for body in queue.bodies] == [{FIRST}, {FIRST, SECOND}]


def held(body: str) -> tuple[bytes, ...]:
    return envelope.parse(body).person.values.user_certificate
