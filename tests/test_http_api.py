"""Requests and answers over HTTP, without any server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync import http_api
from sync.adapters.embedded import Database, EmbeddedQueue
from sync.core.path import TrustStore
from sync.core.record import Failure
from sync.core.run import Kind
from sync.errors import HINTS, ErrorCode, PermanentError, SyncError, TemporaryError
from sync.http_api import ROUTES, Answer, Operations, Request, Route, answer
from sync.sign_in import SignIn
from tests.mill import Mill
from tests.office import Office, Operated, person
from tests.test_sign_in import ALICE, OURS, principal


@pytest.fixture
def office() -> Office:
    """One failure: carol has no mailbox."""
    office = Office()
    office.receiver.process(office.message(person("carol", office.issue("carol")), waited=timedelta(days=1)))
    return office


def ask(office: Office, name: str, **request: Any) -> Answer:
    """Ask a route."""
    route = next(route for route in ROUTES if route.name == name)
    return answer(route, lambda: Operated(office), Request(**request))


def a_route(act: Any) -> Route:
    return Route(name="test", method="GET", act=act)


def failing(error: SyncError) -> Route:
    """A route that ends in `error`."""

    def act(product: Operations, request: Request) -> Mapping[str, object]:
        raise error

    return a_route(act)


def test_a_result_is_answered_as_json(office: Office) -> None:
    """And no cache keeps it, and no browser takes it for a page."""
    answered = answer(a_route(lambda product, request: {"failed": ["é"]}), lambda: Operated(office), Request())

    assert (answered.status, json.loads(answered.body)) == (200, {"failed": ["é"]})
    assert answered.headers == {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PermanentError(ErrorCode.REQUEST_MALFORMED, "no"), 400),
        (PermanentError(ErrorCode.PERSON_UNKNOWN, "no"), 404),
        (PermanentError(ErrorCode.SETTINGS_INVALID, "no"), 500),
        (TemporaryError(ErrorCode.LEDGER_UNAVAILABLE, "no"), 503),
    ],
)
def test_an_error_is_answered_with_code_and_hint(office: Office, error: SyncError, status: int) -> None:
    """The caller's fault, ours, or a passing one."""
    answered = answer(failing(error), lambda: Operated(office), Request())

    assert answered.status == status
    assert json.loads(answered.body) == {"error": {"code": error.code, "message": "no", "hint": HINTS[error.code]}}


def test_a_passing_error_says_when_to_come_back(office: Office) -> None:
    """In whole seconds, never too early."""
    error = TemporaryError(ErrorCode.LEDGER_UNAVAILABLE, "no", retry_after=timedelta(seconds=1.2))

    assert answer(failing(error), lambda: Operated(office), Request()).headers["Retry-After"] == "2"


def test_a_product_that_cannot_be_built_is_an_answer_too(office: Office) -> None:
    """Wrong settings, above all."""

    def build() -> Operated:
        raise PermanentError(ErrorCode.SETTINGS_INVALID, "no")

    assert answer(ROUTES[0], build, Request()).status == 500


@pytest.mark.parametrize(
    ("query", "count"),
    [({}, 1), ({"reason": "no-recipient"}, 1), ({"user": "carol@corp.example"}, 1), ({"reason": "x"}, 0)],
)
def test_failures_are_listed_by_choice(office: Office, query: dict[str, str], count: int) -> None:
    """The command's own choices."""
    assert len(json.loads(ask(office, "failed", query=query).body)["failed"]) == count


def test_an_answer_holds_a_thousand_unless_it_is_asked_for_more(office: Office) -> None:
    """An HTTP answer has to come in time; it says where it ends."""
    for number in range(1_005):
        office.failures.add(Failure(id=f"m{number}", at=office.now, reason="no-recipient", detail="", body="{}"))

    listed = json.loads(ask(office, "failed").body)
    assert (len(listed["failed"]), listed["limit"]) == (1_000, 1_000)
    listed = json.loads(ask(office, "failed", query={"limit": "2000"}).body)
    assert (len(listed["failed"]), listed["limit"]) == (1_006, 2_000)
    replayed = json.loads(ask(office, "replay", body=b'{"all": true, "apply": true}').body)
    assert (len(replayed["chosen"]), replayed["limit"], office.queue.count()) == (1_000, 1_000, 1_000)
    assert len(json.loads(ask(office, "failed").body)["failed"]) == 6


def test_a_replay_is_dry_unless_asked(office: Office) -> None:
    """It shows what would go."""
    answered = json.loads(ask(office, "replay", body=b'{"all": true}').body)

    assert (answered["applied"], len(answered["chosen"]), office.queue.count()) == (False, 1, 0)


def test_a_replay_is_asked_for(office: Office) -> None:
    """With its reason and its rate."""
    body = b'{"apply": true, "reason": "no-recipient", "rate": "5/s", "limit": 10, "since": "2020-01-01T00:00:00Z"}'

    assert json.loads(ask(office, "replay", body=body).body)["applied"]
    assert office.queue.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b'{"aply": true}',
        b'{"apply": true}',
        b'{"apply": true, "reasons": "no-recipient"}',
        b'{"all": true, "reason": "no-recipient", "apply": true}',
        b'{"all": 1, "apply": true}',
        b'{"all": true, "apply": 1}',
        b'{"all": true, "apply": "true"}',
        b'{"all": true, "apply": null}',
        b'{"reason": 7, "apply": true}',
        b'{"reason": "", "apply": true}',
        b'{"all": true, "apply": true, "rate": "fast"}',
        b'{"all": true, "apply": true, "rate": "0/s"}',
        b'{"all": true, "apply": true, "rate": 5}',
        b'{"all": true, "apply": true, "limit": 0}',
        b'{"since": "yesterday", "apply": true}',
        b'{"since": "2026-01-01T00:00:00", "apply": true}',
        b'{"user": "\\ud800", "apply": true}',
        b'{"user": "' + b"u" * 513 + b'", "apply": true}',
        b"[" * 60_000,
    ],
)
def test_a_request_with_anything_else_is_refused(office: Office, body: bytes) -> None:
    """A misspelt reason would replay everything."""
    answered = ask(office, "replay", body=body)

    assert (answered.status, json.loads(answered.body)["error"]["code"]) == (400, ErrorCode.REQUEST_MALFORMED)
    assert office.queue.count() == 0


@pytest.mark.parametrize("query", [{"raeson": "no-recipient"}, {"limit": "many"}, {"since": "today"}])
def test_a_misspelt_query_is_refused(office: Office, query: dict[str, str]) -> None:
    """Rather than answered with something else than was meant."""
    assert ask(office, "failed", query=query).status == 400


def test_the_key_in_the_address_is_no_question(office: Office) -> None:
    """The host has looked at it, and hands it on."""
    for name in ("failed", "explain"):
        assert ask(office, name, query={"code": "key", "user": "carol@corp.example"}).status == 200


def test_a_body_that_is_too_large_is_refused(office: Office) -> None:
    """Unread, whatever it asks for."""
    body = b'{"all": true, "apply": true' + b" " * 65_536 + b"}"
    answered = ask(office, "replay", body=body)
    assert (answered.status, json.loads(answered.body)["error"]["code"]) == (413, ErrorCode.REQUEST_TOO_LARGE)
    assert office.queue.count() == 0


_TEXT = st.text(st.characters(codec=None), max_size=600)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)
_MEMBERS = st.sampled_from(["all", "apply", "reason", "user", "message", "since", "limit", "rate", "run", "minutes"])


@settings(max_examples=300, deadline=None)
@given(
    route=st.sampled_from([route for route in ROUTES if route.name not in {"status", "console"}]),
    said=st.dictionaries(_MEMBERS | _TEXT, _JSON, max_size=4),
    query=st.dictionaries(st.sampled_from(["user", "reason", "limit", "since", "message"]) | _TEXT, _TEXT, max_size=2),
    body=st.none() | st.binary(max_size=50),
)
def test_whatever_is_asked_is_answered(
    route: Route, said: dict[str, object], query: dict[str, str], body: bytes | None
) -> None:
    """With what was asked for or with a code: never with a defect, and nothing waits on a queue by mistake."""
    operated = Operated(_OFFICE)
    sent = json.dumps(said).encode("utf-8") if body is None else body
    answered = answer(route, lambda: operated, Request(query=query, body=sent))
    told = json.loads(answered.body)
    assert answered.status == 200 or answered.status in {400, 404}
    assert answered.status == 200 or told["error"]["code"] in set(HINTS)
    assert _OFFICE.queue.count() == 0


_OFFICE = Office()


def test_health_asks_nobody(office: Office) -> None:
    """It is what a monitor asks every minute."""
    assert json.loads(ask(office, "health").body) == {"status": "ok"}
    assert http_api.health.__doc__


@pytest.fixture
def guarded() -> tuple[Operated, str]:
    """Six people whose certificates no anchor stands for any more: a run stopped; and its id."""
    office = Office()
    for number in range(6):
        office.mailbox(f"person{number}")
        office.process(person(f"person{number}", office.issue(f"person{number}", key="ec256")))
    office.trust = TrustStore.of([Mill().root("Another Root", key="ec256").der])
    found = office.reconciler.reconcile(apply=True)
    assert found.guarded is not None
    return Operated(office, continuing=EmbeddedQueue(Database(None, lambda: office.now))), found.guarded


def told(operated: Operated, name: str, said: object = None) -> tuple[int, dict[str, Any]]:
    """Ask a route, with a JSON body."""
    route = next(route for route in ROUTES if route.name == name)
    answered = answer(route, lambda: operated, Request(body=json.dumps(said or {}).encode("utf-8")))
    return answered.status, json.loads(answered.body)


def test_runs_are_told_the_one_at_work_apart(guarded: tuple[Operated, str]) -> None:
    """Which of them waits for an administrator is said; the command says the same."""
    operated, stopped = guarded
    status, runs = told(operated, "runs")
    assert (status, runs["current"]) == (200, None)
    assert [(run["id"], run["phase"], run["guarded"]) for run in runs["past"]] == [(stopped, "guarded", True)]
    assert runs["past"][0]["counts"]["losing"] == 6

    begun = operated.reconciler.start(Kind.DUE, apply=False)
    assert begun is not None
    _, runs = told(operated, "runs")
    assert (runs["current"]["id"], runs["current"]["phase"], runs["current"]["guarded"]) == (begun.id, "due", False)
    assert [run["id"] for run in runs["past"]] == [stopped]


def test_the_last_ten_runs_are_told(office: Office) -> None:
    """The latest first."""
    operated = Operated(office)
    for _ in range(12):
        office.pass_time(timedelta(hours=1))
        office.reconciler.reconcile(apply=False)

    began = [run["began"] for run in told(operated, "runs")[1]["past"]]
    assert len(began) == 10
    assert began == sorted(began, reverse=True)


def test_an_approval_is_dry_unless_asked(guarded: tuple[Operated, str]) -> None:
    """It shows what the run counted; nothing is begun."""
    operated, stopped = guarded
    status, shown = told(operated, "approve", {"run": stopped})
    assert (status, shown["applied"], shown["run"]["id"], shown["run"]["counts"]["losing"]) == (200, False, stopped, 6)
    assert operated.reconciler.runs.at_work() is None


def test_an_approved_run_goes_in_pieces(guarded: tuple[Operated, str]) -> None:
    """The answer does not wait for its end: the first piece lies on the runs queue. At its end everybody's event went
    back on the change queue, and the processor, told by the store, withdraws."""
    operated, stopped = guarded
    assert operated.continuing is not None
    status, begun = told(operated, "approve", {"run": stopped, "apply": True})
    assert (status, begun["applied"], begun["run"]["approves"], begun["run"]["by"]) == (200, True, stopped, "key")
    assert told(operated, "runs")[1]["current"]["id"] == begun["run"]["id"]
    assert operated.office.queue.count() == 0

    while messages := operated.continuing.receive(1, timedelta(hours=1)):
        operated.reconciler.advance(messages[0].body)
    runs = told(operated, "runs")[1]
    assert (runs["current"], runs["past"][0]["phase"], runs["past"][0]["counts"]["sent"]) == (None, "done", 6)
    assert [run["guarded"] for run in runs["past"]] == [False, False]
    operated.office.drain()
    assert not any(operated.office.held(f"person{number}") for number in range(6))


def test_a_run_remembers_who_let_it_go(guarded: tuple[Operated, str]) -> None:
    """By object id, for whoever asks later; the host's log is gone by then."""
    operated, stopped = guarded
    route = next(route for route in ROUTES if route.name == "approve")
    body = json.dumps({"run": stopped, "apply": True}).encode("ascii")
    asked = Request(headers={**principal("SmimeSync.Operate"), **OURS}, body=body)
    assert answer(route, lambda: operated, asked, SignIn(entra=True, guarded=True)).status == 200
    assert told(operated, "runs")[1]["current"]["by"] == ALICE


def test_an_approval_in_report_mode_sends_nothing(guarded: tuple[Operated, str]) -> None:
    """As everything there: it only looks."""
    operated, stopped = guarded
    operated.report, operated.continuing = True, None
    status, begun = told(operated, "approve", {"run": stopped, "apply": True})
    assert (status, begun["applied"], begun["run"]["phase"]) == (200, False, "done")
    assert operated.office.queue.count() == 0


def test_a_second_run_is_refused_while_one_is_at_work(guarded: tuple[Operated, str]) -> None:
    """With the time after which a dead one is taken over."""
    operated, stopped = guarded
    assert told(operated, "approve", {"run": stopped, "apply": True})[0] == 200
    route = next(route for route in ROUTES if route.name == "approve")
    body = json.dumps({"run": stopped, "apply": True}).encode("ascii")
    answered = answer(route, lambda: operated, Request(body=body))
    assert (answered.status, json.loads(answered.body)["error"]["code"]) == (409, ErrorCode.RUN_ACTIVE)
    assert 0 < int(answered.headers["Retry-After"]) <= 180


@pytest.mark.parametrize("run", ["20260101T000000000000", "current", "../timers/reconcile", "x" * 40])
def test_only_a_guarded_run_is_approved(guarded: tuple[Operated, str], run: str) -> None:
    """Whatever else lies in the store."""
    for apply in (False, True):
        status, refused = told(guarded[0], "approve", {"run": run, "apply": apply})
        assert (status, refused["error"]["code"]) == (404, ErrorCode.RUN_UNKNOWN)
    assert guarded[0].reconciler.runs.at_work() is None


@pytest.mark.parametrize(
    "said", [{}, {"\ud800": 1}, {"run": ""}, {"run": "x" * 41}, {"run": 7}, {"run": "x", "aply": True}]
)
def test_an_approval_with_anything_else_is_refused(guarded: tuple[Operated, str], said: object) -> None:
    """Rather than understood as something else."""
    status, refused = told(guarded[0], "approve", said)
    assert (status, refused["error"]["code"]) == (400, ErrorCode.REQUEST_MALFORMED)


def test_the_guard_is_opened_for_a_while_and_shut(office: Office) -> None:
    """Dry it shows how it would stand."""
    operated = Operated(office)
    shut = {"recent": [], "limit": 20, "openUntil": None}
    assert told(operated, "guard") == (200, shut)

    until = (office.now + timedelta(hours=1)).isoformat()
    assert told(operated, "open-guard") == (200, {**shut, "openUntil": until, "applied": False})
    assert told(operated, "guard") == (200, shut)

    assert told(operated, "open-guard", {"apply": True}) == (200, {**shut, "openUntil": until, "applied": True})
    assert told(operated, "guard") == (200, {**shut, "openUntil": until})
    office.pass_time(timedelta(hours=1))
    assert told(operated, "guard") == (200, shut)

    told(operated, "open-guard", {"apply": True, "minutes": 5})
    assert told(operated, "guard")[1]["openUntil"] == (office.now + timedelta(minutes=5)).isoformat()
    told(operated, "open-guard", {"apply": True, "minutes": 0})
    assert told(operated, "guard") == (200, shut)


def test_the_guard_tells_who_went_within_the_hour(office: Office) -> None:
    """By source anchor; an hour later they do not count any more."""
    office.losses.admits("AAAA", office.now)
    assert told(Operated(office), "guard")[1]["recent"] == ["AAAA"]
    office.pass_time(timedelta(hours=1))
    assert told(Operated(office), "guard")[1]["recent"] == []


@pytest.mark.parametrize(
    "said", [{"minutes": -1}, {"minutes": 1441}, {"minutes": True}, {"minutes": "60"}, {"open": 1}]
)
def test_the_guard_is_not_opened_for_anything_else(office: Office, said: dict[str, object]) -> None:
    """Nor for ever."""
    status, refused = told(Operated(office), "open-guard", {**said, "apply": True})
    assert (status, refused["error"]["code"]) == (400, ErrorCode.REQUEST_MALFORMED)
    assert office.losses.look(office.now).open_until is None


def test_the_tenant_is_tried_by_whom_the_app_is(office: Office) -> None:
    """Each check as the command shows it; a mailbox out of reach only where one is named."""
    operated = Operated(office)
    checks = [{"check": "token", "level": "ok", "detail": "given", "hint": ""}]
    assert told(operated, "preflight") == (200, {"checks": checks})
    assert told(operated, "preflight", {"outside": "boss@corp.example"}) == (200, {"checks": checks})
    assert operated.tried == [None, "boss@corp.example"]


@pytest.mark.parametrize("said", [{"outside": 7}, {"outside": ""}, {"outsde": "boss@corp.example"}])
def test_a_trial_of_anything_else_is_refused(office: Office, said: dict[str, object]) -> None:
    """Nothing is tried."""
    operated = Operated(office)
    status, refused = told(operated, "preflight", said)
    assert (status, refused["error"]["code"], operated.tried) == (400, ErrorCode.REQUEST_MALFORMED, [])
