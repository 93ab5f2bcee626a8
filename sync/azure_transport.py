"""How the storage clients send: what the environment says of proxies is asked once for each host.

The requests library asks it, and looks for a .netrc, at every single request: a third of what a request to the queue
or a table costs this process. An event makes about ten.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from azure.core.pipeline.transport import RequestsTransport
from requests.utils import get_environ_proxies


class Transport(RequestsTransport):  # type: ignore[misc] # given late, without its type
    """Honours HTTPS_PROXY and NO_PROXY as they were at the first request to a host; waits 10 s for a connection and
    30 s for an answer.

    No .netrc is read: a password for the host there would replace our own Authorization header.
    """

    def __init__(self, ca_file: str | None = None) -> None:
        """`ca_file` (PEM) replaces the public authorities, behind an inspecting proxy."""
        super().__init__(
            use_env_settings=False, connection_timeout=10, read_timeout=30, connection_verify=ca_file or True
        )
        self._proxies: dict[str, dict[str, str]] = {}

    def send(self, request: Any, *, proxies: Any = None, **options: Any) -> Any:
        """See HttpTransport."""
        if proxies is None:
            host = urlsplit(request.url).netloc
            if host not in self._proxies:
                self._proxies[host] = dict(get_environ_proxies(request.url))
            proxies = self._proxies[host]
        return super().send(request, proxies=proxies, **options)
