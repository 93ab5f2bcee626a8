"""The admin API's refusals, body for body as they were captured in real tenants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

_TASKS = "Microsoft.Exchange.Configuration.Tasks"
_INVOCATION = "Microsoft.Exchange.AdminApi.CommandInvocation"
_SERVICE = "Microsoft.Exchange.Admin.OData.Core.ODataServiceException"
_DIRECT = "Microsoft.Exchange.Management.PSDirectInvoke.DirectInvokeCmdletExecutionException"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Refused(Exception):  # noqa: N818  it is the answer, not a fault of the simulation
    """The request ends with `reply`."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def error(
    status: int, code: str, message: str, *, kind: str = "", text: str = "", detail: str | None = None
) -> Refused:
    """An error body: `kind` and `text` are the inner exception, `detail` the message of the one detail."""
    content: dict[str, object] = {"code": code, "message": message}
    if detail is not None:
        content["details"] = [{"code": "Client", "target": "", "message": detail}]
    inner: dict[str, object] = {"message": message, "type": _SERVICE, "stacktrace": ""}
    if kind:
        inner["internalexception"] = {"message": text, "type": kind, "stacktrace": ""}
    content["innererror"] = inner
    body = json.dumps({"error": content}).encode("utf-8")
    return Refused(Reply(status=status, headers={"Content-Type": "application/json"}, body=body))


def forbidden() -> Refused:
    """A cmdlet that is unknown or in no role: 403 with NUL bytes, as captured."""
    return Refused(Reply(status=403, headers={"Content-Type": "application/json"}, body=bytes(512)))


def unroutable() -> Refused:
    """No anchor: a bare 403, as seen for write cmdlets. What a wrong one gets is not established; here the same."""
    return Refused(Reply(status=403, headers={"X-Ms-Diagnostics": "2000001;reason=anchor mailbox"}))


def malformed(why: str) -> Refused:
    """A body that is no cmdlet. That it is 400 was seen, the words were not."""
    return error(400, "BadRequest", "Invalid Operation", kind="Microsoft.OData.ODataException", text=why)


def unknown_parameters(names: list[str]) -> Refused:
    """A parameter that the cmdlet, or the caller's role, does not have: as captured."""
    kind = f"{_INVOCATION}.AmbiguousParameterSetException"
    text = (
        "Parameter set cannot be resolved using the specified named parameters. "
        f"Invalid cmdlet parameters specified. {', '.join(names)}"
    )
    return error(400, "BadRequest", "Invalid Operation", kind=kind, text=text, detail=f"|{kind}|{text}")


def bad_value(parameter: str, why: str) -> Refused:
    """A value that does not convert: as captured, without details."""
    return error(
        400,
        "BadRequest",
        "Invalid Operation",
        kind=f"{_INVOCATION}.ParameterTransformationException",
        text=f"Cannot process argument transformation on parameter '{parameter}'. Cannot convert value {why} to type "
        '"Microsoft.Exchange.Data.MultiValuedProperty`1[System.Byte[]]".',
    )


def too_many(count: int, most: int) -> Refused:
    """More values than the attribute takes. Not established: whether there is a limit, and its words."""
    text = f"The property contains {count} values, more than the maximum of {most}."
    return error(
        400,
        "BadRequest",
        "Error executing cmdlet",
        kind=_DIRECT,
        text=f"Exception of type '{_DIRECT}' was thrown.",
        detail=f"ExB1D2A3|Microsoft.Exchange.Data.DataValidationException|{text}",
    )


def throttled(retry_after: int | None, headers: Mapping[str, str] | None = None) -> Refused:
    """Beyond the budget: 429, Retry-After optional (facts.md), with these headers too."""
    wait = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Refused(Reply(status=429, headers={**wait, **(headers or {})}, body=b'{"error":{"code":"TooManyRequests"}}'))


def unconfirmed(cmdlet: str) -> Refused:
    """A Set without Confirm:false. Not established for these cmdlets: the strict reading, so that we always send it."""
    kind = f"{_INVOCATION}.ConfirmationRequiredException"
    text = f"The cmdlet {cmdlet} asks for confirmation; send Confirm."
    return error(400, "BadRequest", "Invalid Operation", kind=kind, text=text, detail=f"|{kind}|{text}")


def not_found(identity: str) -> Refused:
    """As captured."""
    text = (
        f"The operation couldn't be performed because object '{identity}' couldn't be found on "
        "'DB8PR01A001DC001.EURPR01A001.PROD.OUTLOOK.COM'."
    )
    return error(
        404,
        "NotFound",
        "Error executing cmdlet",
        kind=_DIRECT,
        text=f"Exception of type '{_DIRECT}' was thrown.",
        detail=f"Ex6F9304|{_TASKS}.ManagementObjectNotFoundException|{text}",
    )


def ambiguous(identity: str) -> Refused:
    """The words as seen in PowerShell."""
    text = f"The operation couldn't be performed because '{identity}' matches multiple entries."
    return error(
        400,
        "BadRequest",
        "Error executing cmdlet",
        kind=_DIRECT,
        text=f"Exception of type '{_DIRECT}' was thrown.",
        detail=f"Ex87BC5A|{_TASKS}.ManagementObjectAmbiguousException|{text}",
    )


def out_of_scope(name: str) -> Refused:
    """The caller's role does not reach this object: the words as seen."""
    return _scope(name, f"'{name}' isn't within your current write scopes. Can't perform save operation.")


def synchronised(cmdlet: str, parameters: str, name: str) -> Refused:
    """The directory owns this object: the words as seen."""
    return _scope(
        name,
        f"The action '{cmdlet}', '{parameters}', can't be performed on the object '{name}' because the object is being "
        "synchronized from your on-premises organization. This action should be performed on the object in your "
        "on-premises organization.",
    )


def _scope(name: str, tail: str) -> Refused:
    text = f"The operation on mailbox \"{name}\" failed because it's out of the current user's write scope. {tail}"
    return error(
        400,
        "BadRequest",
        "Error executing cmdlet",
        kind=_DIRECT,
        text=f"Exception of type '{_DIRECT}' was thrown.",
        detail=f"ExA6D1F5|System.InvalidOperationException|{text}",
    )


def expired_page() -> Refused:
    """A next page that is too old, or asked for without the cookies of the first: as captured."""
    text = "Expired or Invalid pagination request. Default Expiry time is 00:30:00"
    return error(400, "BadRequest", "Invalid Operation", kind="System.InvalidOperationException", text=text)
