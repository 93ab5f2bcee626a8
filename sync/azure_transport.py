"""How the storage clients send: as it is written, and what the environment says of proxies is asked once for each host.

The requests library asks it, looks for a .netrc, and then puts into order what somebody may have typed: half of what a
request to the queue or a table costs this process. An event that writes makes about eight.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from azure.core.pipeline.transport import RequestsTransport
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies
from urllib3 import Retry


class Transport(RequestsTransport):  # type: ignore[misc] # given late, without its type
    """Honours HTTPS_PROXY and NO_PROXY as they were at the first request to a host; waits 10 s for a connection and
    30 s for an answer.

    No .netrc is read: a password for the host there would replace our own Authorization header.
    """

    def __init__(self, ca_file: str | None = None) -> None:
        """`ca_file` (PEM) replaces the public authorities, behind an inspecting proxy."""
        super().__init__(session=_Session(), connection_timeout=10, read_timeout=30, connection_verify=ca_file or True)
        self._proxies: dict[str, dict[str, str]] = {}

    def send(self, request: Any, *, proxies: Any = None, **options: Any) -> Any:
        """See HttpTransport."""
        if proxies is None:
            host = urlsplit(request.url).netloc
            if host not in self._proxies:
                self._proxies[host] = dict(get_environ_proxies(request.url))
            proxies = self._proxies[host]
        return super().send(request, proxies=proxies, **options)


class _Session(Session):
    """Sends what a client has written and signed: no cookie, no redirect, no address that is quoted once more."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        # The clients' own policy tries again, and knows when that is right.
        adapter = HTTPAdapter(max_retries=Retry(total=False, redirect=False, raise_on_status=False))
        for scheme in ("https://", "http://"):
            self.mount(scheme, adapter)

    def request(self, method: str, url: str, **asked: Any) -> Response:  # type: ignore[override]
        """As RequestsTransport calls it."""
        if asked["files"] or isinstance(asked["data"], Mapping):
            return super().request(method, url, **asked)  # the form of a log-in is still to be written
        assert not asked.pop("allow_redirects"), "nobody follows one with our signature"
        written = PreparedRequest()
        written.method, written.url, written.body = method, url, asked.pop("data")
        written.headers, written.hooks = CaseInsensitiveDict(asked.pop("headers")), {}
        del asked["files"]
        return self.get_adapter(url).send(written, **asked)
