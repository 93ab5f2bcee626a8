"""Domain controllers found by DNS, asked of a real name server on loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest

from sync.adapters.active_directory.discovery import controllers, hosts_by_domain
from sync.errors import ErrorCode, PermanentError, TemporaryError

ALL = "_ldap._tcp.dc._msdcs.corp.example."
IN_SITE = "_ldap._tcp.Berlin._sites.dc._msdcs.corp.example."


@contextlib.contextmanager
def name_server(records: Mapping[str, tuple[str, ...]]) -> Iterator[dns.resolver.Resolver]:
    """Answers SRV questions from `records` (owner to data), and no other name exists."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        stopping = threading.Event()

        def serve() -> None:
            while True:
                wire, client = listener.recvfrom(4096)
                if stopping.is_set():
                    return
                question = dns.message.from_wire(wire)
                answer = dns.message.make_response(question)
                answer.flags |= dns.flags.RA
                name = question.question[0].name
                if data := records.get(name.to_text()):
                    answer.answer.append(dns.rrset.from_text(name, 60, "IN", "SRV", *data))
                else:
                    answer.set_rcode(dns.rcode.NXDOMAIN)
                listener.sendto(answer.to_wire(), client)

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], listener.getsockname()[1]
        try:
            yield resolver
        finally:
            stopping.set()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waking:
                waking.sendto(b"", listener.getsockname())
            serving.join(timeout=5)


def test_priority_decides_before_weight() -> None:
    """RFC 2782: the lowest number first; the trailing dot is no part of a host's name."""
    records = {ALL: ("10 100 389 dc3.corp.example.", "0 1 389 dc1.corp.example.", "5 0 389 dc2.corp.example.")}
    with name_server(records) as resolver:
        find = controllers("corp.example", resolver=resolver)
        assert find() == ("dc1.corp.example", "dc2.corp.example", "dc3.corp.example")


def test_the_controllers_of_the_site_come_first() -> None:
    """The others follow, for when none of the site's answers; nobody is named twice."""
    records = {
        IN_SITE: ("0 100 389 dc2.corp.example.",),
        ALL: ("0 100 389 dc1.corp.example.", "1 100 389 dc2.corp.example."),
    }
    with name_server(records) as resolver:
        find = controllers("corp.example", site="Berlin", resolver=resolver)
        assert find() == ("dc2.corp.example", "dc1.corp.example")


def test_a_site_without_controllers_is_no_trouble() -> None:
    """A wrong or an empty site costs its preference and no more."""
    with name_server({ALL: ("0 100 389 dc1.corp.example.",)}) as resolver:
        assert controllers("corp.example", site="Nowhere", resolver=resolver)() == ("dc1.corp.example",)


def test_no_record_is_a_passing_trouble_that_names_the_domain() -> None:
    """Name resolution comes back."""
    with name_server({}) as resolver, pytest.raises(TemporaryError, match=r"corp\.example") as caught:
        controllers("corp.example", resolver=resolver)()
    assert caught.value.code is ErrorCode.DIRECTORY_UNAVAILABLE


def test_a_named_host_belongs_to_the_domain_it_ends_in() -> None:
    """The longest one; a domain without any is left to DNS."""
    domains = ("corp.example", "emea.corp.example", "other.example")
    assert hosts_by_domain(("DC1.Corp.Example", "dc2.emea.corp.example"), domains) == {
        "corp.example": ("DC1.Corp.Example",),
        "emea.corp.example": ("dc2.emea.corp.example",),
        "other.example": (),
    }
    assert hosts_by_domain(("127.0.0.1",), ("corp.example",)) == {"corp.example": ("127.0.0.1",)}


def test_a_host_of_no_domain_is_a_wrong_setting() -> None:
    """With its name in the message."""
    with pytest.raises(PermanentError, match="stranger") as caught:
        hosts_by_domain(("stranger.example",), ("a.example.com", "b.example.com"))
    assert caught.value.code is ErrorCode.SETTINGS_INVALID
