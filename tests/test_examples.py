"""The example company and the demo."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from examples import make
from tests.test_host import until

ROOT = Path(__file__).parents[1]


def demo(folder: Path) -> str:
    """Run the demo as `make demo` does, in a wide terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo", "--folder", str(folder)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "COLUMNS": "400", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def first(folder: Path) -> str:
    return demo(folder)


def row(output: str, name: str, *, wave: int = 1) -> str:
    """What the table of a wave says of a person."""
    table = output.split("change to write")[wave]
    lines = table.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith(f"│ {name} "))
    end = next(n for n, line in enumerate(lines[begin:], begin) if line.startswith(("├", "└")))
    return "\n".join(lines[begin:end])


def test_the_example_files_are_what_the_mill_makes() -> None:
    """`python -m examples.make` renews them."""
    for name, content in make.files().items():
        assert (make.FOLDER / name).read_text("ascii") == content, name


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("alice", ["written", "✓ userCertificate"]),
        ("bob", ["unchanged", "expired"]),
        ("carol", ["written", "✓ userCertificate"]),
        ("dave", ["unchanged", "eku-not-email"]),
        ("erin", ["unchanged", "eku-not-email"]),
        ("frank", ["unchanged", "mailbox-mismatch"]),
        ("grace", ["written", "16 × ✗", "✓ userCertificate"]),
        ("ivan", ["written", "→ userCertificate, userSMIMECertificate"]),
        ("judy", ["written", "→ userCertificate", "smime-bare-certificate"]),
        ("mike", ["written", "✓ userCertificate", "expired", "shadowing"]),
        ("niaj", ["unchanged", "chain-no-issuer"]),
        ("olivia", ["written", "value-unknown-format"]),
        ("rupert", ["managed-on-premises", "Entra Connect"]),
        ("sybil", ["written", "kept: 1 that somebody else published"]),
        ("trent", ["written"]),
        ("walter", ["unchanged", "sig-weak-hash"]),
        ("info", ["written"]),
        ("heidi", ["failed", "2 recipients answer"]),
        ("oscar", ["deferred", "no recipient answers"]),
        ("ursula", ["written", "expires-soon"]),
        ("yusuf", ["written", "expires-soon"]),
        ("zoe", ["written"]),
    ],
)
def test_the_first_wave_tells_of_each_person_what_and_why(first: str, name: str, told: list[str]) -> None:
    """Published or refused, with code and words."""
    for words in told:
        assert words in row(first, name)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("bob", ["written", "✓ userCertificate"]),
        ("niaj", ["written", "✓ userCertificate"]),
        ("victor", ["written", "withdrawn: 1"]),
        ("peggy", ["written", "withdrawn: 1"]),
        ("oscar", ["failed", "no recipient answers"]),
    ],
)
def test_the_second_wave_touches_those_who_changed(first: str, name: str, told: list[str]) -> None:
    """And nobody else."""
    for words in told:
        assert words in row(first, name, wave=2)
    assert "│ alice " not in first.split("change to write")[2]


def test_a_second_run_changes_nothing_and_says_so(folder: Path, first: str) -> None:
    """At the end of the first run, and when it is run again."""
    assert "Nothing to change" in first
    again = demo(folder)
    assert "0 events sent" in again
    assert "Nothing to change" in again
    assert "2 messages failed and can be replayed: no-recipient, recipient-ambiguous" in again
    assert "make console" in again, "nobody waits where no terminal is"


@pytest.fixture
def console(folder: Path, first: str) -> Iterator[str]:
    """Where the console of the demo's company is, until the end of the test."""
    with subprocess.Popen(
        [sys.executable, "-m", "examples.demo", "--console", "--folder", str(folder)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "COLUMNS": "400", "LANG": "C.UTF-8"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield next(found[0] for line in process.stdout if (found := re.findall(r"http://\S+/api/console", line)))
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()


def asked(console: str, route: str, **query: str) -> Any:
    """What a route says, as the console asks it."""
    answer = requests.get(console.replace("console", route), params=query, timeout=60)
    answer.raise_for_status()
    return answer.json()


def test_the_console_has_something_to_show_in_every_part(console: str) -> None:
    """By the real use cases: what takes a day has happened, since the first wave was yesterday."""
    assert requests.get(console, timeout=60).headers["content-type"].startswith("text/html")
    status = asked(console, "status")
    assert status["agents"]
    assert status["latency"]["writes"] >= 4
    assert status["summary"]["covered"] >= 15
    issuers = {status["issuers"][mark] for week in status["summary"]["expiring"].values() for mark in week}
    assert issuers == {"CN=Corp Example Issuing CA", "CN=Public Example S/MIME CA"}
    assert status["failed"].keys() == {"recipient-ambiguous", "no-recipient"}
    assert {each["reason"] for each in asked(console, "failed")["failed"]} == status["failed"].keys()
    runs = asked(console, "runs")["past"]
    assert {run["apply"] for run in runs} == {True, False}
    assert {run["phase"] for run in runs} == {"done"}
    assert not any(run["notes"] for run in runs), "the agent told whom its directory knows"

    body = '{"all": true, "apply": true}'
    assert len(requests.post(console.replace("console", "replay"), data=body, timeout=60).json()["chosen"]) == 2
    ends = {"heidi": "written", "oscar": "deferred"}
    until(
        lambda: (
            ends == {name: asked(console, "explain", user=f"{name}@corp.example")["last"]["status"] for name in ends}
        )
    )
    assert not asked(console, "failed")["failed"]
