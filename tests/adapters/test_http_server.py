"""The routes over a real socket: keys, addresses, and whatever else a client may send."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import requests

from sync.adapters.http_server import serving
from sync.console import page
from sync.errors import ErrorCode, PermanentError
from tests.office import Operated

KEY = "a key of its own"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    product = Operated()
    with serving(lambda: product, host="127.0.0.1", port=0, key=KEY) as address:
        yield address


def test_a_route_is_answered(address: str) -> None:
    """As the Functions host does it: under /api/, the key in a header or in the query."""
    for options in ({"headers": {"x-functions-key": KEY}}, {"params": {"code": KEY}}):
        answer = requests.get(f"{address}/api/health", timeout=30, **options)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    answer = requests.post(f"{address}/api/replay", json={"all": True}, headers={"x-functions-key": KEY}, timeout=30)
    assert (answer.status_code, answer.json()["chosen"]) == (200, [])


def test_the_console_is_a_page(address: str) -> None:
    """With the headers that it was made with."""
    answer = requests.get(f"{address}/api/console", params={"code": KEY}, timeout=30)
    assert (answer.status_code, answer.text) == (200, page().html)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert {name: answer.headers[name] for name in page().headers} == page().headers


@pytest.mark.parametrize("key", [None, "", "a key", KEY + " ", KEY.upper(), "ü"])
def test_nobody_without_the_key(address: str, key: str | None) -> None:
    """Whatever is asked for, and before anything of the body is read."""
    for path in ("health", "failed", "nothing"):
        answer = requests.get(f"{address}/api/{path}", params={"code": key} if key is not None else {}, timeout=30)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, ErrorCode.REQUEST_UNAUTHORISED)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/api/", 404),
        ("GET", "/api/replay", 405),
        ("DELETE", "/api/failed", 405),
        ("GET", "/api/../api/x", 404),
    ],
)
def test_another_address_is_nobodys(address: str, method: str, path: str, status: int) -> None:
    """A clear answer in JSON, as for everything."""
    answer = requests.request(method, f"{address}{path}", headers={"x-functions-key": KEY}, timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, ErrorCode.REQUEST_MALFORMED)


def test_a_body_that_is_too_large_is_not_read(address: str) -> None:
    """Nobody has a reason to send one."""
    answer = requests.post(f"{address}/api/replay", data=b"x" * 100_000, headers={"x-functions-key": KEY}, timeout=30)
    assert answer.status_code == 413


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "smime.example"])
def test_it_listens_to_others_only_with_a_key(host: str) -> None:
    """Without one anybody could replay and read who failed."""
    with pytest.raises(PermanentError) as caught, serving(Operated, host=host, port=0, key=None):
        pass
    assert caught.value.code is ErrorCode.SETTINGS_INVALID


def test_a_port_that_is_taken_is_said() -> None:
    """With its number."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PermanentError, match=str(port)), serving(Operated, host="127.0.0.1", port=port, key=None):
            pass
