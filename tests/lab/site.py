"""The whole product on real parts: a domain controller, the agent, a queue, the genuine worker, a tenant over HTTPS.

In the place of the Functions host stands a loop that hands each queue message to the worker as the host would.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from azure.storage.blob import ContainerClient

from release import package
from sync import wiring
from sync.adapters.storage_queue import StorageQueue
from sync.adapters.table_ledger import TableAudit, TableFailures, TableHistory, TableLedger, TablePace
from sync.agent import Agent
from sync.core.person import Attribute, Values
from sync.settings import AgentSettings, load
from sync.signature import Signer
from tests.lab.administrator import Administrator
from tests.lab.azurite import Azurite
from tests.lab.samba import DomainController
from tests.lab.tenant import Tenant
from tests.lab.worker import Worker, WorkerError
from tests.lab.worker.payloads import queue_message
from tests.mill import DAY, Authority, Issued, Mill

QUEUE = "smime-sync-changes"
CLAIMS = "smime-sync-claims"
WORK = "smime-sync-work"
RUNS = "smime-sync-runs"
NONE: Mapping[str, str] = MappingProxyType({})
RETRY = timedelta(milliseconds=500)
"""The lab's visibilityTimeout; host.json has 30 s."""


@dataclass(kw_only=True)
class Site:
    """Everything, running. `people` is the organisational unit in which a test or a tour works."""

    administrator: Administrator
    tenant: Tenant
    worker: Worker
    queue: StorageQueue
    runs: StorageQueue
    ledger: TableLedger
    failures: TableFailures
    agent: Agent
    issuing: Authority
    people: str
    agent_environment: Mapping[str, str]
    function_environment: Mapping[str, str]
    errors: list[str] = field(default_factory=list)

    def issue(self, name: str, **options: object) -> Issued:
        """A good certificate of the company's CA for this person, unless the options say otherwise."""
        return self.issuing.issue(f"{name}@corp.example", **options)  # type: ignore[arg-type]

    def held(self, name: str) -> Values:
        """What the person's mailbox in the tenant holds now."""
        return self.tenant.recipient(f"{name}@corp.example").values

    def deliver(self) -> int:
        """Hand what is visible on the two queues to the worker; return how many messages there were."""
        return self._deliver(self.queue, "process") + self._deliver(self.runs, "advance")

    def _deliver(self, queue: StorageQueue, function: str) -> int:
        messages = queue.receive(16, timedelta(minutes=10))
        for message in messages:
            payload = queue_message(
                message.body, message_id=message.id, dequeue_count=message.dequeue_count, receipt=message.receipt
            )
            try:
                self.worker.invoke(function, payload)
            except WorkerError as error:
                self.errors.append(str(error))
                queue.release(message, RETRY)
            else:
                queue.delete(message)
        return len(messages)

    def until(self, true: Callable[[], bool], *, within: float = 20) -> float:
        """Wait until it is true; return how long that took, in seconds. Raises TimeoutError with the last errors."""
        started = time.perf_counter()
        while not true():
            if time.perf_counter() - started > within:
                raise TimeoutError(
                    f"not true after {within} s; the worker said: {self.errors[-3:]}\n{self.worker.log()}"
                )
            time.sleep(0.002)
        return time.perf_counter() - started

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run agent and host loop in threads until the block ends."""
        stop = threading.Event()

        def host() -> None:
            while not stop.is_set():
                if not self.deliver():
                    stop.wait(0.02)

        threads = [
            threading.Thread(target=host, name="host"),
            threading.Thread(
                target=lambda: self.agent.run(
                    stopped=stop.is_set,
                    pause=lambda wait: stop.wait(wait.total_seconds()),
                    every=timedelta(seconds=1),
                ),
                name="agent",
            ),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(timeout=30)


@contextmanager
def start(
    folder: Path,
    *,
    told: Callable[[str], None] = lambda _: None,
    controller: DomainController | None = None,
    settings: Mapping[str, str] = NONE,
) -> Iterator[Site]:
    """Start every part in `folder` (or use the `controller` that runs already) until the block ends.

    `settings` are of both halves, besides those that every site has.
    """
    with ExitStack() as running:
        told("domain controller (Samba)")
        controller = controller or running.enter_context(DomainController.start(folder / "dc"))
        administrator = running.enter_context(Administrator.of(controller))
        people = administrator.create_unit(f"Site {folder.name}")
        password = "The-agents-0wn-password"
        user = administrator.create_agent(f"agent-{folder.name[-8:]}", password, unit=people)
        (folder / "password").write_text(password)
        told("queue and tables (Azurite)")
        azurite = running.enter_context(Azurite.start())
        queue = StorageQueue.from_connection_string(azurite.connection_string, QUEUE)
        runs = StorageQueue.from_connection_string(azurite.connection_string, RUNS)
        ledger = TableLedger.from_connection_string(azurite.connection_string, "SmimeSyncLedger")
        failures = TableFailures.from_connection_string(azurite.connection_string, "SmimeSyncFailures")
        pace = TablePace.from_connection_string(azurite.connection_string, "SmimeSyncPace")
        history = TableHistory.from_connection_string(azurite.connection_string, "SmimeSyncHistory")
        audit = TableAudit.from_connection_string(azurite.connection_string, "SmimeSyncAudit")
        for store in (queue, runs, ledger, failures, pace, history, audit):
            running.enter_context(contextlib.closing(store))
            store.create()
        for name in (CLAIMS, WORK):
            with ContainerClient.from_connection_string(azurite.connection_string, name) as container:
                container.create_container()
        told("tenant (Entra and Exchange Online over HTTPS)")
        tenant = running.enter_context(Tenant.start())
        (folder / "application.pem").write_text(tenant.tokens.register_certificate())
        mill = Mill(now=datetime.now(UTC).replace(microsecond=0) - DAY)
        root = mill.root("Lab Root CA")
        issuing = root.issue_ca("Lab Issuing CA")
        (folder / "anchors.pem").write_text(root.pem)
        (folder / "intermediates.pem").write_text(issuing.pem)
        key = Signer.generate()
        (folder / "agent.pem").write_bytes(key.private_pem())
        (folder / "agents.pem").write_bytes(key.public_pem())
        told("worker (Microsoft's library around the function's package)")
        package.write(folder / "function.zip")
        function_environment = {
            "SMIME_SYNC_STORAGE": azurite.connection_string,
            "SMIME_SYNC_QUEUE": QUEUE,
            "SMIME_SYNC_RECONCILE_SCHEDULE": "0 0 3 * * *",
            "SMIME_SYNC_REVALIDATE_SCHEDULE": "0 30 * * * *",
            "SMIME_SYNC_RUNS_QUEUE": RUNS,
            "SMIME_SYNC_TRUST_ANCHORS": str(folder / "anchors.pem"),
            "SMIME_SYNC_INTERMEDIATES": str(folder / "intermediates.pem"),
            "SMIME_SYNC_TENANT_ID": tenant.id,
            "SMIME_SYNC_MODE": "write",
            "SMIME_SYNC_EVENT_KEYS_FILE": str(folder / "agents.pem"),
            "SMIME_SYNC_CLAIMS_CONTAINER": CLAIMS,
            "SMIME_SYNC_WRITES_PER_SECOND": "100",
            "SMIME_SYNC_CREDENTIAL": "certificate",
            "SMIME_SYNC_CLIENT_ID": tenant.tokens.client_id,
            "SMIME_SYNC_CLIENT_CERTIFICATE": str(folder / "application.pem"),
            "SMIME_SYNC_LOGIN_URL": tenant.url,
            "SMIME_SYNC_EXCHANGE_URL": tenant.url,
            "SMIME_SYNC_CA_FILE": tenant.ca_file,
            **settings,
        }
        worker = running.enter_context(
            Worker.start(function_environment, directory=package.unpack(folder / "function.zip", folder / "function"))
        )
        told("agent (ldap3, least-privilege account)")
        agent_environment = {
            "SMIME_SYNC_STORAGE": azurite.connection_string,
            "SMIME_SYNC_QUEUE": QUEUE,
            "SMIME_SYNC_SIGNING_KEY_FILE": str(folder / "agent.pem"),
            "SMIME_SYNC_CLAIMS_CONTAINER": CLAIMS,
            "SMIME_SYNC_STATE_FILE": str(folder / "agent.sqlite"),
            "SMIME_SYNC_LDAP_HOSTS": controller.address,
            "SMIME_SYNC_LDAP_SERVER_NAME": controller.fqdn,
            "SMIME_SYNC_LDAP_USER": user,
            "SMIME_SYNC_LDAP_PASSWORD_FILE": str(folder / "password"),
            "SMIME_SYNC_LDAP_CA_FILE": str(controller.ca_file),
            "SMIME_SYNC_LDAP_BASE": people,
            **settings,
        }
        agent = wiring.agent(load(AgentSettings, agent_environment))
        running.callback(agent.directory.close)
        yield Site(
            administrator=administrator,
            tenant=tenant,
            worker=worker,
            queue=queue,
            runs=runs,
            ledger=ledger,
            failures=failures,
            agent=agent,
            issuing=issuing,
            people=people,
            agent_environment=agent_environment,
            function_environment=function_environment,
        )


CERTIFICATE = Attribute.USER_CERTIFICATE.value
SMIME_CERTIFICATE = Attribute.USER_SMIME_CERTIFICATE.value
