"""Logs on to the first domain controller that takes us: over TLS, verified, and in no other way.

By password (a simple bind inside TLS), or by Kerberos with a keytab, bound to the TLS channel (RFC 5929, 4): a ticket
that somebody in between relays is of no use there.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import ldap3
from ldap3.core.exceptions import LDAPException, LDAPStartTLSError

from sync.adapters.active_directory.connection import FOREIGN, PASSING, Connection, said
from sync.adapters.active_directory.kerberos import credentials, failures
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError

INVALID_CREDENTIALS: Final = 49
NEEDS_TLS: Final = frozenset({8, 13})  # strongerAuthRequired, confidentialityRequired

_HOST: Final = re.compile(r"[A-Za-z0-9._:\-]+")
_LOGON_FAILURES: Final = {
    "525": "there is no such user",
    "52e": "the password is wrong, or there is no such user",
    "530": "the account may not log on at this time",
    "531": "the account may not log on from this computer",
    "532": "the password has expired",
    "533": "the account is disabled",
    "701": "the account has expired",
    "773": "the password must be changed first",
    "775": "the account is locked",
}
"""Active Directory's `data` codes in the diagnostic message of a refused bind, which are Windows error numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach a domain: its hosts in the order in which they are tried, one account, and whose certificates count.

    `hosts` are names, or a function that finds them anew for each connection. `user` is a UPN, a DN or DOMAIN\\user;
    with a `keytab` it is the Kerberos principal, and no password is needed. `ca_file` holds PEM roots (None: the
    system's). `server_name` is the name that the certificates must carry, and the service principal, when it is not
    the host's. `start_tls` begins in plain text and speaks TLS before anything else is said. Times in seconds:
    `connect_timeout` for each step until we are logged on and for a small question, `answer_timeout` for a large one.
    Raises PermanentError `settings-invalid`, `directory-credentials`.
    """

    hosts: tuple[str, ...] | Callable[[], Sequence[str]]
    user: str
    password: str = field(default="", repr=False)
    keytab: Path | None = None
    ca_file: Path | None = None
    server_name: str | None = None
    port: int | None = None
    start_tls: bool = False
    connect_timeout: int = 5
    answer_timeout: int = 60

    def __post_init__(self) -> None:
        if not callable(self.hosts):
            _named(self.hosts)
        if not self.user or not (self.password or self.keytab):
            # An empty password is an anonymous bind, which succeeds and sees nothing (RFC 4513, 5.1.2).
            raise PermanentError(ErrorCode.DIRECTORY_CREDENTIALS, "user or password of the directory account is empty")

    @property
    def account(self) -> str:
        """Who we are, for messages."""
        return self.user

    def candidates(self) -> tuple[str, ...]:
        """The hosts to try now. Raises what finding them raises."""
        return _named(tuple(self.hosts()) if callable(self.hosts) else self.hosts)


def _named(hosts: tuple[str, ...]) -> tuple[str, ...]:
    bad = [host for host in hosts if not _HOST.fullmatch(host)]
    if bad or not hosts:
        # A host such as ldap://dc1 would make ldap3 speak plain text.
        told = f"{bad[0]!r} is not a host name" if bad else "no domain controller is named"
        raise PermanentError(ErrorCode.SETTINGS_INVALID, told)
    return hosts


def connect(access: Access) -> Connection:
    """Bind to the first host that takes us.

    Raises PermanentError `directory-credentials` at the first host that says so, since trying the others would lock the
    account; `directory-tls`, `file-unreadable`; TemporaryError `directory-unavailable` when any of them may answer
    later.
    """
    refusals: list[SyncError] = []
    hosts = access.candidates()
    for host in hosts:
        try:
            return Connection(_bound(access, host), host, patience=access.answer_timeout, haste=access.connect_timeout)
        except SyncError as error:
            if error.code is ErrorCode.DIRECTORY_CREDENTIALS or len(hosts) == 1:
                raise
            refusals.append(error)
    told = "; ".join(refusal.message for refusal in refusals)
    if all(isinstance(refusal, PermanentError) for refusal in refusals):
        raise PermanentError(refusals[0].code, told) from refusals[0]
    raise TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, told) from refusals[0]


class _VerifiedTls(ldap3.Tls):  # type: ignore[misc]
    """Leaves trust and the host's name to OpenSSL, and remembers why it failed.

    ldap3 compares names by itself: on Python 3.12 and later no IP address ever matches there.
    """

    def __init__(self, access: Access, host: str) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._name = access.server_name or host
        self._context = _tls_context(access.ca_file)
        self.failure: OSError | None = None

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        """What ldap3 calls on a connected socket."""
        try:
            connection.socket = self._context.wrap_socket(
                connection.socket, server_hostname=self._name, do_handshake_on_connect=do_handshake
            )
        except OSError as error:
            self.failure = error
            raise


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise PermanentError(ErrorCode.DIRECTORY_TLS, f"{ca_file} holds no certificate in PEM") from error
    except OSError as error:
        raise PermanentError(ErrorCode.FILE_UNREADABLE, f"{ca_file}: {error.strerror}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.13 turns this on, and roots of older AD CS do not pass it: one judgement on every Python.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _bound(access: Access, host: str) -> ldap3.Connection:
    tls = _VerifiedTls(access, host)
    port = access.port or (389 if access.start_tls else 636)
    try:
        server = ldap3.Server(
            host,
            port=port,
            use_ssl=not access.start_tls,
            get_info=ldap3.NONE,
            tls=tls,
            connect_timeout=access.connect_timeout,
        )
        connection = ldap3.Connection(
            server,
            **_credentials(access, host),
            client_strategy=ldap3.SYNC,
            check_names=False,
            auto_range=False,
            auto_referrals=False,
            return_empty_attributes=False,  # else a removed attribute and an unchanged one look alike
            receive_timeout=access.connect_timeout,  # of TLS and bind too: whoever hangs there is passed over
        )
    except LDAPException as error:
        raise PermanentError(ErrorCode.SETTINGS_INVALID, f"{host}:{port}: {error}") from error
    try:
        _bind(connection, access, f"{host}:{port}", tls)
    except SyncError:
        if connection.socket is not None:  # ldap3 leaves a socket open that it could not connect or wrap
            connection.socket.close()
        raise
    return connection


def _credentials(access: Access, host: str) -> dict[str, Any]:
    if access.keytab is not None:
        return credentials(access.user, access.keytab, access.server_name or host)
    return {"user": access.user, "password": access.password, "authentication": ldap3.SIMPLE}


def _bind(connection: ldap3.Connection, access: Access, where: str, tls: _VerifiedTls) -> None:
    try:
        connection.open(read_server_info=False)
        if access.start_tls:
            connection.start_tls(read_server_info=False)
        if not isinstance(connection.socket, ssl.SSLSocket):
            raise PermanentError(ErrorCode.DIRECTORY_TLS, f"{where} did not begin TLS: the password stays unsaid")
        connection.bind(read_server_info=False)
    except failures() as error:
        raise _unauthentic(where, access.user, error) from error
    except FOREIGN as error:
        raise _unreached(where, tls.failure, error) from (tls.failure or error)
    if not connection.bound:
        raise _refused(where, access.user, connection.result)


def _unauthentic(where: str, user: str, error: Exception) -> SyncError:
    """Kerberos said no: an unknown principal, a key of an older password, a clock more than 5 minutes off."""
    told = f"Kerberos does not log {user} on to {where}: {error}"
    if re.search(r"cannot (contact|resolve|find)", told, re.IGNORECASE):  # of MIT's library: any KDC for realm
        return TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, told)
    return PermanentError(ErrorCode.DIRECTORY_CREDENTIALS, told)


def _unreached(where: str, failure: OSError | None, error: Exception) -> SyncError:
    if isinstance(failure, ssl.SSLCertVerificationError):
        return PermanentError(
            ErrorCode.DIRECTORY_TLS, f"the certificate of {where} is refused: {failure.verify_message}"
        )
    if isinstance(failure, ssl.SSLError) and not isinstance(failure, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return PermanentError(ErrorCode.DIRECTORY_TLS, f"{where} does not speak TLS with us: {failure.reason}")
    if isinstance(error, LDAPStartTLSError):
        return PermanentError(ErrorCode.DIRECTORY_TLS, f"{where} refuses StartTLS: {error}")
    return TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, f"{where} cannot be reached: {failure or error}")


def _refused(where: str, user: str, result: Mapping[str, Any]) -> SyncError:
    code = result["result"]
    if code == INVALID_CREDENTIALS:
        data = re.search(r"\bdata ([0-9a-f]+)", str(result["message"]))
        told = _LOGON_FAILURES.get(data[1], said(result)) if data else said(result)
        return PermanentError(ErrorCode.DIRECTORY_CREDENTIALS, f"{where} refuses {user}: {told}")
    if code in NEEDS_TLS:
        return PermanentError(ErrorCode.DIRECTORY_TLS, f"{where} wants a safer connection: {said(result)}")
    if code in PASSING:
        return TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, f"{where} cannot log us on now: {said(result)}")
    return PermanentError(ErrorCode.DIRECTORY_CREDENTIALS, f"{where} refuses {user}: {said(result)}")
