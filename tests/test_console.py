"""The console's document without a browser: what may run in it, and what its files may not do."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from sync.console import SCRIPTS, STYLES, page
from sync.core.run import Kind, Phase
from sync.errors import HINTS

ROOM = files("sync.console")
SOURCES = {name: (ROOM / "scripts" / name).read_text("utf-8") for name in SCRIPTS}


class Read(HTMLParser):
    """The document as a browser reads it: every tag with its attributes, and the text within style and script."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._within = dict(attrs).get("id") or tag if tag in {"style", "script"} else ""

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within:
            self.text[self._within] = self.text.get(self._within, "") + data


@pytest.fixture(scope="module")
def document() -> Read:
    read = Read()
    read.feed(page().html)
    return read


def policy() -> dict[str, str]:
    """The Content-Security-Policy by its directives."""
    parts = (part.partition(" ") for part in page().headers["Content-Security-Policy"].split("; "))
    return {name: value for name, _, value in parts}


@pytest.mark.parametrize(("directive", "tag"), [("script-src", "script"), ("style-src", "style")])
def test_what_is_inline_has_the_hash_that_is_allowed(document: Read, directive: str, tag: str) -> None:
    """And nothing else has: a byte more, and the browser runs none of it."""
    digest = base64.b64encode(hashlib.sha256(document.text[tag].encode("utf-8")).digest()).decode("ascii")
    assert policy()[directive] == f"'sha256-{digest}'"


def test_nothing_comes_from_elsewhere_and_nobody_may_frame_it() -> None:
    """All that is not named is refused."""
    told = policy()
    assert told["default-src"] == told["base-uri"] == told["form-action"] == told["frame-ancestors"] == "'none'"
    assert (told["connect-src"], told["img-src"]) == ("'self'", "data:")
    assert (
        page().headers.items()
        >= {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }.items()
    )


def test_the_document_asks_for_nothing_else(document: Read) -> None:
    """No file beside it, no style and no handler in an attribute: the policy would refuse each."""
    for tag, attributes in document.tags:
        for name, value in attributes.items():
            assert name != "style", (tag, value)
            assert not name.startswith("on"), (tag, name)
            if name in {"src", "href", "action", "srcset"}:
                assert value is not None
                assert value.startswith(("#", "data:")), (tag, value)


def test_the_hints_are_the_products_own(document: Read) -> None:
    """A data block, which no browser runs, whatever a hint says."""
    assert json.loads(document.text["hints"]) == dict(HINTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_reads_text_as_html_or_code(name: str) -> None:
    """Names and certificates come from others; built as text, they stay text."""
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|</script",
        SOURCES[name],
    )
    assert not re.search(r'"style"|\.style\b|style:', SOURCES[name]), "the policy refuses it"


def test_every_file_is_joined() -> None:
    """One that is forgotten would be missed by whoever opens the page."""
    assert {each.name for each in (ROOM / "scripts").iterdir()} == set(SCRIPTS)
    assert {each.name for each in (ROOM / "styles").iterdir()} == set(STYLES)
    assert SCRIPTS[-1] == "start.js"


def test_every_phase_of_a_run_has_its_words_and_its_step() -> None:
    """A phase that is added would leave whoever watches a run without a step."""
    words = SOURCES["wording.js"].partition("const PHASES = {")[2].partition("};")[0]
    assert set(re.findall(r"^ *(\w+):", words, re.MULTILINE)) == set(Phase)
    steps = re.search(r"const STEPS = (.*?);\n", SOURCES["runs.js"], re.DOTALL)
    assert steps is not None
    named = set(re.findall(r'"(\w+)"', steps[1])) | {Phase.DIRECTORY}
    assert named == {phase for phase in Phase if not phase.over}
    for kind in Kind:
        assert f'{kind}: ["{kind.first}"' in steps[1]
