"""Serves an application over HTTPS on loopback, and can break a connection as a real network does."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import trustme
from cheroot import wsgi
from cheroot.server import HTTPConnection
from cheroot.ssl.builtin import BuiltinSSLAdapter

SOCKET = "lab.socket"
"""The key of the WSGI environment under which the connection's socket stands."""


class _Gateway(wsgi.Gateway_10):
    # cheroot's stubs do not know what its own get_environ returns.
    def get_environ(self) -> dict[str, Any]:  # type: ignore[override]
        return {**super().get_environ(), SOCKET: self.req.conn.socket}  # type: ignore[no-untyped-call]


class _Connection(HTTPConnection):
    def close(self) -> None:
        """Forget what a client that hung up did not take: collected, the buffer would try the dead socket again."""
        self.wfile._write_buf.clear()
        super().close()


class _Server(wsgi.Server):
    ConnectionClass = _Connection

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        """Broken lines are asked for here; they are no news."""


def certificate(authority: trustme.CA, folder: Path, *names: str) -> Path:
    """Issue a certificate for localhost, 127.0.0.1 and these names; returns the PEM file with key and chain."""
    path = folder / "server.pem"
    authority.issue_cert("localhost", "127.0.0.1", *names).private_key_and_cert_chain_pem.write_to_path(str(path))
    return path


@contextlib.contextmanager
def serve(application: Callable[..., Any], pem: Path, port: int = 0) -> Iterator[str]:
    """Serve until the block ends; gives the https origin. Port 0 lets the system choose."""
    server = _Server(("127.0.0.1", port), application, numthreads=8)
    server.ssl_adapter = BuiltinSSLAdapter(str(pem), str(pem))
    server.gateway = _Gateway
    # How often the server looks whether it is to stop; by default it takes half a second.
    server.expiration_interval = 0.05
    server.prepare()
    thread = threading.Thread(target=server.serve, name="simulated tenant", daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{server.bind_addr[1]}"
    finally:
        server.stop()
        thread.join()


def reset(connection: socket.socket) -> NoReturn:
    """Break the line at once, without an answer and without the close of TLS."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    # The server takes this for a client that went away, and lets go of the connection in peace.
    raise ConnectionResetError(errno.ECONNRESET, "broken by the fault script")
