"""Azure's errors, one by one, as their clients make them of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace

import pytest
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ResourceExistsError,
    ServiceRequestError,
    ServiceResponseError,
)

from sync.azure_errors import Service, translated
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError

SERVICE = Service(name="the queue", unavailable=ErrorCode.QUEUE_UNAVAILABLE, refused=ErrorCode.QUEUE_REFUSED)


def answered(status: int, message: str = "no", headers: Mapping[str, str] | None = None) -> HttpResponseError:
    """The error of an answer with this status."""
    response = SimpleNamespace(status_code=status, reason="reason", headers=headers or {})
    return HttpResponseError(message, response=response)


def ends(error: Exception) -> SyncError:
    """What becomes of an error that a client raises."""
    with pytest.raises(SyncError) as ended, translated(SERVICE):
        raise error
    return ended.value


@pytest.mark.parametrize("status", [408, 409, 412, 429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(status: int) -> None:
    """Time-outs, conflicts, throttling and the service's own faults."""
    ended = ends(answered(status))

    assert isinstance(ended, TemporaryError)
    assert ended.code is ErrorCode.QUEUE_UNAVAILABLE


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413])
def test_what_stays_is_not(status: int) -> None:
    """A person must change something first."""
    ended = ends(answered(status))

    assert isinstance(ended, PermanentError)
    assert ended.code is ErrorCode.QUEUE_REFUSED


@pytest.mark.parametrize(
    "error", [ServiceRequestError("x"), ServiceResponseError("x"), DecodeError("x"), AzureError("x")]
)
def test_an_answer_that_did_not_come_is_tried_again(error: AzureError) -> None:
    """Or one that makes no sense, as of a proxy between."""
    ended = ends(error)

    assert isinstance(ended, TemporaryError)
    assert ended.code is ErrorCode.QUEUE_UNAVAILABLE


@pytest.mark.parametrize(
    ("header", "expected"),
    [("17", timedelta(seconds=17)), ("", None), ("soon", None), ("-1", None), ("9" * 20, None), ("٣", None)],
)
def test_a_time_that_the_service_names_is_kept(header: str, expected: timedelta | None) -> None:
    """In seconds; what is no number of them says nothing."""
    ended = ends(answered(503, headers={"Retry-After": header}))

    assert isinstance(ended, TemporaryError)
    assert ended.retry_after == expected


def test_the_cause_is_kept() -> None:
    """For whoever reads the trace."""
    error = answered(503)

    assert ends(error).__cause__ is error


def test_no_signature_is_told() -> None:
    """An address in a client's error may carry a shared access signature."""
    pool = "HTTPSConnectionPool(host='a', port=443)"
    said = f"{pool}: Max retries exceeded with url: /q/messages?sv=1&sig=c2VjcmV0 (timed out)"

    ended = ends(ServiceRequestError(said))

    assert "c2VjcmV0" not in str(ended)
    assert "timed out" in str(ended)


def test_only_the_first_line_is_told() -> None:
    """The rest repeats request ids; the service's word for it is put behind, once."""
    error = ResourceExistsError("The queue is being deleted.\nRequestId:1\nTime:2")
    error.error_code = "QueueBeingDeleted"  # type: ignore[attr-defined]

    assert str(ends(error)) == "queue-unavailable: the queue: The queue is being deleted. (QueueBeingDeleted)"


def test_an_error_without_words_is_told_by_its_name() -> None:
    """Never an empty sentence."""
    assert str(ends(ServiceResponseError(""))).endswith("the queue: ServiceResponseError")


def test_a_token_refused_by_entra_is_told_from_one_refused_by_the_service() -> None:
    """The first is cured in Entra, the second by a role."""
    by_entra = ends(ClientAuthenticationError("AADSTS7000215: Invalid client secret"))
    by_service = ends(
        ClientAuthenticationError("no role", response=SimpleNamespace(status_code=403, reason="", headers={}))
    )

    assert by_entra.code is ErrorCode.TOKEN_REFUSED
    assert by_service.code is ErrorCode.QUEUE_REFUSED


def test_what_is_ours_passes_untouched() -> None:
    """An error of ours that is raised inside is not translated again."""
    ours = TemporaryError(ErrorCode.LEDGER_CONFLICT, "faster")

    assert ends(ours) is ours
