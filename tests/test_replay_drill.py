"""Five hundred failed messages go back at a rate, the command is killed half-way and called again."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from sync import envelope
from sync.adapters.storage_queue import StorageQueue
from sync.adapters.table_ledger import TableFailures
from sync.core.person import Values
from sync.core.rate import Rate
from sync.core.record import Failure, Status
from sync.ports import EventQueue, Failures, Message, MessageSource
from sync.replayer import Choice
from tests.lab import ROOT
from tests.mill import DAY, NOW
from tests.office import Office, person
from tests.test_host import until

if TYPE_CHECKING:
    from tests.lab.azurite import Azurite

PEOPLE, EACH = 50, 10
FAST = Rate(per_second=1e6, at_once=1)
REASON = Choice(reason="tenant-unavailable")


@dataclass
class Killed:
    """Failures whose process is killed when the nth is removed: it was sent by then, and stays."""

    inner: Failures
    at: int
    removed: int = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def remove(self, failure_id: str) -> None:
        self.removed += 1
        if self.removed == self.at:
            raise KeyboardInterrupt
        self.inner.remove(failure_id)


class Queue(EventQueue, MessageSource):
    """Both sides of the change queue."""


@pytest.fixture(params=["embedded", pytest.param("azurite", marks=pytest.mark.lab)])
def stores(request: pytest.FixtureRequest, office: Office) -> Iterator[tuple[Failures, Queue]]:
    """The embedded ports, and Azure's."""
    if request.param == "embedded":
        yield office.failures, office.queue  # type: ignore[misc]
        return
    azurite: Azurite = request.getfixturevalue("azurite")
    name = uuid.uuid4().hex[:12]
    queue = StorageQueue.from_connection_string(azurite.connection_string, f"replay-{name}")
    failures = TableFailures.from_connection_string(azurite.connection_string, f"Failures{name}")
    with contextlib.closing(queue), contextlib.closing(failures):
        queue.create()
        failures.create()
        yield failures, queue  # type: ignore[misc]


@pytest.fixture
def office() -> Office:
    return Office()


def test_each_goes_back_once_and_none_undoes_a_newer_state(office: Office, stores: tuple[Failures, Queue]) -> None:
    """By reason: the one that failed for another stays. Each person's newest state wins, one came through meanwhile."""
    failures, queue = stores
    names = [f"person{number}" for number in range(PEOPLE)]
    certificates = {
        name: [office.issue(name, key="ec256", not_before=NOW - DAY * (EACH - k)) for k in range(EACH)]
        for name in names
    }
    sent = [office.event(person(name, certificates[name][nth])) for nth in range(EACH) for name in names]
    for number, body in enumerate(sent):
        failures.add(
            Failure(
                id=f"m{number}", at=NOW - timedelta(seconds=number), reason="tenant-unavailable", detail="", body=body
            )
        )
    failures.add(Failure(id="other", at=NOW, reason="event-not-json", detail="", body="garbage"))
    for name in names:
        office.mailbox(name)
    newer = office.issue(names[0])
    office.process(person(names[0], newer))
    replayer = replace(office.replayer, queue=queue)

    killed = replace(replayer, failures=cast("Failures", Killed(failures, 251)))
    with pytest.raises(KeyboardInterrupt):
        killed.replay(REASON, apply=True, rate=FAST)
    left = replace(replayer, failures=failures).replay(REASON, apply=True, rate=FAST)
    assert len(left.chosen) == PEOPLE * EACH - 250
    assert replace(replayer, failures=failures).replay(REASON, apply=True).chosen == ()

    arrived: list[Message] = []
    office.pass_time(timedelta(seconds=5))
    while len(arrived) < PEOPLE * EACH + 1:
        for message in queue.receive(32, timedelta(minutes=10)):
            arrived.append(message)
            queue.delete(message)
    events = [envelope.parse(message.body) for message in arrived]
    times = Counter(event.id for event in events)
    assert Counter(times.values()) == {1: PEOPLE * EACH - 1, 2: 1}, "only what was sent when it was killed goes twice"
    assert {event.replays for event in events} == {1}
    assert [failure.id for failure in failures.all()] == ["other"]
    outcomes = [office.receiver.process(message) for message in arrived]
    assert {outcome.status for outcome in outcomes} <= {Status.WRITTEN, Status.UNCHANGED, Status.SUPERSEDED}
    assert office.held(names[0]) == Values.of([newer.der])
    for name in names[1:]:
        assert office.held(name) == Values.of([certificates[name][-1].der])


@pytest.mark.lab
def test_the_command_is_killed_and_called_again(azurite: Azurite, office: Office, tmp_path: Path) -> None:
    """As an operator does it: `smime-sync replay`, dead half-way by kill -9, then once more."""
    name = uuid.uuid4().hex[:12]
    queue = StorageQueue.from_connection_string(azurite.connection_string, f"replay-{name}")
    failures = TableFailures.from_connection_string(azurite.connection_string, f"Failures{name}")
    (tmp_path / "anchors.pem").write_text(office.root.pem)
    environment = json.loads((ROOT / "local.settings.json.example").read_text("utf-8"))["Values"] | {
        "PATH": os.environ["PATH"],
        "SMIME_SYNC_STORAGE": azurite.connection_string,
        "SMIME_SYNC_QUEUE": f"replay-{name}",
        "SMIME_SYNC_FAILURES_TABLE": f"Failures{name}",
        "SMIME_SYNC_TRUST_ANCHORS": str(tmp_path / "anchors.pem"),
        "SMIME_SYNC_CREDENTIAL": "secret",
        "SMIME_SYNC_CLIENT_SECRET": "secret",
    }
    command = (sys.executable, "-m", "sync", "replay", "--reason", "tenant-unavailable", "--rate", "1000/s", "--apply")
    with contextlib.closing(queue), contextlib.closing(failures):
        queue.create()
        failures.create()
        for number in range(200):
            body = office.event(person(f"person{number}"))
            failures.add(Failure(id=f"m{number}", at=NOW, reason="tenant-unavailable", detail="", body=body))
        failures.add(Failure(id="other", at=NOW, reason="event-not-json", detail="", body="garbage"))

        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as process:
            until(lambda: queue.count() >= 60)
            process.kill()
        sent = queue.count()
        done = subprocess.run(
            (*command, "--json"), cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, text=True
        )
        again = len(json.loads(done.stdout)["chosen"])

        assert 60 <= sent < 200, "it was killed half-way"
        assert sent + again in {200, 201}, "what was sent and not yet removed goes twice"
        arrived: list[str] = []
        while len(arrived) < sent + again:
            for message in queue.receive(32, timedelta(minutes=10)):
                arrived.append(envelope.parse(message.body).id)
                queue.delete(message)
        assert len(set(arrived)) == 200
        assert [failure.id for failure in failures.all()] == ["other"]
