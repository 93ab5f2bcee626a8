"""The routes over HTTP without the Functions host: cheroot's threaded server, werkzeug's requests."""

from __future__ import annotations

import hmac
import ipaddress
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cheroot import wsgi
from werkzeug import Request, Response
from werkzeug.exceptions import HTTPException

from sync import http_api
from sync.errors import ErrorCode, PermanentError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MAX_BODY = 65_536
"""Bytes of a request: the largest that anybody has a reason to send."""


@contextmanager
def serving(
    product: Callable[[], http_api.Operations], *, host: str, port: int, key: str | None, prefix: str = "/api/"
) -> Iterator[str]:
    """Serve the routes until the block ends; gives the address. `port` 0 lets the system choose.

    With a `key` each request must bring it, as the Functions host asks: header `x-functions-key` or `?code=`.
    Raises PermanentError `settings-invalid` without a key on an address that others can reach, or when it is taken.
    """
    if key is None and not _loopback(host):
        raise PermanentError(ErrorCode.SETTINGS_INVALID, f"{host} can be reached by others: name a key file")
    server = _Server((host, port), _Application(product, key, prefix), server_name="smime-sync")
    server.expiration_interval = 0.1
    server.max_request_body_size = MAX_BODY
    try:
        server.prepare()
    except OSError as error:
        raise PermanentError(ErrorCode.SETTINGS_INVALID, f"{host}:{port} cannot be listened on: {error}") from error
    thread = threading.Thread(target=server.serve, name="http", daemon=True)
    thread.start()
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.bind_addr[1]}"
    finally:
        server.stop()
        thread.join()


class _Server(wsgi.Server):
    @staticmethod
    def bind_socket(socket_: socket.socket, bind_addr: tuple[str, int]) -> tuple[str, int]:
        """Bind, and do not leave the socket open that could not be bound, as cheroot would."""
        try:
            return wsgi.Server.bind_socket(socket_, bind_addr)  # type: ignore[no-any-return, no-untyped-call]
        except OSError:
            socket_.close()
            raise


class _Application:
    """The WSGI application."""

    def __init__(self, product: Callable[[], http_api.Operations], key: str | None, prefix: str) -> None:
        self._product = product
        self._key = key
        self._routes = {(f"{prefix}{route.name}", route.method): route for route in http_api.ROUTES}
        self._paths = {path for path, _ in self._routes}

    def __call__(self, environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        try:
            answer = self._answered(Request(environment))
        except HTTPException as error:
            answer = _said(error.code or 400, ErrorCode.REQUEST_MALFORMED, error.description or "")
        return answer(environment, start)

    def _answered(self, request: Request) -> Response:
        if not self._allowed(request):
            return _said(401, ErrorCode.REQUEST_UNAUTHORISED, "the key is missing or wrong")
        route = self._routes.get((request.path, request.method))
        if route is None:
            known = request.path in self._paths
            return _said(405 if known else 404, ErrorCode.REQUEST_MALFORMED, f"no {request.method} {request.path[:80]}")
        query = {name: value for name, value in request.args.items() if name != "code"}
        made = http_api.answer(route, self._product, http_api.Request(query=query, body=request.get_data()))
        return Response(made.body, made.status, headers=dict(made.headers), mimetype=made.media_type)

    def _allowed(self, request: Request) -> bool:
        brought = request.headers.get("x-functions-key") or request.args.get("code") or ""
        return self._key is None or hmac.compare_digest(brought.encode("utf-8"), self._key.encode("utf-8"))


def _said(status: int, code: ErrorCode, message: str) -> Response:
    error = PermanentError(code, message)
    told = {"error": {"code": error.code, "message": error.message, "hint": error.hint}}
    return Response(json.dumps(told), status, mimetype="application/json", headers={"Cache-Control": "no-store"})


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
