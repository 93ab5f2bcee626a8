"""Many GUIDs in little memory."""

from __future__ import annotations

from sync.core.guids import Guids


def test_guids_are_found_in_whatever_order_they_came() -> None:
    """Those of every block, whole."""
    guids = [bytes([number * 7 % 256]) * 8 + number.to_bytes(8, "big") for number in range(1, 301)]
    held = Guids([b"".join(guids[200:]), b"".join(guids[:200]), b""])
    assert len(held) == 300
    assert all(guid in held for guid in guids)
    assert not any(guid in held for guid in (bytes(16), b"\xff" * 16, guids[0][:8] + guids[1][8:]))
    assert bytes(16) not in Guids([])
