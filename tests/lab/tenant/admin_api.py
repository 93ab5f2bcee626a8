"""The HTTP side of the admin API: routing, token, anchor, body, pages."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from werkzeug import Request

from tests.lab.tenant import refused
from tests.lab.tenant.answers import answer
from tests.lab.tenant.cmdlets import Cmdlets, Result
from tests.lab.tenant.refused import Reply
from tests.lab.tenant.tokens import Tokens

_SYSTEM_MAILBOX = "SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}"
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
    pages: dict[str, _Rest] = field(default_factory=dict)

    def answer(self, request: Request) -> Reply | None:
        """The answer, or None for a path that is not the admin API's. Raises Refused."""
        if request.path != f"/adminapi/beta/{self.tenant}/InvokeCommand":
            return None
        if request.method != "POST":
            return Reply(status=405, headers={"Allow": "POST"})
        self.tokens.check(request.headers.get("Authorization", ""))
        if request.headers.get("X-AnchorMailbox") not in {
            f"{kind}:{_SYSTEM_MAILBOX}@{self.tenant}" for kind in ("APP", "UPN")
        }:
            raise refused.unroutable()
        body = request.get_data()
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
