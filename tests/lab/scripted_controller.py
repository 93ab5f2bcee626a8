"""A domain controller by script, over TLS: for what Samba never does (DirSync in several answers, attributes in part,
refusals), as Microsoft's specifications describe it. It shares no code with the client: BER is read and written here.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

from asn1crypto import core, parser

ROOT: Final = b"DC=corp,DC=example"
SETTINGS: Final = b"CN=NTDS Settings,CN=DC1,CN=Configuration,DC=corp,DC=example"
DIRSYNC: Final = "1.2.840.113556.1.4.841"
NOTIFICATION: Final = "1.2.840.113556.1.4.528"
PAGED: Final = "1.2.840.113556.1.4.319"
SHOW_DELETED: Final = "1.2.840.113556.1.4.417"

UNIVERSAL, APPLICATION, CONTEXT = 0, 1, 2
BIND, BOUND, UNBIND, SEARCH, ENTRY, DONE = 0, 1, 2, 3, 4, 5  # RFC 4511, application tags

Attributes = Mapping[str, Sequence[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search request. `filter` is its BER, in which a value stands as it is; `controls` are the values, by OID."""

    base: bytes
    filter: bytes
    attributes: tuple[str, ...]
    controls: Mapping[str, bytes]

    @property
    def cookie(self) -> bytes:
        """Of the DirSync or paged control: the last member of its value."""
        value = self.controls.get(DIRSYNC) or self.controls[PAGED]
        return _children(_children(value)[0][2])[-1][2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Entries, then a result with its controls. `ends` False leaves the search open, as a notification's is; `garbage`
    follows."""

    entries: Sequence[Attributes] = ()
    code: int = 0
    message: str = ""
    controls: Mapping[str, bytes] = field(default_factory=dict)
    ends: bool = True
    garbage: bytes = b""


Script = Callable[[Search], Reply | None]
"""What is answered; None closes the connection."""


def identity(search: Search) -> Reply | None:
    """What any controller says of itself; None for other searches."""
    said: dict[bytes, Attributes] = {
        b"": {
            "defaultNamingContext": [ROOT],
            "dsServiceName": [SETTINGS],
            "dnsHostName": [b"dc1.corp.example"],
            "highestCommittedUSN": [b"1000"],
            "currentTime": [b"20260302090000.0Z"],
        },
        SETTINGS: {"invocationId": [bytes(16)]},
    }
    if search.base in said:
        return Reply(entries=[{name: said[search.base][name] for name in search.attributes}])
    if search.base.startswith(b"<WKGUID="):
        return Reply(entries=[{"isDeleted": [b"TRUE"]}])
    return None


def dirsync_reply(*entries: Attributes, cookie: bytes, more: bool) -> Reply:
    """One answer with its control, MS-ADTS 3.1.1.3.4.1.3."""
    members = core.Integer(int(more)).dump() + core.Integer(0).dump() + core.OctetString(cookie).dump()
    return Reply(entries=entries, controls={DIRSYNC: _emit(UNIVERSAL, 16, members)})


def paged_reply(*entries: Attributes, cookie: bytes = b"") -> Reply:
    """One page with its control, RFC 2696."""
    members = core.Integer(0).dump() + core.OctetString(cookie).dump()
    return Reply(entries=entries, controls={PAGED: _emit(UNIVERSAL, 16, members)})


@dataclass(slots=True, kw_only=True)
class ScriptedController:
    """Listens on `host`:`port` with a certificate of the CA in `ca_file`; `searches` is what was asked, in order.

    `usn` is what it says of its highest USN; None leaves that to the script.
    """

    host: str
    port: int
    ca_file: Path
    searches: list[Search] = field(default_factory=list)
    usn: int | None = None

    @classmethod
    @contextlib.contextmanager
    def start(cls, folder: Path, script: Script) -> Iterator[Self]:
        """Answer every bind with success and every search by `script`, until the block ends."""
        import trustme

        authority = trustme.CA()
        ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(ca_file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            controller = cls(host="127.0.0.1", port=listener.getsockname()[1], ca_file=ca_file)
            accepting = threading.Thread(target=controller._accept, args=(listener, context, script), daemon=True)
            accepting.start()
            yield controller
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(timeout=5)

    def _accept(self, listener: socket.socket, context: ssl.SSLContext, script: Script) -> None:
        serving = []
        with contextlib.suppress(OSError):  # the listener was shut down
            while True:
                plain, _ = listener.accept()
                thread = threading.Thread(target=self._serve, args=(plain, context, script), daemon=True)
                thread.start()
                serving.append(thread)
        for thread in serving:
            thread.join(timeout=5)

    def _serve(self, plain: socket.socket, context: ssl.SSLContext, script: Script) -> None:
        unread = b""
        with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
            while piece := connection.recv(65536):
                unread += piece
                while (size := _size(unread)) is not None:
                    message, unread = unread[:size], unread[size:]
                    answers = self._answer(message, script)
                    if answers is None:
                        return
                    connection.sendall(answers)

    def _answer(self, message: bytes, script: Script) -> bytes | None:
        (_, _, number), (_, operation, content), *rest = _children(_children(message)[0][2])
        if operation == BIND:
            return _message(number, _emit(APPLICATION, BOUND, _result(0, "")))
        if operation != SEARCH:
            return None
        base, *_, filter_, attributes = _children(content)
        search = Search(
            base=base[2],
            filter=filter_[2],
            attributes=tuple(name[2].decode() for name in _children(attributes[2])),
            controls=dict(_control(control[2]) for control in (_children(rest[0][2]) if rest else ())),
        )
        self.searches.append(search)
        reply = script(search)
        if reply is not None and "highestCommittedUSN" in search.attributes and self.usn:
            reply = replace(reply, entries=[{**reply.entries[0], "highestCommittedUSN": [b"%d" % self.usn]}])
        if reply is None:
            return None
        return b"".join(written(number, reply)) + reply.garbage


def written(number: bytes, reply: Reply) -> list[bytes]:
    """The messages that tell it, to the search of this number."""
    answers = [_message(number, _entry(attributes)) for attributes in reply.entries]
    if reply.ends:
        done = _emit(APPLICATION, DONE, _result(reply.code, reply.message))
        answers.append(_message(number, done, reply.controls))
    return answers


def _message(number: bytes, operation: bytes, controls: Mapping[str, bytes] | None = None) -> bytes:
    tail = b"".join(
        _emit(UNIVERSAL, 16, core.OctetString(oid.encode()).dump() + core.OctetString(value).dump())
        for oid, value in (controls or {}).items()
    )
    content = parser.emit(UNIVERSAL, 0, 2, number) + operation + (_emit(CONTEXT, 0, tail) if tail else b"")
    return _emit(UNIVERSAL, 16, content)


def _result(code: int, message: str) -> bytes:
    members = (core.OctetString(b"").dump(), core.OctetString(message.encode()).dump())
    return b"".join((parser.emit(UNIVERSAL, 0, 10, bytes([code])), *members))


def _entry(attributes: Attributes) -> bytes:
    listed = b"".join(
        _emit(
            UNIVERSAL,
            16,
            core.OctetString(name.encode()).dump()
            + _emit(UNIVERSAL, 17, b"".join(core.OctetString(value).dump() for value in values)),
        )
        for name, values in attributes.items()
    )
    return _emit(APPLICATION, ENTRY, core.OctetString(b"CN=somebody," + ROOT).dump() + _emit(UNIVERSAL, 16, listed))


def _control(content: bytes) -> tuple[str, bytes]:
    oid, *rest = _children(content)
    values = [value for _, tag, value in rest if tag == 4]
    return oid[2].decode(), values[0] if values else b""


def _emit(class_: int, tag: int, content: bytes) -> bytes:
    emitted: bytes = parser.emit(class_, 1, tag, content)
    return emitted


def _children(content: bytes) -> list[tuple[int, int, bytes]]:
    """The values one after another in `content`: class, tag and content of each."""
    found = []
    while content:
        class_, _, tag, header, inner, trailer = parser.parse(content)
        found.append((class_, tag, inner))
        content = content[len(header) + len(inner) + len(trailer) :]
    return found


def _size(buffer: bytes) -> int | None:
    """Of the first message in the buffer; None while it is incomplete."""
    try:
        size: int = parser.peek(buffer)
    except ValueError:
        return None
    return size
