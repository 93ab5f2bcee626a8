"""Retry-After, as RFC 9110, 10.2.3 has it and as the world writes it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sync.core.retry_after import LONGEST, retry_after

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "120"}, timedelta(seconds=120)),
        ({"Retry-After": " 0 "}, timedelta(0)),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:47 GMT", "Date": DATE}, timedelta(seconds=10)),
        ({"Retry-After": "Sun, 06 Nov 1994 08:00:00 GMT", "Date": DATE}, timedelta(0)),
        ({"Retry-After": "9" * 500}, LONGEST),
        ({"Retry-After": "Sun, 06 Nov 2094 08:49:37 GMT", "Date": DATE}, LONGEST),
        ({}, None),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:47 GMT"}, None),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:47 -0000", "Date": DATE}, None),
        ({"Retry-After": "soon", "Date": DATE}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": "\N{SUPERSCRIPT TWO}"}, None),
    ],
)
def test_reads(headers: dict[str, str], wait: timedelta | None) -> None:
    """Seconds, a date counted from the answer's own, never negative, never more than a day; nonsense is none."""
    assert retry_after(headers) == wait
