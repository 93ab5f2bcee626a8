"""PKITS, NIST's suite for path validation, through `judge` itself: 221 cases, all but those of DSA.

The rules for a leaf that PKITS knows nothing of (an address, a purpose, a key that encrypts) are asked and only warn:
so everything runs that runs for a person's certificate, and what refuses is the path, or the leaf's own validity.
What differs from PKITS stands in the tables below, each case with its reason, and never accepts what PKITS refuses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sync.core.codes import Code
from sync.core.findings import Level
from sync.core.judgement import Context, judge
from sync.core.path import TrustStore
from sync.core.person import Attribute
from sync.core.policy import PRIVATE_CA
from tests.core.company import refusals
from tests.core.conformance import pkits
from tests.core.conformance.pkits import Case

_NOW = datetime(2026, 6, 1, tzinfo=UTC)  # the suite's certificates are valid from 2010 to 2030
_OF_PEOPLE = (Code.EKU_ABSENT, Code.KU_NOT_ENCRYPTION, Code.MAILBOX_NONE, Code.IS_CA, Code.SELF_SIGNED)
_POLICY = replace(PRIVATE_CA, levels=dict.fromkeys(_OF_PEOPLE, Level.WARN))


def _numbers(places: Mapping[int, Iterable[int]]) -> frozenset[str]:
    return frozenset(f"4.{section}.{place}" for section in places for place in places[section])


# DSA signs no certificate that we publish: 4.1.4 is refused for it and 4.1.5, which leaves out the parameters, is not
# read. Both are refused where PKITS accepts; 4.1.6 is refused as PKITS refuses it, but for the algorithm.
_DSA = frozenset({"4.1.4", "4.1.5", "4.1.6"})
# Good paths below a CA with requireExplicitPolicy: OpenSSL wants to be told that any policy will do, which pyOpenSSL
# cannot say, so it refuses them. On the safe side; no CA that we know of issues S/MIME certificates in this way.
_ASKS_FOR_A_POLICY = _numbers(
    {8: (6, 10, 11, 13, 14, 18), 9: (4,), 10: (1, 3, 5, 6, 9, 11, 12, 13, 14), 11: (2, 4, 7), 12: (2, 3, 7, 9)}
)
# Bad only by a revocation list: the path alone, which is what is judged here, is good. Nothing else in PKITS is.
_NEEDS_REVOCATION = _numbers(
    {
        4: (1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 15, 18, 20, 21),
        5: (2, 5, 7),
        7: (4, 5),
        14: (2, 3, 6, 8, 9, 11, 12, 14, 15, 16, 17, 20, 21, 23, 26, 27, 31, 32, 34, 35),
        15: (1, 3, 4, 6, 9, 10),
    }
)
_POLICY_SECTIONS = range(8, 13)
# Why a bad path is refused, where one code does for a whole section.
_WHY = {
    2: {Code.CHAIN_CA_EXPIRED, Code.NOT_YET_VALID, Code.EXPIRED},
    3: {Code.CHAIN_NO_ISSUER},
    7: {Code.CHAIN_KU},
    8: {Code.CHAIN_POLICY},
    9: {Code.CHAIN_POLICY},
    10: {Code.CHAIN_POLICY},
    11: {Code.CHAIN_POLICY},
    12: {Code.CHAIN_POLICY},
    13: {Code.NC_NOT_PERMITTED, Code.NC_EXCLUDED},
    16: {Code.EXT_UNKNOWN_CRITICAL},
}


@pytest.fixture(scope="module")
def context() -> Context:
    """The suite's anchor, and all of its CAs at hand."""
    trust = TrustStore.of([pkits.anchor()], pkits.authorities())
    return Context(now=_NOW, trust=trust, policy=_POLICY)


def verdict_of(case: Case, context: Context) -> list[Code]:
    return refusals(judge(Attribute.USER_CERTIFICATE, case.der, context))


def test_the_suite_is_whole() -> None:
    """A case that is lost, or put in the wrong section, would be missed nowhere else."""
    assert Counter(case.section for case in pkits.cases()) == pkits.CASES_OF
    assert len({case.number for case in pkits.cases()}) == 224


@pytest.mark.parametrize(
    "case",
    [case for case in pkits.cases() if case.number not in _DSA | _ASKS_FOR_A_POLICY | _NEEDS_REVOCATION],
    ids=lambda case: f"{case.number}-{case.name}",
)
def test_pkits(case: Case, context: Context) -> None:
    """Accepts what PKITS accepts, and refuses what it refuses, for a reason of that section."""
    codes = verdict_of(case, context)

    assert (codes == []) is case.good, codes
    assert set(codes) <= _WHY.get(case.section, set(codes))


@pytest.mark.parametrize(
    "case",
    [case for case in pkits.cases() if case.number in _DSA | _ASKS_FOR_A_POLICY],
    ids=lambda case: f"{case.number}-{case.name}",
)
def test_pkits_where_we_are_stricter(case: Case, context: Context) -> None:
    """Each is refused, and for the reason that its table gives: one that is accepted leaves the table."""
    codes = set(verdict_of(case, context))

    if case.number in _ASKS_FOR_A_POLICY:
        assert codes == {Code.CHAIN_POLICY}
    else:
        assert codes & {Code.KEY_NOT_FOR_ENCRYPTION, Code.CERT_MALFORMED, Code.SIG_WEAK_HASH}


@pytest.mark.parametrize(
    "case",
    [case for case in pkits.cases() if case.number in _NEEDS_REVOCATION],
    ids=lambda case: f"{case.number}-{case.name}",
)
def test_pkits_paths_that_only_a_revocation_list_makes_bad(case: Case, context: Context) -> None:
    """Their paths are good ones: what refuses them must be revocation."""
    assert not case.good
    assert verdict_of(case, context) == []


def test_the_share_that_agrees() -> None:
    """At least 95 % of the cases without the policy sections, and all of what is no DSA, since the tables say so."""
    others = [case for case in pkits.cases() if case.section not in _POLICY_SECTIONS]
    differ = [case for case in others if case.number in _DSA | _ASKS_FOR_A_POLICY and case.good]

    assert len(differ) / len(others) < 0.05
    assert {case.number for case in differ} <= _DSA
