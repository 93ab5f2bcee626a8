"""A browser for these tests, and a page that is watched: what it says, asks for and refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import pytest

from tests.console.company import Company, founded
from tests.lab import require
from tests.lab.setup import chromium as setup

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

Scheme = Literal["light", "dark"]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. It ends with these tests: Playwright holds an event loop in this thread."""
    require(setup.PART, setup.missing())
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root, and in containers, Chromium has no sandbox; it only ever sees our own page.
        chromium = playwright.chromium.launch(executable_path=setup.executable(), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def template(tmp_path_factory: pytest.TempPathFactory) -> Company:
    """The company on its working day: nobody changes it."""
    return founded(tmp_path_factory.mktemp("company"))


@pytest.fixture
def company(template: Company, tmp_path: Path) -> Company:
    """One to be changed."""
    return template.copied(tmp_path)


@dataclass
class Watched:
    """What a page did that it should not; `asked` are the requests by method and path, `keys` the keys that came,
    `marks` the header by request that no page of another site can send."""

    origin: str
    problems: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)
    marks: dict[str, str | None] = field(default_factory=dict)


Opened = Callable[..., tuple["Page", Watched]]


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opened]:
    """Opens the console at an address, at once or with what else `goto` is to be told; at the end nothing was wrong.

    An answer that is an error shows as a message of the browser's console: only with `errors` it may.
    """
    watched: list[Watched] = []
    contexts = []

    def open_page(
        address: str, *, scheme: Scheme = "light", width: int = 1280, height: int = 800, errors: bool = False
    ) -> tuple[Page, Watched]:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="Europe/Rome",
        )
        contexts.append(context)
        parts = urlsplit(address)
        watch = Watched(origin=f"{parts.scheme}://{parts.netloc}")
        watched.append(watch)
        page = context.new_page()
        page.set_default_timeout(60_000)

        def told(kind: str, text: str) -> None:
            # The test's server ends before the page does, which may be looking at its runs, or look again by itself.
            ended = "net::ERR_CONNECTION_" in text
            if not ended and not (errors and text.startswith("Failed to load resource")):
                watch.problems.append(f"{kind}: {text}")

        page.on("console", lambda message: told(message.type, message.text))
        page.on("pageerror", lambda error: watch.problems.append(f"error: {error}"))

        def asked(request: Request) -> None:
            if request.url.startswith("data:"):
                return
            if not request.url.startswith(f"{watch.origin}/"):
                watch.problems.append(f"asks {request.url}")
            watch.asked.append(f"{request.method} {urlsplit(request.url).path}")
            watch.keys.add(request.headers.get("x-functions-key"))
            watch.marks[watch.asked[-1]] = request.headers.get("x-requested-with")

        page.on("request", asked)
        page.add_init_script(
            "addEventListener('securitypolicyviolation', (event) => "
            "console.error('policy', event.violatedDirective, event.blockedURI))"
        )
        page.goto(address)
        return page, watch

    yield open_page
    for context in contexts:
        context.close()
    assert [problem for each in watched for problem in each.problems] == []
