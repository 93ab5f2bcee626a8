"""One bound connection to one domain controller; ldap3's errors leave it translated."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import ldap3
from ldap3.core.exceptions import LDAPException, LDAPInvalidFilterError
from ldap3.operation.search import search_operation
from pyasn1.error import PyAsn1Error

from sync.adapters.active_directory.entries import Entry
from sync.errors import ErrorCode, PermanentError, TemporaryError

SUCCESS: Final = 0
NO_SUCH_OBJECT: Final = 32
INSUFFICIENT_RIGHTS: Final = 50
PASSING: Final = frozenset({1, 3, 11, 51, 52, 80})  # operationsError, a limit of time or load, busy, unavailable, other

FOREIGN: Final = (LDAPException, PyAsn1Error, OSError, ValueError, IndexError)
"""Whatever ldap3, pyasn1, the socket or a garbled answer can raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a search found. `controls` are the values of response controls, by OID, as ldap3 decodes them."""

    entries: tuple[Entry, ...]
    code: int
    message: str
    controls: Mapping[str, Any]


class Connection:
    """Made by `logon.connect`. After any TemporaryError it is closed and of no more use."""

    def __init__(self, connection: ldap3.Connection, host: str, *, patience: float = 60, haste: float = 5) -> None:
        """Wait for an answer `patience` seconds, for that to a small question `haste`."""
        self._connection = connection
        self._patience, self._haste = patience, haste
        self.host = host

    @property
    def closed(self) -> bool:
        """Whether it is of no more use."""
        return bool(self._connection.closed)

    def search(
        self,
        base: str,
        filter_: str,
        *,
        attributes: Sequence[str],
        scope: str = ldap3.SUBTREE,
        controls: Sequence[Any] = (),
        tolerate: Collection[int] = (),
        small: bool = False,
    ) -> Answer:
        """Search, and raise for a result code that is neither success nor among `tolerate`. `small` is a question that
        a controller which is well answers at once.

        Raises TemporaryError `directory-unavailable`; PermanentError `directory-rights`, `settings-invalid`,
        `directory-malformed`.
        """
        try:
            self._connection.socket.settimeout(self._haste if small else self._patience)
            self._connection.search(
                base,
                filter_,
                scope,
                dereference_aliases=ldap3.DEREF_NEVER,
                attributes=[*attributes],
                controls=[*controls],
            )
            result, response = self._connection.result, self._connection.response
        except LDAPInvalidFilterError as error:
            raise PermanentError(ErrorCode.SETTINGS_INVALID, f"{filter_} is not an LDAP filter: {error}") from error
        except FOREIGN as error:
            self.close()
            raise TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, f"{self.host} stopped answering: {error}") from error
        if (code := result["result"]) != SUCCESS and code not in tolerate:
            self._refuse(code, f"{self.host} refuses to search {base or 'its rootDSE'}: {said(result)}")
        controls_seen = {oid: control["value"] for oid, control in result.get("controls", {}).items()}
        entries = tuple(_entry(found) for found in response if found["type"] == "searchResEntry")
        return Answer(entries=entries, code=code, message=said(result), controls=controls_seen)

    def begin_search(self, base: str, filter_: str, *, attributes: Sequence[str], controls: Sequence[Any]) -> Any:
        """Send a search whose answers the caller reads from the socket returned, which no longer blocks."""
        request = search_operation(
            base, filter_, ldap3.SUBTREE, ldap3.DEREF_NEVER, [*attributes], 0, 0, False, True, False
        )
        try:
            self._connection.send("searchRequest", request, [*controls])
            self._connection.socket.setblocking(False)
        except FOREIGN as error:
            self.close()
            raise TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, f"{self.host} stopped answering: {error}") from error
        return self._connection.socket

    def close(self) -> None:
        """Say goodbye where the other side still listens, and let go of the socket."""
        try:
            self._connection.unbind()
        except FOREIGN:
            self._connection.strategy.close()

    def _refuse(self, code: int, told: str) -> NoReturn:
        if code in PASSING:
            raise TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, told)
        if code == INSUFFICIENT_RIGHTS:
            raise PermanentError(ErrorCode.DIRECTORY_RIGHTS, told)
        if code == NO_SUCH_OBJECT:
            raise PermanentError(ErrorCode.SETTINGS_INVALID, f"{told}: is the base right?")
        raise PermanentError(ErrorCode.DIRECTORY_MALFORMED, told)


def _entry(found: Mapping[str, Any]) -> Entry:
    return {name.lower().removesuffix(";binary"): values for name, values in found["raw_attributes"].items() if values}


def said(result: Mapping[str, Any]) -> str:
    """A result in words: the name of its code and what the controller adds."""
    message = str(result["message"]).strip().rstrip("\x00")
    return f"{result['description']} ({message})" if message else str(result["description"])
