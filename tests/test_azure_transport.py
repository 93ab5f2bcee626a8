"""How the storage clients send: by way of the proxy that the environment names, and with nobody's .netrc."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import ServiceRequestError
from azure.storage.queue import LinearRetry, QueueClient

from sync.azure_transport import Transport

ACCOUNT = "http://account.queue.example"


class Proxy(BaseHTTPRequestHandler):
    """Answers for whatever host it is asked, and remembers what it was asked."""

    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.asked.append((self.path.partition("?")[0], self.headers.get("Authorization", "")))
        self.send_response(200)
        self.send_header("x-ms-approximate-messages-count", "7")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Proxy]]:
    """A proxy on loopback, which the environment names."""
    handler = type("Noting", (Proxy,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        yield handler
        server.shutdown()
        thread.join()


def client() -> QueueClient:
    """A queue on a host that is nowhere, by a signature that the address carries."""
    credential = AzureSasCredential("sv=2026-02-06&sig=ours")
    return QueueClient(
        ACCOUNT, "q", credential=credential, retry_policy=LinearRetry(retry_total=0), transport=Transport()
    )


def count() -> int:
    """Ask how many messages the queue holds."""
    with client() as queue:
        return queue.get_queue_properties().approximate_message_count or 0


def test_the_proxy_of_the_environment_is_asked(proxy: type[Proxy]) -> None:
    """It answers for a host that is nowhere."""
    assert count() == 7
    assert [path for path, _ in proxy.asked] == [f"{ACCOUNT}/q"]


def test_a_host_without_a_proxy_is_asked_itself(proxy: type[Proxy], monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY counts."""
    monkeypatch.setenv("no_proxy", "queue.example")
    with pytest.raises(ServiceRequestError):
        count()
    assert proxy.asked == []


def test_the_environment_is_asked_once_for_a_host(proxy: type[Proxy], monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes later in this process counts for new clients only."""
    with client() as queue:
        queue.get_queue_properties()
        monkeypatch.setenv("no_proxy", "*")
        queue.get_queue_properties()
    assert len(proxy.asked) == 2


def test_no_netrc_is_read(proxy: type[Proxy], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A password there would take the place of our own authorisation."""
    (tmp_path / "netrc").write_text("machine account.queue.example login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    count()
    assert [authorisation for _, authorisation in proxy.asked] == [""]
