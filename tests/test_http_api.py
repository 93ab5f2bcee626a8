"""Requests and answers over HTTP, without any server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from sync import http_api
from sync.core.record import Failure
from sync.errors import HINTS, ErrorCode, PermanentError, SyncError, TemporaryError
from sync.explainer import Explainer
from sync.http_api import ROUTES, Answer, Operations, Request, Route, answer
from sync.overview import Overseer
from sync.replayer import Replayer
from tests.office import Office, person


@dataclass
class Product:
    """What the routes ask."""

    office: Office

    @property
    def explainer(self) -> Explainer:
        return self.office.explainer

    @property
    def overseer(self) -> Overseer:
        return self.office.overseer

    @property
    def replayer(self) -> Replayer:
        return self.office.replayer

    def health(self) -> dict[str, object]:
        return {"status": "ok"}


@pytest.fixture
def office() -> Office:
    """One failure: carol has no mailbox."""
    office = Office()
    office.receiver.process(office.message(person("carol", office.issue("carol")), waited=timedelta(days=1)))
    return office


def ask(office: Office, name: str, **request: Any) -> Answer:
    """Ask a route."""
    route = next(route for route in ROUTES if route.name == name)
    return answer(route, lambda: Product(office), Request(**request))


def a_route(act: Any) -> Route:
    return Route(name="test", method="GET", act=act)


def failing(error: SyncError) -> Route:
    """A route that ends in `error`."""

    def act(product: Operations, request: Request) -> Mapping[str, object]:
        raise error

    return a_route(act)


def test_a_result_is_answered_as_json(office: Office) -> None:
    """And no cache keeps it."""
    answered = answer(a_route(lambda product, request: {"failed": ["é"]}), lambda: Product(office), Request())

    assert (answered.status, json.loads(answered.body)) == (200, {"failed": ["é"]})
    assert answered.headers == {"Cache-Control": "no-store"}


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
    answered = answer(failing(error), lambda: Product(office), Request())

    assert answered.status == status
    assert json.loads(answered.body) == {"error": {"code": error.code, "message": "no", "hint": HINTS[error.code]}}


def test_a_passing_error_says_when_to_come_back(office: Office) -> None:
    """In whole seconds, never too early."""
    error = TemporaryError(ErrorCode.LEDGER_UNAVAILABLE, "no", retry_after=timedelta(seconds=1.2))

    assert answer(failing(error), lambda: Product(office), Request()).headers["Retry-After"] == "2"


def test_a_product_that_cannot_be_built_is_an_answer_too(office: Office) -> None:
    """Wrong settings, above all."""

    def build() -> Product:
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


def test_health_asks_nobody(office: Office) -> None:
    """It is what a monitor asks every minute."""
    assert json.loads(ask(office, "health").body) == {"status": "ok"}
    assert http_api.health.__doc__
