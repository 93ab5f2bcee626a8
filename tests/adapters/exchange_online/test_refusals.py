"""The error table, row by row, with bodies as they were seen. Each case names where its body comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from sync.adapters.exchange_online.refusals import TABLE, complaint, refusal, reported
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError

TASKS = "Microsoft.Exchange.Configuration.Tasks"
INVOCATION = "Microsoft.Exchange.AdminApi.CommandInvocation"
SERVICE = "Microsoft.Exchange.Admin.OData.Core.ODataServiceException"
DIRECT = "Microsoft.Exchange.Management.PSDirectInvoke.DirectInvokeCmdletExecutionException"


def body(*, detail: str | None = None, kind: str = DIRECT, text: str = "", message: str = "Invalid Operation") -> bytes:
    """The envelope: details, inner exception and the message that says nothing."""
    inner = {"message": text or f"Exception of type '{kind}' was thrown.", "type": kind, "stacktrace": ""}
    error: dict[str, object] = {
        "code": "BadRequest",
        "message": message,
        "innererror": {"message": message, "type": SERVICE, "internalexception": inner},
    }
    if detail is not None:
        error["details"] = [{"code": "Client", "target": "", "message": detail}]
    return json.dumps({"error": error}).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One answer and what it means. `row` is the row of the table that must decide; None for none."""

    name: str
    source: str
    row: str | None
    status: int
    body: bytes
    code: ErrorCode
    temporary: bool = False
    headers: dict[str, str] = field(default_factory=dict)


SYNCHRONISED = (
    "The operation on mailbox \"6775efce-8d18-42f5-b9d4-64a20d332ee1\" failed because it's out of the current user's "
    "write scope. The action 'Set-Mailbox', 'EmailAddresses', can't be performed on the object "
    "'6775efce-8d18-42f5-b9d4-64a20d332ee1' because the object is being synchronized from your on-premises "
    "organization. This action should be performed on the object in your on-premises organization."
)
SCOPE = (
    "The operation on Identity \"Managers\" failed because it's out of the current user's write scope. 'Managers' "
    "isn't within your current write scopes. Can't perform save operation."
)
NOT_FOUND = (
    "The operation couldn't be performed because object 'box_05306997@contoso.onmicrosoft.com' couldn't be found on "
    "'YT3PR01A12DC010.CANPR01A012.PROD.OUTLOOK.COM'."
)
PROXIED = (
    "|Microsoft.Exchange.Configuration.CmdletProxyException|Error on proxy command 'Remove-Mailbox -Confirm:$False' to "
    "server YQXPR01MB4433.CANPRD01.PROD.OUTLOOK.COM: Server version 15.20.6699.0000, Proxy method PSWS:  NotFound: "
    'Error executing cmdlet : { "code": "NotFound", "details": [ { "message": '
    f'"Ex6F9304|{TASKS}.ManagementObjectNotFoundException|{NOT_FOUND}" }} ] }} [Server=YQXPR01MB5357]'
)
PARAMETER = (
    "Parameter set cannot be resolved using the specified named parameters. Invalid cmdlet parameters specified. "
    "BogusParameter"
)
DUAL_WRITE = (
    "An Azure Active Directory call was made to keep object in sync between Azure Active Directory and Exchange "
    "Online. However, it failed"
)
EXPIRED_PAGE = "Expired or Invalid pagination request. Default Expiry time is 00:30:00"

CASES = [
    Case(
        name="concurrent",
        source="ExoHelper: plain text, with any status",
        row="concurrent requests",
        status=400,
        body=b"You have reached the maximum number of concurrent requests per tenant. Please wait and try again",
        code=ErrorCode.TENANT_THROTTLED,
        temporary=True,
    ),
    Case(
        name="throttled",
        source="facts.md, section 1; ExoHelper: 429 without Retry-After",
        row="throttled",
        status=429,
        body=b"",
        code=ErrorCode.TENANT_THROTTLED,
        temporary=True,
    ),
    Case(
        name="synchronised",
        source="a public walk-through of cloud-managed Exchange attributes",
        row="directory-synchronised",
        status=400,
        body=body(detail=f"ExA6D1F5|System.InvalidOperationException|{SYNCHRONISED}"),
        code=ErrorCode.ON_PREMISES_MASTERED,
    ),
    Case(
        name="dual write, mastered",
        source="facts.md, section 1",
        row="dual write, mastered on premises",
        status=400,
        body=body(
            detail="Ex1|Microsoft.Exchange.Configuration.DualWrite.LocStrings.UnableToWriteToAadException|"
            f"{DUAL_WRITE}. The object is on-premises mastered."
        ),
        code=ErrorCode.ON_PREMISES_MASTERED,
    ),
    Case(
        name="dual write",
        source="Microsoft Q&A 1185387",
        row="dual write",
        status=400,
        body=body(
            detail=f"|Microsoft.Exchange.Configuration.DualWrite.LocStrings.UnableToWriteToAadException|{DUAL_WRITE}"
        ),
        code=ErrorCode.TENANT_UNAVAILABLE,
        temporary=True,
    ),
    Case(
        name="dual write, in the header only",
        source="ExoHelper: X-ExceptionType",
        row="dual write",
        status=400,
        headers={"X-ExceptionType": "UnableToWriteToAadException"},
        body=body(),
        code=ErrorCode.TENANT_UNAVAILABLE,
        temporary=True,
    ),
    Case(
        name="scope",
        source="a public report of write scope restrictions",
        row="RBAC scope",
        status=400,
        body=body(detail=f"Ex2|System.InvalidOperationException|{SCOPE}"),
        code=ErrorCode.TENANT_SCOPE,
    ),
    Case(
        name="not found",
        source="public capture of Remove-Mailbox, 2023-08",
        row="no such object",
        status=404,
        body=body(
            detail=f"Ex6F9304|{TASKS}.ManagementObjectNotFoundException|{NOT_FOUND}", message="Error executing cmdlet"
        ),
        code=ErrorCode.NO_RECIPIENT,
        temporary=True,
    ),
    Case(
        name="not found, proxied",
        source="public capture of Remove-Mailbox, 2023-08: the real error is quoted in a proxy's",
        row="no such object",
        status=400,
        body=body(detail=PROXIED),
        code=ErrorCode.NO_RECIPIENT,
        temporary=True,
    ),
    Case(
        name="not found, in words only",
        source="facts.md, section 1",
        row="no such object, in words",
        status=404,
        body=body(detail=NOT_FOUND),
        code=ErrorCode.NO_RECIPIENT,
        temporary=True,
    ),
    Case(
        name="ambiguous",
        source="a public report (2026-07): the type; the words as PowerShell prints them",
        row="several objects",
        status=400,
        body=body(detail=f"Ex3|{TASKS}.ManagementObjectAmbiguousException|'finance' matches multiple entries."),
        code=ErrorCode.RECIPIENT_AMBIGUOUS,
    ),
    Case(
        name="ambiguous, in words only",
        source="the same",
        row="several objects, in words",
        status=400,
        body=body(detail="object: 'finance' matches multiple entries"),
        code=ErrorCode.RECIPIENT_AMBIGUOUS,
    ),
    Case(
        name="cmdlet not in role",
        source="facts.md, section 1; a public report of role changes still spreading",
        row="role lacks the cmdlet",
        status=400,
        body=body(detail="The cmdlet Set-Mailbox is not present in the role definition of the current user."),
        code=ErrorCode.TENANT_ROLE,
    ),
    Case(
        name="unknown parameter",
        source="public live capture, 2026-07: Get-QuarantineMessage -BogusParameter 1",
        row="role lacks the parameter, or a typo",
        status=400,
        body=body(
            detail=f"|{INVOCATION}.AmbiguousParameterSetException|{PARAMETER}",
            kind=f"{INVOCATION}.AmbiguousParameterSetException",
            text=PARAMETER,
        ),
        code=ErrorCode.TENANT_PARAMETER,
    ),
    Case(
        name="unknown parameter, in words only",
        source="facts.md, section 1",
        row="role lacks the parameter, in words",
        status=400,
        body=body(detail=PARAMETER),
        code=ErrorCode.TENANT_PARAMETER,
    ),
    Case(
        name="bad value",
        source="public live capture, 2026-07: Get-QuarantineMessage -QuarantineTypes Nonsense; no details",
        row="bad value",
        status=400,
        body=body(
            kind=f"{INVOCATION}.ParameterTransformationException",
            text="Cannot process argument transformation on parameter 'QuarantineTypes'.",
        ),
        code=ErrorCode.TENANT_VALUE,
    ),
    *(
        Case(
            name=f"transient {name}",
            source="M365Permissions: retried even on 400",
            row=f"transient {name}",
            status=400,
            body=body(detail=f"|Microsoft.Exchange.{name}|Please try again later.")
            if name.endswith("Exception")
            else json.dumps({"error": {"code": name, "message": "Please try again later."}}).encode(),
            code=ErrorCode.TENANT_UNAVAILABLE,
            temporary=True,
        )
        for name in (
            "CmdletProxyNotAvailableFailure",
            "ServerBusyException",
            "TransientException",
            "BackendCommunicationException",
        )
    ),
    Case(
        name="expired page",
        source="public live capture, 2026-07",
        row="expired page",
        status=400,
        body=body(kind="System.InvalidOperationException", text=EXPIRED_PAGE),
        code=ErrorCode.PAGE_EXPIRED,
        temporary=True,
    ),
    Case(
        name="unauthorised",
        source="facts.md, section 1: neither role",
        row="token refused",
        status=401,
        body=b"",
        code=ErrorCode.TENANT_UNAUTHORISED,
    ),
    Case(
        name="forbidden",
        source="public live capture, 2026-07: application role only; a run of NUL bytes",
        row="forbidden",
        status=403,
        body=bytes(4096),
        code=ErrorCode.TENANT_ROLE,
    ),
    *(
        Case(
            name=f"status {status}",
            source="facts.md, section 1",
            row="transient status",
            status=status,
            body=b"<html><body>Bad gateway</body></html>",
            code=ErrorCode.TENANT_UNAVAILABLE,
            temporary=True,
        )
        for status in (408, 500, 502, 503, 504, 599)
    ),
    Case(
        name="unknown",
        source="none: whatever the table does not know is not retried in vain",
        row=None,
        status=400,
        body=b'{"unexpected":"shape"}',
        code=ErrorCode.TENANT_ANSWER,
    ),
    Case(
        name="over the licence",
        source="Microsoft Q&A: same first phrase as the scope rows, another tail",
        row=None,
        status=400,
        body=body(detail="failed because it's out of the current user's write scope. The value exceeds the maximum."),
        code=ErrorCode.TENANT_ANSWER,
    ),
]


def outcome(error: SyncError) -> tuple[type[SyncError], ErrorCode]:
    """What the caller sees."""
    return type(error), error.code


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_row(case: Case) -> None:
    """The right row decides, and it ends in the right error."""
    decides = next((row for row in TABLE if row.fits(complaint(case.status, case.headers, case.body))), None)
    error = refusal("Set-Mailbox", case.status, case.headers, case.body)

    assert (decides.case if decides else None) == case.row
    assert outcome(error) == (TemporaryError if case.temporary else PermanentError, case.code)
    assert str(case.status) in error.message


def test_every_row_has_a_case() -> None:
    """A row without a body that was seen is a guess."""
    assert {case.row for case in CASES} - {None} == {row.case for row in TABLE}
    assert all(case.source for case in CASES)


@pytest.mark.parametrize("case", [case for case in CASES if case.body.startswith(b"{")], ids=lambda case: case.name)
def test_the_same_in_a_message_that_is_json(case: Case) -> None:
    """`details[0].message` may be the whole error again, as text."""
    wrapped = json.dumps({"error": {"code": "X", "message": "", "details": [{"message": case.body.decode()}]}}).encode()

    error = refusal("Set-Mailbox", case.status, case.headers, wrapped)

    assert outcome(error) == (TemporaryError if case.temporary else PermanentError, case.code)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([f"Ex2|System.InvalidOperationException|{SCOPE}"], (PermanentError, ErrorCode.TENANT_SCOPE)),
        ([{"message": NOT_FOUND}], (TemporaryError, ErrorCode.NO_RECIPIENT)),
        (NOT_FOUND, (TemporaryError, ErrorCode.NO_RECIPIENT)),
        (["something new"], (PermanentError, ErrorCode.TENANT_ANSWER)),
        ([17], (PermanentError, ErrorCode.TENANT_ANSWER)),
    ],
    ids=["text", "object", "no list", "unknown", "number"],
)
def test_errors_inside_a_success(errors: object, expected: tuple[type[SyncError], ErrorCode]) -> None:
    """`@adminapi.errors` with 200 goes through the same table (facts.md, section 1)."""
    assert outcome(reported("Set-Mailbox", 200, {}, errors)) == expected


def test_an_address_that_is_called_like_an_exception() -> None:
    """What a stranger wrote and the tenant quotes must not choose the row."""
    text = "object 'UnableToWriteToAadException@evil.example' couldn't be found on 'DC'."

    error = refusal("Get-Recipient", 404, {}, body(detail=f"Ex|{TASKS}.ManagementObjectNotFoundException|{text}"))

    assert error.code is ErrorCode.NO_RECIPIENT


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"Retry-After": "17"}, timedelta(seconds=17)),
        (
            {"Retry-After": "Sun, 06 Nov 1994 08:50:37 GMT", "Date": "Sun, 06 Nov 1994 08:49:37 GMT"},
            timedelta(minutes=1),
        ),
    ],
    ids=["none", "seconds", "date"],
)
def test_retry_after(headers: dict[str, str], wait: timedelta | None) -> None:
    """A temporary error carries the time that the tenant named."""
    error = refusal("Set-Mailbox", 429, headers, b"")

    assert isinstance(error, TemporaryError)
    assert error.retry_after == wait


@pytest.mark.parametrize(
    "said",
    [
        "object 'ada.lovelace@corp.example' is odd",
        'value "MIIC' + "A" * 200 + '" is odd',
        "value 48 130 3 4 2 1 3 4 5 6 7 8 9 10 11 12 13 14 is odd",
        "one\r\nlog line\0 too many is odd",
    ],
    ids=["address", "base64", "integers", "control"],
)
def test_what_the_tenant_quotes_stays_out_of_messages(said: str) -> None:
    """No person's address, no certificate and no second line reaches a log through an error."""
    message = refusal("Set-Mailbox", 400, {}, body(detail=said)).message

    assert "is odd" in message
    assert not any(secret in message for secret in ("lovelace", "MIIC", "48 130", "\n", "\r", "\0"))


def test_the_most_telling_message_is_shown() -> None:
    """`details` before the inner exception before the outer message, which always says the same (facts.md)."""
    deepest = body(detail="the detail", text="the inner one")
    middle = body(text="the inner one")
    outer = json.dumps({"error": {"code": "BadRequest", "message": "Invalid Operation"}}).encode()

    shown = [refusal("Set-Mailbox", 400, {}, each).message.partition(": ")[2] for each in (deepest, middle, outer)]

    assert shown == ["the detail", "the inner one", "Invalid Operation"]
