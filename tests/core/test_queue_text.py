"""How a message lies on the queue."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.core.queue_text import from_text, to_text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back(body: str) -> None:
    """Whatever is sent, in characters that every XML takes."""
    assert from_text(to_text(body)) == body
    assert to_text(body).isascii()


@pytest.mark.parametrize("text", ['{"not": "base64"}', "//79", "YQ=", "YQ==YQ==", "é", " YQ== ", "YQ==\n"])
def test_what_is_no_base64_of_text_comes_as_it_lies(text: str) -> None:
    """So that it is refused and kept, and never taken for something else."""
    assert from_text(text) == text
