"""What went over the wire, without what is secret or personal: fit to be attached to an issue.

Of requests the parameters are shown, of answers only the properties named here. Tokens are left out, byte values become
a fingerprint, ids become numbers, and every word of the mailbox (names, addresses) that came in an answer is taken out
of error texts too.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from sync.adapters.exchange_online import clixml

if TYPE_CHECKING:
    from sync.adapters.exchange_online.answers import Row

_SHOWN = {"RecipientTypeDetails", "RecipientType", "IsDirSynced", "IsExchangeCloudManaged"}
_BYTES = {"UserCertificate", "UserSMimeCertificate"}
_HEADERS = {"Content-Type", "Retry-After", "X-ExceptionType", "X-CmdletName", "X-ResponseFormat", "Prefer"}
_LIMITS = re.compile(r"retry|limit|throttl|back-?off|quota|delay", re.IGNORECASE)
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ADDRESS = re.compile(r"[^\s\"'<>:,;{}\\]+@[^\s\"'<>:,;{}\\]+")
_LONG = re.compile(r"[A-Za-z0-9+/=_-]{60,}")
_SHORTEST_WORD = 2


class RecordingSession(requests.Session):
    """A session that writes down each exchange. Give `words` that must not be seen, such as the mailbox's address."""

    def __init__(self, *words: str) -> None:
        super().__init__()
        self._exchanges: list[dict[str, Any]] = []
        self._refusals: list[dict[str, str]] = []
        self._words = {word for each in words for word in (each, each.partition("@")[0])}

    def send(self, request: requests.PreparedRequest, **arguments: Any) -> requests.Response:
        exchange: dict[str, Any] = {
            "request": f"{request.method} {urlsplit(str(request.url)).path}",
            "headers": _chosen(request.headers),
            "body": _sent(request.body),
        }
        self._exchanges.append(exchange)
        try:
            response = super().send(request, **arguments)
        except OSError as error:
            exchange["failed"] = type(error).__name__
            raise
        exchange["status"] = response.status_code
        exchange["answer headers"] = _chosen(response.headers)
        if response.status_code == 429:
            limits = {name: self._clean(value) for name, value in response.headers.items() if _LIMITS.search(name)}
            self._refusals.append(limits)
            exchange["answer headers"] |= limits
        exchange["answer"] = self._answered(response.content)
        return response

    def refusals(self) -> Sequence[Mapping[str, str]]:
        """The headers of each answer 429 that speak of limits, without names and ids."""
        return tuple(self._refusals)

    def text(self) -> str:
        """Everything so far, as JSON; what went the same way several times at once is there once, with its number."""
        text = json.dumps({"exchanges": list(_counted(self._exchanges))}, indent=1, ensure_ascii=False)
        for word in sorted(self._words, key=len, reverse=True):
            if len(word) >= _SHORTEST_WORD:
                quoted = json.dumps(word, ensure_ascii=False)[1:-1]
                text = re.sub(rf"(?i)(?<![A-Za-z0-9]){re.escape(quoted)}(?![A-Za-z0-9])", "<name>", text)
        numbers: dict[str, str] = {}
        text = _GUID.sub(lambda match: numbers.setdefault(match[0].lower(), f"<guid {len(numbers) + 1}>"), text)
        return _ADDRESS.sub("<address>", text) + "\n"

    def _clean(self, value: str) -> str:
        return _ADDRESS.sub("<address>", _GUID.sub("<guid>", value))[:100]

    def _answered(self, content: bytes) -> object:
        text = content.decode("utf-8-sig", "replace").strip("\0 \r\n\t")
        if not text:
            return f"<{len(content)} bytes without text>" if content else ""
        try:
            if text.startswith(("<Objs", "#<")):
                return {"clixml": [self._row(row) for row in clixml.read(text)]}
            answer = json.loads(text)
            if not isinstance(answer, dict):
                raise TypeError("not an object")  # noqa: TRY301
            if "responses" in answer:
                return {"responses": [self._part(each) for each in answer["responses"]]}
            if "value" in answer:
                answer["value"] = [self._object(each) for each in answer["value"] or []]
            return {name: _redacted(value) for name, value in answer.items() if name != "@odata.context"}
        except (ValueError, TypeError, RecursionError):
            return f"<{len(content)} bytes that are neither JSON nor CLIXML>"

    def _part(self, part: Mapping[str, Any]) -> object:
        """One answer of a batch."""
        body = self._answered(json.dumps(part.get("body")).encode()) if part.get("body") else ""
        return {"id": part.get("id"), "status": part.get("status"), "body": body}

    def _object(self, each: object) -> object:
        if not isinstance(each, dict):
            return f"<{type(each).__name__}>"
        packed = [text for text in each.values() if isinstance(text, str) and text.startswith(("<Objs", "#<"))]
        return {"clixml in JSON": [self._row(row) for row in clixml.read(packed[0])]} if packed else self._row(each)

    def _row(self, row: Row) -> dict[str, object]:
        """One object: what is not known to be harmless is hidden, and its words are remembered."""
        shown: dict[str, object] = {}
        for name, value in row.items():
            if name in _SHOWN or "@" in name:
                shown[name] = value
            elif name in _BYTES:
                shown[name] = [_octets(each) for each in value] if isinstance(value, list) else _octets(value)
            else:
                self._remember(name, value)
                shown[name] = f"<{type(value).__name__}>"
        return shown

    def _remember(self, name: str, value: object) -> None:
        if name in {
            "Name",
            "Alias",
            "DisplayName",
            "Identity",
            "UserPrincipalName",
            "WindowsLiveID",
            "DistinguishedName",
        }:
            self._words.add(str(value))
        if isinstance(value, str) and "@" in value:
            self._words.update((value, value.partition("@")[0]))


def _counted(exchanges: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for exchange, same in itertools.groupby(exchanges):
        times = len(list(same))
        yield exchange | {"times": times} if times > 1 else exchange


def _chosen(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() in {each.lower() for each in _HEADERS}}


def _sent(body: object) -> object:
    try:
        return _redacted(json.loads(body)) if isinstance(body, bytes | str) else None
    except ValueError:
        return "<a form>"


def _redacted(value: object) -> object:
    """The same shape; certificates in any of our encodings by fingerprint."""
    if isinstance(value, dict):
        return {name: _redacted(each) for name, each in value.items()}
    if isinstance(value, list):
        numbers = [each for each in value if type(each) is int and 0 <= each <= 255]
        if numbers and len(numbers) == len(value):
            return f"<integers: {_octets(bytes(numbers))}>"
        return [_redacted(each) for each in value]
    if isinstance(value, str):
        if _LONG.fullmatch(value):
            return _octets(value)
        return _LONG.sub("<long>", value)
    return value


def _octets(value: object) -> object:
    """A byte value by length and fingerprint, a text that is none by its kind."""
    form = "bytes"
    if isinstance(value, str):
        if value == "System.Byte[]":
            return value
        try:
            value, form = base64.b64decode(value, validate=True), "base64"
        except ValueError:
            return f"<text of {len(value)} characters>"
    if not isinstance(value, bytes):
        return f"<{type(value).__name__}>"
    return f"<{form}, {len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()[:16]}>"
