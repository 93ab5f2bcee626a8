"""What is answered over HTTP, free of any server: the Functions host is one, `smime-sync serve` another.

`ROUTES` is the one table of both. Nothing heavy is imported before a route is asked: the host waits for this module.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError

if TYPE_CHECKING:
    from sync.asked import Asked
    from sync.explainer import Explainer
    from sync.overview import Overseer
    from sync.replayer import Choice, Replayer

_MOST = 1_000
"""Failures of one answer, where the request names no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked: the members of the query (the last one of a name) and the body."""

    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer; `body` is text of `media_type`, in UTF-8."""

    status: int
    body: str
    headers: Mapping[str, str]
    media_type: str = "application/json"


class Operations(Protocol):
    """What the routes ask of the product."""

    @property
    def explainer(self) -> Explainer:
        """All about one person."""

    @property
    def overseer(self) -> Overseer:
        """How it stands."""

    @property
    def replayer(self) -> Replayer:
        """Failed messages and their replay."""

    def health(self) -> dict[str, object]:
        """Whether the settings are whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`name` is the function's and the last part of the address; `act` answers with JSON, or with an answer of its
    own."""

    name: str
    method: str
    act: Callable[[Operations, Request], Mapping[str, object] | Answer]


def health(product: Operations, request: Request) -> Mapping[str, object]:  # noqa: ARG001 - asks for nothing
    """Whether the settings are whole. Nothing private, and no other service is asked."""
    return product.health()


def status(product: Operations, request: Request) -> Mapping[str, object]:  # noqa: ARG001 - asks for nothing
    """Agents, queue, failures, coverage and what expires, as `smime-sync status --json`."""
    return product.overseer.look().to_json()


def explain(product: Operations, request: Request) -> Mapping[str, object]:
    """All about one person: `?user=U`, an ImmutableId, an address or a UPN."""
    asked = _read(request.query, {"user"})
    if asked.choice.user is None:
        raise PermanentError(ErrorCode.REQUEST_MALFORMED, "user is missing: an ImmutableId, an address or a UPN")
    return product.explainer.explain(asked.choice.user).to_json()


def failed(product: Operations, request: Request) -> Mapping[str, object]:
    """The failed messages, oldest first, without their bodies: `?reason=CODE&user=U&since=TIME&limit=N`.

    1,000 of them where no limit is named; the answer names it.
    """
    from sync.replayer import failure_to_public_json  # noqa: PLC0415 - late, for the cold start

    choice = _limited(_read(request.query, {"reason", "user", "message", "since", "limit"}).choice)
    told = [failure_to_public_json(each) for each in product.replayer.failed(choice)]
    return {"failed": told, "limit": choice.limit}


def replay(product: Operations, request: Request) -> Mapping[str, object]:
    """Put failed messages back on the queue: `{"reason", "user", "message", "since", "limit", "rate", "apply"}`.

    One of the choices must be made, or `"all": true`; dry unless `"apply": true`. It takes 1,000 where no limit is
    named, for an answer has to come within 230 seconds (Azure's load balancer): the answer names it, so ask again.
    """
    try:
        said = json.loads(request.body) if request.body.strip() else {}
    except ValueError as error:
        raise PermanentError(ErrorCode.REQUEST_MALFORMED, "the body is not JSON") from error
    if not isinstance(said, dict):
        raise PermanentError(ErrorCode.REQUEST_MALFORMED, "the body is not a JSON object")
    asked = _read(said, {"all", "reason", "user", "message", "since", "limit", "rate", "apply"})
    if asked.all == asked.chosen:
        raise PermanentError(ErrorCode.REQUEST_MALFORMED, "choose all, or some of reason, user, message and since")
    choice = _limited(asked.choice)
    return {**product.replayer.replay(choice, apply=asked.apply, rate=asked.rate).to_json(), "limit": choice.limit}


def console(product: Operations, request: Request) -> Answer:  # noqa: ARG001 - it asks the other routes itself
    """The console: one page, which asks the other routes."""
    from sync.console import page  # noqa: PLC0415 - late, for the cold start

    made = page()
    return Answer(status=200, body=made.html, headers=made.headers, media_type="text/html")


ROUTES = (
    Route(name="health", method="GET", act=health),
    Route(name="status", method="GET", act=status),
    Route(name="explain", method="GET", act=explain),
    Route(name="failed", method="GET", act=failed),
    Route(name="replay", method="POST", act=replay),
    Route(name="console", method="GET", act=console),
)


def answer(route: Route, product: Callable[[], Operations], request: Request) -> Answer:
    """Make an answer of what a route says, or of the SyncError in which it ends, with its code and hint."""
    try:
        made = route.act(product(), request)
        return made if isinstance(made, Answer) else _answer(200, made)
    except SyncError as error:
        told = {"code": error.code, "message": error.message, "hint": error.hint}
        if error.code in {ErrorCode.REQUEST_MALFORMED, ErrorCode.PERSON_UNKNOWN}:
            return _answer(400 if error.code is ErrorCode.REQUEST_MALFORMED else 404, {"error": told})
        if not isinstance(error, TemporaryError):
            return _answer(500, {"error": told})
        # RFC 9110, 10.2.3: whole seconds.
        wait = {} if error.retry_after is None else {"Retry-After": str(math.ceil(error.retry_after.total_seconds()))}
        return _answer(503, {"error": told}, wait)


def _answer(status: int, content: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status=status, body=json.dumps(content), headers={"Cache-Control": "no-store", **(headers or {})})


def _limited(choice: Choice) -> Choice:
    return choice if choice.limit is not None else replace(choice, limit=_MOST)


def _read(asked: Mapping[str, object], members: Set[str]) -> Asked:
    from sync.asked import read  # noqa: PLC0415 - late: pydantic

    return read(asked, members)
