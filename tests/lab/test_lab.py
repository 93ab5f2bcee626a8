"""A lab part that is not there: skipped on a developer's machine, a failure where the lab is required."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import ROOT, left_out, require, required
from tests.lab.setup import samba


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("SMIME_SYNC_REQUIRE_LAB", raising=False)


def test_a_part_that_is_there_goes_on() -> None:
    """Without a reason there is nothing to say."""
    require("samba", None)


def test_a_missing_part_skips_with_its_reason() -> None:
    """So that a developer sees what to do."""
    with pytest.raises(pytest.skip.Exception, match="samba is left out: no root"):
        require("samba", "no root")


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("CI", "1"), ("SMIME_SYNC_REQUIRE_LAB", "1")])
def test_a_missing_part_fails_where_the_lab_is_required(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A green run without the lab would prove little."""
    monkeypatch.setenv(name, value)
    with pytest.raises(pytest.fail.Exception, match="samba is left out: no root"):
        require("samba", "no root")


@pytest.mark.parametrize("value", ["", "0", "false", "False"])
def test_a_switched_off_requirement_is_none(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """As CI systems spell it."""
    monkeypatch.setenv("CI", value)
    assert not required()


@pytest.mark.parametrize("content", ["", "nonsense", "[]", None])
def test_no_word_from_setup_is_no_reason(tmp_path: Path, content: str | None) -> None:
    """It never ran, or was stopped half-way."""
    told = tmp_path / "left-out.json"
    if content is not None:
        told.write_text(content)
    assert left_out(told) == {}


def test_what_setup_left_out_is_read_back(tmp_path: Path) -> None:
    """Part and reason."""
    told = tmp_path / "left-out.json"
    told.write_text('{"samba": "there is no apt-get here"}')
    assert left_out(told) == {"samba": "there is no apt-get here"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_without_root_samba_says_what_to_do() -> None:
    """Setup tries nothing, and the reason names the packages or the ports."""
    script = "import os; os.setuid(65534); from tests.lab.setup import samba; print(samba.install())"
    done = subprocess.run(
        [sys.executable, "-c", "import tests.lab.setup.samba\n" + script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    reason = done.stdout.strip()
    assert "it needs root" in reason or "apt-get install " + " ".join(samba.PACKAGES) in reason
