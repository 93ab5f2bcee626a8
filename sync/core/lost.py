"""What never arrived: the agent's list of everybody beside the ledger, both in order of place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sync.core.digest import Digest
from sync.core.identity import Watermark


class Lost(StrEnum):
    """Why the agent is asked for somebody again."""

    UNKNOWN = "unknown"
    """The directory has them, and the ledger never heard of them."""
    DIFFERENT = "different"
    """The ledger knows them as they were before."""
    GONE = "gone"
    """The directory has them no more, and the ledger does not know that they left."""


@dataclass(frozen=True, slots=True)
class Told:
    """One person of an agent's list: the state that it told last. `source` is that agent, as in its events; whoever
    `holds` nothing is told only once they have."""

    place: str
    anchor: str
    state_hash: str
    source: str
    holds: bool = True


def beside(
    digests: Iterable[Digest], told: Iterable[Told], lists: Mapping[str, Watermark]
) -> Iterator[tuple[Digest | None, Told | None, Lost | None]]:
    """Everybody of either, in order of place, as each knows them, and what was lost of them.

    `lists` are the agents whose lists are whole, with the watermark at which each was made: of other agents' people
    nothing is said, nor of whom the ledger heard after their list was made. Somebody on two lists is as either says.
    """
    rest = iter(told)
    line = next(rest, None)
    for digest in digests:
        here = digest.place
        while line is not None and line.place < here:
            yield None, line, _unheard(line)
            line = _past(rest, line.place)
        if line is None or line.place != here:
            gone = not digest.deleted and _older(digest, lists)
            yield digest, None, Lost.GONE if gone else None
            continue
        same, met = False, line
        while line is not None and line.place == here:
            same = same or line.state_hash == digest.state_hash
            line = next(rest, None)
        yield digest, met, Lost.DIFFERENT if not same and _older(digest, lists) else None
    while line is not None:
        yield None, line, _unheard(line)
        line = _past(rest, line.place)


def _unheard(line: Told) -> Lost | None:
    return Lost.UNKNOWN if line.holds else None


def _older(digest: Digest, lists: Mapping[str, Watermark]) -> bool:
    """Whether the list of this person's agent was made after what the ledger heard of them."""
    made = lists.get(digest.source or "")
    return made is not None and digest.watermark is not None and digest.watermark <= made


def _past(rest: Iterator[Told], place: str) -> Told | None:
    return next((line for line in rest if line.place != place), None)
