"""What an administrator does with the console, in a browser, with the product behind it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync.core.person import Values
from sync.core.record import Failure
from sync.core.run import Phase
from sync.errors import HINTS, ErrorCode, PermanentError
from sync.http_api import refusal
from sync.own_certificate import Expiry
from tests.console.company import HOMELESS, NAMES, Company
from tests.console.conftest import Opened

pytestmark = pytest.mark.lab


def test_it_shows_what_status_knows(template: Company, opened: Opened) -> None:
    """State with its reasons, coverage, forecast, failures, runs, agents; and no request leaves its origin."""
    known = template.product.overseer.look()
    assert known.summary is not None
    with template.serving() as address:
        page, watched = opened(address)
        page.locator(".state.critical .word").wait_for()
        page.locator("#runs table").wait_for()
        page.locator("#guard .guard").wait_for()

    assert page.title() == "Act now · smime-sync"
    assert "is guarded" in page.inner_text("#state")
    assert f"{known.summary.covered} of {known.summary.people} people" in page.inner_text("#coverage")
    expiring = sum(sum(counts.values()) for counts in known.summary.expiring.values())
    legend = page.locator(".legend .number").all_inner_texts()
    assert sum(map(int, legend)) == expiring
    for code, count in known.failed.items():
        assert re.search(rf"{code}\s+{count} message", page.inner_text("#failed"))
    assert "urn:smime-sync:agent:corp.example" in page.inner_text("#agents")
    assert watched.asked == [f"GET /api/{name}" for name in ("console", "status", "runs", "guard")]


def test_the_forecast_is_a_table_too(template: Company, opened: Opened) -> None:
    """For those who do not see the picture: the same weeks, the same sums."""
    summary = template.product.overseer.look().summary
    assert summary is not None
    with template.serving() as address:
        page, _ = opened(address)
        page.click("#expiry summary")
        rows = page.locator("#expiry tbody tr").all_inner_texts()

    sums = [int(row.split("\t")[-1]) for row in rows]
    assert sums == [sum(counts.values()) for counts in summary.expiring.values()]
    assert f"{sum(sums)} published certificates expire" in (page.get_attribute(".chart", "aria-label") or "")
    assert page.locator(".chart g rect:not(.hit)").count() == sum(map(len, summary.expiring.values()))


def test_the_key_leaves_the_address(template: Company, opened: Opened) -> None:
    """It stays with the browser's tab, and goes with each request in a header: histories keep addresses."""
    with template.serving("a key of its own") as address:
        page, watched = opened(f"{address}?code=a+key+of+its+own")
        page.locator("#guard .guard").wait_for()

        assert page.url == address
        assert watched.keys == {None, "a key of its own"}
        assert watched.marks == {"GET /api/console": None} | {
            f"GET /api/{name}": "smime-sync" for name in ("status", "runs", "guard")
        }


def test_a_wrong_key_is_told_with_a_way_to_enter_another(template: Company, opened: Opened) -> None:
    """Once, for the whole page; then all is asked anew."""
    with template.serving("right") as address:
        page, _ = opened(f"{address}?code=right", errors=True)
        page.locator("#guard .guard").wait_for()
        page.evaluate("sessionStorage.setItem('smime-sync.key', 'wrong')")
        page.click("#look")
        page.get_by_text("The key is missing or wrong").wait_for()
        assert page.locator(".trouble").count() == 1
        assert page.locator("#looked").inner_text().startswith("The last look failed")

        page.get_by_label("Function key").fill("wrong again")
        page.keyboard.press("Enter")
        page.get_by_label("Function key").and_(page.locator(":not([value])")).wait_for()
        page.get_by_label("Function key").fill("right")
        page.get_by_role("button", name="Use this key").click()
        page.locator(".trouble").wait_for(state="detached")
        assert page.locator("#looked").inner_text().startswith("Looked at")


def test_whoever_has_to_sign_in_again_is_told(template: Company, opened: Opened) -> None:
    """App Service authentication leads a request to its own page, which no script can follow."""
    with template.serving() as address:
        page, _ = opened(address, errors=True)
        page.locator("#guard .guard").wait_for()
        page.route("**/api/status", lambda route: route.fulfill(status=302, headers={"location": "/sign-in"}))
        page.click("#look")
        page.get_by_role("alert").get_by_text("Your sign-in has ended.").wait_for()


def test_whoever_lacks_the_role_is_told(template: Company, opened: Opened) -> None:
    """In the app's own words, where it was asked."""
    refused = refusal(PermanentError(ErrorCode.REQUEST_FORBIDDEN, "the role SmimeSync.Operate is missing"))
    with template.serving() as address:
        page, _ = opened(address, errors=True)
        page.locator("#guard .guard").wait_for()
        page.route("**/api/open-guard", lambda route: route.fulfill(status=refused.status, body=refused.body))
        page.get_by_role("button", name="Open for an hour …").click()
        page.get_by_role("dialog").get_by_text("The role SmimeSync.Operate is missing").wait_for()
        assert page.get_by_role("dialog").get_by_text(HINTS[ErrorCode.REQUEST_FORBIDDEN]).count() == 1


def test_an_app_that_is_gone_is_told_and_found_again(template: Company, opened: Opened) -> None:
    """What was seen stays, with when; a try that succeeds clears the error."""
    with template.serving() as address:
        page, _ = opened(address, errors=True)
        page.locator("#guard .guard").wait_for()
    page.click("#look")
    page.get_by_role("alert").get_by_text("The app cannot be reached").wait_for()
    assert page.locator("#coverage strong").inner_text().endswith("%")
    assert page.locator("#looked").inner_text().startswith("The last look failed; shown is what was seen at")

    page.route("**/api/*", lambda route: route.fulfill(status=503, body="no JSON"))
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("alert").get_by_text("The app answered 503").wait_for()


def test_one_person_is_explained(template: Company, opened: Opened) -> None:
    """The answer, each value with its findings in words, what Exchange holds, what comes next; as the route says."""
    told: Any = template.product.explainer.explain("mike@corp.example").to_json()
    with template.serving() as address:
        page, _ = opened(address)
        page.fill("#who", " mike@corp.example ")
        page.keyboard.press("Enter")
        page.locator(".answer").wait_for()

        panel = page.inner_text("#person")
        assert told["answer"] in panel
        assert page.evaluate("document.activeElement.id") == "person-title"
        assert page.locator(".value.ok").count() == 1
        refused = page.locator(".value.refused").inner_text()
        for words in ("expired", "The certificate's validity has ended.", "Renew the certificate", "shadowing"):
            assert words in refused
        assert "published by us" in panel
        clients = page.get_by_role("region", name="What clients take").locator("tbody tr").all_inner_texts()
        assert [row.split("\t")[0] for row in clients] == [each["name"] for each in told["clients"]]
        assert all(told["outlook"]["takes"][0][:16] in row for row in clients)
        assert "offline address book" in panel
        assert page.url.endswith("#explain=mike%40corp.example")

        page.reload()
        page.locator(".answer").wait_for()
        page.click("#person-close")
        assert page.locator("#person").is_hidden()
        assert "#" not in page.url
        page.go_back()
        page.locator(".answer").wait_for()


def test_sixteen_years_of_renewals_are_one_line(template: Company, opened: Opened) -> None:
    """What was refused for the same reasons stands together."""
    with template.serving() as address:
        page, _ = opened(f"{address}#explain=grace%40corp.example")
        page.locator(".answer").wait_for()
        assert page.locator(".value:visible").count() == 2
        page.get_by_text("15 more of the same verdict").click()
        assert page.locator(".value:visible").count() == 17


def test_somebody_unknown_is_said(template: Company, opened: Opened) -> None:
    """With the code and what to do; the rest of the page stands."""
    with template.serving() as address:
        page, _ = opened(address, errors=True)
        page.fill("#who", "nobody@corp.example")
        page.get_by_role("button", name="Explain").click()
        alert = page.locator("#person").get_by_role("alert")
        alert.wait_for()
        assert "person-unknown" in alert.inner_text()
        assert "only people who had an event are in it" in alert.inner_text()
        assert page.locator("#trouble").is_hidden()


def test_failed_messages_are_replayed_once_confirmed(company: Company, opened: Opened) -> None:
    """The dry run is shown; Cancel does nothing; then they are on the queue, and people get their certificates."""
    queue, waiting, others = company.product.queue, company.failed("no-recipient"), company.failed()
    assert waiting >= len(HOMELESS)
    others -= waiting
    before = queue.count()
    with company.serving() as address:
        page, _ = opened(address)
        page.click("[data-key='show no-recipient']")
        page.locator("#failed-no-recipient tbody tr").nth(waiting - 1).wait_for()
        page.click("[data-key='replay no-recipient']")
        page.get_by_role("dialog").get_by_text(f"{waiting} messages of {waiting} people would go back").wait_for()
        page.get_by_role("button", name="Cancel").click()
        assert (queue.count(), company.failed("no-recipient")) == (before, waiting)

        page.click("[data-key='replay no-recipient']")
        page.get_by_role("button", name="Put back").click()
        page.get_by_role("dialog").wait_for(state="hidden")
        page.get_by_role("status").get_by_text(f"{waiting} messages went back on the change queue.").wait_for()
        page.locator("[data-key='replay no-recipient']").wait_for(state="detached")
        assert page.evaluate("document.activeElement.id") == "failed-title", "what was pressed is gone"

    assert (queue.count(), company.failed()) == (before + waiting, others)
    for name in HOMELESS:
        company.mailbox(name)
    company.work()
    for name in HOMELESS:
        assert company.held(name) == Values.of(company.people[name])


def test_one_message_is_replayed_alone(company: Company, opened: Opened) -> None:
    """And the list of its reason is looked at again."""
    waiting = company.failed("no-recipient")
    with company.serving() as address:
        page, _ = opened(address)
        page.click("[data-key='show no-recipient']")
        page.locator("#failed-no-recipient").get_by_role("button", name="Replay the message of").first.click()
        page.get_by_text("1 message of 1 person would go back").wait_for()
        page.get_by_role("button", name="Put back").click()
        page.locator("#failed-no-recipient tbody tr").nth(waiting - 1).wait_for(state="detached")
        assert page.locator("#failed-no-recipient tbody tr").count() == waiting - 1
    assert company.failed("no-recipient") == waiting - 1


def test_a_dialog_closed_too_early_stops_nothing(company: Company, opened: Opened) -> None:
    """What was confirmed is done, and said, though nobody waited for it."""
    with company.serving() as address:
        page, _ = opened(address)
        page.click("[data-key='replay no-recipient']")
        page.get_by_role("button", name="Put back").wait_for()
        held: list[Any] = []

        def hold(route: Any) -> None:
            held.append(route)

        page.route("**/api/replay", hold)
        page.get_by_role("button", name="Put back").click()
        page.get_by_text("One moment").wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="hidden")
        held[0].continue_()
        page.get_by_role("status").get_by_text("messages went back").wait_for()
        page.locator("[data-key='replay no-recipient']").wait_for(state="detached")
    assert company.failed("no-recipient") == 0


def test_somebody_else_was_faster(company: Company, opened: Opened) -> None:
    """What was replayed meanwhile is not there to be confirmed."""
    with company.serving() as address:
        page, _ = opened(address)
        page.locator("[data-key='replay no-recipient']").wait_for()
        for failure in list(company.product.failures.all()):
            company.product.failures.remove(failure.id)
        page.click("[data-key='replay no-recipient']")
        page.get_by_text("Nothing is left to replay.").wait_for()
        assert page.get_by_role("button", name="Put back").count() == 0


def test_a_guarded_run_is_approved(company: Company, opened: Opened) -> None:
    """Its consequence is shown and confirmed; the mailboxes hold again what they should."""
    emptied = [name for name in NAMES[20:110] if company.people[name]]
    assert not any(company.held(name) for name in emptied)
    with company.serving() as address:
        page, _ = opened(address)
        page.get_by_role("button", name="Approve …").click()
        page.get_by_role("dialog").get_by_text(f"It would change {len(emptied)} people.").wait_for()
        assert company.product.queue.count() == 0
        page.get_by_role("button", name="Approve and begin").click()
        page.get_by_role("status").get_by_text("The approved run has begun.").wait_for()
        page.get_by_role("button", name="Approve …").wait_for(state="detached")
        page.locator("#runs tbody tr").nth(2).wait_for()

    run = next(company.product.reconciler.runs.past())
    assert (run.phase, run.approves is not None, run.counts.sent) == (Phase.DONE, True, len(emptied))
    company.work()
    assert all(company.held(name) for name in emptied)


def test_the_guard_is_opened_and_shut(company: Company, opened: Opened) -> None:
    """For an hour, and not before it was confirmed."""
    with company.serving() as address:
        page, _ = opened(address)
        page.get_by_role("button", name="Open for an hour …").click()
        page.get_by_text("any number of people may lose").wait_for()
        assert company.product.losses.look(company.now).open_until is None
        page.get_by_role("button", name="Open it").click()
        page.get_by_role("button", name="Shut …").wait_for()
        assert company.product.losses.look(company.now).open_until == company.now + timedelta(hours=1)
        page.get_by_role("button", name="Shut …").click()
        page.get_by_role("button", name="Shut it").click()
        page.get_by_role("button", name="Open for an hour …").wait_for()
    assert company.product.losses.look(company.now).open_until is None


def test_an_act_that_fails_says_so_where_it_was_confirmed(company: Company, opened: Opened) -> None:
    """Another run is at work: code, hint, and a way to try again; nothing is lost."""
    with company.serving() as address:
        page, _ = opened(address, errors=True)
        page.get_by_role("button", name="Approve …").click()
        page.get_by_role("button", name="Approve and begin").wait_for()
        runs = company.product.reconciler.runs
        last = next(runs.past())
        runs.begin(last.kind, apply=False)
        page.get_by_role("button", name="Approve and begin").click()
        page.get_by_role("dialog").get_by_role("alert").get_by_text("run-active").wait_for()
        page.get_by_role("button", name="Close", exact=True).last.click()
        page.get_by_role("dialog").wait_for(state="hidden")


def test_markup_in_what_others_wrote_stays_text(company: Company, opened: Opened) -> None:
    """In a detail, a name, a query: nothing of it is ever an element, and nothing of it runs."""
    markup = "<img src=x onerror=window.ran=1><script>window.ran=1</script>"
    failure = Failure(id="m1", at=company.now, reason="no-recipient", detail=markup, body="{}", anchor="<b>x</b>")
    company.product.failures.add(failure)
    with company.serving() as address:
        page, _ = opened(address, errors=True)
        page.click("[data-key='show no-recipient']")
        page.locator("#failed-no-recipient").get_by_text(markup).wait_for()
        page.get_by_role("button", name="<b>x</b>").click()
        page.locator("#person").get_by_text("nobody as <b>x</b>").wait_for()
        page.fill("#who", markup)
        page.keyboard.press("Enter")
        page.locator("#person-title").get_by_text(markup).wait_for()
        assert page.locator("main img, main b, main script").count() == 0
        assert page.evaluate("window.ran") is None


def test_it_looks_again_and_leaves_the_keyboard_where_it_is(company: Company, opened: Opened) -> None:
    """Every half minute; whoever stands on a button stands on it still, and what was unfolded stays so."""
    with company.serving() as address:
        page, watched = opened(address)
        page.clock.install()
        page.reload()
        page.locator("#guard .guard").wait_for()
        page.click("#expiry summary")
        page.focus("[data-key='replay no-recipient']")
        failure = next(iter(company.product.failures.all(reason="no-recipient")))
        company.product.failures.add(replace(failure, id="another"))
        before = watched.asked.count("GET /api/status")
        page.clock.fast_forward(29_000)
        assert watched.asked.count("GET /api/status") == before
        page.clock.fast_forward(2_000)
        page.locator("#failed").get_by_text(f"{company.failed('no-recipient')} messages").wait_for()
        assert page.evaluate("document.activeElement.dataset.key") == "replay no-recipient"
        assert page.locator("#expiry details").get_attribute("open") is not None


def test_codes_lead_to_their_pages(company: Company, opened: Opened) -> None:
    """Where the app says where its pages are; of a finding and of an error, opened beside the console."""
    overseer = replace(company.product.overseer, docs="https://wiki.example/docs/")
    company.product = replace(company.product, overseer=overseer)
    with company.serving() as address:
        page, _ = opened(f"{address}#explain=mike%40corp.example")
        page.locator(".answer").wait_for()
        links = {each: page.locator(f"a:has-text('{each}')").first for each in ("shadowing", "no-recipient")}
        assert links["shadowing"].get_attribute("href") == "https://wiki.example/docs/findings.md#shadowing"
        assert links["no-recipient"].get_attribute("href") == "https://wiki.example/docs/errors.md#no-recipient"
        assert links["shadowing"].get_attribute("rel") == "noopener noreferrer"


def test_the_apps_own_certificates_are_shown(company: Company, opened: Opened) -> None:
    """The one by which it signs in to the tenant ends too."""
    own = Expiry(name="certificate of the application", at=company.now + timedelta(days=20))
    company.product = replace(company.product, overseer=replace(company.product.overseer, ends=lambda: (own,)))
    with company.serving() as address:
        page, _ = opened(address)
        page.locator("#agents").get_by_text("certificate of the application").wait_for()
        assert "in 20 days" in page.inner_text("#agents")


def test_what_not_every_company_has_is_shown_where_it_is(template: Company, opened: Opened) -> None:
    """A canary, a tenant that throttled, a cursor that lies behind, a last full run before the one of today."""
    known: Any = template.product.overseer.look().to_json()
    source = next(iter(known["agents"]))
    moment = (template.now - timedelta(minutes=7)).isoformat()
    known |= {
        "canary": {"lastWritten": moment, "lastSeconds": 3.25, "limitSeconds": 60, "withinLimit": 0.975},
        "throttledLast": moment,
        "cursors": {source: {"lagSeconds": 540.0, "waiting": 0}},
        "reconciled": {"id": "another", "began": moment, "ended": moment},
    }
    with template.serving() as address:
        page, _ = opened(address)
        page.route("**/api/status", lambda route: route.fulfill(json=known))
        page.click("#look")
        page.locator(".tile").get_by_text("Canary").wait_for()
        tiles = page.inner_text(".tiles")
        assert re.search(r"Canary\s+3\.3 s\s+7 min ago; 97\.5 % of a day within 60 s", tiles)
        assert re.search(r"Throttling\s+None\s+by the tenant last 7 min ago", tiles)
        assert re.search(r"Guarded\s+Everybody, \d+ min ago; all of it 7 min ago", tiles)
        assert page.get_by_role("row").filter(has_text=known["agents"][source]["source"]).get_by_text("9 min").count()


def test_times_are_the_viewers_and_utc_beside(template: Company, opened: Opened) -> None:
    """In Rome it is two hours later in summer."""
    with template.serving() as address:
        page, _ = opened(address)
        looked = page.locator("#looked time")
        looked.wait_for()
        assert looked.get_attribute("title") == f"{template.now:%Y-%m-%d %H:%M:%S} UTC"
        assert looked.inner_text() == f"{template.now + timedelta(hours=2):%H:%M:%S}"
