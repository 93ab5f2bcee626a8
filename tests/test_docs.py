"""Pages that come from the code are as the code makes them, and every code explains itself."""

from __future__ import annotations

import re
from pathlib import Path

from docs import make
from sync.core.findings import EXPLANATIONS, Code
from sync.errors import HINTS, ErrorCode

ROOT = Path(__file__).parents[1]


def test_no_generated_page_is_stale() -> None:
    """`make docs` renews them."""
    assert list(make.stale()) == []


def test_every_code_has_a_meaning_or_a_hint() -> None:
    """An administrator is never left with a bare code."""
    assert set(EXPLANATIONS) == set(Code)
    assert set(HINTS) == set(ErrorCode)


def test_no_code_means_two_things() -> None:
    """Findings and errors stand side by side in logs and lists."""
    assert not {str(code) for code in Code} & {str(code) for code in ErrorCode}


def test_links_between_pages_lead_somewhere() -> None:
    """In the pages that this repository shows on its front."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("infra/*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
