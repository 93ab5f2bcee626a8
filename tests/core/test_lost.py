"""What never arrived: the agent's list beside the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from operator import attrgetter

import pytest

from sync.core.digest import Digest, place
from sync.core.identity import Watermark
from sync.core.lost import Lost, Told, beside

AGENT, OTHER = "urn:smime-sync:agent:corp.example", "urn:smime-sync:agent:other.example"
LISTS = {AGENT: Watermark(1, 100)}


def known(anchor: str, state: str = "s", at: int = 50) -> Digest:
    watermark = Watermark(1, at)
    return Digest(place=place(anchor), anchor=anchor, state_hash=state, watermark=watermark, source=AGENT)


def told(anchor: str, state: str = "s", source: str = AGENT) -> Told:
    return Told(place(anchor), anchor, state, source)


def found(digests: list[Digest], lines: list[Told], lists: Mapping[str, Watermark] = LISTS) -> dict[str, Lost | None]:
    ordered = sorted(digests, key=attrgetter("place")), sorted(lines, key=attrgetter("place"))
    everybody = list(beside(*ordered, lists))
    places = {each.place for each in digests} | {each.place for each in lines}
    anchors = [digest.anchor if digest else line.anchor if line else "" for digest, line, _ in everybody]
    assert [place(anchor) for anchor in anchors] == sorted(places)
    return {anchor: lost for anchor, (_, _, lost) in zip(anchors, everybody, strict=True)}


def test_everybody_is_told_once_whoever_knows_them() -> None:
    """Nothing lost, only the directory, only the ledger, another state."""
    digests = [known("a"), known("c"), known("d", "old"), known("f")]
    lines = [told("a"), told("b"), told("d", "new"), told("e"), told("f")]
    assert found(digests, lines) == {
        "a": None,
        "b": Lost.UNKNOWN,
        "c": Lost.GONE,
        "d": Lost.DIFFERENT,
        "e": Lost.UNKNOWN,
        "f": None,
    }


@pytest.mark.parametrize("digests", [[], [known("a")]])
def test_nobody_on_one_side(digests: list[Digest]) -> None:
    """An empty directory, an empty ledger."""
    assert found(digests, []) == {each.anchor: Lost.GONE for each in digests}
    assert found([], [told("b")]) == {"b": Lost.UNKNOWN}


@pytest.mark.parametrize(("at", "sure"), [(100, True), (101, False)])
def test_a_list_that_is_older_than_the_last_event_is_no_evidence(at: int, sure: bool) -> None:
    """Neither of another state nor of somebody who left."""
    assert found([known("a", "new", at)], [told("a", "old")]) == {"a": Lost.DIFFERENT if sure else None}
    assert found([known("a", "new", at)], []) == {"a": Lost.GONE if sure else None}


def test_whoever_left_and_is_known_to_have_left_is_not_lost() -> None:
    """The ledger keeps them."""
    assert found([replace(known("a"), deleted=True)], []) == {"a": None}
    assert found([replace(known("a", "left"), deleted=True)], [told("a")]) == {"a": Lost.DIFFERENT}


@pytest.mark.parametrize("source", [OTHER, None])
def test_of_another_agents_people_a_list_says_nothing(source: str | None) -> None:
    """Each forest has its own; nobody is called gone by the list of a stranger, or by one that is missing."""
    elsewhere = replace(known("a"), source=source)
    assert found([elsewhere, known("b", "old")], [told("b")]) == {"a": None, "b": Lost.DIFFERENT}
    assert found([elsewhere], [told("a", "other")]) == {"a": None}
    assert found([known("a")], [], {}) == {"a": None}


def test_somebody_on_two_lists_is_as_either_says() -> None:
    """Two forests may know one person while they move."""
    both = [told("a", "here"), told("a", "there", OTHER)]
    assert found([known("a", "here")], both) == found([known("a", "there")], both) == {"a": None}
    assert found([known("a", "elsewhere")], both) == {"a": Lost.DIFFERENT}
    assert found([], both) == {"a": Lost.UNKNOWN}
