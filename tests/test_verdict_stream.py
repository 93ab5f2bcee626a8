"""A stream of cases: every line answered, in order, by one process or several."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync import verdict_stream
from sync.errors import ErrorCode, PermanentError
from sync.verdict_stream import MAX_LINE_BYTES, answers
from tests.mill import NOW, Mill

MILL = Mill()
ROOT = MILL.root(key="ec256")
ALICE = ROOT.issue("alice@corp.example", key="ec256")


def case(identity: object) -> bytes:
    value, anchor = (base64.b64encode(each.der).decode("ascii") for each in (ALICE, ROOT))
    return json.dumps({"id": identity, "value": value, "anchors": [anchor], "at": f"{NOW:%Y-%m-%dT%H:%M:%SZ}"}).encode()


def judged(stream: bytes, processes: int = 1) -> list[dict[str, Any]]:
    texts = [batch.text for batch in answers(io.BytesIO(stream), policy="private-ca", now=NOW, processes=processes)]
    return [json.loads(line) for line in "".join(texts).splitlines()]


def test_no_lines_have_no_answers() -> None:
    """An empty stream is over at once."""
    assert judged(b"") == []


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\0",
        b"\xff\xfe{}",
        b'"\\ud800"',
        b"[" * 100_000,
        b'{"id": ' + b"9" * 5_000 + b"}",
        b'{"id": NaN}',
        b'{"id": true}',
        b'{"id": [1]}',
        b'{"id": {"a": "b"}, "value": 1}',
        b'{"value": "\\u0000"}',
        b"x" * (MAX_LINE_BYTES + 1),
        b"x" * (3 * MAX_LINE_BYTES + 5),
    ],
    ids=lambda line: repr(line[:12]),
)
def test_a_line_that_is_no_case_is_answered_and_ends_nothing(line: bytes) -> None:
    """Empty, NUL, not UTF-8, too deep, an endless number, longer than is read."""
    found = judged(case(1) + b"\n" + line + b"\n" + case(3))

    assert [answer["accepted"] for answer in found] == [True, False, True]
    assert [answer["id"] for answer in found] == [1, None, 3]
    assert [finding["code"] for finding in found[1]["findings"]] == ["case-malformed"]


def test_the_longest_line_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit itself is allowed, with and without an end of line."""
    monkeypatch.setattr(verdict_stream, "MAX_LINE_BYTES", len(case(1)))

    assert [answer["accepted"] for answer in judged(case(1) + b"\n" + case(2) + b"\n" + case(3))] == [True] * 3
    assert [answer["accepted"] for answer in judged(case(10) + b"\n" + case(2))] == [False, True]


def test_several_processes_answer_as_one_does() -> None:
    """In the order of the lines, garbage included."""
    lines = b"\n".join(b"junk" if number % 7 == 0 else case(number) for number in range(2_000))

    assert judged(lines, processes=2) == judged(lines)


def test_a_process_that_is_killed_loses_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines, and those after it, are judged here."""
    monkeypatch.setattr(verdict_stream, "_ALONE", 0)
    made = verdict_stream._pool

    def killed(processes: int) -> Any:
        pool = made(processes)
        pool.submit(os._exit, 1)
        return pool

    monkeypatch.setattr(verdict_stream, "_pool", killed)

    assert [answer["id"] for answer in judged(b"\n".join(map(case, range(300))), processes=2)] == list(range(300))


def test_a_stream_that_cannot_be_read_is_told_of() -> None:
    """What was read before is answered first."""

    class Broken(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            raise IsADirectoryError(21, "Is a directory")

    with pytest.raises(PermanentError, match="Is a directory") as raised:
        list(answers(Broken(), policy="private-ca", now=NOW, processes=1))
    assert raised.value.code is ErrorCode.FILE_UNREADABLE


@pytest.fixture
def command() -> Iterator[subprocess.Popen[bytes]]:
    """`smime-sync validate --jsonl` with pipes."""
    arguments = [sys.executable, "-m", "sync", "validate", "--jsonl"]
    pipe = subprocess.PIPE
    root = Path(__file__).parents[1]
    # What is still to be flushed into its input may find nobody there any more.
    with (
        contextlib.suppress(BrokenPipeError),
        subprocess.Popen(arguments, cwd=root, stdin=pipe, stdout=pipe, stderr=pipe) as running,
    ):
        yield running
        running.kill()


def test_who_waits_for_each_answer_gets_it(command: subprocess.Popen[bytes]) -> None:
    """Another program may hold the pipe open and ask one case at a time."""
    assert command.stdin
    assert command.stdout
    for number in range(3):
        command.stdin.write(case(number) + b"\n")
        command.stdin.flush()
        assert json.loads(command.stdout.readline()) == {
            "id": number, "accepted": True, "findings": [], "fingerprint": ALICE.fingerprint,
        }  # fmt: skip
    command.stdin.close()
    assert command.wait(60) == 0


def test_ctrl_c_ends_it_without_a_trace(command: subprocess.Popen[bytes]) -> None:
    """With the exit code that a shell gives."""
    assert command.stdin
    assert command.stdout
    assert command.stderr
    command.stdin.write(case(1) + b"\n")
    command.stdin.flush()
    assert command.stdout.readline()
    command.send_signal(signal.SIGINT)

    assert command.wait(60) == 130
    assert command.stderr.read() == b""


def test_a_reader_that_goes_away_ends_it_without_a_trace(command: subprocess.Popen[bytes]) -> None:
    """As `| head` does, while several processes are judging."""
    assert command.stdin
    assert command.stdout
    assert command.stderr
    writing = threading.Thread(target=_write_until_refused, args=(command.stdin,), daemon=True)
    writing.start()
    for _ in range(1_500):
        assert command.stdout.readline()
    command.stdout.close()

    assert command.wait(60) == 141
    assert b"Traceback" not in command.stderr.read()
    writing.join(60)


def _write_until_refused(pipe: Any) -> None:
    try:
        while True:
            pipe.write(case(1) + b"\n")
    except (BrokenPipeError, ValueError):
        return
