"""Microsoft's own Python worker, the library that Azure runs, around the real function_app.py, without the host.

It indexes the app and invokes its functions with what the host would hand over (`payloads`). A worker takes one app
for its whole life, so each runs in a child process, with an environment of its own. The host itself, its listeners,
keys, schedules and host.json are not there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.lab import ROOT
from tests.lab.worker.payloads import Payload


def missing() -> str | None:
    """Why the worker cannot be started here; None when it can."""
    if find_spec("azure_functions_runtime") is None:
        return "the Python package azure-functions-runtime is not installed; run `make dev`"
    return None


class WorkerError(Exception):
    """The app could not be indexed, or a function raised; the message begins with the name of what was raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What an HTTP function answered."""

    status: int
    headers: Mapping[str, str]
    body: str

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A running worker. `functions` holds each function's bindings as the host gets them, `seconds` is how long
    importing and indexing the app took."""

    functions: Mapping[str, list[dict[str, Any]]]
    seconds: float
    _process: subprocess.Popen[str]
    _log: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    @contextmanager
    def start(cls, environment: Mapping[str, str], *, directory: Path = ROOT) -> Iterator[Worker]:
        """Run one on the app in `directory`, with exactly `environment` and PATH, until the block ends.

        Raises WorkerError when the app cannot be indexed.
        """
        with tempfile.TemporaryDirectory(prefix="worker-") as folder, (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(directory)],
                cwd=ROOT,
                env={"PATH": os.environ.get("PATH", ""), **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            try:
                first = _read(process, Path(log.name))
                yield cls(functions=first["functions"], seconds=first["seconds"], _process=process, _log=Path(log.name))
            finally:
                _stop(process)

    def invoke(self, function: str, payload: Payload) -> HttpAnswer | None:
        """Invoke a function as the host does; an HTTP function's answer is returned. One at a time, from any thread.

        Raises WorkerError with what the function raised.
        """
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps({"function": function, **asdict(payload)}) + "\n")
            self._process.stdin.flush()
            answer = _read(self._process, self._log)["answer"]
        return HttpAnswer(**answer) if answer is not None else None

    def log(self) -> str:
        """What the worker and the app have logged so far."""
        return self._log.read_text(encoding="utf-8")


def _read(process: subprocess.Popen[str], log: Path) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise WorkerError(f"the worker ended with {process.wait()}: {log.read_text(encoding='utf-8')}")
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        error = WorkerError(answer["error"]["message"])
        error.add_note(answer["error"]["trace"])
        raise error
    return answer


def _stop(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
