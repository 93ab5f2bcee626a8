"""Where traces, metrics and logs go: Application Insights, any OpenTelemetry collector, or nowhere."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sync import __version__, settings
from sync.wiring.machine import once
from sync.wiring.storage import storage_credential

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

_NOTHING = "smime_sync.nothing"
_INSTRUMENTATIONS = (
    "azure_sdk", "django", "fastapi", "flask", "psycopg2", "requests", "urllib", "urllib3", "httpx", "logging"
)  # fmt: skip


@once
def telemetry(config: settings.AgentSettings | settings.CloudSettings, service: str) -> None:
    """Set up what the settings name, at the first call of a process. `service` is `agent` or `function`.

    Exporters work in threads of their own: one that cannot reach its place costs no event anything.
    """
    if config.telemetry == "off":
        return
    from opentelemetry.sdk.resources import Resource

    described = Resource.create({"service.name": f"smime-sync-{service}", "service.version": __version__})
    if config.telemetry == "azure-monitor":
        _azure_monitor(config, described, logger=_NOTHING if service == "function" else "smime_sync")
    else:
        _collector(str(config.otlp_url), described)


def _azure_monitor(
    config: settings.AgentSettings | settings.CloudSettings, described: Resource, *, logger: str
) -> None:
    """Application Insights. The Functions host sends the log already, so there `logger` is nobody's."""
    from azure.monitor.opentelemetry import configure_azure_monitor

    assert config.application_insights is not None
    configure_azure_monitor(
        connection_string=config.application_insights.get_secret_value(),
        credential=storage_credential(config) if config.storage__credential else None,
        resource=described,
        logger_name=logger,
        enable_live_metrics=False,
        enable_performance_counters=False,
        # Our own spans name each request that matters; a span for each storage call would cost more than the call.
        instrumentation_options={name: {"enabled": False} for name in _INSTRUMENTATIONS},
    )


def _collector(url: str, described: Resource) -> None:
    """Any collector that speaks OTLP over HTTP. The SDK reads its own OTEL_ variables besides, as for headers."""
    from opentelemetry import _logs, metrics, trace
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    traces = TracerProvider(resource=described)
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces")))
    trace.set_tracer_provider(traces)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{url}/v1/metrics"))
    metrics.set_meter_provider(MeterProvider([reader], resource=described))
    logs = LoggerProvider(resource=described)
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(endpoint=f"{url}/v1/logs")))
    _logs.set_logger_provider(logs)
    logging.getLogger("smime_sync").addHandler(LoggingHandler(logging.INFO, logs))
