"""What all recipients look like, in 16 bytes each."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.core.mirror import Mirror, entry
from sync.core.person import Values
from sync.core.recipient import Recipient, RecipientKind, appearance


def mailbox(number: int, *values: bytes) -> Recipient:
    return Recipient(
        id=f"{number:032x}",
        kind=RecipientKind.MAILBOX,
        addresses=(f"{number}@corp.example",),
        values=Values.of(values),
    )


@given(st.sets(st.integers(0, 10**9), max_size=60), st.integers(1, 7))
def test_everybody_who_was_read_shows_as_they_are(numbers: set[int], size: int) -> None:
    """In whatever blocks they came, and again when it was kept meanwhile."""
    everybody = [mailbox(number) for number in numbers]
    blocks = [b"".join(map(entry, everybody[at : at + size])) for at in range(0, len(everybody), size)]
    mirror = Mirror.load(Mirror.of(blocks).dump())
    assert len(mirror) == len(numbers)
    for each in everybody:
        assert mirror.shows(each.id, appearance(each)) is True
        assert mirror.shows(each.id.upper(), appearance(each)) is True
        assert mirror.shows(each.id, appearance(replace(each, values=Values.of([b"by hand"])))) is False
    assert mirror.shows(f"{10**9 + 1:032x}", appearance(mailbox(10**9 + 1))) is None


def test_sixteen_bytes_a_recipient_and_the_same_on_every_machine() -> None:
    """One instance keeps what another reads."""
    content = Mirror.of([entry(mailbox(1)) + entry(mailbox(2))]).dump()
    assert content == b"".join(sorted([entry(mailbox(1)), entry(mailbox(2))]))
    assert len(content) == 32


def test_somebody_who_came_twice_counts_once() -> None:
    """A list that was begun again; who looked otherwise the second time is to be examined."""
    once, twice = entry(mailbox(1)), entry(mailbox(1, b"x"))
    assert len(Mirror.of([once, once])) == 1
    assert Mirror.of([once, once]).shows(mailbox(1).id, appearance(mailbox(1))) is True
    both = Mirror.of([once, twice])
    assert both.shows(mailbox(1).id, appearance(mailbox(1))) is False
    assert both.shows(mailbox(1).id, appearance(mailbox(1, b"x"))) is False


@pytest.mark.parametrize("content", [b"1", b"12345678", entry(mailbox(1))[:-1]])
def test_what_was_cut_off_is_refused(content: bytes) -> None:
    """Half a mirror would show nobody."""
    with pytest.raises(ValueError, match=r"whole|multiple"):
        Mirror.load(content)
