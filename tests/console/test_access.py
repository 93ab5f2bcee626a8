"""The console for everybody: by keyboard alone, by ear, in the dark, on a phone."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.console.company import Company
from tests.console.conftest import Opened, Scheme

pytestmark = pytest.mark.lab


def problems(page: Any) -> list[str]:
    """What axe-core finds wrong, each with the first element that it is about."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']} ({each['impact']}): {each['nodes'][0]['html'][:200]}" for each in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(template: Company, opened: Opened, scheme: Scheme) -> None:
    """Neither in what is shown at first, nor unfolded, explained, asked for confirmation, or in trouble."""
    with template.serving() as address:
        page, _ = opened(address, scheme=scheme, errors=True)
        page.locator("#guard .guard").wait_for()
        page.click("#expiry summary")
        page.click("[data-key='show no-recipient']")
        page.locator("#failed-no-recipient tbody tr").first.wait_for()
        assert problems(page) == []
        page.fill("#who", "mike@corp.example")
        page.keyboard.press("Enter")
        page.locator(".answer").wait_for()
        assert problems(page) == []
        page.click("[data-key='replay no-recipient']")
        page.get_by_role("button", name="Put back").wait_for()
        assert problems(page) == []
        page.keyboard.press("Escape")
        page.fill("#who", "nobody@corp.example")
        page.keyboard.press("Enter")
        page.locator("#person [role=alert]").wait_for()
        page.evaluate("sessionStorage.setItem('smime-sync.key', 'wrong')")
        page.route("**/api/status", lambda route: route.fulfill(status=401, body=""))
        page.click("#look")
        page.get_by_label("Function key").wait_for()
        assert problems(page) == []


def stepped(page: Any, selector: str, *, key: str = "Tab") -> None:
    """Press a key until the element has the focus, as somebody without a mouse does."""
    for _ in range(120):
        page.keyboard.press(key)
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} cannot be reached")


def test_by_keyboard_alone(company: Company, opened: Opened) -> None:
    """From the skip link to an explained person, and through a confirmation, with the focus always to be seen."""
    with company.serving() as address:
        page, _ = opened(address)
        page.locator("#guard .guard").wait_for()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        stepped(page, "#who")
        page.keyboard.type("alice@corp.example")
        page.keyboard.press("Enter")
        page.locator(".answer").wait_for()
        assert page.evaluate("document.activeElement.id") == "person-title"

        stepped(page, "[data-key='replay no-recipient']")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Put back").wait_for()
        assert page.evaluate("document.activeElement.textContent") == "Cancel", "the harmless one comes first"
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="hidden")
        assert page.evaluate("document.activeElement.dataset.key") == "replay no-recipient"

        page.keyboard.press("Enter")
        page.get_by_role("button", name="Put back").wait_for()
        stepped(page, "dialog .primary")
        page.keyboard.press("Enter")
        page.get_by_role("status").get_by_text("messages went back").wait_for()
    assert company.failed("no-recipient") == 0


@pytest.mark.parametrize("width", [360, 768])
def test_on_a_small_screen_only_tables_scroll(template: Company, opened: Opened, width: int) -> None:
    """Each within itself, where the keyboard reaches it."""
    with template.serving() as address:
        page, _ = opened(f"{address}#explain=mike%40corp.example", width=width)
        page.locator("#guard .guard").wait_for()
        page.locator(".answer").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        table = page.get_by_role("region", name="Runs before")
        assert table.evaluate("(each) => each.scrollWidth > each.clientWidth")
        assert table.get_attribute("tabindex") == "0"


def test_the_theme_is_chosen_and_kept(template: Company, opened: Opened) -> None:
    """As the system has it, until somebody says otherwise."""
    with template.serving() as address:
        page, _ = opened(address, scheme="dark")
        ground = "getComputedStyle(document.documentElement).backgroundColor"
        dark = page.evaluate(ground)
        page.get_by_role("button", name="Theme: system").click()
        light = page.evaluate(ground)
        assert light != dark
        page.reload()
        page.get_by_role("button", name="Theme: light").wait_for()
        assert page.evaluate(ground) == light
