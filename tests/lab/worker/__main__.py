"""The child process: Microsoft's worker library around one function app. `python -m tests.lab.worker DIRECTORY`.

One line of JSON in is one invocation, one line of JSON out its result; the first line out tells what was indexed.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, TextIO

from tests.lab.worker import messages


def main(directory: str) -> None:
    """Serve invocations until standard input ends."""
    # What the app prints must not get between our lines.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    sys.path.insert(0, directory)
    asyncio.run(_serve(directory, answers))


async def _serve(directory: str, answers: TextIO) -> None:
    import azure_functions_runtime as runtime

    runtime.start_threadpool_executor()
    try:
        started = time.perf_counter()
        loaded = await runtime.worker_init_request(
            _request("worker_init_request", capabilities={}, function_app_directory=directory)
        )
        seconds = time.perf_counter() - started
        if loaded.result.status != messages.StatusResult.Success:
            _tell(answers, {"error": _error(loaded.result.exception)})
            return
        described = await runtime.functions_metadata_request(_request("functions_metadata_request"))
        functions = {each.name: each for each in described.function_metadata_results}
        for each in functions.values():
            await runtime.function_load_request(_request("function_load_request", function_id=each.function_id))
        bindings = {name: [json.loads(raw) for raw in each.raw_bindings] for name, each in functions.items()}
        _tell(answers, {"functions": bindings, "seconds": seconds})
        for line in sys.stdin:
            asked = json.loads(line)
            _tell(answers, await _invoke(runtime, functions[asked["function"]], bindings[asked["function"]], asked))
    finally:
        runtime.stop_threadpool_executor()


async def _invoke(runtime: Any, function: Any, bindings: list[dict[str, Any]], asked: dict[str, Any]) -> dict[str, Any]:
    trigger = next(binding["name"] for binding in bindings if binding["type"].lower().endswith("trigger"))
    answer = await runtime.invocation_request(
        _request(
            "invocation_request",
            invocation_id=str(uuid.uuid4()),
            function_id=function.function_id,
            input_data=[messages.ParameterBinding(name=trigger, data=_typed(asked["value"]))],
            trigger_metadata={name: _typed(value) for name, value in asked["metadata"].items()},
            trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
    )
    if answer.result.status != messages.StatusResult.Success:
        return {"error": _error(answer.result.exception)}
    return {"answer": _http(answer.return_value)}


def _request(kind: str, **fields: object) -> SimpleNamespace:
    request = SimpleNamespace(**{kind: SimpleNamespace(**fields)})
    return SimpleNamespace(request=request, properties={"host": "127.0.0.1", "protos": messages})


def _typed(value: Mapping[str, Any]) -> messages.TypedData:
    if "bytes" in value:
        return messages.TypedData(bytes=base64.b64decode(value["bytes"]))
    if "http" in value:
        http = value["http"]
        return messages.TypedData(http=messages.RpcHttp(**{**http, "body": _typed(http["body"])}))
    return messages.TypedData(**value)


def _http(value: Any) -> dict[str, Any] | None:
    if value is None or value.WhichOneof("data") != "http":
        return None
    body = value.http.body.bytes.decode("utf-8")
    return {"status": int(value.http.status_code), "headers": dict(value.http.headers), "body": body}


def _error(exception: Any) -> dict[str, str]:
    return {"message": exception.message, "trace": exception.stack_trace}


def _tell(answers: TextIO, content: Mapping[str, object]) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
