"""One trace from a change in Active Directory to the write at the tenant, as a collector gets it from both halves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sync.core.identity import SourceAnchor
from tests.lab import ROOT, require, worker
from tests.lab.collector import Collector
from tests.lab.samba import DomainController
from tests.lab.setup import azurite
from tests.lab.site import CERTIFICATE, Site, start

pytestmark = pytest.mark.lab
HEDWIG = b"sixteen bytes ok"
# Read by OpenTelemetry itself: nobody wants to wait for its usual five seconds and its minute.
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_BLRP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "200"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector.start() as running:
        yield running


@pytest.fixture
def site(
    collector: Collector, domain_controller: DomainController, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    require("azurite", azurite.missing())
    require("worker", worker.missing())
    settings = {
        "SMIME_SYNC_TELEMETRY": "otlp",
        "SMIME_SYNC_OTLP_URL": collector.url,
        "SMIME_SYNC_CANARY": SourceAnchor(b"", HEDWIG).immutable_id,
        **SOON,
    }
    with start(tmp_path_factory.mktemp("traced"), controller=domain_controller, settings=settings) as site:
        yield site


def test_one_trace_leads_from_the_change_to_the_write(site: Site, collector: Collector) -> None:
    """Agent and worker are two processes; the queue and Exchange's headers carry the trace between them."""
    mailbox = site.tenant.add_mailbox("hedwig@corp.example")
    agent = subprocess.Popen(
        [sys.executable, "-m", "sync", "agent", "run"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **site.agent_environment},
    )
    try:
        site.until(lambda: site.agent.state.checkpoint() is not None, within=60)  # its first import is done
        site.administrator.create_person(
            "hedwig",
            unit=site.people,
            mail="hedwig@corp.example",
            **{CERTIFICATE: [site.issue("hedwig").der], "mS-DS-ConsistencyGuid": HEDWIG},
        )
        site.until(lambda: bool(site.deliver() or mailbox.writes), within=60)
        site.until(lambda: any(span.name == "process" for _, span in collector.spans), within=60)
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait(timeout=30)

    write = next(call for call in site.tenant.calls if call.cmdlet == "Set-Mailbox")
    trace_id, parent = write.headers["Traceparent"].split("-")[1:3]
    spans = collector.trace(bytes.fromhex(trace_id))
    change, process = spans["smime-sync-agent change"], spans["smime-sync-function process"]
    asked = spans["smime-sync-function Set-Mailbox"]
    assert process.parent_span_id == change.span_id
    assert asked.parent_span_id == process.span_id
    assert asked.span_id.hex() == parent
    assert change.start_time_unix_nano <= process.start_time_unix_nano < asked.start_time_unix_nano

    site.until(lambda: any(metric.name == "smime_sync.change_to_write" for _, metric in collector.metrics))
    measured = next(metric for _, metric in collector.metrics if metric.name == "smime_sync.change_to_write")
    assert measured.histogram.data_points[0].count == 1
    # The function knows by its setting that this is the canary; the agent has no right to change it, and leaves it.
    canary = next(metric for _, metric in collector.metrics if metric.name == "smime_sync.canary")
    (point,) = canary.histogram.data_points
    assert (point.count, [(each.key, each.value.bool_value) for each in point.attributes]) == (1, [("within", True)])
    counted = next(metric for _, metric in collector.metrics if metric.name == "smime_sync.outcomes")
    labels = {each.key: each.value.string_value for each in counted.sum.data_points[0].attributes}
    assert labels == {"status": "written", "cause": "change", "reason": ""}

    told = repr(collector.spans) + repr(collector.metrics) + repr(collector.logs)
    assert "status=written" in told
    assert "hedwig" not in told.casefold()
