"""infra/agent/install.sh, as an administrator runs it: into a folder in the place of the root of a machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from sync.settings import PREFIX, AgentSettings, load
from tests.lab import ROOT

SCRIPT = ROOT / "infra" / "agent" / "install.sh"


def install(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.lab
def test_it_installs_beside_what_is_there_and_is_removed(tmp_path: Path) -> None:
    """From the lock alone. Settings are never written over, the program of before stays, and removal keeps what is
    the administrator's until it is told to purge."""
    settings, program = tmp_path / "etc" / "smime-sync" / "agent.env", tmp_path / "opt" / "smime-sync"
    settings.parent.mkdir(parents=True)
    settings.write_text("# ours\nSMIME_SYNC_LDAP_USER=a;b c\n")
    for older in ("20240101T000000", "20250101T000000"):
        (program / older).mkdir(parents=True)
    first = install("--root", tmp_path)
    assert first.returncode == 0, first.stderr
    asked = subprocess.run(
        [program / "current" / "bin" / "python", "-m", "sync", "--settings", settings, "agent", "status"],
        env={"PATH": os.environ["PATH"]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 2
    assert "settings-invalid" in asked.stderr
    assert "SMIME_SYNC_LDAP_USER" not in asked.stderr, "the file's settings are read"
    assert settings.read_text() == "# ours\nSMIME_SYNC_LDAP_USER=a;b c\n"
    assert (tmp_path / "var" / "lib" / "smime-sync").is_dir(), "agent check comes before systemd makes it"
    kept = sorted(each.name for each in program.iterdir() if not each.is_symlink())
    assert kept == ["20250101T000000", (program / "current").readlink().name]

    assert install("--root", tmp_path, "--remove").returncode == 0
    assert not program.exists()
    assert settings.exists()
    assert install("--root", tmp_path, "--remove", "--purge").returncode == 0
    assert not settings.exists()


@pytest.mark.parametrize("arguments", [["--rooot", "x"], ["--root"], ["--wheels"]])
def test_a_bad_call_changes_nothing(arguments: list[str]) -> None:
    """And says what is wrong with it."""
    done = install(*arguments)
    assert done.returncode != 0
    assert done.stderr


def test_the_example_of_settings_is_made_of_settings() -> None:
    """The agent's own, and of those enough to start once the files are there."""
    known = {field.title or PREFIX + name.upper() for name, field in AgentSettings.model_fields.items()}
    text = (SCRIPT.parent / "agent.env").read_text("utf-8")
    assert set(re.findall(r"^#?([A-Z]\w+)=", text, re.MULTILINE)) <= known
    load(AgentSettings, dict(re.findall(r"^([A-Z]\w+)=(.*)$", text, re.MULTILINE)))


def test_the_container_is_made_of_what_there_is() -> None:
    """Each file that is copied or installed from exists, and it starts as the unit does. (It was built by hand.)"""
    text = re.sub(r"\\\n", " ", (SCRIPT.parent / "Containerfile").read_text("utf-8"))
    copied = [
        source for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE) for source in line.split()
    ]
    locks = re.findall(r"-r (\S+)", text)
    assert {"sync", "pyproject.toml"} <= set(copied)
    assert set(locks) <= set(copied)
    assert [each for each in copied if not (ROOT / each).exists()] == []
    unit = (SCRIPT.parent / "smime-sync-agent.service").read_text("utf-8")
    (started,) = re.findall(r"ExecStart=\S+ (.*)", unit)
    entry = json.loads(re.findall(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[0])
    then = json.loads(re.findall(r"^CMD (.*)$", text, re.MULTILINE)[-1])
    assert " ".join([*entry[1:], *then]) == started
    known = {field.title or PREFIX + name.upper() for name, field in AgentSettings.model_fields.items()}
    assert set(re.findall(r"\b(SMIME_SYNC_\w+)=", text)) <= known
    assert re.search(r"^USER smime-sync$", text, re.MULTILINE), "it runs as root"


def test_the_unit_starts_what_is_installed() -> None:
    """Unit, script and container name the same places."""
    unit = (SCRIPT.parent / "smime-sync-agent.service").read_text("utf-8")
    script = SCRIPT.read_text("utf-8")
    assert "ExecStart=/opt/smime-sync/current/bin/python -m sync agent run" in unit
    assert "EnvironmentFile=/etc/smime-sync/agent.env" in unit
    assert "/opt/smime-sync/current/bin/python -m sync --settings /etc/smime-sync/agent.env" in script
