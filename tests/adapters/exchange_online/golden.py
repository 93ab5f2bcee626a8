"""What is sent, as files that a reviewer with a tenant can compare by eye.

`python -m tests.adapters.exchange_online.golden` writes them anew; read the difference before you commit it.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl

import requests

from sync.adapters.entra import Certificate, ClientSecret, TokenSource
from sync.adapters.exchange_online import AnswerFormat, Clearing, Codec, Encoding, ExchangeOnline
from sync.adapters.probe_files import KeptValues
from sync.core.person import Attribute
from sync.core.recipient import Recipient, RecipientKind
from sync.probe_report import Wire
from sync.prober import MANY, Prober
from tests.adapters.exchange_online.connection import DETAILS, Connection
from tests.adapters.recipients_contract import listed
from tests.lab.tenant import Call, Tenant

FOLDER = Path(__file__).parent.parent / "golden" / "exchange"
TENANT_ID = "7a5c1e0d-2b4f-4c8a-9d3e-6f1b0a2c4e68"
RECIPIENT_ID = "c0ffee00-0000-4000-8000-000000000001"
CLIENT_ID = "a11ce000-0000-4000-8000-000000000002"
VALUES = (bytes([0x30, 0x03, 0x02, 0x01, 0x05]), bytes([0x30, 0x03, 0x02, 0x01, 0xFF]))

_RANDOM = {
    "Client-Request-Id": "<new GUID per request>",
    "Connection-Id": "<GUID per session>",
    "Authorization": "Bearer <token>",
    "Cookie": "<as set by the answer before>",
    "User-Agent": "smime-sync/<version>",
    "X-Client-Ver": "<version of msal>",
    "X-Client-Os": "<platform>",
    "X-Client-Current-Telemetry": "<telemetry of msal>",
    "X-Client-Last-Telemetry": "<telemetry of msal>",
}
_TRANSPORT = {"Host", "Connection", "Content-Length", "Accept-Encoding"}
_SPELLING = {
    "X-Anchormailbox": "X-AnchorMailbox",
    "X-Cmdletname": "X-CmdletName",
    "X-Responseformat": "X-ResponseFormat",
    "X-Serializationlevel": "X-SerializationLevel",
    "Client-Request-Id": "client-request-id",
    "Connection-Id": "connection-id",
}
"""WSGI loses the case of header names; HTTP does not care, a reader's eye does."""

_GUID_OF_PART = re.compile(r'("client-request-id":")[0-9a-f-]{36}')
_ORIGIN = re.compile(r"https://localhost:\d+")
_SECRET = {"client_assertion": "<signed JWT>", "client_secret": "<secret>"}


def render(call: Call) -> str:
    """One request as text: line, headers by name, body; what changes from run to run is named, not shown."""
    headers = {name: _RANDOM.get(name, value) for name, value in sorted(call.headers.items()) if name not in _TRANSPORT}
    if "/adminapi/" not in call.path:
        headers.pop("User-Agent", None)
    head = [f"{call.method} {call.path}", *(f"{_SPELLING.get(name, name)}: {value}" for name, value in headers.items())]
    body = _GUID_OF_PART.sub(r"\1<new GUID per request>", call.body.decode("utf-8"))
    if headers.get("Content-Type") == "application/x-www-form-urlencoded":
        body = "\n".join(f"{name}={_SECRET.get(name, value)}" for name, value in sorted(parse_qsl(body)))
    return "\n".join([*head, "", _ORIGIN.sub("https://<host>", body)]).rstrip() + "\n"


def _find(answers: AnswerFormat) -> Callable[[Connection], None]:
    def act(connection: Connection) -> None:
        connection.reading(answers).recipients.find(pinned=RECIPIENT_ID, addresses=[])

    return act


def _write(kind: RecipientKind, encoding: Encoding) -> Callable[[Connection], None]:
    def act(connection: Connection) -> None:
        recipient = _recipient(connection, kind)
        changes = {Attribute.USER_CERTIFICATE: VALUES, Attribute.USER_SMIME_CERTIFICATE: VALUES[:1]}
        connection.writing(encoding).recipients.write(recipient, changes)

    return act


def _clear(encoding: Encoding, clearing: Clearing) -> Callable[[Connection], None]:
    def act(connection: Connection) -> None:
        recipient = _recipient(connection, RecipientKind.MAILBOX)
        connection.writing(encoding, clearing).recipients.write(recipient, {Attribute.USER_SMIME_CERTIFICATE: ()})

    return act


def _batch(connection: Connection) -> None:
    recipient = _recipient(connection, RecipientKind.MAILBOX)
    connection.recipients.read_many([recipient, recipient])


def _all(connection: Connection) -> None:
    list(listed(connection.recipients))


def _probe(connection: Connection) -> None:
    """Where only the default binds; read in one format, to keep the file short."""

    def connect(wire: Wire) -> ExchangeOnline:
        codec = Codec(encoding=Encoding(wire.write_encoding), clearing=Clearing(wire.write_clearing))
        return ExchangeOnline(connection.reading(AnswerFormat(wire.read_format)).api, codec)

    with tempfile.TemporaryDirectory() as folder:
        Prober(
            connect=connect,
            read_formats=(AnswerFormat.JSON,),
            encodings=tuple(Encoding),
            clearings=tuple(Clearing),
            throwaways=[bytes([0x30, 0x03, 0x02, 0x01, number]) for number in range(MANY)],
            blob=bytes([0x30, 0x03, 0x06, 0x01, 0x2A]),
            kept=KeptValues(Path(folder)),
            pause=lambda _: None,
            clock=lambda: 0.0,
            refusals=tuple,
            shielded=contextlib.nullcontext,
        ).probe("ada@corp.example", apply=True)


def _token(certificate: bool) -> Callable[[Connection], None]:
    def act(connection: Connection) -> None:
        tenant = connection.tenant
        tenant.tokens.client_id = CLIENT_ID
        TokenSource(
            Certificate(client_id=CLIENT_ID, pem=tenant.tokens.register_certificate())
            if certificate
            else ClientSecret(client_id=CLIENT_ID, secret=tenant.tokens.secret),
            tenant=tenant.id,
            cloud=tenant.cloud,
            session=connection.session,
            ca_file=tenant.ca_file,
            instance_discovery=False,
        ).token()

    return act


SCENARIOS: Mapping[str, Callable[[Connection], None]] = {
    "find-json": _find(AnswerFormat.JSON),
    "find-clixml": _find(AnswerFormat.CLIXML),
    **{f"write-mailbox-{each}": _write(RecipientKind.MAILBOX, each) for each in Encoding},
    "write-mail-user": _write(RecipientKind.MAIL_USER, Encoding.TAGGED_INTEGERS),
    "write-mail-contact": _write(RecipientKind.MAIL_CONTACT, Encoding.TAGGED_INTEGERS),
    "clear-null": _clear(Encoding.TAGGED_INTEGERS, Clearing.NULL),
    "clear-empty-tagged": _clear(Encoding.TAGGED_INTEGERS, Clearing.EMPTY),
    "clear-empty-base64": _clear(Encoding.BASE64, Clearing.EMPTY),
    "read-batch": _batch,
    "read-all": _all,
    "probe": _probe,
    "token-secret": _token(certificate=False),
    "token-certificate": _token(certificate=True),
}


def record(connection: Connection, name: str) -> str:
    """Play one scenario; returns its requests, in order."""
    connection.tenant.reset()
    connection.tenant.add_mailbox("ada@corp.example", id=RECIPIENT_ID)
    SCENARIOS[name](connection)
    return "\n".join(render(call) for call in connection.tenant.calls)


def path(name: str) -> Path:
    """The file of a scenario."""
    return FOLDER / f"{name}.http"


def _recipient(connection: Connection, kind: RecipientKind) -> Recipient:
    connection.tenant.reset()
    connection.tenant.add(DETAILS[kind], "ada@corp.example", id=RECIPIENT_ID)
    return Recipient(id=RECIPIENT_ID, kind=kind, addresses=("ada@corp.example",))


def main() -> None:
    """Write every file anew, and take away those of scenarios that are gone."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.http"):
        old.unlink()
    with Tenant.start(tenant_id=TENANT_ID) as tenant:
        for name in SCENARIOS:
            with requests.Session() as session:
                path(name).write_text(record(Connection(tenant=tenant, session=session), name), "utf-8")


if __name__ == "__main__":
    main()
