"""Revocation lists and OCSP answers over HTTP, from the addresses that an administrator configured.

Whatever answers is not trusted (lists and answers are signed): the limits keep a broken or hostile server from
holding up the judging, and an address that leads inside from being asked at all. The address is looked at after name
resolution, and once more on the connection that was made, before a byte is sent: a name may resolve differently then.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from sync.errors import ErrorCode, TemporaryError

MAX_BYTES = 256 * 1024 * 1024
_MAX_REDIRECTS = 3
_PIECE = 1 << 20
_OCSP = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class _RefusedAddressError(OSError):
    """The address is not public, and nobody allowed it."""


class Private:
    """Which addresses inside may be asked: host names, and networks as `10.0.0.0/8` or single addresses."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._hosts: set[str] = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for each in allowed:
            try:
                self._networks.append(ipaddress.ip_network(each, strict=False))
            except ValueError:
                self._hosts.add(each.lower())

    def check(self, host: str, address: str) -> None:
        """Raise when `host` must not be asked at `address`."""
        found = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(found, "ipv4_mapped", None)
        real: _Address = mapped or found
        public = real.is_global and not real.is_multicast
        if not public and host.lower() not in self._hosts and not any(real in each for each in self._networks):
            raise _RefusedAddressError(f"{host} is at {real}, which is no public address")


class HttpFetcher:
    """Fetches with limits on size, time and redirects; one session, safe between threads as far as requests is."""

    def __init__(
        self,
        *,
        private: Iterable[str] = (),
        ca_file: str | None = None,
        max_bytes: int = MAX_BYTES,
        timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        self._private = Private(private)
        self._max_bytes = max_bytes
        self._timeout = timeout.total_seconds()
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy would hide where a name leads
        self._session.verify = ca_file or True
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _CheckedAdapter(self._private))

    def fetch(self, url: str, *, question: bytes | None = None) -> bytes:
        """Get what is at `url`, or post an OCSP question there. Raises TemporaryError `revocation-source`."""
        deadline = time.monotonic() + self._timeout
        try:
            for _ in range(_MAX_REDIRECTS + 1):
                answer = self._ask(url, question, deadline)
                if isinstance(answer, bytes):
                    return answer
                url = urljoin(url, answer)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise _error(url, _reason(error)) from error
        raise _error(url, f"more than {_MAX_REDIRECTS} redirects")

    def close(self) -> None:
        """Let go of connections."""
        self._session.close()

    def _ask(self, url: str, question: bytes | None, deadline: float) -> bytes | str:
        """The content, or where a redirect leads."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("neither http:// nor https://")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        for *_, address in socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM):
            self._private.check(parts.hostname, str(address[0]))
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"not there within {self._timeout:.0f} s")
        with self._session.request(
            "GET" if question is None else "POST",
            url,
            data=question,
            headers=_OCSP if question is not None else {},
            timeout=min(left, 10),
            stream=True,
            allow_redirects=False,
        ) as response:
            if response.is_redirect:
                return response.headers["Location"]
            if response.status_code != requests.codes.ok:
                raise ValueError(f"HTTP status {response.status_code}")
            return self._read(response, deadline)

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        content = bytearray()
        # read1 gives what is there: a server that drips must not outlast the deadline.
        while piece := response.raw.read1(_PIECE, decode_content=True):
            content += piece
            if len(content) > self._max_bytes:
                raise ValueError(f"larger than {self._max_bytes} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not there within {self._timeout:.0f} s")
        return bytes(content)


def _error(url: str, reason: str) -> TemporaryError:
    return TemporaryError(ErrorCode.REVOCATION_SOURCE, f"{url}: {reason}")


def _reason(error: BaseException) -> str:
    """The innermost cause that says something: requests wraps urllib3, which wraps the socket's."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, _RefusedAddressError):
            return str(seen)
        seen = seen.__cause__ or seen.__context__
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _checked(connection: HTTPConnection, private: Private, connected: socket.socket) -> socket.socket:
    try:
        private.check(connection.host, str(connected.getpeername()[0]))
    except OSError:
        connected.close()
        raise
    return connected


class _CheckedAdapter(HTTPAdapter):
    """Makes connections that look where they arrived before anything is sent."""

    def __init__(self, private: Private) -> None:
        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return _checked(self, private, super()._new_conn())

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return _checked(self, private, super()._new_conn())

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self._pools = {"http": PlainPool, "https": SecurePool}
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools
