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
from sync.core.policy import PRIVATE_CA, Revocation
from sync.core.revocation import Knowledge
from sync.core.revocation_list import RevocationList
from tests.core.company import refusals
from tests.core.conformance import pkits
from tests.core.conformance.pkits import Case

_NOW = datetime(2026, 6, 1, tzinfo=UTC)  # the suite's certificates are valid from 2010 to 2030
_OF_PEOPLE = (Code.EKU_ABSENT, Code.KU_NOT_ENCRYPTION, Code.MAILBOX_NONE, Code.IS_CA, Code.SELF_SIGNED)
_POLICY = replace(PRIVATE_CA, levels=dict.fromkeys(_OF_PEOPLE, Level.WARN), revocation=Revocation.HARD)


def _numbers(places: Mapping[int, Iterable[int]]) -> frozenset[str]:
    return frozenset(f"4.{section}.{place}" for section in places for place in places[section])


# DSA signs no certificate that we publish: 4.1.4 is refused for it and 4.1.5, which leaves out the parameters, is not
# read. Both are refused where PKITS accepts; 4.1.6 is refused as PKITS refuses it, but for the algorithm.
_DSA = frozenset({"4.1.4", "4.1.5", "4.1.6"})
# Good paths below a CA with requireExplicitPolicy: OpenSSL wants to be told that any policy will do, which pyOpenSSL
# cannot say, so it refuses them. On the safe side; no CA that we know of issues S/MIME certificates in this way
# (docs/decisions/0009-what-paths-leave-out.md, for lists of other CAs too).
_ASKS_FOR_A_POLICY = _numbers(
    {8: (6, 10, 11, 13, 14, 18), 9: (4,), 10: (1, 3, 5, 6, 9, 11, 12, 13, 14), 11: (2, 4, 7), 12: (2, 3, 7, 9)}
)
# Good ones whose revocation is told by a list that one CA issues for another (an indirect one), which is not supported;
# what cannot be found out refuses where revocation is asked for as strictly as PKITS asks.
_INDIRECT_LISTS = _numbers({14: (22, 24, 25, 28, 29, 30, 33)})
_STRICTER = _DSA | _ASKS_FOR_A_POLICY | _INDIRECT_LISTS
# Sections, or cases in others, that are bad by a revocation list alone.
_BY_REVOCATION = {Code.REVOKED, Code.CA_REVOKED, Code.REVOCATION_UNKNOWN, Code.CRL_STALE, Code.CRL_SIGNATURE}
# Why a bad path is refused, where one code does for a whole section.
_WHY = {
    2: {Code.CHAIN_CA_EXPIRED, Code.NOT_YET_VALID, Code.EXPIRED},
    3: {Code.CHAIN_NO_ISSUER},
    4: _BY_REVOCATION,
    5: {Code.CHAIN_PATHLEN, Code.CHAIN_NOT_CA, Code.CHAIN_KU, *_BY_REVOCATION},
    7: {Code.CHAIN_KU, *_BY_REVOCATION},
    8: {Code.CHAIN_POLICY},
    9: {Code.CHAIN_POLICY},
    10: {Code.CHAIN_POLICY},
    11: {Code.CHAIN_POLICY},
    12: {Code.CHAIN_POLICY},
    13: {Code.NC_NOT_PERMITTED, Code.NC_EXCLUDED},
    14: _BY_REVOCATION,
    15: _BY_REVOCATION,
    16: {Code.EXT_UNKNOWN_CRITICAL},
}


@pytest.fixture(scope="module")
def context() -> Context:
    """The suite's anchor, and all of its CAs and revocation lists at hand."""
    trust = TrustStore.of([pkits.anchor()], pkits.authorities())
    lists = [RevocationList.parse(each) for name, each in pkits.lists().items() if "DSA" not in name]
    return Context(now=_NOW, trust=trust, policy=_POLICY, revocation=Knowledge.of(lists))


def codes_of(case: Case, context: Context) -> set[Code]:
    return set(refusals(judge(Attribute.USER_CERTIFICATE, case.der, context)))


def test_the_suite_is_whole() -> None:
    """A case that is lost, or put in the wrong section, would be missed nowhere else."""
    assert Counter(case.section for case in pkits.cases()) == pkits.CASES_OF
    assert len({case.number for case in pkits.cases()}) == 224


@pytest.mark.parametrize(
    "case",
    [case for case in pkits.cases() if case.number not in _STRICTER],
    ids=lambda case: f"{case.number}-{case.name}",
)
def test_pkits(case: Case, context: Context) -> None:
    """Accepts what PKITS accepts, and refuses what it refuses, for a reason of that section."""
    codes = codes_of(case, context)

    assert (codes == set()) is case.good, codes
    assert codes <= _WHY.get(case.section, codes)


@pytest.mark.parametrize(
    "case",
    [case for case in pkits.cases() if case.number in _STRICTER],
    ids=lambda case: f"{case.number}-{case.name}",
)
def test_pkits_where_we_are_stricter(case: Case, context: Context) -> None:
    """Each is refused, and for the reason that its table gives: one that is accepted leaves the table."""
    codes = codes_of(case, context)

    if case.number in _ASKS_FOR_A_POLICY:
        assert codes == {Code.CHAIN_POLICY}
    elif case.number in _INDIRECT_LISTS:
        assert codes == {Code.REVOCATION_UNKNOWN}
    else:
        assert codes & {Code.KEY_NOT_FOR_ENCRYPTION, Code.CERT_MALFORMED, Code.SIG_WEAK_HASH}


def test_the_share_that_agrees() -> None:
    """Without the policy sections and DSA at least 95 %, and all in the sections that the path alone decides."""
    others = [case for case in pkits.cases() if case.section not in range(8, 13) and case.number not in _DSA]
    differ = [case for case in others if case.number in _STRICTER]

    assert len(differ) / len(others) <= 0.05, len(differ)
    assert not {case.section for case in differ} & {1, 2, 3, 4, 5, 6, 7, 13, 15, 16}
