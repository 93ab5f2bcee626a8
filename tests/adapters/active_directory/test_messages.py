"""LDAP on the wire, beside ldap3's own encoder and the scripted controller's, which share no code with it."""

from __future__ import annotations

import re

import ldap3
import pytest
from hypothesis import given
from hypothesis import strategies as some
from ldap3.operation.modify import modify_operation
from ldap3.operation.search import search_operation
from ldap3.protocol.controls import build_control
from ldap3.protocol.convert import build_controls_list
from ldap3.protocol.rfc4511 import LDAPMessage, MessageID, ProtocolOp
from pyasn1.codec.ber import encoder

from sync.adapters.active_directory import messages
from sync.adapters.active_directory.controls import (
    DIRSYNC,
    PAGED,
    dirsync_said,
    notification,
    paged,
    paged_said,
)
from sync.adapters.active_directory.messages import DONE, ENTRY, all_of, any_of, at_least, equals, matching
from tests.lab import ROOT
from tests.lab.scripted_controller import Reply, dirsync_reply, paged_reply, written

FILTERS = [
    "(objectClass=*)",
    "(!(objectClass=*))",
    "(&(objectClass=user)(!(objectClass=computer)))",
    "(&(|(objectClass=user)(objectClass=contact))(!(objectClass=computer))(department=R\\26D \\28west\\29))",
    "(memberOf:1.2.840.113556.1.4.1941:=CN=No Mail,OU=Groups,DC=corp,DC=example)",
    "(sn=Müller)",
    "(cn=a*b*c)",
    "(uSNChanged>=17)",
    "(objectGUID=\\41\\00\\ff)",
]


def as_ldap3_writes(
    number: int, base: str, filter_: str, scope: str, attributes: list[str], *controls: object
) -> bytes:
    message = LDAPMessage()
    message["messageID"] = MessageID(number)
    request = search_operation(base, filter_, scope, ldap3.DEREF_NEVER, attributes, 0, 0, False, True, True)
    message["protocolOp"] = ProtocolOp().setComponentByName("searchRequest", request)
    if controls:
        message["controls"] = build_controls_list([*controls])
    return bytes(encoder.encode(message))


@pytest.mark.parametrize("value", [b"", b"x" * 127, b"x" * 128, b"x" * 70_000])
@pytest.mark.parametrize("kind", [ldap3.MODIFY_ADD, ldap3.MODIFY_DELETE])
def test_a_change_is_what_ldap3_would_send(kind: str, value: bytes) -> None:
    """To the byte."""
    dn = "<GUID=6f1b0a2c-4e68-4c8a-9d3e-7a5c1e0d2b4f>"
    message = LDAPMessage()
    message["messageID"] = MessageID(300)
    request = modify_operation(dn, {"userCertificate": [(kind, [value])]}, None, None, {}, False)
    message["protocolOp"] = ProtocolOp().setComponentByName("modifyRequest", request)
    given = {"add": value} if kind == ldap3.MODIFY_ADD else {"delete": value}
    assert messages.modify(300, dn, "userCertificate", **given) == bytes(encoder.encode(message))


@pytest.mark.parametrize("filter_", FILTERS)
@pytest.mark.parametrize(
    ("number", "scope"), [(1, ldap3.SUBTREE), (127, ldap3.BASE), (128, ldap3.SUBTREE), (70000, ldap3.BASE)]
)
def test_a_search_is_what_ldap3_would_send(number: int, scope: str, filter_: str) -> None:
    """To the byte."""
    base, wanted = "OU=Größe,DC=corp,DC=example", ["objectGUID", "mail", "userCertificate"]
    ours = messages.search(number, base, matching(filter_), attributes=wanted, scope=scope)
    assert ours == as_ldap3_writes(number, base, filter_, scope, wanted)


def test_so_are_its_controls() -> None:
    """Critical, with and without a value."""
    ours = messages.search(
        9, "", matching("(a=b)"), attributes=["1.1"], controls=[paged(1000, b"c" * 200), notification()]
    )
    value = paged(1000, b"c" * 200).partition(b"\x04\x81")[2][1:]
    theirs = [
        build_control(PAGED, True, value, encode_control_value=False),
        build_control("1.2.840.113556.1.4.528", True, None),
    ]
    written_by_ldap3 = as_ldap3_writes(9, "", "(a=b)", ldap3.SUBTREE, ["1.1"], *theirs)
    # RFC 4511, 5.1: TRUE is FF; ldap3 writes another number that is not 0.
    assert ours == written_by_ldap3.replace(b"\x01\x01\x01", b"\x01\x01\xff")


def test_filters_put_together_are_the_same_as_written() -> None:
    """And no value can end its filter: it stands as it is."""
    guid = b"\x00)(*\\\xff" + bytes(10)
    escaped = "".join(f"\\{byte:02x}" for byte in guid)
    assert all_of(matching("(a=b)"), any_of([equals("objectGUID", guid), at_least("uSNChanged", 12)])) == matching(
        f"(&(a=b)(|(objectGUID={escaped})(uSNChanged>=12)))"
    )


@pytest.mark.parametrize("text", ["", "no filter", "(", "(a=b", "(&)", "()", "(a)"])
def test_what_is_no_filter_is_refused(text: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match="is not an LDAP filter"):
        matching(text)


@given(
    some.dictionaries(
        some.sampled_from(["objectGUID", "userCertificate;binary", "mail", "proxyAddresses;range=0-1499"]),
        some.lists(some.binary(max_size=300), max_size=4),
    ),
    some.binary(max_size=70_000),
)
def test_an_entry_is_read_as_it_was_written(values: dict[str, list[bytes]], large: bytes) -> None:
    """Names in lower case without ;binary; an attribute without values is absent."""
    sent = {**values, "thumbnailPhoto": [large]}
    entry, done = (messages.read(each) for each in written(b"\x05", Reply(entries=[sent])))
    assert (entry.number, entry.kind, done.kind) == (5, ENTRY, DONE)
    assert messages.attributes(entry.content) == {
        name.lower().removesuffix(";binary"): each for name, each in sent.items() if each
    }


def test_how_a_search_ended() -> None:
    """Its code, the controller's words, its controls by OID."""
    (told,) = written(b"\x7f", Reply(code=53, message="no\x00"))
    assert messages.result(messages.read(told).content) == messages.Result(53, "no")
    (told,) = written(b"\x01", paged_reply(cookie=b"next"))
    assert paged_said(messages.read(told).controls[PAGED]) == b"next"
    assert paged_said(None) == b""
    (told,) = written(b"\x01", dirsync_reply(cookie=b"c" * 300, more=True))
    assert dirsync_said(messages.read(told).controls[DIRSYNC]) == (True, b"c" * 300)


def test_lengths_may_be_longer_than_needed() -> None:
    """Active Directory writes each of a sequence in four bytes."""
    content = bytes.fromhex("020105 65 84 00000007 0a0100 0400 0400")
    message = messages.read(bytes.fromhex("30 84") + len(content).to_bytes(4, "big") + content)
    assert (message.number, message.kind, messages.result(message.content).code) == (5, DONE, 0)


def test_a_message_in_pieces_is_waited_for() -> None:
    """Its end is known as soon as its length is, and not before."""
    (whole,) = written(b"\x01", Reply(message="x" * 300))
    ends = [messages.size(whole[:length], 0) for length in range(len(whole) + 1)]
    assert set(ends[:2]) == {None}
    assert ends[4:] == [len(whole)] * (len(whole) - 3)
    assert messages.size(b"....." + whole, 5) == 5 + len(whole)


@given(some.binary(max_size=60))
def test_garbage_is_refused_and_never_half_read(garbage: bytes) -> None:
    """With the errors that the connection translates, and with nothing else."""
    for reading in (messages.read, messages.attributes, messages.result, dirsync_said):
        try:
            reading(garbage)
        except (ValueError, IndexError):
            continue


def test_an_element_longer_than_its_surrounding_is_refused() -> None:
    """Else a value would be cut off without a word."""
    with pytest.raises(ValueError, match="longer than what it is in"):
        messages.attributes(bytes.fromhex("0400 3006 3004 0401 61 3109"))


def test_only_the_canary_is_ever_changed() -> None:
    """Of this package one module writes to the directory; the controller's rights hold it to one object."""
    package = ROOT / "sync" / "adapters" / "active_directory"
    writing = {
        path.name for path in package.glob("*.py") if re.search(r"\.(modify|add|delete|modify_dn)\(", path.read_text())
    }
    assert writing - {"connection.py"} == {"canary.py"}
    assert re.findall(r"\.(modify|add|delete|modify_dn)\(", (package / "connection.py").read_text()) == ["modify"]
    users = {path.name for path in (ROOT / "sync").rglob("*.py") if "ActiveDirectoryCanary(" in path.read_text()}
    assert users == {"agent_side.py"}
