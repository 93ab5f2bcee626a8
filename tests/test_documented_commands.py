"""Every command that a page tells an operator to type is run here, by another test, or marked as needing what no test
has."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sync.core.record import Failure
from sync.own_certificate import good_until
from sync.signature import Signer
from tests.lab import ROOT, require, worker
from tests.lab.samba import DomainController
from tests.lab.setup import azurite
from tests.lab.site import CERTIFICATE, Site, start
from tests.mill import DAY
from tests.pages import MARKS, PAGES, Line, lines

COMMANDS = [line for page in PAGES for line in lines(page)]
ELSEWHERE: Mapping[str, tuple[str, str]] = {
    "make demo": ("tests/test_examples.py", '"examples.demo"'),
    "make lab": ("tests/test_end_to_end.py", "for change in changes(site)"),
    "make test": ("Makefile", "$(BIN)/pytest"),
    "make bench": ("Makefile", "-m bench"),
    "infra/agent/install.sh": ("tests/test_agent_install.py", 'install("--root", tmp_path)'),
    "smime-sync serve": ("tests/test_serve.py", '"serve",'),
    "smime-sync serve --embedded": ("tests/test_serve_embedded.py", '"--embedded"'),
    "smime-sync agent run": ("tests/test_agent_lab.py", '"agent", "run"'),
    "pip install --require-hashes -r requirements/serve.txt": ("tests/test_release.py", '"requirements/serve.txt"'),
}
"""What other tests run: the file, and the words by which it does. The longest beginning of a command counts."""
KEY = "a function key"
STANDS_FOR = {
    "ID": "0",
    "500": "20",
    "/tmp/agent.pem": "new-agent.pem",
    "SOMEBODY@OUTSIDE.THE.SCOPE": "boss@corp.example",
}
OF_THE_HOST = ("openssl ", "cat ", "curl ")
"""What a Debian machine has; run as it stands there."""
TELLING = ("explain", "failed", "reconcile", "validate", "preflight", "agent status", "agent once")
CODES: Mapping[str, set[int]] = {"status": {0, 1, 2}} | {name: {0, 1} for name in TELLING}
"""Exit codes of those that went well and have something to say; of all others it is 0."""


def elsewhere(command: str) -> str | None:
    """The beginning by which another test runs it."""
    begun = [each for each in ELSEWHERE if command.removeprefix("sudo ").startswith(each)]
    return max(begun, key=len, default=None)


def here(line: Line) -> bool:
    return line.mark is None and elsewhere(line.command) is None


def words(line: Line) -> list[str]:
    """The arguments of a call of ours, with something real in the place of what stands for it."""
    command = line.command.removeprefix("sudo ").partition(" > ")[0]
    program, *arguments = [STANDS_FOR.get(each, each) for each in shlex.split(command)]
    assert program == "smime-sync", f"{line}: neither ours, nor run elsewhere, nor marked: {', '.join(MARKS)}"
    return arguments


def test_every_command_is_ours_or_run_elsewhere_or_marked() -> None:
    """With nothing left over that only looks like documentation."""
    ours = [words(line) for line in COMMANDS if here(line) and not line.command.startswith(OF_THE_HOST)]
    assert len(ours) > 40


def test_every_mark_is_one_of_ours() -> None:
    """A misspelt one would excuse a command."""
    assert {line.mark for line in COMMANDS if line.mark} <= set(MARKS)


def test_what_another_test_runs_it_does_run() -> None:
    """And every entry is still used."""
    for path, said in ELSEWHERE.values():
        assert said in (ROOT / path).read_text("utf-8"), path
    assert {elsewhere(line.command) for line in COMMANDS} - {None} == ELSEWHERE.keys()


def test_only_what_cannot_be_run_is_marked() -> None:
    """Our own commands run against the lab, whatever they need in the end."""
    assert [str(line) for line in COMMANDS if line.mark and "smime-sync " in line.command.split("&&")[0][:16]] == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a call ended."""

    code: int
    output: str
    error: str


_DRIVER = """
import json, sys
from typer.testing import CliRunner
from sync.cli import app
for arguments in json.load(sys.stdin):
    done = CliRunner().invoke(app, arguments)
    raised = done.exception if not isinstance(done.exception, SystemExit) else None
    print(json.dumps([done.exit_code, done.stdout, f"{raised!r} {done.stderr}" if raised else ""]), file=sys.__stdout__)
"""


def run(calls: Sequence[Sequence[str]], environment: Mapping[str, str], folder: Path) -> list[Ran]:
    """One process for all, since each start costs a second; the calls one after another, in order."""
    done = subprocess.run(
        [sys.executable, "-c", _DRIVER],
        input=json.dumps(calls),
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "COLUMNS": "150", "PYTHONPATH": str(ROOT), **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Ran(code=code, output=out, error=error) for code, out, error in map(json.loads, done.stdout.splitlines())]


@pytest.fixture(scope="module")
def site(domain_controller: DomainController, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A company as the pages have it: Alice with a certificate, Bob with an expired one, a boss out of scope."""
    require("azurite", azurite.missing())
    require("worker", worker.missing())
    with start(tmp_path_factory.mktemp("pages"), controller=domain_controller) as site:
        for name in ("alice", "bob", "test", "smime-test"):
            site.tenant.add_mailbox(f"{name}@corp.example")
        site.tenant.add_mailbox("boss@corp.example", outside_scope=True)
        expired = site.issue("bob", not_after=datetime.now(UTC))
        for name, certificate in (("alice", site.issue("alice")), ("bob", expired)):
            account = f"{name}-of-the-pages"  # tests share the domain, where an account's name is taken once
            site.administrator.create_person(
                name,
                unit=site.people,
                sAMAccountName=account,
                userPrincipalName=f"{account}@corp.example",
                mail=f"{name}@corp.example",
                **{CERTIFICATE: [certificate.der]},
            )
        site.agent.once()
        while site.deliver():
            pass
        for number in range(2):
            site.failures.add(
                Failure(id=str(number), at=datetime.now(UTC), reason="no-recipient", detail="", body="{}", anchor=None)
            )
        yield site


@pytest.fixture(scope="module")
def folder(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the operator stands: the files that the pages name are there."""
    folder = tmp_path_factory.mktemp("operator")
    anchors = Path(site.function_environment["SMIME_SYNC_TRUST_ANCHORS"]).read_text()
    intermediates = Path(site.function_environment["SMIME_SYNC_INTERMEDIATES"]).read_text()
    (folder / "trust").mkdir()
    for name, content in (("root", anchors), ("issuing", intermediates)):
        (folder / f"{name}.pem").write_text(content)
    (folder / "trust" / "anchors.pem").write_text(anchors)
    (folder / "trust" / "intermediates.pem").write_text(intermediates)
    (folder / "alice.cer").write_bytes(site.issue("alice").der)
    return folder


@contextmanager
def served(site: Site, folder: Path) -> Iterator[str]:
    """The function's addresses over HTTP; gives host and port."""
    (folder / "key").write_text(KEY)
    command = [sys.executable, "-m", "sync", "serve", "--listen", "127.0.0.1:0", "--key-file", "key"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **site.function_environment}
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            yield next(found[1] for each in process.stderr if (found := re.search(r"http://([\d.:]+)", each)))
        finally:
            process.kill()


def refused_by_the_host(line: Line, app: str, folder: Path) -> str | None:
    """Run a line as the shell reads it; what went wrong, if anything did."""
    # The app stands behind HTTPS; `serve` leaves TLS to whatever stands before it.
    call = line.command.replace("https://$APP", "http://$APP")
    environment = {"PATH": os.environ["PATH"], "KEY": KEY, "APP": app}
    done = subprocess.run(call, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    well = done.returncode == 0 and (not call.startswith("curl ") or json.loads(done.stdout))
    return None if well else f"{line}\n{done.returncode} {done.stderr}"


@pytest.mark.lab
def test_every_command_of_ours_that_a_page_shows_runs(site: Site, folder: Path) -> None:
    """In the order of the pages, against the lab: none ends in an error, and each says something."""
    wrong: list[str] = []
    once = {line.command: line for line in COMMANDS if here(line)}.values()
    hosts = [line for line in once if line.command.startswith(OF_THE_HOST)]
    with served(site, folder) as app:
        wrong += filter(None, (refused_by_the_host(line, app, folder) for line in hosts))
    for environment, of_agent in ((site.agent_environment, True), (site.function_environment, False)):
        ours = [(line, words(line)) for line in once if not line.command.startswith(OF_THE_HOST)]
        calls = [(line, arguments) for line, arguments in ours if (arguments[0] == "agent") == of_agent]
        done = run([arguments for _, arguments in calls], environment, folder)
        assert len(done) == len(calls)
        for (line, arguments), ended in zip(calls, done, strict=True):
            name = " ".join(arguments[: 2 if of_agent else 1])
            if ended.code not in CODES.get(name, {0}) or ended.error or not ended.output:
                wrong.append(f"{line}\n{ended.code} {ended.error}\n{ended.output}")
    assert wrong == [], "\n\n".join(wrong)
    assert (folder / "bob.csv").read_text().startswith("id,at,anchor,")
    assert Signer.load((folder / "new-agent.pem").read_bytes()).id
    assert good_until((folder / "application.pem").read_text()) > datetime.now(UTC) + 364 * DAY
