"""One bound connection to one domain controller; what goes wrong on it leaves it translated."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.core.results import RESULT_CODES
from pyasn1.error import PyAsn1Error

from sync.adapters.active_directory import messages
from sync.adapters.active_directory.entries import Entry
from sync.adapters.active_directory.messages import DONE, ENTRY, MODIFIED, Filter, Message
from sync.errors import ErrorCode, PermanentError, TemporaryError

SUCCESS: Final = 0
NO_SUCH_OBJECT: Final = 32
INSUFFICIENT_RIGHTS: Final = 50
PASSING: Final = frozenset({1, 3, 11, 51, 52, 80})  # operationsError, a limit of time or load, busy, unavailable, other

FOREIGN: Final = (LDAPException, PyAsn1Error, OSError, ValueError, IndexError)
"""Whatever ldap3, pyasn1, the socket or a garbled answer can raise."""

_RECORD: Final = 16 * 1024
"""Bytes read at once: as much as one TLS record holds (RFC 8446, 5.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a search found. `controls` are the values of response controls, by OID; `entries` are not decoded yet."""

    entries: tuple[bytes, ...]
    code: int
    message: str
    controls: Mapping[str, bytes]

    def decoded(self) -> tuple[Entry, ...]:
        """The entries. Raises PermanentError `directory-malformed`."""
        try:
            return tuple(messages.attributes(content) for content in self.entries)
        except (ValueError, IndexError) as error:
            raise PermanentError(ErrorCode.DIRECTORY_MALFORMED, f"an entry cannot be read: {error}") from error


class Connection:
    """Made by `logon.connect`. After any TemporaryError it is closed and of no more use.

    Searches may overlap: `ask` sends one, `answer` waits for its end, and what comes for another meanwhile is kept.
    """

    def __init__(self, connection: ldap3.Connection, host: str, *, patience: float = 60, haste: float = 5) -> None:
        """Wait for an answer `patience` seconds, for that to a small question `haste`."""
        self._connection = connection
        self._patience, self._haste = patience, haste
        self._unread = bytearray()
        self._open: dict[int, tuple[str, list[Message]]] = {}
        self.host = host

    @property
    def closed(self) -> bool:
        """Whether it is of no more use."""
        return bool(self._connection.closed)

    def search(
        self,
        base: str,
        filter_: Filter,
        *,
        attributes: Sequence[str],
        scope: str = ldap3.SUBTREE,
        controls: Sequence[bytes] = (),
        tolerate: Collection[int] = (),
        small: bool = False,
    ) -> Answer:
        """Search, and raise for a result code that is neither success nor among `tolerate`. `small` is a question that
        a controller which is well answers at once.

        Raises TemporaryError `directory-unavailable`; PermanentError `directory-rights`, `settings-invalid`,
        `directory-malformed`.
        """
        number = self.ask(base, filter_, attributes=attributes, scope=scope, controls=controls)
        return self.answer(number, tolerate=tolerate, small=small)

    def ask(
        self,
        base: str,
        filter_: Filter,
        *,
        attributes: Sequence[str],
        scope: str = ldap3.SUBTREE,
        controls: Sequence[bytes] = (),
    ) -> int:
        """Send a search whose answer is waited for later; its number. Raises TemporaryError `directory-unavailable`."""
        return self._send(
            base,
            lambda number: messages.search(
                number, base, filter_, attributes=attributes, scope=scope, controls=controls
            ),
        )

    def modify(
        self,
        dn: str,
        attribute: str,
        *,
        add: bytes | None = None,
        delete: bytes | None = None,
        tolerate: Collection[int] = (),
    ) -> int:
        """Add one value of an attribute or delete one; the result's code, which is success or among `tolerate`.

        Raises what `search` raises.
        """
        number = self._send(dn, lambda number: messages.modify(number, dn, attribute, add=add, delete=delete))
        return self.answer(number, tolerate=tolerate, small=True).code

    def answer(self, number: int, *, tolerate: Collection[int] = (), small: bool = False) -> Answer:
        """Wait for the end of a search that was asked. Raises what `search` raises."""
        base, told = self._open[number]
        try:
            self._connection.socket.settimeout(self._haste if small else self._patience)
            while not told or told[-1].kind not in {DONE, MODIFIED}:
                self._receive()
            result = messages.result(told[-1].content)
        except (*FOREIGN, AttributeError) as error:
            self._broke(error)
        del self._open[number]
        answer = Answer(
            entries=tuple(message.content for message in told if message.kind == ENTRY),
            code=result.code,
            message=described(result.code, result.message),
            controls=told[-1].controls,
        )
        if answer.code != SUCCESS and answer.code not in tolerate:
            self._refuse(answer.code, f"{self.host} refuses {base or 'its rootDSE'}: {answer.message}")
        return answer

    def forget(self, number: int) -> None:
        """Nobody waits for this answer any more."""
        self._open.pop(number, None)

    def begin_search(self, base: str, filter_: Filter, *, attributes: Sequence[str], controls: Sequence[bytes]) -> Any:
        """Send a search whose answers the caller reads from the socket returned, which no longer blocks."""
        self.ask(base, filter_, attributes=attributes, controls=controls)
        self._connection.socket.setblocking(False)
        return self._connection.socket

    def close(self) -> None:
        """Say goodbye where the other side still listens, and let go of the socket."""
        self._open.clear()
        try:
            self._connection.unbind()
        except FOREIGN:
            self._connection.strategy.close()

    def _send(self, base: str, request: Callable[[int], bytes]) -> int:
        number: int = self._connection.server.next_message_id()
        try:
            self._connection.socket.settimeout(self._patience)
            self._connection.socket.sendall(request(number))
        except (*FOREIGN, AttributeError) as error:  # ldap3 has no socket any more after an unbind
            self._broke(error)
        self._open[number] = (base, [])
        return number

    def _receive(self) -> None:
        """Read once, and hand whole messages to whom they answer. Raises what FOREIGN names."""
        piece = self._connection.socket.recv(_RECORD)
        if not piece:
            raise ConnectionError("the controller closed the connection")
        self._unread += piece
        for message in messages.taken(self._unread):
            if message.number == 0:
                raise ConnectionError("the controller said goodbye")
            if message.number in self._open:
                self._open[message.number][1].append(message)

    def _broke(self, error: Exception) -> NoReturn:
        self.close()
        raise TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, f"{self.host} stopped answering: {error}") from error

    def _refuse(self, code: int, told: str) -> NoReturn:
        if code in PASSING:
            raise TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, told)
        if code == INSUFFICIENT_RIGHTS:
            raise PermanentError(ErrorCode.DIRECTORY_RIGHTS, told)
        if code == NO_SUCH_OBJECT:
            raise PermanentError(ErrorCode.SETTINGS_INVALID, f"{told}: is the base right?")
        raise PermanentError(ErrorCode.DIRECTORY_MALFORMED, told)


def described(code: int, message: str) -> str:
    """A result in words: the name of its code and what the controller adds."""
    name = str(RESULT_CODES.get(code, f"result {code}"))
    return f"{name} ({message})" if message else name


def said(result: Mapping[str, Any]) -> str:
    """The same of a result as ldap3 has it."""
    return described(result["result"], str(result["message"]).strip().rstrip("\x00"))
