"""The HTTP side of the admin API: routing, token, anchor, body, pages."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from werkzeug import Request

from tests.lab.tenant import refused
from tests.lab.tenant.answers import answer
from tests.lab.tenant.behaviour import Budget
from tests.lab.tenant.cmdlets import Cmdlets, Result
from tests.lab.tenant.faults import Faults
from tests.lab.tenant.refused import Refused, Reply
from tests.lab.tenant.tokens import Tokens

_SYSTEM_MAILBOX = "SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}"
LARGEST_BATCH = 10
_COOKIE = "X-BEServer"
_PAGE = re.compile(r"odata\.maxpagesize\s*=\s*(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rest:
    """What is left of an answer, and the backend that holds it: only who comes back with its cookie gets there."""

    result: Result
    place: int
    backend: str
    body: bytes


@dataclass(slots=True, kw_only=True)
class AdminApi:
    """`InvokeCommand` of one tenant."""

    tenant: str
    tokens: Tokens
    cmdlets: Cmdlets
    faults: Faults = field(default_factory=Faults)
    budget: Budget = field(default_factory=Budget)
    pages: dict[str, _Rest] = field(default_factory=dict)

    def answer(self, request: Request) -> Reply | None:
        """The answer, or None for a path that is not the admin API's. Raises Refused."""
        base = f"/adminapi/beta/{self.tenant}"
        if request.path not in {f"{base}/InvokeCommand", f"{base}/$batch"}:
            return None
        if request.method != "POST":
            return Reply(status=405, headers={"Allow": "POST"})
        self.tokens.check(request.headers.get("Authorization", ""))
        if request.headers.get("X-AnchorMailbox") not in {
            f"{kind}:{_SYSTEM_MAILBOX}@{self.tenant}" for kind in ("APP", "UPN")
        }:
            raise refused.unroutable()
        body = request.get_data()
        if request.path.endswith("$batch"):
            return Batch(api=self, url=f"{request.host_url.rstrip('/')}{base}/InvokeCommand").answer(body)
        if not self.budget.take(time.monotonic()):
            raise refused.throttled(self.budget.retry_after, self.budget.headers)
        cmdlet, parameters = _input(body)
        if token := request.args.get("$skiptoken"):
            rest = self.pages.pop(token, None)
            if rest is None or request.cookies.get(_COOKIE) != rest.backend or body != rest.body:
                raise refused.expired_page()
            return self._page(request, rest)
        result = self.cmdlets.run(cmdlet, parameters)
        if cmdlet.startswith("Set-") and self.cmdlets.behaviour.no_content and not result.warnings:
            return Reply(status=204)
        backend = request.cookies.get(_COOKIE) or secrets.token_hex(4)
        return self._page(request, _Rest(result=result, place=0, backend=backend, body=body))

    def _page(self, request: Request, rest: _Rest) -> Reply:
        match = _PAGE.search(request.headers.get("Prefer", ""))
        size = int(match[1]) if match else 100
        entries, end = rest.result.entries, rest.place + size
        link = None
        if end < len(entries):
            token = secrets.token_urlsafe(12)
            self.pages[token] = _Rest(result=rest.result, place=end, backend=rest.backend, body=rest.body)
            link = f"{request.base_url}?$skiptoken={token}"
        kind, content = answer(
            [rest.result.show(entry) for entry in entries[rest.place : end]],
            rest.result.warnings,
            context=f"{request.host_url}adminapi/beta/{self.tenant}/$metadata#Collection(Exchange.GenericHashTable)",
            next_link=link,
            clixml=request.headers.get("X-ResponseFormat") == "clixml",
            behaviour=self.cmdlets.behaviour,
        )
        cookie = f"{_COOKIE}={rest.backend}; path=/; secure; HttpOnly"
        return Reply(status=200, headers={"Content-Type": kind, "Set-Cookie": cookie}, body=content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Several cmdlets in one request, ten at most; each part is routed and judged by its own headers."""

    api: AdminApi
    url: str

    def answer(self, body: bytes) -> Reply:
        """Every part answered, in another order than they came where the tenant behaves so. Raises Refused."""
        try:
            parts = json.loads(body)["requests"]
            ids = [str(part["id"]) for part in parts]
        except (ValueError, KeyError, TypeError) as error:
            raise refused.malformed("The request body is not a batch.") from error
        if not 1 <= len(parts) <= LARGEST_BATCH or len(set(ids)) != len(ids):
            raise refused.malformed(f"A batch holds 1 to {LARGEST_BATCH} requests, each with an id of its own.")
        if self.api.budget.batch_is_one and not self.api.budget.take(time.monotonic()):
            raise refused.throttled(self.api.budget.retry_after, self.api.budget.headers)
        responses = [self._part(part) for part in parts]
        if self.api.cmdlets.behaviour.shuffled_batches:
            responses.reverse()
        content = json.dumps({"responses": responses}).encode("utf-8")
        return Reply(status=200, headers={"Content-Type": "application/json"}, body=content)

    def _part(self, part: dict[str, Any]) -> dict[str, object]:
        reply = self._run(part)
        text = reply.body.decode("utf-8", "replace")
        try:
            content = json.loads(text) if text else None
        except ValueError:
            content = text
        return {"id": part["id"], "status": reply.status, "headers": reply.headers, "body": content}

    def _run(self, part: dict[str, Any]) -> Reply:
        if (fault := self.api.faults.take(f"part {part['id']}")) and fault.reply:
            return fault.reply
        if not (self.api.budget.batch_is_one or self.api.budget.take(time.monotonic())):
            return refused.throttled(self.api.budget.retry_after).reply
        headers = part.get("headers") or {}
        if part.get("method") != "POST" or part.get("url") != self.url or "X-CmdletName" not in headers:
            return refused.malformed("A part of a batch is a POST of a cmdlet.").reply
        try:
            cmdlet, parameters = _input(json.dumps(part.get("body")).encode())
            if cmdlet != headers["X-CmdletName"] or not cmdlet.startswith("Get-"):
                raise refused.malformed("The lab takes only reads in a batch.")
            result = self.api.cmdlets.run(cmdlet, parameters)
        except Refused as error:
            return error.reply
        kind, content = answer(
            [result.show(entry) for entry in result.entries],
            result.warnings,
            context=self.url,
            next_link=None,
            clixml=headers.get("X-ResponseFormat") == "clixml",
            behaviour=self.api.cmdlets.behaviour,
        )
        return Reply(status=200, headers={"Content-Type": kind}, body=content)


def _input(body: bytes) -> tuple[str, Mapping[str, object]]:
    """The cmdlet's name and parameters. Raises Refused where the real one would not find them."""
    try:
        content = json.loads(body)
        given = content["CmdletInput"]
        name, parameters = given["CmdletName"], given["Parameters"]
    except (ValueError, KeyError, TypeError) as error:
        raise refused.malformed("The request body is not a CmdletInput.") from error
    if not isinstance(name, str) or not isinstance(parameters, dict):
        raise refused.malformed("Parameters must be an object.")
    return name, parameters
