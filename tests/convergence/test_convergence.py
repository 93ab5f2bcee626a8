"""The machine runs: in CI always the same examples, with SMIME_SYNC_DRILL more and others each time."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.convergence.machine import Machine
from tests.convergence.planted import FAULTS
from tests.convergence.watching import Plant

DRILL = int(os.environ.get("SMIME_SYNC_DRILL", "1"))
BUDGET = settings(
    max_examples=60 * DRILL,
    stateful_step_count=40,
    # With a fixed seed a red CI stays red until it is cured; a drill looks where nobody has looked before.
    derandomize=DRILL == 1,
    deadline=None,
    database=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    """Thousands of outcomes and planted defects are logged; nobody reads them here."""
    logger = logging.getLogger("smime_sync")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(level)


@pytest.mark.timeout(900)  # hypothesis looks for the smallest failing life for up to five minutes
def test_whatever_happens_everybody_is_right_after_quiet() -> None:
    """Selected ∪ foreign for everybody, nothing refused published, nothing foreign taken away, every event ended."""
    run_state_machine_as_test(Machine, settings=BUDGET)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: type[Plant]) -> None:
    """By the same machine, and by the very thing that the fault breaks."""

    class Planted(Machine):
        plant = fault()

    # Found is enough: the smallest example of a fault that we planted ourselves tells nothing. Most are found within a
    # few dozen examples; what is not found in so many fails the test.
    budget = settings(BUDGET, max_examples=400, phases=[Phase.generate])
    with pytest.raises(AssertionError, match=fault.shows):
        run_state_machine_as_test(Planted, settings=budget)
