"""What Azure's clients raise, translated into our two errors: the edge that all Azure Storage adapters share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError

# Entra's own codes: with one of them the token was refused, and the service never saw the request.
_ENTRA = re.compile(r"AADSTS\d+")
# A query string may hold a shared access signature, and an object's address says nothing to an administrator.
_UNTELLABLE = re.compile(r"\?\S+|<[^<>]* object at [^<>]*>:?\s*|HTTPS?Connection\([^()]*\):\s*")
_TEMPORARY_STATUS = frozenset({408, 409, 412, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Which service is spoken to, in words, and the codes of its two ends."""

    name: str
    unavailable: ErrorCode
    refused: ErrorCode


@contextmanager
def translated(service: Service) -> Iterator[None]:
    """Raise what Azure's clients raise in the block as TemporaryError or PermanentError, the cause kept.

    A bad connection string, name or address, for which the clients raise ValueError, is `settings-invalid`.
    """
    try:
        yield
    except AzureError as error:
        raise _translate(error, service) from error
    except ValueError as error:
        raise PermanentError(ErrorCode.SETTINGS_INVALID, f"{service.name}: {_sentence(error)}") from error


def service_code(error: Exception) -> str | None:
    """The service's own name for what went wrong, such as QueueNotFound; None when no service said anything."""
    code = getattr(error, "error_code", None)
    name = getattr(code, "value", code)
    return name if isinstance(name, str) else None


def _translate(error: AzureError, service: Service) -> SyncError:
    status = error.status_code if isinstance(error, HttpResponseError) else None
    said = f"{service.name}: {_sentence(error)}"
    if type(error).__name__ == "AzureSigningError":
        # Each client has a class of that name, neither exported: the account's key is not base64.
        return PermanentError(ErrorCode.SETTINGS_INVALID, f"{service.name}: the account's key cannot be read")
    if isinstance(error, ClientAuthenticationError) and _ENTRA.search(str(error)):
        return PermanentError(ErrorCode.TOKEN_REFUSED, said)
    if isinstance(error, ClientAuthenticationError) and status is None:
        return TemporaryError(ErrorCode.TOKEN_UNAVAILABLE, said)
    if status is None or status < 400 or status >= 500 or status in _TEMPORARY_STATUS:
        return TemporaryError(service.unavailable, said, retry_after=_retry_after(error))
    return PermanentError(service.refused, said)


def _retry_after(error: AzureError) -> timedelta | None:
    """RFC 9110, 10.2.3, in seconds only: Azure Storage names no date."""
    seconds = str(getattr(getattr(error, "response", None), "headers", {}).get("Retry-After", ""))
    return timedelta(seconds=int(seconds)) if re.fullmatch(r"[0-9]{1,6}", seconds) else None


def _sentence(error: Exception) -> str:
    """The first line of what was said: the rest repeats request ids and the body."""
    text = _UNTELLABLE.sub("", str(error)).strip()
    first = text.splitlines()[0] if text else type(error).__name__
    code = service_code(error)
    return f"{first} ({code})" if code else first
