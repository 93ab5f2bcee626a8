"""Building blocks of property tests: values that are nearly right."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of `seeds` with a few bytes changed, removed, repeated or put in, or cut off."""
    value = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(value) - 1, 0)))
        match draw(st.sampled_from(("set", "flip", "remove", "insert", "repeat", "cut"))):
            case "set":
                value[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "flip":
                value[at : at + 1] = bytes(octet ^ 1 << draw(st.integers(0, 7)) for octet in value[at : at + 1])
            case "remove":
                del value[at : at + draw(st.integers(1, 8))]
            case "insert":
                value[at:at] = draw(st.binary(min_size=1, max_size=4))
            case "repeat":
                other = draw(st.integers(0, max(len(value) - 1, 0)))
                value[at:at] = value[other : other + draw(st.integers(1, 40))]
            case "cut":
                del value[at:]
    return bytes(value)
