"""The codes, and what they say of themselves."""

from __future__ import annotations

import pytest

from sync.core.findings import EXPLANATIONS, Code, Finding, Level
from sync.core.policy import POLICIES, PRIVATE_CA


@pytest.mark.parametrize("code", Code)
def test_every_code_explains_itself(code: Code) -> None:
    """Meaning and remedy are one sentence each, for a person; the source can be looked up."""
    explanation = EXPLANATIONS[code]
    for sentence in (explanation.meaning, explanation.remedy):
        assert sentence[0].isupper() or sentence.startswith("userSMIMECertificate")
        assert sentence.endswith(".")
        assert ". " not in sentence
    assert explanation.source


def test_codes_and_explanations_stand_in_the_same_order() -> None:
    """A table generated from them reads like the decision table."""
    assert list(EXPLANATIONS) == list(Code)


@pytest.mark.parametrize(("level", "refuses"), [(Level.REFUSE, True), (Level.WARN, False), (Level.NOTE, False)])
def test_only_the_level_refuse_refuses(level: Level, refuses: bool) -> None:
    """A warning or a note keeps nothing from being published."""
    assert Finding(Code.EXPIRED, level, "").refuses is refuses


def test_a_code_that_the_table_does_not_soften_refuses() -> None:
    """A new code weighs too much rather than too little."""
    assert PRIVATE_CA.level(Code.EXPIRED) is Level.REFUSE
    assert PRIVATE_CA.level(Code.EXPIRES_SOON) is Level.WARN
    assert PRIVATE_CA.level(Code.SUPERSEDED) is Level.NOTE


def test_policies_are_found_by_their_names() -> None:
    """The setting names a pack; the pack says so itself and bears a date."""
    assert POLICIES["private-ca"] is PRIVATE_CA
    assert all(name == policy.name and policy.date for name, policy in POLICIES.items())
