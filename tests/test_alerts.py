"""Alerts: each query of the template fires on what the product really says, and is silent where all is well."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from sync import triggers
from sync.adapters.embedded import EmbeddedPace
from sync.adapters.revocation_cache import SqliteCache
from sync.canary_watch import CanaryWatch
from sync.core.path import TrustStore
from sync.core.policy import PRIVATE_CA, Revocation
from sync.core.rate import Rate
from sync.core.run import Kind, Phase
from sync.errors import ErrorCode, TemporaryError
from sync.overview import Health, Worry
from sync.ports import Message
from sync.revocation_sources import RevocationSources, read_sources
from sync.watcher import Watcher
from tests.kql import evaluate
from tests.lab import ROOT
from tests.mill import DAY
from tests.mill.revocation import crl
from tests.office import Faulty, Office, anchor, person
from tests.test_infra import INFRA, parsed, text, tree, walk
from tests.test_overview import beat, ended

_LEVELS = {logging.INFO: 1, logging.WARNING: 2, logging.ERROR: 3}
MINUTE = timedelta(minutes=1)


def rules() -> Mapping[str, Mapping[str, str]]:
    """The rules of the template by their names."""
    (node,) = [
        each
        for each in walk(parsed(INFRA / "modules" / "alerts.bicep"))
        if each.type == "variable_declaration" and text(each).startswith("var rules")
    ]
    array = next(each for each in walk(node) if each.type == "array")
    return {each["name"]: each for each in tree(array)}


RULES = rules()


def said(caplog: pytest.LogCaptureFixture) -> list[Mapping[str, Any]]:
    """What was logged, as rows of `traces`."""
    return [{"message": each.getMessage(), "severityLevel": _LEVELS[each.levelno]} for each in caplog.records]


def fires(name: str, traces: Sequence[Mapping[str, Any]], metrics: Sequence[Mapping[str, Any]] = ()) -> bool:
    return bool(evaluate(RULES[name]["query"], {"traces": traces, "customMetrics": metrics}))


@pytest.fixture
def office() -> Office:
    """One where all is well."""
    office = Office()
    beat(office)
    office.overseer.count()
    return office


def look(office: Office, times: int = 1) -> None:
    """As the timer does."""
    watcher = Watcher(overseer=office.overseer)

    class Product:
        def watch(self) -> Health:
            return watcher.watch()

    for _ in range(times):
        triggers.watch(cast("triggers.Product", Product()), False)


def a_silent_agent(office: Office) -> None:
    office.pass_time(6 * MINUTE)
    look(office)


def events_held(office: Office) -> None:
    beat(office, held=25)
    look(office)


def an_agent_in_trouble(office: Office) -> None:
    beat(office, lastError="directory-unavailable: dc1 does not answer")
    look(office, 4)


def an_agent_that_reads_nothing(office: Office) -> None:
    beat(office, lastRound=(office.now - 80 * MINUTE).isoformat())
    look(office, 4)


def nothing_reconciled(office: Office) -> None:
    ended(office, Kind.FULL, Phase.DONE)
    office.pass_time(timedelta(days=2, minutes=1))
    office.overseer.count()
    beat(office)
    look(office)


def broken_heartbeat(office: Office) -> None:
    office.losses.blobs.put("heartbeat/corp.example.json", b"no json")
    look(office)


def a_heartbeat_without_time(office: Office) -> None:
    office.losses.blobs.put("heartbeat/corp.example.json", b"{}")
    look(office)


def a_certificate_near_its_end(office: Office) -> None:
    beat(office, certificates={"the certificate": (office.now + timedelta(days=29)).isoformat()})
    look(office)


def a_waiting_message(office: Office) -> None:
    office.queue.send("waits")
    office.pass_time(16 * MINUTE)
    beat(office)
    look(office)


def writes_far_behind(office: Office) -> None:
    for _ in range(100):
        EmbeddedPace(office.database).book(Rate(per_second=0.1, at_once=1), office.now)
    look(office)


def a_failed_message(office: Office) -> None:
    office.receiver.process(replace(office.message(person("alice")), body="not json"))


def a_poison_message(office: Office) -> None:
    office.receiver.bury(Message(id="1", body="killed its worker"))


def throttling(office: Office) -> None:
    office.mailbox("alice")
    throttled = TemporaryError(ErrorCode.TENANT_THROTTLED, "429")
    receiver = office.receiving(recipients=Faulty(office.recipients, before_write=throttled))
    message = office.message(person("alice", office.issue("alice")))
    for _ in range(51):
        receiver.process(message)


def a_failed_run(office: Office) -> None:
    ended(office, Kind.FULL, Phase.FAILED)
    look(office)


def nothing_counted(office: Office) -> None:
    office.pass_time(timedelta(days=3))
    beat(office)
    look(office)


def everybody_loses(office: Office) -> None:
    for number in range(40):
        office.mailbox(f"p{number}")
        office.process(person(f"p{number}", office.issue(f"p{number}", key="ec256")))
    office.trust = TrustStore.of([office.mill.root("Another Root").der])
    assert office.reconciler.reconcile(apply=True).guarded


def live_events_guarded(office: Office) -> None:
    for number in range(22):
        office.mailbox(f"p{number}")
        office.process(person(f"p{number}", office.issue(f"p{number}", key="ec256")))
    for number in range(22):
        office.process(person(f"p{number}"))


def a_stale_list(office: Office) -> None:
    context = office.processor.judging
    policy = replace(PRIVATE_CA, revocation=Revocation.SOFT)
    office.change(judging=lambda moment: replace(context(moment), policy=policy))
    office.mailbox("alice")
    office.process(person("alice", office.issue("alice")))


def with_a_canary(office: Office, *seconds: float, error: str = "") -> None:
    """Its turns took so long each, or the agent cannot make one; the app looks four times."""
    watch = CanaryWatch(blobs=office.losses.blobs, anchor=anchor("canary").immutable_id)
    office.mailbox("canary")
    certificates = [office.issue("canary", not_before=office.now - days * DAY) for days in (300, 1)]
    for number, wait in enumerate(seconds):
        message = office.message(person("canary", *certificates[: 1 + number % 2]))
        office.pass_time(timedelta(seconds=wait))
        replace(office.receiver, hearing=(watch.hear,)).process(message)
    beat(office, canary={"anchor": watch.anchor, "error": error})
    for _ in range(4):
        Watcher(overseer=replace(office.overseer, canary=watch)).watch()


def a_canary_that_is_not_heard(office: Office) -> None:
    with_a_canary(office)


def a_slow_canary(office: Office) -> None:
    with_a_canary(office, 2, 120)


def a_canary_that_cannot_be_changed(office: Office) -> None:
    with_a_canary(office, 2, error="canary-rights: no right")


class Lists:
    """What one address gives: a list, or nothing."""

    def __init__(self, content: bytes | None) -> None:
        self.content = content

    def fetch(self, url: str, *, question: bytes | None = None) -> bytes:
        if self.content is None:
            raise TemporaryError(ErrorCode.REVOCATION_SOURCE, f"{url} does not answer")
        return self.content


def looked_up(office: Office, content: bytes | None) -> None:
    """As the hourly timer does, whether anybody's certificate is judged or not."""
    sources = RevocationSources(
        read_sources('[[source]]\nissuer = "CN=Example Issuing CA"\ncrl = ["http://pki.corp.example/issuing.crl"]'),
        trust=office.trust,
        fetcher=Lists(content),
        cache=SqliteCache(None),
        now=lambda: office.now,
    )
    sources.revoked()


def a_list_that_is_not_renewed(office: Office) -> None:
    looked_up(office, crl(office.issuing, next_update=office.now - MINUTE))


def a_list_that_cannot_be_had(office: Office) -> None:
    looked_up(office, None)


TROUBLES: Sequence[tuple[str, Callable[[Office], None]]] = (
    ("guarded", everybody_loses),
    ("guarded", live_events_guarded),
    ("agent-silent", a_silent_agent),
    ("agent-holds", events_held),
    ("agent-error", an_agent_in_trouble),
    ("agent-error", an_agent_that_reads_nothing),
    ("unreadable", broken_heartbeat),
    ("run", nothing_reconciled),
    ("unreadable", a_heartbeat_without_time),
    ("certificate", a_certificate_near_its_end),
    ("lag", a_waiting_message),
    ("lag", writes_far_behind),
    ("failed", a_failed_message),
    ("poison", a_poison_message),
    ("throttled", throttling),
    ("run", a_failed_run),
    ("run", nothing_counted),
    ("revocation", a_stale_list),
    ("revocation", a_list_that_is_not_renewed),
    ("revocation", a_list_that_cannot_be_had),
    ("canary", a_canary_that_is_not_heard),
    ("canary", a_slow_canary),
    ("canary", a_canary_that_cannot_be_changed),
)
ELSEWHERE = {"unwatched", "late"}
"""Rules with a test of their own below."""


@pytest.mark.parametrize(("name", "trouble"), TROUBLES, ids=lambda each: getattr(each, "__name__", each))
def test_an_alert_fires_on_what_it_is_for_and_no_other_does(
    name: str, trouble: Callable[[Office], None], office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    """On the lines of the real use cases."""
    with caplog.at_level(logging.INFO, logger="smime_sync"):
        trouble(office)
    assert {each for each in RULES.keys() - ELSEWHERE if fires(each, said(caplog))} == {name}


def test_where_all_is_well_no_alert_fires(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    """A day of one write, a refused certificate, a canary in time, a reconciliation and looks."""
    with caplog.at_level(logging.INFO, logger="smime_sync"):
        office.mailbox("alice")
        office.process(person("alice", office.issue("alice"), b"broken"))
        office.reconciler.reconcile(apply=True)
        looked_up(office, crl(office.issuing))
        look(office)
        with_a_canary(office, 2, 3)
    assert len(said(caplog)) > 3
    assert {each for each in RULES if fires(each, said(caplog))} == set()


def test_an_app_that_does_not_run_is_told(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    """By the line that does not come; one that cannot read its state still looks."""
    assert fires("unwatched", [])
    with caplog.at_level(logging.INFO, logger="smime_sync"):
        broken_heartbeat(office)
    assert not fires("unwatched", said(caplog))


def test_what_an_agent_tells_stays_on_its_line(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    """It cannot write other lines into our log."""
    beat(office, lastError="away\ndone status=failed")
    with caplog.at_level(logging.INFO, logger="smime_sync"):
        look(office)
    assert all("\n" not in each["message"] for each in said(caplog))


def test_every_rule_is_tried() -> None:
    """A new one gets a trouble here."""
    assert {name for name, _ in TROUBLES} | ELSEWHERE == RULES.keys()


def test_every_worry_has_an_alert() -> None:
    """Or one that is told sooner by another line."""
    queries = " ".join(each["query"] for each in RULES.values())
    others = {
        Worry.FAILED: "failed: each message says so itself",
        Worry.GUARDED: "guarded: the run says so itself",
        Worry.AGENT_NEVER_HEARD: "a deployment whose agent comes later",
    }
    assert {each for each in Worry if f'"concern worry={each} "' not in queries} == others.keys()


def test_the_windows_are_such_as_azure_takes() -> None:
    """Five minutes is how often the app looks: no window is shorter than two looks."""
    assert {int(each["minutes"]) for each in RULES.values()} <= {15, 60}
    assert all(0 <= int(each["severity"]) <= 4 for each in RULES.values())


_EXPORTED = """
import json, sys
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
from azure.monitor.opentelemetry.exporter.export.metrics._exporter import _convert_point_to_envelope
from sync import telemetry
from sync.core.record import Outcome, Status
from tests.mill import NOW
for seconds in json.loads(sys.argv[1]):
    telemetry.ended(Outcome(status=Status.WRITTEN, at=NOW, cause="change", seconds=seconds))
rows = []
for resource in reader.get_metrics_data().resource_metrics:
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            for point in metric.data.data_points:
                data = _convert_point_to_envelope(point, metric.name).data.base_data
                told = data.metrics[0]
                rows.append({"name": told.name, "customDimensions": data.properties, "value": told.value,
                             "valueSum": told.value, "valueCount": told.count, "valueMax": told.max})
print(json.dumps(rows))
"""


@pytest.mark.parametrize(("seconds", "expected"), [([1, 2, 301], True), ([200, 200, 200], False)])
def test_slow_writes_are_told_from_many(seconds: list[float], expected: bool) -> None:
    """By the rows that Microsoft's exporter makes of our histogram, whose `value` is a sum; three minutes of them."""
    done = subprocess.run(
        [sys.executable, "-c", _EXPORTED, json.dumps(seconds)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert fires("late", [], 3 * json.loads(done.stdout)) == expected
