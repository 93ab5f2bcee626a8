"""Golden files: of every code a case that brings it, and a neighbour that is good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sync.core.codes import Code
from sync.core.findings import Level
from tests.core.golden import files
from tests.core.golden.cases import CASES

_FILES = sorted(files.FOLDER.glob("*.toml"))


def _codes(told: list[str]) -> set[str]:
    return {each.split()[1] for each in told}


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    """What is found in it is what stands beside it, in order and with its levels."""
    case, expected = files.load(path)

    assert files.expected(files.judged(case)) == expected


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_case_and_a_neighbour(code: Code) -> None:
    """The case has the code; the neighbour is accepted and published, and has not."""
    found = files.load(files.FOLDER / f"{code}.toml")[1]
    good = files.load(files.FOLDER / f"{code}.neighbour.toml")[1]

    told = [*found["person"], *(each for value in found["values"] for each in value)]
    assert code in _codes(told)
    assert code not in _codes([*good["person"], *(each for value in good["values"] for each in value)])
    assert good["accepted"] == [True] * len(good["accepted"])
    assert good["published"]


_JUDGED = [code for code in CASES if list(Code).index(code) < list(Code).index(Code.DUPLICATE)]


@pytest.mark.parametrize("code", _JUDGED)
def test_every_code_of_a_value_refuses_when_it_is_to_and_warns_when_it_is_to(code: Code) -> None:
    """One case refuses and one accepts, whatever the level of the code is by default."""
    case, _ = files.load(files.FOLDER / f"{code}.toml")
    policy = files.policy_of(case)

    strict = files.judged(case, replace(policy, levels={code: Level.REFUSE})).verdicts
    lenient = files.judged(case, replace(policy, levels={code: Level.WARN})).verdicts

    assert not all(verdict.accepted for verdict in strict)
    assert not any(finding.code is code and finding.refuses for verdict in lenient for finding in verdict.findings)


def test_no_file_is_of_a_code_that_is_gone() -> None:
    """A code is never renamed; a file that nobody asks for is a mistake."""
    assert {path.name.removesuffix(".toml").removesuffix(".neighbour") for path in _FILES} == set(Code)
