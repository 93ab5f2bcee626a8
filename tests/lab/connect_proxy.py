"""An HTTP proxy that leads named hosts to a server on loopback, and nobody anywhere else.

So the product speaks to the real names of a cloud, and TLS verifies them, without a resolver or a port below 1024.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(slots=True, kw_only=True)
class ConnectProxy:
    """`hosts` says where each name leads (an origin on loopback); `asked` are the names that were asked for."""

    hosts: Mapping[str, str]
    url: str = ""
    asked: list[str] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def start(cls, hosts: Mapping[str, str]) -> Iterator[ConnectProxy]:
        """Run until the block ends."""
        proxy = cls(hosts=hosts)

        class Handler(BaseHTTPRequestHandler):
            def do_CONNECT(self) -> None:
                name = self.path.partition(":")[0]
                proxy.asked.append(name)
                if name not in hosts:
                    self.send_error(403)
                    return
                target = urlsplit(hosts[name])
                with socket.create_connection((str(target.hostname), int(target.port or 443)), timeout=30) as far:
                    self.send_response(200)
                    self.end_headers()
                    back = threading.Thread(target=_copy, args=(far, self.connection), daemon=True)
                    back.start()
                    _copy(self.connection, far)
                    back.join()
                self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
                """Not wanted."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="connect proxy", daemon=True)
        thread.start()
        try:
            proxy.url = f"http://127.0.0.1:{server.server_port}"
            yield proxy
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while octets := source.recv(65536):
            target.sendall(octets)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
