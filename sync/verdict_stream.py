"""Judging a stream of cases on every core: `smime-sync validate --jsonl`.

Answers come in the order of the lines, one for each, and memory stays bounded however long the stream or a line of it.
Whoever asks one case at a time and waits for its answer gets it at once: only a stream that comes faster than one
process judges is handed to several.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, Queue
from typing import BinaryIO

from sync.core.policy import POLICIES
from sync.errors import ErrorCode, PermanentError
from sync.validator import refused_case, validate_line

MAX_LINE_BYTES = 4 * 1024 * 1024
"""A case with CRLs of some ten thousand entries; what is longer is answered, not read."""

_BATCH_LINES, _BATCH_BYTES = 64, 512 * 1024
_ALONE = 1_000  # lines that one process judges in the time that others take to start
_PAUSE = 0.005  # seconds without a line after which those at hand are answered
_READ_AHEAD = 64  # lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The verdicts on some lines that follow one another: `text` has one JSON object a line."""

    text: str
    count: int
    accepted: int


def answers(stream: BinaryIO, *, policy: str, now: datetime, processes: int) -> Iterator[Answers]:
    """Judge every line of `stream` by the policy pack of that name.

    1 a thread reads lines. 2 What came without a pause is a batch. 3 Full batches go to other processes, once there
    were enough lines to be worth it. 4 At a pause all that waits is answered, and what came last is judged here.
    Raises PermanentError `file-unreadable` when the stream cannot be read.
    """
    # 1
    incoming: Queue[bytes | OSError | None] = Queue(_READ_AHEAD)
    threading.Thread(target=_read, args=(stream, incoming), daemon=True).start()
    pool: ProcessPoolExecutor | None = None
    waiting: deque[tuple[Future[Answers], Sequence[bytes]]] = deque()
    judged, ended = 0, False
    try:
        while not ended:
            # 2
            lines, full, ended = _batch(incoming)
            judged += len(lines)
            # 3
            if full and processes > 1 and judged > _ALONE:
                pool = pool or _pool(processes)
                try:
                    waiting.append((pool.submit(_judge, lines, policy, now), lines))
                except BrokenExecutor:
                    processes = 1
                else:
                    while len(waiting) > 2 * processes:
                        yield _result(*waiting.popleft(), policy, now)
                    continue
            # 4
            while waiting:
                yield _result(*waiting.popleft(), policy, now)
            if lines:
                yield _judge(lines, policy, now)
    finally:
        if pool is not None:
            _let_go(pool)


def _read(stream: BinaryIO, incoming: Queue[bytes | OSError | None]) -> None:
    """Read lines to the end; of one that is too long only so much as shows that it is."""
    try:
        while line := stream.readline(MAX_LINE_BYTES + 1):
            rest = line
            while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
                rest = stream.readline(MAX_LINE_BYTES + 1)
            incoming.put(line)
    except OSError as error:
        incoming.put(error)
    else:
        incoming.put(None)


def _batch(incoming: Queue[bytes | OSError | None]) -> tuple[list[bytes], bool, bool]:
    """The lines that come without a pause; whether there may be more at once; whether the stream has ended."""
    lines: list[bytes] = []
    size = 0
    while len(lines) < _BATCH_LINES and size < _BATCH_BYTES:
        try:
            line = incoming.get(timeout=_PAUSE if lines else None)
        except Empty:
            return lines, False, False
        if line is None:
            return lines, False, True
        if isinstance(line, OSError):
            raise PermanentError(ErrorCode.FILE_UNREADABLE, f"standard input: {line.strerror}") from line
        lines.append(line)
        size += len(line)
    return lines, True, False


def _judge(lines: Sequence[bytes], policy: str, now: datetime) -> Answers:
    verdicts = [_answer(line, policy, now) for line in lines]
    return Answers(
        text="".join(json.dumps(verdict) + "\n" for verdict in verdicts),
        count=len(verdicts),
        accepted=sum(verdict["accepted"] is True for verdict in verdicts),
    )


def _answer(line: bytes, policy: str, now: datetime) -> dict[str, object]:
    if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
        return refused_case(None, f"the line is longer than {MAX_LINE_BYTES} bytes")
    return validate_line(line, policy=POLICIES[policy], now=now)


def _result(future: Future[Answers], lines: Sequence[bytes], policy: str, now: datetime) -> Answers:
    """What another process answered; where that one was killed, the lines are judged here."""
    try:
        return future.result()
    except BrokenExecutor:
        return _judge(lines, policy, now)


def _pool(processes: int) -> ProcessPoolExecutor:
    # Spawned, not forked: the reading thread may hold a lock at that moment, and it is the same on every system.
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=_leave_interrupts)


def _let_go(pool: ProcessPoolExecutor) -> None:
    """End the pool without waiting, also one whose worker was killed.

    Before Python 3.11.5 the exit of such a pool waits for ever for the thread that was writing to that worker (CPython
    issue 94777). With the other end of its pipe closed that thread ends; later versions close it themselves.
    """
    broken, calls = getattr(pool, "_broken", False), getattr(pool, "_call_queue", None)
    pool.shutdown(wait=False, cancel_futures=True)
    if broken and calls is not None:
        calls._reader.close()  # noqa: SLF001 - there is no other way to reach it


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal; the first one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
