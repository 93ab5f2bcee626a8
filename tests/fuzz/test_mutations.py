"""A hundred thousand mutated values: a verdict each, within the budget, without growth."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.fuzz.drill import Report, drill

pytestmark = pytest.mark.timeout(1_800)  # the fixture judges them all, for whichever test comes first

VALUES = 100_000 * int(os.environ.get("SMIME_SYNC_DRILL", "1"))
PROCESSES = 2
BUDGET = 0.25  # seconds of CPU for one value, whatever it is
GROWTH = 24 * 1024 * 1024  # of one process; a leak of the values alone would be above 60 MiB


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    """Both processes' shares; the seeds are fixed, so that a finding is found again."""
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=spawning) as pool:
        return list(pool.map(drill, range(PROCESSES), [VALUES // PROCESSES] * PROCESSES))


def test_every_mutated_value_gets_a_verdict(reports: list[Report]) -> None:
    """No exception; nothing accepted that no CA issued; no refusal without a reason."""
    failures = [failure for report in reports for failure in report.failures]

    assert not failures, f"{len(failures)} failures, the first:\n{failures[0]}"
    assert sum(report.judged for report in reports) == VALUES


def test_no_mutated_value_is_over_the_budget(reports: list[Report]) -> None:
    """By CPU time, which a busy machine lengthens little."""
    slowest = max(reports, key=lambda report: report.slowest)
    print(f"\nslowest of {VALUES:,}: {slowest.slowest * 1e3:.1f} ms for {len(slowest.slowest_value)} bytes")

    assert slowest.slowest < BUDGET, slowest.slowest_value.hex()


def test_memory_does_not_grow_with_the_values(reports: list[Report]) -> None:
    """After the first fifth, when every cache has what it will have."""
    print(f"\ngrowth: {[report.growth // 1024 for report in reports]} KiB")
    assert max(report.growth for report in reports) < GROWTH


def test_the_mutations_reach_behind_the_first_parser(reports: list[Report]) -> None:
    """A drill that only meets malformed values would prove little."""
    codes = sum((report.codes for report in reports), Counter[str]())
    assert sum(report.accepted for report in reports) > 0
    reached = {code for code, times in codes.items() if times >= 20}
    assert reached >= {
        "value-unknown-format",
        "cms-malformed",
        "cms-no-user-leaf",
        "cms-signature-invalid",
        "cert-malformed",
        "sigalg-mismatch",
        "serial-invalid",
        "ext-malformed",
        "ext-duplicate",
        "ext-unknown-critical",
        "is-ca",
        "expired",
        "not-yet-valid",
        "key-unsupported",
        "ku-absent",
        "ku-not-encryption",
        "eku-absent",
        "eku-not-email",
        "mailbox-none",
        "mailbox-malformed",
        "mailbox-mismatch",
        "chain-signature",
        "chain-no-issuer",
    }, sorted(codes.items())
