"""Azure Functions, Python v2 model: each trigger unwraps its binding and calls one use case.

Nothing heavy is imported before the first call: the host waits for this module at every cold start. Every HTTP
trigger, health included, asks for a function key: an open one would let anybody wake the app, at its owner's cost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
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
    counts = found.examined, len(found.differing), len(found.unreadable)
    logger.info("reconciled past_due=%s examined=%d differing=%d unreadable=%d", timer.past_due, *counts)


@app.route("health", methods=["GET"], trigger_arg_name="request")
def health(request: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the host passes it by name
    """Whether the settings are whole. Nothing private, and no other service is asked."""
    return _answered(lambda cloud: cloud.health())


@app.route("failed", methods=["GET"], trigger_arg_name="request")
def failed(request: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the host passes it by name
    """The failed messages, oldest first, without their bodies."""
    from sync.replayer import failure_to_public_json  # noqa: PLC0415 - late, for the cold start

    return _answered(lambda cloud: {"failed": [failure_to_public_json(each) for each in cloud.failed()]})


@app.route("replay", methods=["POST"], trigger_arg_name="request")
def replay(request: func.HttpRequest) -> func.HttpResponse:
    """Put failed messages back on the queue; dry unless the body says `{"apply": true}`."""
    return _answered(lambda cloud: cloud.replay(**http_api.replay_request(request.get_body())).to_json())


def _cloud() -> App:
    from sync import wiring  # noqa: PLC0415 - late, for the cold start

    return wiring.cloud()


def _unwrapped(message: func.QueueMessage) -> Message:
    # What is not UTF-8 goes on with replacement characters: the use case refuses it, and keeps it.
    body = message.get_body().decode("utf-8", errors="replace")
    return Message(id=message.id or "", body=body, dequeue_count=message.dequeue_count or 1)


def _answered(call: Callable[[App], Mapping[str, object]]) -> func.HttpResponse:
    made = http_api.answer(lambda: call(_cloud()))
    return func.HttpResponse(made.body, status_code=made.status, headers=made.headers, mimetype="application/json")
