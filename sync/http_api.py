"""What is answered over HTTP, free of any server: the Functions host is one, `smime-sync serve` another.

`ROUTES` is the one table of both. Nothing heavy is imported before a route is asked: the host waits for this module.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.sign_in import BY_KEY, KEY_HOLDER, SignIn

if TYPE_CHECKING:
    from sync.asked import Asked
    from sync.core.run import Run
    from sync.explainer import Explainer
    from sync.loss_guard import LossGuard
    from sync.overseer import Overseer
    from sync.preflight import Line
    from sync.reconciler import Reconciler
    from sync.replayer import Choice, Replayer

logger = logging.getLogger("smime_sync.http")

MAX_BODY = 65_536
"""Bytes of a request: the largest that anybody has a reason to send."""
_MOST = 1_000
"""Failures of one answer, where the request names no limit."""
_STATUS = {
    ErrorCode.REQUEST_MALFORMED: 400,
    ErrorCode.REQUEST_UNAUTHORISED: 401,
    ErrorCode.REQUEST_FORBIDDEN: 403,
    ErrorCode.REQUEST_TOO_LARGE: 413,
    ErrorCode.PERSON_UNKNOWN: 404,
    ErrorCode.RUN_UNKNOWN: 404,
    ErrorCode.RUN_ACTIVE: 409,
}
"""Of errors that are the caller's; another one is ours (500), or passes by itself (503)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked: the members of the query (the last one of a name), the headers (names in lower case), the body;
    and by whom, as `SignIn.admit` tells."""

    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    by: str = "nobody"


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

    @property
    def reconciler(self) -> Reconciler:
        """Reconciliation, and the runs that there were."""

    @property
    def losses(self) -> LossGuard:
        """The guard over live events."""

    def now(self) -> datetime:
        """The moment, in UTC."""

    def approve(self, run_id: str, *, by: str) -> Run:
        """Begin a run that may do what this guarded one would have done; in report mode it only looks."""

    def preflight(self, outside: str | None) -> Iterable[Line]:
        """Try what the tenant lets us do. Raises PermanentError `request-malformed` where there is no tenant."""

    def health(self) -> dict[str, object]:
        """Whether the settings are whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`name` is the function's and the last part of the address; `act` answers with JSON, or with an answer of its
    own. What is not `of_people` has the host's key also where people sign in."""

    name: str
    method: str
    act: Callable[[Operations, Request], Mapping[str, object] | Answer]
    of_people: bool = True

    def signs_in(self, sign_in: SignIn) -> bool:
        """Whether people sign in for it in Entra, so that the host asks for no key."""
        return self.of_people and sign_in.entra


def health(product: Operations, request: Request) -> Mapping[str, object]:  # noqa: ARG001 - asks for nothing
    """Whether the settings are whole. Nothing private, and no other service is asked."""
    return product.health()


def status(product: Operations, request: Request) -> Mapping[str, object]:  # noqa: ARG001 - asks for nothing
    """Agents, queue, failures, coverage and what expires, as `smime-sync status --json`."""
    return product.overseer.look().to_json()


def explain(product: Operations, request: Request) -> Mapping[str, object]:
    """All about one person: `?user=U`, an ImmutableId, an address or a UPN."""
    asked = _read(_query(request), {"user"})
    if asked.choice.user is None:
        raise PermanentError(ErrorCode.REQUEST_MALFORMED, "user is missing: an ImmutableId, an address or a UPN")
    return product.explainer.explain(asked.choice.user).to_json()


def failed(product: Operations, request: Request) -> Mapping[str, object]:
    """The failed messages, oldest first, without their bodies: `?reason=CODE&user=U&since=TIME&limit=N`.

    1,000 of them where no limit is named; the answer names it.
    """
    from sync.replayer import failure_to_public_json  # noqa: PLC0415 - late, for the cold start

    choice = _limited(_read(_query(request), {"reason", "user", "message", "since", "limit"}).choice)
    told = [failure_to_public_json(each) for each in product.replayer.failed(choice)]
    return {"failed": told, "limit": choice.limit}


def replay(product: Operations, request: Request) -> Mapping[str, object]:
    """Put failed messages back on the queue: `{"reason", "user", "message", "since", "limit", "rate", "apply"}`.

    One of the choices must be made, or `"all": true`; dry unless `"apply": true`. It takes 1,000 where no limit is
    named, for an answer has to come within 230 seconds (Azure's load balancer): the answer names it, so ask again.
    """
    members = {"all", "reason", "user", "message", "since", "limit", "rate", "apply"}
    asked = _read(_said(request), members)
    if asked.all == asked.chosen:
        raise PermanentError(ErrorCode.REQUEST_MALFORMED, "choose all, or some of reason, user, message and since")
    choice = _limited(asked.choice)
    return {**product.replayer.replay(choice, apply=asked.apply, rate=asked.rate).to_json(), "limit": choice.limit}


def console(product: Operations, request: Request) -> Answer:  # noqa: ARG001 - it asks the other routes itself
    """The console: one page, which asks the other routes."""
    from sync.console import page  # noqa: PLC0415 - late, for the cold start

    made = page()
    return Answer(status=200, body=made.html, headers=made.headers, media_type="text/html")


def runs(product: Operations, request: Request) -> Mapping[str, object]:  # noqa: ARG001 - asks for nothing
    """The reconciliation at work and the last ones, as `smime-sync reconcile --status --json`."""
    return product.reconciler.runs.told()


def approve(product: Operations, request: Request) -> Mapping[str, object]:
    """Let a guarded reconciliation go: `{"run": ID, "apply": true}`; dry it shows what that run counted.

    It begins a run whose pieces come over the runs queue, so the answer does not wait for its end.
    """
    from sync.asked import approval  # noqa: PLC0415 - late, for the cold start
    from sync.reconciling.runs import run_to_json  # noqa: PLC0415 - the same

    asked = approval(_said(request))
    run = product.approve(asked.run, by=request.by) if asked.apply else product.reconciler.guarded(asked.run)
    return {"applied": asked.apply and run.apply, "run": run_to_json(run)}


def guard(product: Operations, request: Request) -> Mapping[str, object]:  # noqa: ARG001 - asks for nothing
    """Who lost the last certificate within the hour, how many may, as `smime-sync guard --json`."""
    return product.losses.to_json(product.losses.look(product.now()))


def open_guard(product: Operations, request: Request) -> Mapping[str, object]:
    """Let everybody go for a while: `{"minutes": 60, "apply": true}`; 0 shuts. Dry it shows how it would stand."""
    from sync.asked import opening  # noqa: PLC0415 - late, for the cold start

    asked, now, losses = opening(_said(request)), product.now(), product.losses
    until = now + timedelta(minutes=asked.minutes) if asked.minutes else None
    if asked.apply:
        losses.open(until)
    return {**losses.to_json(replace(losses.look(now), open_until=until)), "applied": asked.apply}


def preflight(product: Operations, request: Request) -> Mapping[str, object]:
    """Try the tenant, with the app's own identity, as `smime-sync preflight --json`: `{"outside": ADDRESS}`, or `{}`.

    A managed identity can be tried nowhere else. Nothing changes; it takes as long as the slowest revocation list.
    """
    from sync.asked import trial  # noqa: PLC0415 - late, for the cold start

    return {"checks": [line.to_json() for line in product.preflight(trial(_said(request)).outside)]}


ROUTES = (
    Route(name="health", method="GET", act=health, of_people=False),
    Route(name="status", method="GET", act=status),
    Route(name="explain", method="GET", act=explain),
    Route(name="failed", method="GET", act=failed),
    Route(name="replay", method="POST", act=replay),
    Route(name="runs", method="GET", act=runs),
    Route(name="approve", method="POST", act=approve),
    Route(name="guard", method="GET", act=guard),
    Route(name="open-guard", method="POST", act=open_guard),
    Route(name="preflight", method="POST", act=preflight),
    Route(name="console", method="GET", act=console),
)


def answer(route: Route, product: Callable[[], Operations], request: Request, sign_in: SignIn = BY_KEY) -> Answer:
    """Make an answer of what a route says, or of the SyncError in which it ends, with its code and hint.

    Whoever acts, or tries to, is logged: an object id of Entra, or `key`.
    """
    acts, applied = route.method == "POST", False
    try:
        signs_in = route.signs_in(sign_in)
        request = replace(request, by=sign_in.admit(request.headers, acts=acts) if signs_in else KEY_HOLDER)
        if len(request.body) > MAX_BODY:
            raise PermanentError(ErrorCode.REQUEST_TOO_LARGE, f"the body has more than {MAX_BODY} bytes")
        made = route.act(product(), request)
        applied = not isinstance(made, Answer) and made.get("applied") is True
        told = made if isinstance(made, Answer) else _answer(200, made)
    except SyncError as error:
        told = refusal(error)
    if acts:
        logger.info("asked route=%s by=%s applied=%s status=%d", route.name, request.by, applied, told.status)
    return told


def refusal(error: SyncError) -> Answer:
    """The answer that an error is."""
    told = {"code": error.code, "message": error.message, "hint": error.hint}
    status = _STATUS.get(error.code, 503 if isinstance(error, TemporaryError) else 500)
    pause = error.retry_after if isinstance(error, TemporaryError) else None
    # RFC 9110, 10.2.3: whole seconds.
    wait = {} if pause is None else {"Retry-After": str(math.ceil(pause.total_seconds()))}
    return _answer(status, {"error": told}, wait)


def _answer(status: int, content: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Answer:
    # Whatever a person is called stays text, also where a browser is shown this answer alone.
    always = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Answer(status=status, body=json.dumps(content), headers={**always, **(headers or {})})


def _query(request: Request) -> Mapping[str, str]:
    """Without the key, which the host has looked at."""
    return {name: value for name, value in request.query.items() if name != "code"}


def _said(request: Request) -> Mapping[str, object]:
    try:
        said = json.loads(request.body) if request.body.strip() else {}
    except (ValueError, RecursionError) as error:
        raise PermanentError(ErrorCode.REQUEST_MALFORMED, "the body is not JSON") from error
    if not isinstance(said, dict):
        raise PermanentError(ErrorCode.REQUEST_MALFORMED, "the body is not a JSON object")
    return said


def _limited(choice: Choice) -> Choice:
    return choice if choice.limit is not None else replace(choice, limit=_MOST)


def _read(asked: Mapping[str, object], members: Set[str]) -> Asked:
    from sync.asked import read  # noqa: PLC0415 - late: pydantic

    return read(asked, members)
