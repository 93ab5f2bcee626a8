"""Splitting and joining DER."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.core.der import MalformedDerError, content, elements, wrap


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_what_was_joined_is_split_again(contents: list[bytes]) -> None:
    """For lengths of one octet and of several."""
    joined = [wrap(0x04, each) for each in contents]

    assert elements(b"".join(joined)) == joined
    assert [content(each) for each in joined] == contents
    assert content(wrap(0x30, *joined)) == b"".join(joined)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\x30",
        b"\x30\x01",
        b"\x30\x82\x01",
        b"\x30\x80\x00\x00",
        b"\x30\x81\x01\x00",
        b"\x30\x82\x00\x81" + bytes(129),
        b"\x3f\x01\x00",
        b"\x04\x01\x00\x00",
        b"\x04\xff" + b"\x01" * 127,
    ],
)
def test_what_is_no_der_is_malformed(broken: bytes) -> None:
    """Cut off, indefinite, longer than it need be, a tag of several octets, something trailing."""
    with pytest.raises(MalformedDerError):
        content(broken)


@given(st.binary(max_size=64))
def test_whatever_is_split_gives_itself_or_an_error(junk: bytes) -> None:
    """Nothing is lost and nothing else is raised."""
    try:
        assert b"".join(elements(junk)) == junk
    except MalformedDerError:
        return
