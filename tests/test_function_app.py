"""The real function_app.py in Microsoft's own worker, between Azurite and a simulated tenant over HTTPS.

The Functions host is the one part that stands in: `Cloud.deliver` hands over messages as it does.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from sync import drain, envelope, host, http_api, triggers
from sync.adapters.blob_store import BlobStore
from sync.adapters.storage_queue import StorageQueue
from sync.adapters.table_ledger import TableAudit, TableFailures, TableHistory, TableLedger, TablePace
from sync.console import page
from sync.core.event import Event
from sync.core.identity import Watermark
from sync.core.person import Person, Values
from sync.core.record import Failure, Status
from sync.settings import STORAGE, CloudSettings, load
from tests.lab import ROOT, require
from tests.lab.azurite import Azurite
from tests.lab.tenant import Fault, Tenant
from tests.lab.worker import HttpAnswer, Worker, WorkerError, missing
from tests.lab.worker.payloads import Payload, http_request, queue_message, timer
from tests.mill import DAY, Authority, Issued, Mill
from tests.office import anchor, person
from tests.test_sign_in import OURS, principal

HOST = json.loads((ROOT / "host.json").read_text("utf-8"))
BINDINGS = (ROOT / "tests" / "golden" / "bindings.json").read_text("utf-8")
# The worker reads the real clock, so these certificates are made for today.
NOW = datetime.now(UTC).replace(microsecond=0)


RESOLVED = {
    "SMIME_SYNC_QUEUE",
    "SMIME_SYNC_RUNS_QUEUE",
    "SMIME_SYNC_RECONCILE_SCHEDULE",
    "SMIME_SYNC_REVALIDATE_SCHEDULE",
}
"""What the host reads where function_app.py says %NAME%."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """The function app at work, and everything around it."""

    queue: StorageQueue
    runs: StorageQueue
    ledger: TableLedger
    failures: TableFailures
    tenant: Tenant
    worker: Worker
    issuing: Authority

    def send(self, of: Person, *, sequence: int = 1) -> str:
        """Put a person's state on the queue, as the agent does; return the event."""
        watermark = Watermark(1, sequence)
        event = Event(id=str(uuid.uuid4()), source="urn:lab", time=NOW, watermark=watermark, person=of)
        body = envelope.render(event)
        self.queue.send(body)
        return body

    def deliver(self) -> list[str]:
        """Hand what is visible to the worker as the host does; return what the worker raised."""
        raised = []
        for message in self.queue.receive(16, timedelta(minutes=10)):
            payload = queue_message(
                message.body, message_id=message.id, dequeue_count=message.dequeue_count, receipt=message.receipt
            )
            try:
                self.worker.invoke("process", payload)
            except WorkerError as error:
                raised.append(str(error))
                self.queue.release(message, timedelta(0))
            else:
                self.queue.delete(message)
        return raised

    def advance(self) -> int:
        """Hand the pieces of a run to the worker, one after the other, until there is none; return how many."""
        pieces = 0
        while messages := self.runs.receive(1, timedelta(minutes=10)):
            for message in messages:
                self.worker.invoke("advance", queue_message(message.body, message_id=message.id))
                self.runs.delete(message)
                pieces += 1
        return pieces

    def mailbox(self, name: str) -> Issued:
        """Give a person a mailbox and a certificate."""
        self.tenant.add_mailbox(f"{name}@corp.example")
        return self.issuing.issue(f"{name}@corp.example")

    def held(self, name: str) -> Values:
        """What the mailbox holds now."""
        return self.tenant.recipient(f"{name}@corp.example").values

    def status(self, name: str) -> Status | None:
        """What the ledger says of the person."""
        record = self.ledger.get(anchor(name).immutable_id)
        return record.outcome.status if record is not None and record.outcome is not None else None

    def call(self, function: str, method: str, body: bytes = b"") -> HttpAnswer:
        """Ask over HTTP, through the worker."""
        url = f"https://app.example/api/{function}"
        answer = self.worker.invoke(function, http_request(method, url, body=body))
        assert answer is not None
        return answer


@pytest.fixture(scope="module")
def running(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One worker for this module: starting it costs a second."""
    require("functions worker", missing())
    folder = tmp_path_factory.mktemp("function")
    names = [
        f"{kind}{uuid.uuid4().hex[:8]}"
        for kind in ("queue-", "Ledger", "Failures", "Pace", "History", "Audit", "runs-")
    ]
    root = Mill(now=NOW - DAY).root()
    issuing = root.issue_ca("Example Issuing CA")
    (folder / "anchors.pem").write_text(root.pem)
    (folder / "intermediates.pem").write_text(issuing.pem)
    with contextlib.ExitStack() as stack:
        tenant = stack.enter_context(Tenant.start())
        environment = {
            "SMIME_SYNC_STORAGE": azurite.connection_string,
            "SMIME_SYNC_QUEUE": names[0],
            "SMIME_SYNC_RUNS_QUEUE": names[6],
            "SMIME_SYNC_LEDGER_TABLE": names[1],
            "SMIME_SYNC_FAILURES_TABLE": names[2],
            "SMIME_SYNC_TENANT_ID": tenant.id,
            "SMIME_SYNC_MODE": "write",
            "SMIME_SYNC_REQUIRE_SIGNED_EVENTS": "false",
            "SMIME_SYNC_PACE_TABLE": names[3],
            "SMIME_SYNC_HISTORY_TABLE": names[4],
            "SMIME_SYNC_AUDIT_TABLE": names[5],
            "SMIME_SYNC_WORK_CONTAINER": names[0],
            "SMIME_SYNC_WRITES_PER_SECOND": "100",
            "SMIME_SYNC_CREDENTIAL": "secret",
            "SMIME_SYNC_CLIENT_ID": tenant.tokens.client_id,
            "SMIME_SYNC_CLIENT_SECRET": tenant.tokens.secret,
            "SMIME_SYNC_LOGIN_URL": tenant.url,
            "SMIME_SYNC_EXCHANGE_URL": tenant.url,
            "SMIME_SYNC_CA_FILE": tenant.ca_file,
            "SMIME_SYNC_DOCS_URL": "https://wiki.example/docs/",
            "SMIME_SYNC_TRUST_ANCHORS": str(folder / "anchors.pem"),
            "SMIME_SYNC_INTERMEDIATES": str(folder / "intermediates.pem"),
        }
        cloud = Cloud(
            queue=StorageQueue.from_connection_string(azurite.connection_string, names[0]),
            runs=StorageQueue.from_connection_string(azurite.connection_string, names[6]),
            ledger=TableLedger.from_connection_string(azurite.connection_string, names[1]),
            failures=TableFailures.from_connection_string(azurite.connection_string, names[2]),
            tenant=tenant,
            worker=stack.enter_context(Worker.start(environment)),
            issuing=issuing,
        )
        pace = TablePace.from_connection_string(azurite.connection_string, names[3])
        history = TableHistory.from_connection_string(azurite.connection_string, names[4])
        audit = TableAudit.from_connection_string(azurite.connection_string, names[5])
        work = BlobStore(ContainerClient.from_connection_string(azurite.connection_string, names[0]))
        for store in (cloud.queue, cloud.runs, cloud.ledger, cloud.failures, pace, history, audit, work):
            stack.enter_context(contextlib.closing(store))
            store.create()
        yield cloud


@pytest.fixture
def cloud(running: Cloud) -> Iterator[Cloud]:
    """The same for each test; nothing of one test waits for the next."""
    yield running
    running.tenant.faults.clear()
    running.queue._client.clear_messages()  # hidden ones too, which nobody can receive
    for failure in running.failures.all():
        running.failures.remove(failure.id)


@pytest.mark.lab
class TestQueue:
    """The change queue's trigger."""

    def test_a_message_becomes_a_written_mailbox(self, cloud: Cloud) -> None:
        """The main job, through every real protocol but Active Directory's."""
        certificate = cloud.mailbox("alice")
        cloud.send(person("alice", certificate))

        assert cloud.deliver() == []

        assert cloud.held("alice") == Values.of([certificate.der])
        assert cloud.status("alice") is Status.WRITTEN
        assert cloud.queue.count() == 0

    def test_the_same_message_again_writes_nothing(self, cloud: Cloud) -> None:
        """Queues deliver twice."""
        certificate = cloud.mailbox("bob")
        for _ in range(2):
            cloud.send(person("bob", certificate))
            assert cloud.deliver() == []

        assert cloud.status("bob") is Status.UNCHANGED
        assert cloud.tenant.recipient("bob@corp.example").writes == 1

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ("{not json", "event-not-json"),
            ("", "event-not-json"),
            ('{"type": "smime-sync.person-state.v9"}', "event-version"),
        ],
    )
    def test_a_broken_event_is_recorded(self, cloud: Cloud, body: str, reason: str) -> None:
        """At once, with its body, and not delivered again."""
        cloud.worker.invoke("process", queue_message(body, message_id="m"))

        [failure] = cloud.failures.all()
        assert (failure.id, failure.reason, failure.body) == ("m", reason, body)

    @pytest.mark.parametrize("function", ["process", "bury"])
    @pytest.mark.parametrize("text", ["not base64 {", "//79", "é"])
    def test_what_nobody_can_decode_is_recorded(self, cloud: Cloud, function: str, text: str) -> None:
        """As it lies on the queue. The host, if it decoded, would leave it on the poison queue until it expires."""
        cloud.worker.invoke(function, queue_message(text, message_id="m", encoded=False))

        [failure] = cloud.failures.all()
        assert (failure.id, failure.body) == ("m", text)

    def test_what_is_not_text_is_recorded(self, cloud: Cloud) -> None:
        """As far as it can be shown."""
        payload = queue_message("", message_id="bytes")
        lying = {"bytes": base64.b64encode(b"\xff\xfe{}").decode("ascii")}

        cloud.worker.invoke("process", Payload(value=lying, metadata=payload.metadata))

        [failure] = cloud.failures.all()
        assert failure.reason == "event-not-text"

    def test_a_passing_fault_puts_the_event_back_for_the_time_that_was_asked(self, cloud: Cloud) -> None:
        """The host knows one pause only; the event lies on the queue again, hidden, with its attempt counted."""
        cloud.send(person("carol", cloud.mailbox("carol")))
        cloud.tenant.faults.next(Fault.status(429, Retry_After="1000"))

        assert cloud.deliver() == []

        assert list(cloud.failures.all()) == []
        assert cloud.queue.count() == 1
        assert list(cloud.queue.receive(1, timedelta(minutes=1))) == []
        assert cloud.held("carol") == Values()
        assert "status=deferred reason=tenant-throttled" in cloud.worker.log()

    def test_patience_ends_in_a_failure_with_its_reason(self, cloud: Cloud) -> None:
        """The host would put the message on the poison queue, which forgets why."""
        parsed = envelope.parse(cloud.send(person("nobody")))
        body = envelope.render(replace(parsed, attempts=20, since=parsed.time - 2 * DAY))

        cloud.worker.invoke("process", queue_message(body, message_id="last", dequeue_count=1))

        failure = cloud.failures.get("last")
        assert failure is not None
        assert (failure.reason, failure.body) == ("no-recipient", body)

    def test_nothing_private_is_logged(self, cloud: Cloud) -> None:
        """The anchor serves; no address, no certificate, no token, and no line of the clients' own."""
        certificate = cloud.mailbox("dave")
        cloud.send(person("dave", certificate))
        cloud.deliver()

        log = cloud.worker.log()
        assert f"done anchor={anchor('dave').immutable_id}" in log
        told = base64.b64encode(certificate.der).decode("ascii")
        for private in ("dave@", "Bearer", "eyJ", told[:40], "SharedKey", "Request headers"):
            assert private not in log


@pytest.mark.lab
class TestOthers:
    """Poison, timer and HTTP."""

    def test_poison_is_recorded(self, cloud: Cloud) -> None:
        """With whose it is."""
        body = cloud.send(person("erin"))

        cloud.worker.invoke("bury", queue_message(body, message_id="poison", dequeue_count=1))

        failure = cloud.failures.get("poison")
        assert failure is not None
        assert (failure.reason, failure.body) == ("retries-exhausted", body)
        assert failure.anchor == anchor("erin").immutable_id

    @pytest.mark.parametrize("past_due", [False, True])
    def test_the_timer_repairs_what_somebody_changed_by_hand(self, cloud: Cloud, past_due: bool) -> None:
        """By way of the queue, the only door."""
        name = f"frank-{past_due}"
        certificate = cloud.mailbox(name)
        cloud.send(person(name, certificate))
        cloud.deliver()
        for values in cloud.tenant.recipient(f"{name}@corp.example").certificates.values():
            values.clear()

        cloud.worker.invoke("reconcile", timer(past_due=past_due))

        assert not cloud.held(name)
        assert cloud.advance() >= 1
        assert cloud.deliver() == []
        assert cloud.held(name) == Values.of([certificate.der])
        assert re.search(r"kind=full phase=done .* differing=1 .* sent=1 asked=0 unreadable=0", cloud.worker.log())

    def test_the_hourly_timer_looks_at_whom_time_has_changed(self, cloud: Cloud) -> None:
        """Nobody is due: it ends at once."""
        cloud.worker.invoke("revalidate", timer())

        assert cloud.advance() >= 1
        assert re.search(r"kind=due phase=done .* examined=0 ", cloud.worker.log())

    def test_every_five_minutes_it_says_what_somebody_should_look_at(self, cloud: Cloud) -> None:
        """The lines that the alerts ask for: here no agent was ever heard of."""
        cloud.worker.invoke("watch", timer())

        assert "concern worry=agent-never-heard level=warning detail=" in cloud.worker.log()
        assert re.search(r"watched past_due=False health=(warning|critical)", cloud.worker.log())

    def test_the_daily_timer_counts_what_status_tells(self, cloud: Cloud) -> None:
        """Coverage, and the latency of what was written."""
        certificate = cloud.mailbox("counted")
        cloud.send(person("counted", certificate))
        cloud.deliver()

        cloud.worker.invoke("prune", timer(past_due=False))

        told = json.loads(cloud.call("status", "GET").body)
        assert told["summary"]["covered"] >= 1
        assert told["latency"]["writes"] >= 1
        assert told["queue"]["messages"] == 0
        assert told["docs"] == "https://wiki.example/docs/"
        assert "the CA CN=Example Issuing CA" in told["certificates"]

    def test_health_says_little(self, cloud: Cloud) -> None:
        """And asks nobody."""
        before = len(cloud.tenant.calls)

        answer = cloud.call("health", "GET")

        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json()["status"] == "ok"
        assert answer.json().keys() <= {"status", "version", "trustAnchors"}
        assert len(cloud.tenant.calls) == before

    def test_the_tenant_is_tried_with_the_apps_own_identity(self, cloud: Cloud) -> None:
        """The role is as it should be, and nobody is written."""
        cloud.tenant.add_mailbox("boss@corp.example", outside_scope=True)
        before = sum(entry.writes for entry in cloud.tenant.objects.all(None))

        answer = cloud.call("preflight", "POST", b'{"outside": "boss@corp.example"}')

        levels = {each["check"]: each["level"] for each in answer.json()["checks"]}
        assert answer.status == 200
        tried = ("token", "Get-Recipient", "Set-Mailbox", "Set-MailUser", "nothing else", "a write outside the scope")
        assert {levels[each] for each in tried} == {"ok"}
        assert sum(entry.writes for entry in cloud.tenant.objects.all(None)) == before

    def test_failed_messages_are_listed_without_their_bodies(self, cloud: Cloud) -> None:
        """A body holds names and certificates."""
        cloud.failures.add(a_failure("1", body="secret"))

        answer = cloud.call("failed", "GET")

        assert answer.status == 200
        assert [each["id"] for each in answer.json()["failed"]] == ["1"]
        assert "secret" not in answer.body

    def test_a_replay_is_dry_unless_asked(self, cloud: Cloud) -> None:
        """It shows what would go back."""
        cloud.failures.add(a_failure("1"))

        answer = cloud.call("replay", "POST", b'{"all": true}')

        assert (answer.status, answer.json()["applied"], len(answer.json()["chosen"])) == (200, False, 1)
        assert cloud.queue.count() == 0
        assert len(list(cloud.failures.all())) == 1

    def test_a_replay_puts_the_chosen_back(self, cloud: Cloud) -> None:
        """By reason; once cured, the person is written."""
        certificate = cloud.mailbox("grace")
        body = cloud.send(person("grace", certificate))
        [message] = cloud.queue.receive(1, timedelta(minutes=1))
        cloud.queue.delete(message)
        cloud.failures.add(a_failure("cured", body=body))
        cloud.failures.add(a_failure("other", reason="event-not-json"))

        answer = cloud.call("replay", "POST", b'{"apply": true, "reason": "no-recipient"}')

        assert (answer.status, answer.json()["applied"]) == (200, True)
        assert [failure.id for failure in cloud.failures.all()] == ["other"]
        assert cloud.deliver() == []
        assert cloud.held("grace") == Values.of([certificate.der])

    @pytest.mark.parametrize("trigger", triggers.TIMERS, ids=lambda trigger: trigger.name)
    def test_each_timer_fires(self, cloud: Cloud, trigger: triggers.TimerTrigger) -> None:
        """And says so."""
        cloud.worker.invoke(trigger.name, timer())

        assert "past_due=False" in cloud.worker.log()

    @pytest.mark.parametrize(
        "route", [each for each in http_api.ROUTES if each.name != "console"], ids=lambda route: route.name
    )
    def test_each_route_answers_with_json(self, cloud: Cloud, route: http_api.Route) -> None:
        """With what was asked for, or with the code of what was wrong with the question."""
        answer = cloud.call(route.name, route.method)

        assert answer.headers["content-type"] == "application/json"
        assert answer.status == 200 or answer.json()["error"]["code"] == "request-malformed"

    def test_the_console_is_a_page_that_nothing_can_add_to(self, cloud: Cloud) -> None:
        """Its headers come through the worker as they were made."""
        answer = cloud.call("console", "GET")

        assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert answer.body == page().html
        assert answer.headers.items() >= page().headers.items()

    def test_a_guarded_run_is_approved_and_done_in_pieces(self, cloud: Cloud) -> None:
        """Every mailbox was emptied by hand: the timer's run asks; whoever approves gets an answer before it begins."""
        before = {f"guarded{number}": cloud.mailbox(f"guarded{number}") for number in range(4)}
        for name, certificate in before.items():
            cloud.send(person(name, certificate))
        assert cloud.deliver() == []
        for entry in cloud.tenant.objects.all(None):
            for values in entry.certificates.values():
                values.clear()
        cloud.worker.invoke("reconcile", timer())
        cloud.advance()
        [stopped] = [run for run in cloud.call("runs", "GET").json()["past"] if run["guarded"]]

        answer = cloud.call("approve", "POST", json.dumps({"run": stopped["id"], "apply": True}).encode("ascii"))

        assert (answer.status, answer.json()["run"]["approves"]) == (200, stopped["id"])
        assert cloud.call("runs", "GET").json()["current"]["id"] == answer.json()["run"]["id"]
        assert not any(cloud.held(name) for name in before)
        again = cloud.call("approve", "POST", json.dumps({"run": stopped["id"], "apply": True}).encode("ascii"))
        assert (again.status, again.json()["error"]["code"]) == (409, "run-active")
        assert cloud.advance() >= 1
        while cloud.queue.count():
            assert cloud.deliver() == []
        assert {name: cloud.held(name) for name in before} == {
            name: Values.of([certificate.der]) for name, certificate in before.items()
        }
        assert not any(run["guarded"] for run in cloud.call("runs", "GET").json()["past"])

    def test_a_misspelt_replay_is_refused(self, cloud: Cloud) -> None:
        """It would have put back everything."""
        cloud.failures.add(a_failure("1"))

        answer = cloud.call("replay", "POST", b'{"apply": true, "raeson": "no-recipient"}')

        assert (answer.status, answer.json()["error"]["code"]) == (400, "request-malformed")
        assert cloud.queue.count() == 0

    def test_wrong_settings_are_said_and_no_message_is_lost(self) -> None:
        """The host keeps what a function raised at."""
        require("functions worker", missing())
        with Worker.start({}) as worker:
            answer = worker.invoke("health", http_request("GET", "https://app.example/api/health"))
            with pytest.raises(WorkerError, match=r"^PermanentError: settings-invalid: "):
                worker.invoke("process", queue_message("{}", message_id="1"))

        assert answer is not None
        assert (answer.status, answer.json()["error"]["code"]) == (500, "settings-invalid")


@pytest.mark.lab
def test_the_host_gets_these_bindings() -> None:
    """As the genuine worker reads them from function_app.py; a change is a change of the deployment."""
    require("functions worker", missing())
    with Worker.start({}) as worker:
        assert json.dumps(worker.functions, indent=2) + "\n" == BINDINGS


class TestAgreement:
    """function_app.py, host.json, settings and the use cases name the same things."""

    def test_the_host_gets_our_tables_and_nothing_else(self) -> None:
        """`smime-sync serve` serves the same tables, so the two cannot differ."""
        bindings = {name: each[0] for name, each in json.loads(BINDINGS).items()}

        queues = {trigger.name: trigger.queue for trigger in triggers.QUEUES}
        timers = {trigger.name: trigger.schedule for trigger in triggers.TIMERS}
        routes = {route.name: [route.method] for route in http_api.ROUTES}
        assert {name: each["queueName"] for name, each in bindings.items() if "queueName" in each} == queues
        assert {name: each["schedule"] for name, each in bindings.items() if "schedule" in each} == timers
        assert {name: each["methods"] for name, each in bindings.items() if "methods" in each} == routes
        assert bindings.keys() == queues.keys() | timers.keys() | routes.keys()
        assert {each["authLevel"] for each in bindings.values() if "methods" in each} == {"FUNCTION"}

    @pytest.mark.lab
    def test_the_host_asks_for_no_key_only_where_people_sign_in(self) -> None:
        """Then the app asks for their role before anything else; health keeps its key."""
        require("functions worker", missing())
        environment = {"SMIME_SYNC_SIGN_IN": "entra", "WEBSITE_AUTH_ENABLED": "True"}
        with Worker.start(environment) as worker:
            levels = {name: each[0].get("authLevel") for name, each in worker.functions.items()}
            routes = {route.name for route in http_api.ROUTES}
            assert {name for name, level in levels.items() if level == "ANONYMOUS"} == routes - {"health"}
            assert levels["health"] == "FUNCTION"

            def asked(route: str, method: str, headers: dict[str, str]) -> int:
                url = f"https://app.example/api/{route}"
                answer = worker.invoke(route, http_request(method, url, headers=headers))
                assert answer is not None
                return answer.status

            assert asked("status", "GET", {}) == 401
            assert asked("status", "GET", principal()) == 403
            # It has no settings: whoever gets so far is let in.
            assert asked("status", "GET", principal("SmimeSync.Read")) == 500
            assert asked("replay", "POST", {**principal("SmimeSync.Read"), **OURS}) == 403
            assert asked("replay", "POST", principal("SmimeSync.Operate")) == 403
            assert asked("replay", "POST", {**principal("SmimeSync.Operate"), **OURS}) == 500

    def test_every_name_that_the_host_resolves_is_a_setting(self) -> None:
        """The host knows no default: a deployment sets each."""
        names = set(re.findall(r"%(\w+)%", BINDINGS))

        assert names == RESOLVED
        assert {name.removeprefix("SMIME_SYNC_").lower() for name in names} <= CloudSettings.model_fields.keys()
        assert set(re.findall(r'"connection": "(\w+)"', BINDINGS)) == {STORAGE}

    def test_the_example_of_local_settings_is_whole(self) -> None:
        """It loads, and names what the host resolves."""
        example = json.loads((ROOT / "local.settings.json.example").read_text("utf-8"))["Values"]

        settings = load(CloudSettings, example)

        assert example.keys() >= RESOLVED
        for name in (each.removeprefix("SMIME_SYNC_").lower() for each in RESOLVED):
            assert getattr(settings, name) == CloudSettings.model_fields[name].default

    def test_the_embedded_host_keeps_the_hosts_numbers(self) -> None:
        """What `drain` says of batch, pause and deliveries is what host.json says."""
        queues = HOST["extensions"]["queues"]

        assert queues["batchSize"] == drain.BATCH
        assert queues["maxDequeueCount"] == drain.MAX_DEQUEUE_COUNT
        assert queues["visibilityTimeout"] == f"0{drain.RETRY}"
        assert queues["newBatchThreshold"] == host.THRESHOLD
        assert queues["maxPollingInterval"] == f"0{host.LONGEST}"

    def test_the_host_gives_messages_as_they_lie_on_the_queue(self) -> None:
        """Our own code decodes them, for both hosts."""
        assert HOST["extensions"]["queues"]["messageEncoding"] == "none"


class TestColdStart:
    """The host waits for the import at every cold start."""

    def test_nothing_heavy_is_imported_before_it_is_needed(self) -> None:
        """Neither clients nor parsers."""
        heavy = ["OpenSSL", "azure.core", "azure.identity", "cryptography", "ldap3", "msal", "pydantic", "requests"]
        code = f"import sys, function_app; print([name for name in {heavy} if name in sys.modules])"

        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

        assert done.stdout.strip() == "[]"

    def test_the_function_never_loads_what_only_the_agent_and_the_command_need(self, tmp_path: Path) -> None:
        """Not even at work, when all its clients are built."""
        (tmp_path / "anchors.pem").write_text(Mill().root().pem)
        example = json.loads((ROOT / "local.settings.json.example").read_text("utf-8"))["Values"]
        example |= {"SMIME_SYNC_TRUST_ANCHORS": str(tmp_path / "anchors.pem")}
        example |= {"SMIME_SYNC_CREDENTIAL": "secret", "SMIME_SYNC_CLIENT_SECRET": "secret"}
        foreign = ["ldap3", "pyasn1", "rich", "sqlite3", "typer"]
        code = (
            "import sys, function_app; from sync import wiring; wiring.cloud();"
            f"print([name for name in {foreign} if name in sys.modules])"
        )

        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=example, capture_output=True, text=True, check=False
        )

        warned = "the tenant is reached with a client secret: prefer a managed identity or a certificate\n"
        assert (done.stdout.strip(), done.stderr) == ("[]", warned)

    @pytest.mark.parametrize(("installed", "said"), [(True, "ldap3 is there"), (False, "the extra `ldap`")])
    def test_the_directory_is_read_only_where_a_setting_says_so(
        self, tmp_path: Path, installed: bool, said: str
    ) -> None:
        """Then its client is loaded, or it is said what is missing."""
        (tmp_path / "anchors.pem").write_text(Mill().root().pem)
        example = json.loads((ROOT / "local.settings.json.example").read_text("utf-8"))["Values"]
        example |= {"SMIME_SYNC_TRUST_ANCHORS": str(tmp_path / "anchors.pem"), "SMIME_SYNC_DIRECTORY": "ldap"}
        example |= {"SMIME_SYNC_LDAP_HOSTS": "dc.corp.example", "SMIME_SYNC_LDAP_USER": "reader@corp.example"}
        example |= {"SMIME_SYNC_LDAP_PASSWORD_FILE": str(tmp_path / "password")}
        missing = {} if installed else {"ldap3": None}
        code = (
            f"import sys; sys.modules.update({missing}); from sync import wiring\n"
            "try:\n    wiring.cloud(); print('ldap3' in sys.modules and 'ldap3 is there')\n"
            "except Exception as error:\n    print(error.code, error)"
        )

        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=example, capture_output=True, text=True, check=True
        )

        assert said in done.stdout, done.stderr

    def test_the_module_stays_small(self) -> None:
        """It unwraps and calls; what grows belongs to a use case."""
        assert len((ROOT / "function_app.py").read_text("utf-8").splitlines()) <= 80


def a_failure(failure_id: str, *, reason: str = "no-recipient", body: str = "{}") -> Failure:
    """A failed message."""
    return Failure(id=failure_id, at=NOW, reason=reason, detail="d", body=body, anchor="AAAA", dequeue_count=5)
