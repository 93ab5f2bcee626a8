"""How long another side asks us to wait."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime

LONGEST = timedelta(days=1)
"""Beyond this a wait is a mistake or a trick: the message would be lost from sight for no good reason."""


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Read `Retry-After` (RFC 9110, 10.2.3): seconds, or a date, which counts from the answer's own `Date`.

    None when there is no such header or it cannot be read; never negative, never more than a day.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        # A number of a thousand digits is legal here and would overflow a timedelta.
        return timedelta(seconds=min(float(text), LONGEST.total_seconds()))
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), LONGEST)
