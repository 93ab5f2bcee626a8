"""The routes over HTTP without the Functions host: cheroot's threaded server, werkzeug's requests."""

from __future__ import annotations

import hmac
import ipaddress
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from cheroot import wsgi
from werkzeug import Request, Response
from werkzeug.exceptions import HTTPException

from sync import http_api
from sync.errors import ErrorCode, PermanentError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


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
    server.max_request_body_size = http_api.MAX_BODY
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
        self._routes = {f"{prefix}{route.name}": route for route in http_api.ROUTES}

    def __call__(self, environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        try:
            answer = self._answered(Request(environment))
        except HTTPException as error:
            answer = _refused(ErrorCode.REQUEST_MALFORMED, error.description or "", error.code or 400)
        return answer(environment, start)

    def _answered(self, request: Request) -> Response:
        if not self._allowed(request):
            return _refused(ErrorCode.REQUEST_UNAUTHORISED, "the key is missing or wrong")
        if self._key is None and _foreign(request):
            return _refused(ErrorCode.REQUEST_FORBIDDEN, "a page of another site may not ask")
        route = self._routes.get(request.path)
        if route is None or route.method != request.method:
            refused = _refused(
                ErrorCode.REQUEST_MALFORMED, f"no {request.method} {request.path[:80]}", 405 if route else 404
            )
            if route is not None:
                refused.allow.update([route.method])  # RFC 9110, 15.5.6
            return refused
        asked = http_api.Request(query=request.args.to_dict(), body=request.get_data())
        return _shown(http_api.answer(route, self._product, asked))

    def _allowed(self, request: Request) -> bool:
        brought = request.headers.get("x-functions-key") or request.args.get("code") or ""
        return self._key is None or hmac.compare_digest(brought.encode("utf-8"), self._key.encode("utf-8"))


def _foreign(request: Request) -> bool:
    """Without a key a browser's request is all that it takes, and any page can have one made: it is refused when the
    browser names another site, or asks for us by a name that is not this machine's."""
    origin = request.headers.get("origin")
    ours = {None, f"http://{request.host}", f"https://{request.host}"}
    return origin not in ours or not _loopback(re.sub(r":\d+$", "", request.host).strip("[]"))


def _refused(code: ErrorCode, message: str, status: int | None = None) -> Response:
    made = http_api.refusal(PermanentError(code, message))
    return _shown(made if status is None else replace(made, status=status))


def _shown(made: http_api.Answer) -> Response:
    return Response(made.body, made.status, headers=dict(made.headers), mimetype=made.media_type)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
