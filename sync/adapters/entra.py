"""Tokens for Exchange Online from Entra, through msal."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sync.core.retry_after import retry_after
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError

if TYPE_CHECKING:
    import requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Where one national cloud keeps what we need. All but `name` and `suffixes` are https origins without a path.

    `resource` is the audience of the token, `admin` the host of the admin API; a redirect or a next page is followed
    only to a host that is one of `suffixes` or ends in a dot and one of them.
    """

    name: str
    login: str
    resource: str
    admin: str
    suffixes: tuple[str, ...]


CLOUDS: Mapping[str, Cloud] = MappingProxyType(
    {
        cloud.name: cloud
        for cloud in (
            Cloud(
                name="worldwide",
                login="https://login.microsoftonline.com",
                resource="https://outlook.office365.com",
                admin="https://outlook.office365.com",
                suffixes=("outlook.office365.com", "outlook.office.com", "outlook.com"),
            ),
            Cloud(
                name="gcc-high",
                login="https://login.microsoftonline.us",
                resource="https://outlook.office365.us",
                admin="https://outlook.office365.us",
                suffixes=("office365.us",),
            ),
            Cloud(
                name="dod",
                login="https://login.microsoftonline.us",
                resource="https://outlook-dod.office365.us",
                admin="https://outlook-dod.office365.us",
                suffixes=("office365.us",),
            ),
            # Not established for the admin API: the hosts are those of Exchange Online PowerShell there.
            Cloud(
                name="china",
                login="https://login.partner.microsoftonline.cn",
                resource="https://partner.outlook.cn",
                admin="https://partner.outlook.cn",
                suffixes=("outlook.cn", "outlook.office365.cn"),
            ),
        )
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedIdentity:
    """The machine's own identity: the system-assigned one, or the user-assigned one with this client id."""

    client_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """An application that signs. `pem` is PEM text, or the path of it: an RSA key and its certificate."""

    client_id: str
    pem: str = field(repr=False)
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """An application with a secret: the weakest kind, for trials."""

    client_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAssertion:
    """Workload identity: `assertion` returns a fresh token of the federated issuer whenever Entra is asked."""

    client_id: str
    assertion: Callable[[], str]


Credential = ManagedIdentity | Certificate | ClientSecret | ClientAssertion


class TokenSource:
    """Keeps one msal client, whose cache is the token's; make one per process. Threads may share it."""

    def __init__(
        self,
        credential: Credential,
        *,
        tenant: str,
        session: requests.Session | None = None,
        cloud: Cloud = CLOUDS["worldwide"],
        ca_file: str | None = None,
        instance_discovery: bool = True,
        timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        """`tenant` is its id. Set `instance_discovery` False only where the login host is not one of Microsoft's.

        `ca_file` is a PEM file of authorities to trust in the place of the session's; without a session one is made.
        """
        self._credential = credential
        self._authority = f"{cloud.login.rstrip('/')}/{tenant}"
        self._resource = cloud.resource
        self._instance_discovery = instance_discovery
        self._transport = _Transport(session, ca_file, timeout, isinstance(credential, ManagedIdentity))
        self._lock = threading.Lock()
        self._client: Any = None

    def token(self, claims: str | None = None) -> str:
        """A bearer token, from the cache while it is good; with `claims` (JSON, of a claims challenge) a new one.

        Raises TemporaryError `token-unavailable`, PermanentError `token-refused`, `file-unreadable`.
        """
        from msal.exceptions import MsalError

        try:
            answer = self._acquire(claims)
        except SyncError:
            raise
        except json.JSONDecodeError as error:
            raise TemporaryError(
                ErrorCode.TOKEN_UNAVAILABLE, "the token service answered something other than JSON"
            ) from error
        except (MsalError, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            # What msal and an assertion that cannot be made raise; the network's own errors are ours already.
            raise PermanentError(ErrorCode.TOKEN_REFUSED, f"no token for {self._resource}: {_line(error)}") from error
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if isinstance(token, str) and token:
            return token
        raise _refusal(answer if isinstance(answer, dict) else {})

    def _acquire(self, claims: str | None) -> Any:
        # msal is late and inside the lock: it takes 0.16 s to import, and two clients would be two caches.
        with self._lock:
            if self._client is None:
                self._client = self._connect()
        if isinstance(self._credential, ManagedIdentity):
            return self._client.acquire_token_for_client(resource=self._resource, claims_challenge=claims)
        return self._client.acquire_token_for_client([f"{self._resource}/.default"], claims_challenge=claims)

    def _connect(self) -> Any:
        import msal

        # CP1 says that we answer claims challenges, so that a revoked token is found out at once.
        capabilities = ["CP1"]
        match self._credential:
            case ManagedIdentity(client_id=None):
                identity = msal.SystemAssignedManagedIdentity()
                return msal.ManagedIdentityClient(
                    identity, http_client=self._transport, client_capabilities=capabilities
                )
            case ManagedIdentity(client_id=client_id):
                identity = msal.UserAssignedManagedIdentity(client_id=client_id)
                return msal.ManagedIdentityClient(
                    identity, http_client=self._transport, client_capabilities=capabilities
                )
            case Certificate() as certificate:
                credential: Any = _signing(certificate)
            case ClientSecret(secret=secret):
                credential = secret
            case ClientAssertion(assertion=assertion):
                credential = {"client_assertion": assertion}
        return msal.ConfidentialClientApplication(
            self._credential.client_id,
            client_credential=credential,
            authority=self._authority,
            http_client=self._transport,
            client_capabilities=capabilities,
            instance_discovery=None if self._instance_discovery else False,
            # Regional token services are for Microsoft's own applications; msal would warn in every Azure region.
            azure_region=False,
        )


class _Transport:
    """What msal sends through: bounds each request in time and tells passing faults from refusals."""

    def __init__(
        self, session: requests.Session | None, ca_file: str | None, timeout: timedelta, managed_identity: bool
    ) -> None:
        import requests

        self._session = session or requests.Session()
        self._verify = ca_file
        self._timeout = timeout.total_seconds()
        # The metadata service of a virtual machine answers 404 and 410 while it is being updated.
        self._passing = {404, 408, 410, 429} if managed_identity else {408, 429}

    def get(self, url: str, **arguments: Any) -> requests.Response:
        return self._send("GET", url, arguments)

    def post(self, url: str, **arguments: Any) -> requests.Response:
        return self._send("POST", url, arguments)

    def close(self) -> None:
        """The session belongs to whoever made it."""

    def _send(self, method: str, url: str, arguments: dict[str, Any]) -> requests.Response:
        host = urlsplit(url).hostname
        try:
            # No redirect is followed: one with 307 would carry the secret to wherever it points.
            response = self._session.request(
                method, url, timeout=self._timeout, allow_redirects=False, verify=self._verify, **arguments
            )
        except OSError as error:
            # Every error of requests is one, and so is a CA file that is not there.
            raise TemporaryError(
                ErrorCode.TOKEN_UNAVAILABLE, f"{host} cannot be reached: {type(error).__name__}"
            ) from error
        if response.status_code in self._passing or response.status_code >= 500:
            raise TemporaryError(
                ErrorCode.TOKEN_UNAVAILABLE,
                f"{host} answered {response.status_code}",
                retry_after=retry_after(response.headers),
            )
        return response


def _signing(credential: Certificate) -> dict[str, str]:
    """What msal wants for a certificate, without a thumbprint: it then signs with PS256 and names it by SHA-256."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    pem = _text(credential.pem)
    passphrase = credential.passphrase.encode() if credential.passphrase else None
    blocks = _BLOCK.findall(pem)
    try:
        keys = [
            serialization.load_pem_private_key(block.encode(), passphrase)
            for block, label in blocks
            if label.endswith("PRIVATE KEY")
        ]
        certificates = [
            x509.load_pem_x509_certificate(block.encode()) for block, label in blocks if label == "CERTIFICATE"
        ]
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # The library's own words may quote the key file; its type is enough.
        raise PermanentError(
            ErrorCode.TOKEN_REFUSED, f"the application's certificate or key cannot be read ({type(error).__name__})"
        ) from error
    for key in keys:
        for certificate in certificates:
            if isinstance(key, RSAPrivateKey) and certificate.public_key() == key.public_key():
                return {
                    "private_key": key.private_bytes(
                        serialization.Encoding.PEM,
                        serialization.PrivateFormat.PKCS8,
                        serialization.NoEncryption(),
                    ).decode("ascii"),
                    "public_certificate": certificate.public_bytes(serialization.Encoding.PEM).decode("ascii"),
                }
    raise PermanentError(
        ErrorCode.TOKEN_REFUSED,
        f"the application's PEM holds {len(keys)} keys and {len(certificates)} certificates, "
        "and no RSA key with its own certificate",
    )


_BLOCK = re.compile(r"(-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \2-----)", re.DOTALL)


def _text(pem: str) -> str:
    if "-----BEGIN " in pem:
        return pem
    try:
        return Path(pem).read_text("ascii")
    except (OSError, ValueError) as error:
        raise PermanentError(
            ErrorCode.FILE_UNREADABLE, f"the application's certificate file cannot be read ({type(error).__name__})"
        ) from error


_PASSING = {"temporarily_unavailable", "server_error"}
"""RFC 6749, 4.1.2.1; Entra uses them at the token endpoint too."""

_PASSING_NUMBERS = {90033}
"""AADSTS90033: the directory service behind Entra is unavailable for a moment."""


def _refusal(answer: Mapping[str, Any]) -> SyncError:
    """Make the error for msal's answer without a token: a dict with `error` and `error_description`."""
    words = f"{answer.get('error', 'no token')}: {_line(answer.get('error_description', ''))}"
    numbers = answer.get("error_codes")
    if answer.get("error") in _PASSING or (isinstance(numbers, list) and _PASSING_NUMBERS.intersection(numbers)):
        return TemporaryError(ErrorCode.TOKEN_UNAVAILABLE, words)
    return PermanentError(ErrorCode.TOKEN_REFUSED, words)


def _line(text: object) -> str:
    """What was said, on one short line, without the trace ids that Entra appends."""
    return next(iter(str(text).partition("Trace ID:")[0].strip().splitlines()), "")[:300]
