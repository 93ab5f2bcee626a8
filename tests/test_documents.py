"""What the pages say can be done can be done: commands, links, settings and codes that they name are there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from sync.cli import app
from sync.core.codes import Code
from sync.core.record import Status
from sync.errors import ErrorCode
from sync.settings import PREFIX, AgentSettings, CloudSettings
from tests.lab import ROOT

PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not {".venv", "build", ".git", "node_modules", ".pytest_cache", ".hypothesis"}
    & set(path.relative_to(ROOT).parts)
)
COMMAND = typer.main.get_command(app)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(page: str) -> Iterator[str]:
    """Every call of smime-sync in a block of code or between back-ticks."""
    for line in re.findall(r"^ {4}(?:sudo )?(smime-sync .+)$", page, re.MULTILINE):
        yield line.partition("  #")[0].partition(" && ")[0].partition(" < ")[0].strip()
    for line in re.findall(r"`(smime-sync [^`\n]+)`", page):
        yield line


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_command_that_a_page_shows_can_be_called_so(path: Path) -> None:
    """With these options and arguments: parsed by the command itself, not run."""
    for line in commands(path.read_text("utf-8")):
        words = [word for word in shlex.split(line.rstrip("\\ "))[1:] if word != "…" and not word.startswith("[")]
        command: Any = COMMAND
        while hasattr(command, "commands") and words and not words[0].startswith("-"):
            assert words[0] in command.commands, f"{line}: there is no {words[0]}"
            command = command.commands[words.pop(0)]
        known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
        strange = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
        assert not strange, f"{line}: {strange}"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_link_leads_somewhere(path: Path) -> None:
    """To a file of the project; what lies elsewhere is not looked at."""
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_setting_that_a_page_names_is_one(path: Path) -> None:
    """Renamed or removed, it would mislead."""
    known = {
        shown.upper()
        for kind in (CloudSettings, AgentSettings)
        for field_name, field in kind.model_fields.items()
        for shown in (field.title or PREFIX + field_name.upper(),)
    }
    others = {"SMIME_SYNC_REQUIRE_LAB", "SMIME_SYNC_DRILL", "SMIME_SYNC_STORAGE"}
    for name in ("main.bicep", "main.parameters.json"):  # what a deployment asks for, and what it tells
        others |= set(re.findall(r"\bSMIME_SYNC_[A-Z_]+", (ROOT / "infra" / name).read_text("utf-8")))
    named = {each.rstrip("_") for each in re.findall(r"\bSMIME_SYNC_[A-Za-z_]+", path.read_text("utf-8"))}
    strange = {each for each in named if each.upper() not in known | others and not each.endswith("SMIME_SYNC")}
    assert not strange


def test_codes_that_pages_show_as_reasons_are_codes() -> None:
    """`--reason CODE` and the statuses of the table."""
    known = {*ErrorCode, *Code, *Status}
    for path in PAGES:
        for code in re.findall(r"--reason ([a-z-]+)", path.read_text("utf-8")):
            assert code in known, (name(path), code)


def shape(page: str) -> list[str]:
    """What a translation keeps: the order of headings, steps, items, rows of tables and lines of blocks."""
    return re.findall(r"^(#+|\||\*\*\d\.|\d+\.|- | {4})", page, re.MULTILINE)


@pytest.mark.parametrize(("english", "italian"), [("quickstart", "avvio-rapido"), ("concept", "concetto")])
def test_the_italian_pages_are_in_step(english: str, italian: str) -> None:
    """A translation that was forgotten is noticed by its commands, steps, rows and headings, and by the settings,
    codes and addresses that it names."""
    pages = [(ROOT / "docs" / path).read_text("utf-8") for path in (f"{english}.md", f"it/{italian}.md")]
    first, second = (list(commands(page)) for page in pages)
    assert first == second
    assert shape(pages[0]) == shape(pages[1])
    said = [sorted(set(re.findall(r"`([^`\n]+)`", page))) for page in pages]
    assert said[0] == said[1]
