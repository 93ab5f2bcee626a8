"""What can be followed and measured: one trace from a change in the directory to the write, and a few counters.

Only OpenTelemetry's API: where nobody set an exporter (`wiring.telemetry`), all of it does nothing. Nothing personal
gets into it: source anchors, codes, counts and seconds, as in the logs. The trace travels in the event (W3C Trace
Context); whoever writes to the queue can choose one, and decides nothing by it.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import datetime

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sync import __version__
from sync.core import record
from sync.core.event import Event
from sync.core.record import Outcome

_W3C = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("smime_sync", __version__)
_meter = metrics.get_meter("smime_sync", __version__)

_outcomes = _meter.create_counter("smime_sync.outcomes", "{event}", "events handled, by status, cause and reason")
_latency = _meter.create_histogram("smime_sync.change_to_write", "s", "from the change in the directory to its write")
_canary = _meter.create_histogram("smime_sync.canary", "s", "from the canary's change to its write, in time or not")
_findings = _meter.create_counter("smime_sync.findings", "{certificate}", "findings of certificates, by code")
_calls = _meter.create_counter("smime_sync.exchange.calls", "{call}", "requests to Exchange Online, by cmdlet, status")
_noticed = _meter.create_counter("smime_sync.agent.events", "{event}", "events that the agent wrote, by cause")


@contextmanager
def noticing(event: Event) -> Iterator[str | None]:
    """The agent writes an event of a change: its trace begins when the directory changed.

    Gives the `traceparent` for the event, None where nobody listens.
    """
    _noticed.add(1, {"cause": event.cause})
    with _tracer.start_as_current_span(
        "change", kind=SpanKind.PRODUCER, start_time=_nanoseconds(event.time), attributes=_names(event)
    ):
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        yield carrier.get("traceparent")


@contextmanager
def handling(event: Event) -> Iterator[None]:
    """An event is handled: the next span of its trace, whichever attempt this is."""
    context = _W3C.extract({"traceparent": event.traceparent}) if event.traceparent else None
    with _tracer.start_as_current_span("process", context, kind=SpanKind.CONSUMER, attributes=_names(event)):
        yield


def ended(outcome: Outcome) -> None:
    """An event came to an end: counted, and said in the span that is open."""
    labels = {"status": outcome.status.value, "cause": outcome.cause or "", "reason": outcome.reason or ""}
    _outcomes.add(1, labels)
    for judged in outcome.judged:
        for finding in judged.findings:
            _findings.add(1, {"code": finding.code})
    if outcome.status is record.Status.WRITTEN and outcome.seconds is not None:
        _latency.record(outcome.seconds, {"cause": outcome.cause or ""})
    span = trace.get_current_span()
    span.set_attributes({f"smime_sync.{name}": value for name, value in labels.items()})
    if outcome.status is record.Status.FAILED:
        span.set_status(Status(StatusCode.ERROR, outcome.reason))


def canary(seconds: float, *, within: bool) -> None:
    """A change of the canary was written, within its limit or not."""
    _canary.record(seconds, {"within": within})


@contextmanager
def asking(cmdlet: str, headers: MutableMapping[str, str]) -> Iterator[Asked]:
    """A request to Exchange Online; `headers` gets the trace, so that Microsoft's side can be asked about it."""
    with _tracer.start_as_current_span(cmdlet, kind=SpanKind.CLIENT) as span:
        _W3C.inject(headers)
        asked = Asked()
        try:
            yield asked
        finally:
            status = str(asked.status or "none")
            _calls.add(1, {"cmdlet": cmdlet, "status": status})
            span.set_attribute("http.response.status_code", asked.status)
            if asked.status not in range(200, 400):
                span.set_status(Status(StatusCode.ERROR, status))


class Asked:
    """What a request was answered with: its HTTP status, 0 for none."""

    status: int = 0


def _names(event: Event) -> dict[str, str]:
    return {
        "smime_sync.anchor": event.person.anchor.immutable_id,
        "smime_sync.event": f"{event.source} {event.id}",
        "smime_sync.cause": event.cause,
    }


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1e9)
