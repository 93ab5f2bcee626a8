"""The function's side on Azurite and a simulated tenant, under names of its own: stores that are made, and settings."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from azure.storage.blob import ContainerClient

from sync.adapters.blob_store import BlobStore
from sync.adapters.storage_queue import StorageQueue
from sync.adapters.table_ledger import TableAudit, TableFailures, TableHistory, TableLedger, TablePace
from sync.adapters.table_ledger.table import Table
from tests.lab.azurite import Azurite
from tests.lab.tenant import Tenant
from tests.mill import DAY, Authority, Mill

_TABLES: Mapping[str, type[Table]] = {
    "LEDGER": TableLedger,
    "FAILURES": TableFailures,
    "HISTORY": TableHistory,
    "PACE": TablePace,
    "AUDIT": TableAudit,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """`settings` are the function's. `issuing` is the CA that it trusts; its certificates are of today."""

    name: str
    settings: Mapping[str, str]
    queue: StorageQueue
    requests: StorageQueue
    runs: StorageQueue
    work: BlobStore
    issuing: Authority


@contextmanager
def account(azurite: Azurite, tenant: Tenant, folder: Path) -> Iterator[Account]:
    """Make it in this storage account and tenant; `folder` holds its files."""
    name, connection = f"a{uuid.uuid4().hex[:8]}", azurite.connection_string
    root = Mill(now=datetime.now(UTC).replace(microsecond=0) - DAY).root()
    issuing = root.issue_ca("Issuing CA")
    (folder / "anchors.pem").write_text(root.pem)
    (folder / "intermediates.pem").write_text(issuing.pem)
    with ExitStack() as running:
        queue, asked, runs = (
            StorageQueue.from_connection_string(connection, f"{name}-{what}") for what in ("changes", "asked", "runs")
        )
        work = BlobStore(ContainerClient.from_connection_string(connection, f"{name}-work"))
        stores: list[StorageQueue | BlobStore | Table] = [queue, asked, runs, work]
        stores += [kind.from_connection_string(connection, f"{name}{what}") for what, kind in _TABLES.items()]
        for store in stores:
            running.enter_context(closing(store))
            store.create()
        settings = {
            "SMIME_SYNC_STORAGE": connection,
            "SMIME_SYNC_QUEUE": queue.name,
            "SMIME_SYNC_REQUESTS_QUEUE": asked.name,
            "SMIME_SYNC_RUNS_QUEUE": runs.name,
            "SMIME_SYNC_WORK_CONTAINER": f"{name}-work",
            **{f"SMIME_SYNC_{what}_TABLE": f"{name}{what}" for what in _TABLES},
            "SMIME_SYNC_TRUST_ANCHORS": str(folder / "anchors.pem"),
            "SMIME_SYNC_INTERMEDIATES": str(folder / "intermediates.pem"),
            "SMIME_SYNC_REQUIRE_SIGNED_EVENTS": "false",
            "SMIME_SYNC_MODE": "write",
            "SMIME_SYNC_WRITES_PER_SECOND": "100",
            "SMIME_SYNC_WRITES_AT_ONCE": "100",
            "SMIME_SYNC_TENANT_ID": tenant.id,
            "SMIME_SYNC_CREDENTIAL": "secret",
            "SMIME_SYNC_CLIENT_ID": tenant.tokens.client_id,
            "SMIME_SYNC_CLIENT_SECRET": tenant.tokens.secret,
            "SMIME_SYNC_LOGIN_URL": tenant.url,
            "SMIME_SYNC_EXCHANGE_URL": tenant.url,
            "SMIME_SYNC_CA_FILE": tenant.ca_file,
        }
        yield Account(name=name, settings=settings, queue=queue, requests=asked, runs=runs, work=work, issuing=issuing)
