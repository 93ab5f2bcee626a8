"""Azure Functions, Python v2 model: each trigger of our tables unwraps its binding and calls one use case.

Nothing heavy is imported before the first call: the host waits for this module at every cold start. Every HTTP
trigger, health and the console's page included, asks for a function key: an open one would let anybody wake the app, at
its owner's cost. Only where people sign in (`sync.sign_in`) the platform stands before the app instead, and the host
asks for no key but health's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import azure.functions as func

from sync import http_api, triggers
from sync.core.queue_text import from_text
from sync.ports import Message
from sync.sign_in import SignIn

if TYPE_CHECKING:
    from sync.wiring import App

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
SIGN_IN = SignIn.of(os.environ)


def _cloud() -> App:
    from sync import wiring  # noqa: PLC0415 - late, for the cold start

    return wiring.cloud()


def _delivering(trigger: triggers.QueueTrigger) -> Callable[[func.QueueMessage], None]:
    def deliver(message: func.QueueMessage) -> None:
        # host.json leaves the text as it lies on the queue, so that we see, refuse and keep what nobody can decode.
        body = from_text(message.get_body().decode("utf-8", errors="replace"))
        trigger.act(_cloud(), Message(id=message.id or "", body=body, dequeue_count=message.dequeue_count or 1))

    deliver.__name__ = trigger.name
    return deliver


def _firing(trigger: triggers.TimerTrigger) -> Callable[[func.TimerRequest], None]:
    def fire(timer: func.TimerRequest) -> None:
        trigger.act(_cloud(), timer.past_due)

    fire.__name__ = trigger.name
    return fire


def _answering(route: http_api.Route) -> Callable[[func.HttpRequest], func.HttpResponse]:
    def answer(request: func.HttpRequest) -> func.HttpResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = http_api.Request(query=dict(request.params), headers=headers, body=request.get_body())
        made = http_api.answer(route, _cloud, asked, SIGN_IN)
        return func.HttpResponse(made.body, status_code=made.status, headers=made.headers, mimetype=made.media_type)

    answer.__name__ = route.name
    return answer


for queue in triggers.QUEUES:
    app.queue_trigger(arg_name="message", queue_name=queue.queue, connection="SMIME_SYNC_STORAGE")(_delivering(queue))
for timer in triggers.TIMERS:
    app.timer_trigger(arg_name="timer", schedule=timer.schedule)(_firing(timer))
for route in http_api.ROUTES:
    level = func.AuthLevel.ANONYMOUS if route.signs_in(SIGN_IN) else func.AuthLevel.FUNCTION
    app.route(route.name, methods=[route.method], auth_level=level, trigger_arg_name="request")(_answering(route))
