"""An OpenTelemetry collector on loopback: takes OTLP over HTTP as the exporters send it, and keeps what it got."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from cheroot import wsgi
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from werkzeug import Request, Response


@dataclass(kw_only=True)
class Collector:
    """What arrived: `spans` and `metrics` with the service that sent them, `logs` as their lines."""

    url: str = ""
    spans: list[tuple[str, Span]] = field(default_factory=list)
    metrics: list[tuple[str, Metric]] = field(default_factory=list)
    logs: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def start(cls) -> Iterator[Collector]:
        """Run one until the block ends."""
        collector = cls()
        server = wsgi.Server(("127.0.0.1", 0), Request.application(collector._take))
        server.expiration_interval = 0.05
        server.prepare()
        thread = threading.Thread(target=server.serve, name="collector", daemon=True)
        thread.start()
        collector.url = f"http://127.0.0.1:{server.bind_addr[1]}"
        try:
            yield collector
        finally:
            server.stop()
            thread.join()

    def trace(self, trace_id: bytes) -> dict[str, Span]:
        """The spans of one trace, by service and name."""
        return {f"{service} {span.name}": span for service, span in list(self.spans) if span.trace_id == trace_id}

    def _take(self, request: Request) -> Response:
        body = request.get_data()
        if request.path == "/v1/traces":
            for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in sent.scope_spans:
                    self.spans += [(_service(sent.resource.attributes), span) for span in scope.spans]
        elif request.path == "/v1/metrics":
            for told in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for each in told.scope_metrics:
                    self.metrics += [(_service(told.resource.attributes), metric) for metric in each.metrics]
        elif request.path == "/v1/logs":
            for said in ExportLogsServiceRequest.FromString(body).resource_logs:
                for lines in said.scope_logs:
                    self.logs += [
                        (_service(said.resource.attributes), line.body.string_value) for line in lines.log_records
                    ]
        else:
            return Response(status=404)
        return Response(status=200, content_type="application/x-protobuf")


def _service(attributes: Iterator[KeyValue]) -> str:
    return next((each.value.string_value for each in attributes if each.key == "service.name"), "")
