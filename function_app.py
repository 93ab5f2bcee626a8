"""Azure Functions, Python v2 model: each trigger unwraps its binding and calls one use case.

Nothing heavy is imported before the first call: the host waits for this module at every cold start. Every HTTP
trigger, health included, asks for a function key: an open one would let anybody wake the app, at its owner's cost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import azure.functions as func

from sync import http_api
from sync.ports import Message

if TYPE_CHECKING:
    from sync.wiring import App

logger = logging.getLogger("smime_sync.function")
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.queue_trigger(arg_name="message", queue_name="%SMIME_SYNC_QUEUE%", connection="SMIME_SYNC_STORAGE")
def process(message: func.QueueMessage) -> None:
    """Handle one event. A TemporaryError goes up to the host, which delivers the message again."""
    _cloud().process(_unwrapped(message))


@app.queue_trigger(arg_name="message", queue_name="%SMIME_SYNC_QUEUE%-poison", connection="SMIME_SYNC_STORAGE")
def bury(message: func.QueueMessage) -> None:
    """Record what the host gave up on, before its copy expires after seven days."""
    _cloud().bury(_unwrapped(message))


@app.timer_trigger(arg_name="timer", schedule="%SMIME_SYNC_RECONCILE_SCHEDULE%")
def reconcile(timer: func.TimerRequest) -> None:
    """Compare everybody with what should be there. A run missed while the app was down comes once, past due."""
    found = _cloud().reconcile()
    told = found.examined, len(found.differing), len(found.unreadable), found.guarded
    logger.info("reconciled past_due=%s examined=%d differing=%d unreadable=%d guarded=%s", timer.past_due, *told)


@app.timer_trigger(arg_name="timer", schedule=http_api.PRUNE_SCHEDULE)
def prune(timer: func.TimerRequest) -> None:  # noqa: ARG001 - by the host's rule
    """Delete what of the audit log was kept long enough."""
    _cloud().prune()


def _cloud() -> App:
    from sync import wiring  # noqa: PLC0415 - late, for the cold start

    return wiring.cloud()


def _unwrapped(message: func.QueueMessage) -> Message:
    # What is not UTF-8 goes on with replacement characters: the use case refuses it, and keeps it.
    body = message.get_body().decode("utf-8", errors="replace")
    return Message(id=message.id or "", body=body, dequeue_count=message.dequeue_count or 1)


def _answering(route: http_api.Route) -> Callable[[func.HttpRequest], func.HttpResponse]:
    def answer(request: func.HttpRequest) -> func.HttpResponse:
        asked = http_api.Request(query=dict(request.params), body=request.get_body())
        made = http_api.answer(route, _cloud, asked)
        return func.HttpResponse(made.body, status_code=made.status, headers=made.headers, mimetype="application/json")

    answer.__name__ = route.name
    return answer


for each in http_api.ROUTES:
    app.route(each.name, methods=[each.method], trigger_arg_name="request")(_answering(each))
