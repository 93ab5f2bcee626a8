"""Fetching from revocation sources: limits on what, how long and where; nothing inside is asked unless allowed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sync.adapters.revocation_cache import SqliteCache
from sync.adapters.revocation_http import HttpFetcher, Private
from sync.errors import ErrorCode, TemporaryError
from tests.adapters.cache_contract import CacheContract
from tests.adapters.revocation_server import Server, serving
from tests.mill import NOW


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def fetcher() -> Iterator[HttpFetcher]:
    """One that may ask 127.0.0.0/8."""
    made = HttpFetcher(private=["127.0.0.0/8"])
    yield made
    made.close()


def refused(fetcher: HttpFetcher, url: str) -> str:
    with pytest.raises(TemporaryError) as raised:
        fetcher.fetch(url)
    assert raised.value.code is ErrorCode.REVOCATION_SOURCE
    assert raised.value.message.startswith(url)
    return raised.value.message


def test_what_is_there_is_fetched(server: Server, fetcher: HttpFetcher) -> None:
    """Byte for byte, and a question is posted."""
    server.contents = {"/a.crl": bytes(range(256)) * 9000, "/ocsp": lambda question: question[::-1]}
    assert fetcher.fetch(server.url("/a.crl")) == bytes(range(256)) * 9000
    assert fetcher.fetch(server.url("/ocsp"), question=b"abc") == b"cba"


@pytest.mark.parametrize("status", [404, 403, 500, 503])
def test_an_error_status_is_no_list(server: Server, fetcher: HttpFetcher, status: int) -> None:
    """The page that comes with it is not taken for one."""
    server.contents = {"/a": status}
    with pytest.raises(TemporaryError, match=str(status)):
        fetcher.fetch(server.url("/a"))


def test_loopback_is_not_asked_unless_it_is_allowed(server: Server) -> None:
    """By number or by a name that resolves to it, before anything is sent."""
    server.contents = {"/a": b"secret"}
    fetcher = HttpFetcher()
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(TemporaryError, match="no public address"):
            fetcher.fetch(server.url("/a", host))
    assert server.asked == []
    fetcher.close()
    by_name = HttpFetcher(private=["localhost"])
    assert by_name.fetch(server.url("/a", "localhost")) == b"secret"
    with pytest.raises(TemporaryError, match="no public address"):
        by_name.fetch(server.url("/a"))
    by_name.close()


def test_a_name_that_resolves_differently_afterwards_is_caught_on_the_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: public when it is looked at, loopback when it is connected to."""
    server.contents = {"/a": b"secret"}
    real, calls = socket.getaddrinfo, []

    def rebinding(host: str, *arguments: Any, **options: Any) -> Any:
        calls.append(host)
        if len(calls) == 1:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", server.port))]
        return real("127.0.0.1", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    fetcher = HttpFetcher()
    with pytest.raises(TemporaryError, match=r"127\.0\.0\.1, which is no public address"):
        fetcher.fetch(server.url("/a", "pki.example.com"))
    assert server.asked == []
    assert len(calls) == 2
    fetcher.close()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
     "::1", "fe80::1%eth0", "fc00::1", "::ffff:10.0.0.1", "224.0.0.1", "ff0e::1"],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    """Loopback, private, link-local (the cloud's metadata service), shared, multicast; in IPv6 and mapped too."""
    with pytest.raises(OSError, match="no public address"):
        Private().check("pki.corp.example", address)
    Private(["PKI.corp.example"]).check("pki.corp.example", address)


def test_public_addresses_and_allowed_networks_are_asked() -> None:
    """A network allows all in it and nothing beside."""
    Private().check("a", "8.8.8.8")
    Private().check("a", "2001:4860:4860::8888")
    Private(["10.1.0.0/16"]).check("a", "10.1.2.3")
    with pytest.raises(OSError, match="no public address"):
        Private(["10.1.0.0/16"]).check("a", "10.2.0.1")


def test_redirects_are_followed_a_little(server: Server, fetcher: HttpFetcher) -> None:
    """Three at most, and never around in a circle."""
    server.contents = {"/0": "/1", "/1": "/2", "/2": "/3", "/3": b"there", "/far": "/0", "/loop": "/loop"}
    assert fetcher.fetch(server.url("/0")) == b"there"
    for path in ("/far", "/loop"):
        with pytest.raises(TemporaryError, match="more than 3 redirects"):
            fetcher.fetch(server.url(path))


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ldap:///CN=x", "ftp://127.0.0.1/x", "http://169.254.169.254/"]
)
def test_a_redirect_leads_nowhere_else(server: Server, fetcher: HttpFetcher, target: str) -> None:
    """Neither to another scheme nor to an address that is not allowed."""
    server.contents = {"/a": target}
    with pytest.raises(TemporaryError):
        fetcher.fetch(server.url("/a"))


def test_what_is_too_large_is_not_read_to_its_end(server: Server) -> None:
    """One byte more than is allowed."""
    server.contents = {"/fits": bytes(1000), "/large": bytes(1001)}
    fetcher = HttpFetcher(private=["127.0.0.1"], max_bytes=1000)
    assert len(fetcher.fetch(server.url("/fits"))) == 1000
    with pytest.raises(TemporaryError, match="larger than 1000 bytes"):
        fetcher.fetch(server.url("/large"))
    fetcher.close()


def test_a_server_that_drips_is_given_up() -> None:
    """Each byte comes in time, the whole would not."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        fetcher = HttpFetcher(private=["127.0.0.1"], timeout=timedelta(seconds=0.5))
        assert "not there within" in refused(fetcher, f"http://127.0.0.1:{listening.getsockname()[1]}/a")
        stop.set()
        thread.join()
        fetcher.close()


def test_a_server_that_is_not_there_is_told_of(fetcher: HttpFetcher) -> None:
    """Nobody listens; the name is none; the address is none."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/a", "http://no-such-host.invalid/a", "http:///a", "ldap:///CN=x"):
        refused(fetcher, url)


class TestSqliteCache(CacheContract):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Callable[[], SqliteCache]:
        return lambda: SqliteCache(tmp_path / "cache.sqlite")

    def test_closed_it_holds_nothing_and_says_nothing(self, opened: Callable[[], SqliteCache]) -> None:
        """Who comes late, when the process ends, fetches for himself."""
        cache = opened()
        cache.put("a", b"list", NOW)
        cache.close()
        assert cache.get("a") is None
        cache.put("a", b"x", NOW)
