"""The routes over a real socket: keys, addresses, and whatever else a client may send."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import requests

from sync.adapters.http_server import serving
from sync.console import page
from sync.core.path import TrustStore
from sync.errors import ErrorCode, PermanentError
from tests.mill import Mill
from tests.office import Operated, person

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


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "POST"])
def test_another_method_is_told_the_right_one(address: str, method: str) -> None:
    """And no site is ever told that it may ask from a browser: there is no CORS header."""
    headers = {"x-functions-key": KEY, "origin": "https://elsewhere.example"}
    answer = requests.request(method, f"{address}/api/status", headers=headers, timeout=30)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert not any(name.lower().startswith("access-control") for name in answer.headers)


def test_a_guarded_run_is_approved_over_a_socket() -> None:
    """As by `smime-sync reconcile --approve`; embedded, it is done when the answer comes."""
    product = Operated()
    for number in range(6):
        product.office.mailbox(f"person{number}")
        product.office.process(person(f"person{number}", product.office.issue(f"person{number}", key="ec256")))
    product.office.trust = TrustStore.of([Mill().root("Another Root", key="ec256").der])
    product.office.reconciler.reconcile(apply=True)
    options = {"headers": {"x-functions-key": KEY}, "timeout": 30}
    with serving(lambda: product, host="127.0.0.1", port=0, key=KEY) as address:
        [stopped] = requests.get(f"{address}/api/runs", **options).json()["past"]  # type: ignore[arg-type]
        assert stopped["guarded"]
        said = {"run": stopped["id"], "apply": True}
        answer = requests.post(f"{address}/api/approve", json=said, **options)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["run"]["phase"], product.office.queue.count()) == (200, "done", 6)


@pytest.fixture(scope="module")
def open_address() -> Iterator[str]:
    product = Operated()
    with serving(lambda: product, host="127.0.0.1", port=0, key=None) as address:
        yield address


class TestWithoutKey:
    """On loopback a browser can ask without any: then a page of another site could have it do so."""

    @pytest.mark.parametrize(
        "headers",
        [
            {"origin": "https://elsewhere.example"},
            {"origin": "null"},
            {"origin": "http://127.0.0.1:1"},
            {"origin": "http://["},
            {"host": "elsewhere.example"},
            {"host": "[127.0.0.1"},
            {"host": ""},
            {"host": "127.0.0.1.elsewhere.example", "origin": "http://127.0.0.1.elsewhere.example"},
        ],
    )
    def test_another_site_is_refused(self, open_address: str, headers: dict[str, str]) -> None:
        """Whether the browser says where it comes from, or somebody's DNS names this machine."""
        for method, name in (("POST", "replay"), ("GET", "failed")):
            answer = requests.request(
                method, f"{open_address}/api/{name}", data='{"all": true, "apply": true}', headers=headers, timeout=30
            )
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, ErrorCode.REQUEST_FORBIDDEN)

    def test_our_own_page_and_a_command_are_answered(self, open_address: str) -> None:
        """By whichever name of this machine."""
        port = open_address.rpartition(":")[2]
        for headers in ({}, {"origin": open_address}, {"host": f"localhost:{port}"}, {"host": f"[::1]:{port}"}):
            answer = requests.post(f"{open_address}/api/replay", data='{"all": true}', headers=headers, timeout=30)
            assert answer.status_code == 200


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
