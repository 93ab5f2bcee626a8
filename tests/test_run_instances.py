"""Several instances, each a process, do the pieces of one run; one of them is killed in the midst of a piece."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sync import envelope, wiring
from sync.core.event import Cause, Event
from sync.core.identity import Watermark
from sync.core.record import Outcome, Record, Status
from sync.core.run import Phase, Run
from sync.errors import ErrorCode, TemporaryError
from sync.settings import CloudSettings, load
from tests.lab import ROOT
from tests.lab.account import Account, account
from tests.lab.azurite import Azurite
from tests.lab.tenant import Tenant
from tests.office import person

pytestmark = pytest.mark.lab
PEOPLE = 60
PATIENCE = 120.0
"""Seconds; only a failing test waits so long."""


@dataclass
class Site:
    """An account whose people differ, all of them, and its instances."""

    account: Account
    app: wiring.App
    told: Path
    instances: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> subprocess.Popen[bytes]:
        """One more instance; what it did is a line in a file of all."""
        with self.told.open("ab") as lines:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.lab.instance"],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], **self.account.settings},
                stdout=lines,
            )
        self.instances.append(process)
        return process

    @property
    def pieces(self) -> list[tuple[str, int]]:
        """The pieces that were done: run and number."""
        lines = [line.split() for line in self.told.read_text().splitlines() if line != "up"]
        return [(run, int(number)) for run, number, _ in lines]

    @property
    def run(self) -> Run:
        """The run at work, or the last one."""
        run = self.app.reconciler.runs.current()
        assert run is not None
        return run

    def until(self, true: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < end, f"{what}: {self.run}\n{self.told.read_text()}"
            time.sleep(0.01)


@pytest.fixture
def site(azurite: Azurite, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as running:
        tenant = running.enter_context(Tenant.start())
        made = running.enter_context(account(azurite, tenant, tmp_path))
        more = {"SMIME_SYNC_CHANGE_GUARD_PERCENT": "100", "SMIME_SYNC_RUN_PIECE_SECONDS": "1"}
        made = replace(made, settings={**made.settings, **more})
        site = Site(account=made, app=wiring.cloud_from(load(CloudSettings, made.settings)), told=tmp_path / "told")
        for number in range(PEOPLE):
            name = f"person{number}@corp.example"
            of, now = person(f"person{number}", made.issuing.issue(name, key="ec256")), datetime.now(UTC)
            mark = Watermark(1, number)
            event = Event(id=str(mark), source="urn:lab", time=now, watermark=mark, person=of)
            outcome = Outcome(status=Status.WRITTEN, at=now)
            record = Record(anchor=of.anchor.immutable_id, recipient=tenant.add_mailbox(name).id, outcome=outcome)
            site.app.reconciler.ledger.put(record.told(event, envelope.render(event)))
        yield site
        for process in site.instances:
            process.kill()
            process.wait()


def test_one_is_killed_in_a_piece_and_the_others_bring_the_run_to_its_end(site: Site) -> None:
    """Each piece is stored once, whoever did it and however often its message came; each person is sent once; and no
    other run begins meanwhile."""
    run = site.app.begin("full")
    assert run is not None
    killed_at = run
    while not killed_at.working:  # else the instance came to the end of its piece before it was killed
        first = site.start()
        site.until(lambda: site.run.pieces > 0 and site.run.working, "somebody is at a piece")
        first.kill()
        first.wait()
        killed_at = site.run
        assert killed_at.phase in {Phase.READ, Phase.COMPARE, Phase.EXAMINE}

    assert site.app.begin("due") is None
    with pytest.raises(TemporaryError) as caught:
        site.app.reconcile()
    assert caught.value.code is ErrorCode.RUN_ACTIVE

    for _ in range(2):
        site.start()
    for number in (0, killed_at.pieces, killed_at.pieces):
        site.account.runs.send(json.dumps({"type": "smime-sync.run.v1", "run": run.id, "piece": number}))
    site.until(lambda: site.run.phase.over, "the run is over")
    site.until(lambda: len(site.pieces) == site.run.pieces, "each piece was told of")

    done = site.run
    assert (done.id, done.phase, done.troubles) == (run.id, Phase.DONE, 0)
    assert sorted(site.pieces) == [(run.id, number) for number in range(1, done.pieces + 1)]
    assert (done.counts.examined, done.counts.differing, done.counts.sent) == (PEOPLE, PEOPLE, PEOPLE)
    sent = []
    while messages := site.account.queue.receive(32, timedelta(hours=1)):
        sent += [envelope.parse(message.body) for message in messages]
    assert sorted(event.watermark.sequence for event in sent) == list(range(PEOPLE))
    assert {event.cause for event in sent} == {Cause.RECONCILIATION}

    # Late: the run is over, and its messages begin nothing.
    site.account.runs.send(json.dumps({"type": "smime-sync.run.v1", "run": run.id, "piece": done.pieces}))
    site.until(lambda: site.account.runs.count() == 0, "the late message is gone")
    assert (site.run, len(site.pieces)) == (done, done.pieces)
