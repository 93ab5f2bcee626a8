"""Sends one cmdlet to the admin API and reads its answer, as Microsoft's own PowerShell module does."""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import urljoin, urlsplit

from sync import __version__, telemetry
from sync.adapters.exchange_online import answers as answering
from sync.adapters.exchange_online import batch
from sync.adapters.exchange_online.answers import Answer, AnswerFormat
from sync.adapters.exchange_online.batch import Call
from sync.adapters.exchange_online.refusals import refusal
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError

if TYPE_CHECKING:
    import requests

_SYSTEM_MAILBOX = "SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}"
_REDIRECTS = {301, 302, 303, 307, 308}
_HOPS = 3
_NO_ADDRESS = "a redirect to something that is no address"
_PAGE_SIZE = 1000


class Tokens(Protocol):
    """Where bearer tokens come from."""

    def token(self, claims: str | None = None) -> str:
        """A token; with the claims of a challenge (JSON) a new one that meets them."""


class Cookie(NamedTuple):
    """What leads to the server that holds the rest of an answer."""

    name: str
    value: str
    domain: str
    path: str


class Place(NamedTuple):
    """Where the rest of an answer lies: in any process, for half an hour."""

    url: str
    cookies: tuple[Cookie, ...]


class Page(NamedTuple):
    """One page of an answer; `following` is where the next one lies, None when it is the last."""

    answer: Answer
    following: Place | None


class AdminApi:
    """The endpoint `InvokeCommand` of one tenant. Threads may share it."""

    def __init__(
        self,
        *,
        tenant: str,
        tokens: Tokens,
        session: requests.Session | None = None,
        host: str = "https://outlook.office365.com",
        suffixes: tuple[str, ...] = ("outlook.office365.com", "outlook.office.com", "outlook.com"),
        answers: AnswerFormat = AnswerFormat.JSON,
        ca_file: str | None = None,
        timeout: timedelta = timedelta(seconds=60),
    ) -> None:
        """`tenant` is its id, `host` an https origin; a redirect or next page must lie under one of `suffixes`.

        `ca_file` is a PEM file of authorities to trust in the place of the session's; without a session one is made.
        """
        import requests

        self._base = f"{host.rstrip('/')}/adminapi/beta/{tenant}"
        self._url = f"{self._base}/InvokeCommand"
        self._anchor = f"APP:{_SYSTEM_MAILBOX}@{tenant}"
        self._tokens = tokens
        self._session = session or requests.Session()
        self._suffixes = suffixes
        self._answers = answers
        self._verify = ca_file
        self._timeout = (min(10.0, timeout.total_seconds()), timeout.total_seconds())
        self._connection = str(uuid.uuid4())

    def invoke(self, cmdlet: str, parameters: Mapping[str, object]) -> Answer:
        """Run one cmdlet and read its whole answer; an empty one is a success.

        Raises TemporaryError and PermanentError as `refusals` says, `tenant-answer` when it cannot be read,
        `tenant-redirect` when it would lead elsewhere, and what `Tokens` raises.
        """
        pages = [self.page(cmdlet, parameters)]
        while (following := pages[-1].following) is not None:
            pages.append(self.page(cmdlet, parameters, following))
        return Answer(
            rows=tuple(row for page in pages for row in page.answer.rows),
            warnings=tuple(warning for page in pages for warning in page.answer.warnings),
        )

    def page(self, cmdlet: str, parameters: Mapping[str, object], place: Place | None = None) -> Page:
        """The first page of the answer, or the one at `place`, for cmdlets that answer with a whole tenant."""
        body = json.dumps(
            {"CmdletInput": {"CmdletName": cmdlet, "Parameters": dict(parameters)}}, separators=(",", ":")
        ).encode("utf-8")
        # The next page is asked for with the same body, anchor and cookies; it carries our token, so it may not lie
        # anywhere else than a redirect may.
        url = self._within(self._url, place.url) if place else self._url
        for cookie in place.cookies if place else ():
            self._session.cookies.set(cookie.name, cookie.value, domain=cookie.domain, path=cookie.path)
        response = self._ask(url, cmdlet, body)
        if response.status_code not in range(200, 300):
            raise refusal(cmdlet, response.status_code, response.headers, response.content)
        answer = answering.read(cmdlet, response.status_code, response.headers, response.content)
        if not answer.next:
            return Page(answer, None)
        cookies = (Cookie(each.name, each.value or "", each.domain, each.path) for each in self._session.cookies)
        return Page(answer, Place(self._within(url, answer.next), tuple(cookies)))

    def batch(self, calls: Sequence[Call]) -> list[Answer | SyncError]:
        """Run cmdlets that only read, ten in a request; for each call its answer, or the error that it alone met.

        Raises what `invoke` raises when a whole request fails: no part of that one was answered.
        """
        found: list[Answer | SyncError] = []
        for place in range(0, len(calls), batch.LARGEST):
            parts = calls[place : place + batch.LARGEST]
            body = batch.body(parts, self._url, self._headers)
            response = self._ask(f"{self._base}/$batch", "", body)
            if response.status_code not in range(200, 300):
                raise refusal("$batch", response.status_code, response.headers, response.content)
            found += batch.answers(parts, response.content)
        return found

    def _ask(self, url: str, cmdlet: str, body: bytes) -> requests.Response:
        """Post, and when the token is challenged, once more with one that meets the challenge."""
        response = self._post(url, cmdlet, body, self._tokens.token())
        claims = _challenge(response) if response.status_code == 401 else None
        if claims is None:
            return response
        return self._post(url, cmdlet, body, self._tokens.token(claims))

    def _post(self, url: str, cmdlet: str, body: bytes, token: str) -> requests.Response:
        """Post, and follow redirects by hand: a client that follows them turns POST into GET and drops the token."""
        for _ in range(_HOPS + 1):
            headers = self._headers(cmdlet)
            try:
                with telemetry.asking(cmdlet or "$batch", headers) as asked:
                    response = self._session.post(
                        url,
                        data=body,
                        headers=headers,
                        auth=_Bearer(token),
                        timeout=self._timeout,
                        verify=self._verify,
                        allow_redirects=False,
                    )
                    asked.status = response.status_code
            except OSError as error:
                # Every error of requests is one, and so is a CA file that is not there.
                raise TemporaryError(
                    ErrorCode.TENANT_UNAVAILABLE,
                    f"{cmdlet}: {urlsplit(url).hostname} gave no answer: {type(error).__name__}",
                ) from error
            except ValueError as error:
                # requests looks at where a redirect leads even when it is not to follow it.
                raise PermanentError(ErrorCode.TENANT_REDIRECT, f"{cmdlet}: {_NO_ADDRESS}") from error
            if response.status_code not in _REDIRECTS:
                return response
            url = self._within(url, response.headers.get("Location", ""))
        raise PermanentError(ErrorCode.TENANT_REDIRECT, f"{cmdlet}: more than {_HOPS} redirects")

    def _headers(self, cmdlet: str) -> dict[str, str]:
        """Of one cmdlet; without one, of a whole batch, whose parts carry their own."""
        every = {
            "Content-Type": "application/json; charset=utf-8",
            "Accept": "application/json",
            "User-Agent": f"smime-sync/{__version__}",
            "X-AnchorMailbox": self._anchor,
            "client-request-id": str(uuid.uuid4()),
            "connection-id": self._connection,
        }
        if not cmdlet:
            return {**every, "Prefer": f"odata.maxpagesize={_PAGE_SIZE};odata.continue-on-error"}
        return {
            **every,
            "X-CmdletName": cmdlet,
            "X-ResponseFormat": self._answers,
            "X-SerializationLevel": "Partial",
            "Prefer": f"odata.maxpagesize={_PAGE_SIZE}",
        }

    def _within(self, base: str, target: str) -> str:
        """Where `target` leads from `base`, or PermanentError `tenant-redirect` where we may not send a token."""
        try:
            url = urljoin(base, target)
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise PermanentError(ErrorCode.TENANT_REDIRECT, _NO_ADDRESS) from error
        # The client below reads addresses by other rules than urlsplit (a backslash ends the host there), so nothing
        # but a plain host and port may stand where the host stands.
        plain = _HOST.fullmatch(host) and parts.netloc.lower() in {host, f"{host}:{port}"}
        known = any(host == suffix or host.endswith(f".{suffix}") for suffix in self._suffixes)
        if target and parts.scheme == "https" and plain and known:
            return url
        raise PermanentError(
            ErrorCode.TENANT_REDIRECT, f"a redirect to {parts.scheme}://{host if plain else '?'}, not followed"
        )


_HOST = re.compile(r"[a-z0-9.-]+")


class _Bearer:
    """Sets the token last, so that no entry of a .netrc file replaces it, as requests would let it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


_CLAIMS = re.compile(r'\bclaims="([A-Za-z0-9+/_=-]+)"')


def _challenge(response: requests.Response) -> str | None:
    """The claims of a challenge, decoded: JSON. None when there are none, or none that can be read."""
    match = _CLAIMS.search(response.headers.get("WWW-Authenticate", ""))
    if match is None:
        return None
    try:
        text = base64.b64decode(match[1].translate(_URL_SAFE) + "==").decode("utf-8")
        return text if isinstance(json.loads(text), dict) else None
    except (binascii.Error, ValueError):
        return None


_URL_SAFE = str.maketrans("-_", "+/")
