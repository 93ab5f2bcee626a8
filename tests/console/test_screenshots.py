"""The pictures of the README, taken of the page as it is: `make screenshots` writes them to docs/images."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.console.company import Company
from tests.console.conftest import Opened, Scheme
from tests.lab import ROOT

IMAGES = ROOT / "docs" / "images"
PICTURES = ("console-light", "console-dark", "console-explain")


def test_the_readme_shows_every_picture() -> None:
    """Of a size that a page can carry."""
    named = re.findall(r"docs/images/([\w-]+)\.png", (ROOT / "README.md").read_text("utf-8"))
    assert set(named) == set(PICTURES) == {each.stem for each in IMAGES.iterdir()}
    assert all(20_000 < each.stat().st_size < 200_000 for each in IMAGES.iterdir())


@pytest.mark.lab
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_console_at_a_glance(template: Company, opened: Opened, tmp_path: Path, scheme: Scheme) -> None:
    """From the state to the failed messages."""
    with template.serving() as address:
        page, _ = opened(address, scheme=scheme, height=1000)
        page.locator("#guard .guard").wait_for()
        page.screenshot(path=_place(tmp_path) / f"console-{scheme}.png")


@pytest.mark.lab
def test_a_person_explained(template: Company, opened: Opened, tmp_path: Path) -> None:
    """With what was refused, and why."""
    with template.serving() as address:
        page, _ = opened(f"{address}#explain=mike%40corp.example", height=1000)
        page.locator("#guard .guard").wait_for()
        page.locator(".answer").wait_for()
        page.screenshot(path=_place(tmp_path) / "console-explain.png")


def _place(otherwise: Path) -> Path:
    if not os.environ.get("SMIME_SYNC_SCREENSHOTS"):
        return otherwise
    IMAGES.mkdir(parents=True, exist_ok=True)
    return IMAGES
