"""`smime-sync serve` as a process, between Azurite and the simulated tenant: it works, answers, and stops in order."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from azure.storage.blob import ContainerClient

from sync import envelope
from sync.adapters.blob_store import BlobStore
from sync.adapters.storage_queue import StorageQueue
from sync.adapters.table_ledger import TableAudit, TableFailures, TableHistory, TableLedger, TablePace
from sync.core.event import Event
from sync.core.identity import Watermark
from sync.core.person import Attribute, Person, Values
from sync.errors import ErrorCode
from sync.ports import Message
from tests.lab import ROOT
from tests.lab.tenant import Fault, Tenant
from tests.mill import DAY, Authority, Mill
from tests.office import person
from tests.test_host import until

if TYPE_CHECKING:
    from tests.lab.azurite import Azurite

pytestmark = pytest.mark.lab
NOW = datetime.now(UTC).replace(microsecond=0)
KEY = "the-key-of-this-test"


@dataclass(kw_only=True)
class Served:
    """The process and what it works on."""

    process: subprocess.Popen[str]
    address: str
    queue: StorageQueue
    failures: TableFailures
    tenant: Tenant
    issuing: Authority
    sequence: int = 0

    def send(self, of: Person) -> None:
        self.sequence += 1
        watermark = Watermark(1, self.sequence)
        self.queue.send(
            envelope.render(Event(id=str(uuid.uuid4()), source="urn:lab", time=NOW, watermark=watermark, person=of))
        )

    def ask(self, method: str, name: str, **options: object) -> requests.Response:
        headers = {"x-functions-key": KEY}
        return requests.request(method, f"{self.address}/api/{name}", headers=headers, timeout=60, **options)  # type: ignore[arg-type]


@pytest.fixture
def served(azurite: Azurite, tmp_path: Path) -> Iterator[Served]:
    name = uuid.uuid4().hex[:8]
    root = Mill(now=NOW - DAY).root()
    issuing = root.issue_ca("Issuing CA")
    (tmp_path / "anchors.pem").write_text(root.pem)
    (tmp_path / "intermediates.pem").write_text(issuing.pem)
    (tmp_path / "key").write_text(KEY + "\n")
    queue = StorageQueue.from_connection_string(azurite.connection_string, f"serve-{name}")
    failures = TableFailures.from_connection_string(azurite.connection_string, f"TableFailures{name}")
    tables = [
        kind.from_connection_string(azurite.connection_string, f"{kind.__name__}{name}")
        for kind in (TableLedger, TableHistory, TablePace, TableAudit)
    ]
    with contextlib.ExitStack() as running:
        tenant = running.enter_context(Tenant.start())
        work = BlobStore(ContainerClient.from_connection_string(azurite.connection_string, f"serve-{name}"))
        for store in (queue, failures, work, *tables):
            running.enter_context(contextlib.closing(store))
            store.create()
        environment = {
            "PATH": os.environ["PATH"],
            "SMIME_SYNC_STORAGE": azurite.connection_string,
            "SMIME_SYNC_QUEUE": f"serve-{name}",
            "SMIME_SYNC_LEDGER_TABLE": f"TableLedger{name}",
            "SMIME_SYNC_FAILURES_TABLE": f"TableFailures{name}",
            "SMIME_SYNC_HISTORY_TABLE": f"TableHistory{name}",
            "SMIME_SYNC_PACE_TABLE": f"TablePace{name}",
            "SMIME_SYNC_AUDIT_TABLE": f"TableAudit{name}",
            "SMIME_SYNC_WORK_CONTAINER": f"serve-{name}",
            "SMIME_SYNC_TENANT_ID": tenant.id,
            "SMIME_SYNC_MODE": "write",
            "SMIME_SYNC_REQUIRE_SIGNED_EVENTS": "false",
            "SMIME_SYNC_WRITES_PER_SECOND": "100",
            "SMIME_SYNC_WRITES_AT_ONCE": "100",
            "SMIME_SYNC_CREDENTIAL": "secret",
            "SMIME_SYNC_CLIENT_ID": tenant.tokens.client_id,
            "SMIME_SYNC_CLIENT_SECRET": tenant.tokens.secret,
            "SMIME_SYNC_LOGIN_URL": tenant.url,
            "SMIME_SYNC_EXCHANGE_URL": tenant.url,
            "SMIME_SYNC_CA_FILE": tenant.ca_file,
            "SMIME_SYNC_TRUST_ANCHORS": str(tmp_path / "anchors.pem"),
            "SMIME_SYNC_INTERMEDIATES": str(tmp_path / "intermediates.pem"),
            "SMIME_SYNC_RECONCILE_SCHEDULE": "*/2 * * * * *",
        }
        command = [
            sys.executable,
            "-m",
            "sync",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--key-file",
            str(tmp_path / "key"),
        ]
        process = running.enter_context(
            subprocess.Popen([*command, "--threads", "2"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        )
        running.callback(process.kill)
        assert process.stderr is not None
        address = next(found[0] for line in process.stderr if (found := re.findall(r"http://127.0.0.1:\d+", line)))
        yield Served(process=process, address=address, queue=queue, failures=failures, tenant=tenant, issuing=issuing)


def test_messages_are_written_failures_listed_and_replayed_and_drift_repaired(served: Served) -> None:
    """The queue, the routes and the timer of the function app, in one process."""
    mailbox = served.tenant.add_mailbox("alice@corp.example")
    certificate = served.issuing.issue("alice@corp.example")
    served.send(person("alice", certificate))
    served.queue.send("garbage")
    until(lambda: mailbox.writes == 1 and any(True for _ in served.failures.all()))

    assert served.ask("GET", "health").json()["status"] == "ok"
    assert requests.get(f"{served.address}/api/health", timeout=60).status_code == 401
    assert [each["reason"] for each in served.ask("GET", "failed").json()["failed"]] == [ErrorCode.EVENT_NOT_JSON]
    replayed = served.ask("POST", "replay", json={"reason": "event-not-json", "apply": True}).json()
    assert (replayed["applied"], len(replayed["chosen"])) == (True, 1)

    mailbox.certificates[Attribute.USER_CERTIFICATE].clear()
    until(lambda: mailbox.values == Values.of([certificate.der]))


def test_told_to_stop_it_finishes_and_hides_nothing(served: Served) -> None:
    """SIGTERM in the midst of a slow answer of the tenant: that write ends, and what was not begun is there at once."""
    names = [f"person{number}" for number in range(8)]
    mailboxes = [served.tenant.add_mailbox(f"{name}@corp.example") for name in names]
    served.tenant.faults.next(*(Fault(delay=4.0, cmdlet="Set-Mailbox") for _ in names))
    for name in names:
        served.send(person(name, served.issuing.issue(f"{name}@corp.example")))
    until(lambda: len(served.tenant.faults.waiting) < len(names))  # one is at work
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(timeout=60) == 0

    written = sum(bool(mailbox.values) for mailbox in mailboxes)
    left: list[Message] = []
    while messages := served.queue.receive(32, timedelta(minutes=10)):
        left.extend(messages)
    assert 0 < written < len(names)
    assert written + len(left) == len(names)
