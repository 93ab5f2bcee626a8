"""One process's share of the mutation test: judges many mutated values and tells what it saw."""

from __future__ import annotations

import gc
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from sync.core.judgement import Context, judge
from sync.core.person import Attribute
from tests.fuzz.mutations import mutate
from tests.fuzz.seeds import seeds

_PAGE = 4096


@dataclass(slots=True)
class Report:
    """`slowest` in CPU seconds, with its value; `growth` in bytes of resident memory after the first fifth."""

    judged: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    slowest_value: bytes = b""
    growth: int = 0


def drill(seed: int, count: int) -> Report:
    """Judge `count` mutated values of this `seed`, always the same ones."""
    random = Random(seed)
    known = seeds()
    report = Report()
    resident = 0
    for number in range(count):
        if number == count // 5:
            resident = _resident()
        value = mutate(random.choice(known.trees), known.trees, random)
        _judge(value, random.choice(list(Attribute)), report)
    report.growth = _resident() - resident
    return report


def cpu_seconds(value: bytes, attribute: Attribute, context: Context) -> float:
    """What judging one value costs this thread, without what the machine does beside it."""
    started = time.thread_time()
    judge(attribute, value, context)
    return time.thread_time() - started


def _judge(value: bytes, attribute: Attribute, report: Report) -> None:
    started = time.thread_time()
    try:
        verdict = judge(attribute, value, seeds().context)
    except Exception:  # noqa: BLE001 - the finding of the drill
        report.failures.append(f"{traceback.format_exc()}\n{value.hex()}")
        return
    took = time.thread_time() - started
    report.judged += 1
    report.codes.update({finding.code for finding in verdict.findings})
    report.accepted += verdict.accepted
    certificate = verdict.certificate
    if verdict.accepted and (certificate is None or certificate.der not in seeds().genuine):
        report.failures.append(f"accepted what no CA issued\n{value.hex()}")
    if not verdict.accepted and not any(finding.refuses for finding in verdict.findings):
        report.failures.append(f"refused without a reason\n{value.hex()}")
    if took > report.slowest:
        # A collection that falls into a case is not its cost: what seems slow is taken again.
        took = min(took, cpu_seconds(value, attribute, seeds().context), cpu_seconds(value, attribute, seeds().context))
        if took > report.slowest:
            report.slowest, report.slowest_value = took, value


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
