"""How many may lose their certificates in one read."""

from __future__ import annotations

import pytest

from sync.core.guard import Guard


@pytest.mark.parametrize(
    ("withdrawn", "holding", "alarming"),
    [
        (0, 0, False),
        (2, 2, False),
        (3, 3, True),
        (3, 59, True),
        (3, 60, False),
        (20, 100_000, False),
        (21, 100_000, True),
        (20, 400, False),
        (20, 399, True),
    ],
)
def test_more_than_a_number_or_a_share_is_alarming(withdrawn: int, holding: int, alarming: bool) -> None:
    """The share counts from three people on: two leavers of a company of ten are no alarm."""
    assert Guard(people=20, percent=5).alarming(withdrawn, holding) is alarming
