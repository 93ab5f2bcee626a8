"""What the admin API's errors mean: one table, read from the top, the first row that fits decides.

The HTTP status says little (nearly everything is 400) and the outermost message nothing ("Invalid Operation"); the
exception type and its text lie deeper. Sources: facts.md, section 1; each row has a test with a body as it was seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sync.core.retry_after import retry_after
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """An error answer, unwrapped. `exceptions` are .NET type names without their namespaces.

    `text` is all that was said, lower case, to look for phrases in; `message` is the most telling part of it.
    """

    status: int
    exceptions: frozenset[str]
    text: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One case. Whatever is empty does not matter; of `phrases` all must occur, of `exceptions` and `statuses` one."""

    case: str
    code: ErrorCode
    temporary: bool = False
    statuses: frozenset[int] = frozenset()
    exceptions: frozenset[str] = frozenset()
    phrases: tuple[str, ...] = ()

    def fits(self, complaint: Complaint) -> bool:
        """Whether this row is the one for `complaint`."""
        return (
            (not self.statuses or complaint.status in self.statuses)
            and (not self.exceptions or not self.exceptions.isdisjoint(complaint.exceptions))
            and all(phrase in complaint.text for phrase in self.phrases)
        )


_SCOPE = "out of the current user's write scope"

TABLE: tuple[Row, ...] = (
    Row(
        case="concurrent requests",
        code=ErrorCode.TENANT_THROTTLED,
        temporary=True,
        phrases=("maximum number of concurrent requests per tenant",),
    ),
    Row(case="throttled", code=ErrorCode.TENANT_THROTTLED, temporary=True, statuses=frozenset({429})),
    Row(
        case="directory-synchronised",
        code=ErrorCode.ON_PREMISES_MASTERED,
        phrases=(_SCOPE, "being synchronized from your on-premises organization"),
    ),
    Row(
        case="dual write, mastered on premises",
        code=ErrorCode.ON_PREMISES_MASTERED,
        exceptions=frozenset({"UnableToWriteToAadException"}),
        phrases=("on-premises mastered",),
    ),
    Row(
        case="dual write",
        code=ErrorCode.TENANT_UNAVAILABLE,
        temporary=True,
        exceptions=frozenset({"UnableToWriteToAadException"}),
    ),
    Row(case="RBAC scope", code=ErrorCode.TENANT_SCOPE, phrases=(_SCOPE, "within your current write scopes")),
    Row(
        case="no such object",
        code=ErrorCode.NO_RECIPIENT,
        temporary=True,
        exceptions=frozenset({"ManagementObjectNotFoundException"}),
    ),
    Row(
        case="no such object, in words",
        code=ErrorCode.NO_RECIPIENT,
        temporary=True,
        phrases=("couldn't be found on",),
    ),
    Row(
        case="several objects",
        code=ErrorCode.RECIPIENT_AMBIGUOUS,
        exceptions=frozenset({"ManagementObjectAmbiguousException"}),
    ),
    Row(case="several objects, in words", code=ErrorCode.RECIPIENT_AMBIGUOUS, phrases=("matches multiple entries",)),
    Row(case="role lacks the cmdlet", code=ErrorCode.TENANT_ROLE, phrases=("not present in the role definition",)),
    Row(
        case="role lacks the parameter, or a typo",
        code=ErrorCode.TENANT_PARAMETER,
        exceptions=frozenset({"AmbiguousParameterSetException"}),
    ),
    Row(
        case="role lacks the parameter, in words",
        code=ErrorCode.TENANT_PARAMETER,
        phrases=("invalid cmdlet parameters specified",),
    ),
    Row(
        case="bad value",
        code=ErrorCode.TENANT_VALUE,
        exceptions=frozenset({"ParameterTransformationException"}),
    ),
    *(
        Row(case=f"transient {name}", code=ErrorCode.TENANT_UNAVAILABLE, temporary=True, phrases=(name.lower(),))
        for name in (
            "CmdletProxyNotAvailableFailure",
            "ServerBusyException",
            "TransientException",
            "BackendCommunicationException",
        )
    ),
    Row(
        case="expired page",
        code=ErrorCode.PAGE_EXPIRED,
        temporary=True,
        phrases=("expired or invalid pagination request",),
    ),
    Row(case="token refused", code=ErrorCode.TENANT_UNAUTHORISED, statuses=frozenset({401})),
    Row(case="forbidden", code=ErrorCode.TENANT_ROLE, statuses=frozenset({403})),
    Row(
        case="transient status",
        code=ErrorCode.TENANT_UNAVAILABLE,
        temporary=True,
        statuses=frozenset({408, *range(500, 600)}),
    ),
)


def refusal(cmdlet: str, status: int, headers: Mapping[str, str], body: bytes) -> SyncError:
    """The error for an answer that is not a success."""
    return _judge(cmdlet, complaint(status, headers, body), headers)


def reported(cmdlet: str, status: int, headers: Mapping[str, str], errors: object) -> SyncError:
    """The error for a success that carries `@adminapi.errors`: it is none."""
    texts = [each if isinstance(each, str) else json.dumps(each) for each in _list(errors)]
    return _judge(cmdlet, _unwrap(status, headers.get("X-ExceptionType", ""), texts), headers)


def complaint(status: int, headers: Mapping[str, str], body: bytes) -> Complaint:
    """Unwrap an error answer: JSON in its several shapes, plain text, NUL bytes or nothing."""
    text = body.decode("utf-8", "replace").strip("\0 \r\n\t")
    return _unwrap(status, headers.get("X-ExceptionType", ""), [text] if text else [])


def _judge(cmdlet: str, said: Complaint, headers: Mapping[str, str]) -> SyncError:
    row = next((row for row in TABLE if row.fits(said)), None)
    words = f"{cmdlet} answered {said.status}: {said.message or 'without a word'}"
    if row is None:
        return PermanentError(ErrorCode.TENANT_ANSWER, words)
    if row.temporary:
        return TemporaryError(row.code, words, retry_after=retry_after(headers))
    return PermanentError(row.code, words)


_PREFIX = re.compile(r"(?P<id>[^|\s]*)\|(?P<type>[A-Za-z][\w.`+]*)\|(?P<text>.*)", re.DOTALL)
_QUOTED_TYPE = re.compile(r"\b(?:[A-Za-z]\w*\.)+([A-Za-z]\w*)\|")
_DEEPEST = 4


def _unwrap(status: int, exception: str, texts: Iterable[str]) -> Complaint:
    said = [sentence for text in texts for sentence in _sentences(text, 0)]
    exceptions = {exception.strip(), *(name for name, _ in said)}
    # A proxied cmdlet's error quotes the real one in its text, prefix and all.
    exceptions.update(name for _, words in said for name in _QUOTED_TYPE.findall(words))
    return Complaint(
        status=status,
        exceptions=frozenset(exceptions - {""}),
        text="\n".join([*(words for _, words in said), *exceptions]).lower(),
        message=_presentable(next((words for _, words in said if words), "")),
    )


def _sentences(text: str, depth: int) -> Iterator[tuple[str, str]]:
    """Each thing that was said, most telling first, with the exception type when there is one.

    The order is details, inner exception, error: the outer two always say the same.
    """
    text = text.strip()
    content = _json(text) if depth < _DEEPEST else None
    if content is None:
        match = _PREFIX.fullmatch(text)
        words = match["text"] if match else text.lstrip("|")
        yield match["type"].rpartition(".")[2] if match else "", words.strip()
        return
    error = _dict(content.get("error")) or content
    inner = _dict(error.get("innererror"))
    deepest = _dict(inner.get("internalexception"))
    for detail in _list(error.get("details")):
        yield from _sentences(str(_dict(detail).get("message") or ""), depth + 1)
    for each in (deepest, inner, error):
        name = str(each.get("type") or "").rpartition(".")[2]
        for deeper, words in _sentences(str(each.get("message") or ""), depth + 1):
            yield deeper or name, words
    yield "", str(error.get("code") or "")


def _json(text: str) -> dict[str, object] | None:
    if not text.startswith("{"):
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _dict(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else [] if value is None else [value]


_UNPRINTABLE = re.compile(r"[\0-\x1f\x7f]+")
_ADDRESS = re.compile(r"[^\s\"<>:,;]+@[^\s'\"<>:,;]+'?")
_BYTES = re.compile(r"[A-Za-z0-9+/=]{80,}|(?:\d{1,3}[ ,]+){16,}\d{1,3}")


def _presentable(words: str) -> str:
    """Fit for a log line: on one line, short, and without addresses and certificates that the tenant quoted."""
    text = _UNPRINTABLE.sub(" ", words)
    return _BYTES.sub("<bytes>", _ADDRESS.sub("<address>", text)).strip()[:300]
