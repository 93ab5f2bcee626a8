"""`smime-sync reconcile`: what an administrator sees, and what the exit code says."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from sync import wiring
from sync.cli import app
from sync.core.path import TrustStore
from sync.core.run import Kind
from sync.errors import ErrorCode, TemporaryError
from tests.mill import Mill
from tests.office import Office, person


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Office:
    """Six people; the command works on their office."""
    office = Office()
    for number in range(6):
        office.mailbox(f"person{number}")
        office.process(person(f"person{number}", office.issue(f"person{number}", key="ec256")))
    monkeypatch.setattr(
        wiring,
        "cloud",
        lambda: SimpleNamespace(reconcile=office.reconciler.reconcile, reconciler=office.reconciler),
    )
    monkeypatch.setenv("COLUMNS", "200")
    return office


def asked(*options: str) -> Result:
    return CliRunner().invoke(app, ["reconcile", *options])


def test_nobody_differs(office: Office) -> None:
    """Exit 0, and what could not be seen is noted."""
    result = asked()
    assert result.exit_code == 0
    assert "6 people compared, 6 with certificates of ours; 0 differ" in result.output
    assert "no agent has told whom its directory knows" in result.output
    assert "nothing was sent (dry run)" in result.output


def test_a_person_who_differs_is_shown_with_values_and_reason(office: Office) -> None:
    """Dry: exit 1 and nothing sent; applied: sent."""
    mark = office.held("person3").fingerprints[0]
    office.mailbox("person3")
    result = asked()
    assert result.exit_code == 1
    (row,) = [line for line in result.output.splitlines() if person("person3").anchor.immutable_id in line]
    assert "drift" in row
    assert mark[:8] in row
    assert office.queue.count() == 0
    assert "their events were sent again" in asked("--apply").output
    assert office.queue.count() == 1


def test_one_person_at_once_also_while_a_run_is_at_work(office: Office) -> None:
    """Nobody who needs one person repaired has to wait for the night."""
    office.mailbox("person3")
    office.reconciler.runs.begin(Kind.FULL, apply=True)
    assert asked("--scope", "person3@corp.example", "--apply").exit_code == 1
    assert office.queue.count() == 1
    refused = asked().exception
    assert isinstance(refused, TemporaryError)
    assert refused.code is ErrorCode.RUN_ACTIVE


def test_guarded_ends_with_three_and_names_the_run(office: Office) -> None:
    """And just that run is approved by its name."""
    office.trust = TrustStore.of([Mill().root("Another Root", key="ec256").der])
    result = asked("--apply")
    assert result.exit_code == 3
    assert office.queue.count() == 0
    run = next(office.reconciler.runs.past()).id
    assert f"smime-sync reconcile --approve {run} --apply" in result.output
    assert asked("--approve", run, "--apply").exit_code == 1
    assert office.queue.count() == 6


def test_for_machines(office: Office) -> None:
    """Everything that is shown, and more."""
    office.mailbox("person3")
    told = json.loads(asked("--json").output)
    assert (told["examined"], told["holding"], told["losing"], told["applied"], told["guarded"]) == (
        6,
        6,
        0,
        False,
        None,
    )
    assert told["lost"] == {"unknown": 0, "different": 0, "gone": 0}
    (difference,) = told["differing"]
    assert difference["because"] == ["drift"]


def test_status_shows_the_run_at_work_and_the_last_ones(office: Office) -> None:
    """With phase and counts; for machines too."""
    assert "no run is at work" in asked("--status").output
    asked()
    run = office.reconciler.runs.begin(Kind.DUE, apply=True)
    shown = asked("--status").output
    assert f"at work: {run.id}" in shown
    assert "done" in shown
    told = json.loads(asked("--status", "--json").output)
    assert (told["current"]["id"], told["current"]["phase"]) == (run.id, "due")
    (past,) = told["past"]
    assert (past["phase"], past["counts"]["people"]) == ("done", 6)
