"""Suddenly empty is an alarm: how many people may lose their certificates in one read of the directory."""

from __future__ import annotations

from dataclasses import dataclass

FEW = 2
"""So many people may always leave: in a small company one leaver is a large share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """`people` is a number, `percent` a share of those who had certificates before the read."""

    people: int = 20
    percent: float = 5.0

    def alarming(self, withdrawn: int, holding: int) -> bool:
        """Whether `withdrawn` of `holding` people are too many to lose their certificates without a question."""
        if withdrawn <= FEW:
            return False
        return withdrawn > self.people or withdrawn * 100 > self.percent * holding
