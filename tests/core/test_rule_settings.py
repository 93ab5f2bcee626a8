"""Policy packs and what an administrator may change of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sync.core.codes import Code
from sync.core.findings import Level
from sync.core.policy import POLICIES, PRIVATE_CA, PUBLIC_SBR
from sync.core.rule_settings import RuleSettingsError, adjusted, read_levels
from tests.core.company import ALICE, Company, refusals, remarks
from tests.mill import DAY, NOW
from tests.mill.extensions import ANY_EKU

COMPANY = Company()


@pytest.mark.parametrize("code", ["mailbox-mismatch", "chain-untrusted", "revoked", "cert-malformed", "sig-weak-hash"])
@pytest.mark.parametrize("level", ["warn", "note"])
def test_what_keeps_a_stranger_out_cannot_be_lowered(code: str, level: str) -> None:
    """Nor any other refusal that nobody can know better about."""
    with pytest.raises(RuleSettingsError, match=f"{code} cannot be less than refuse"):
        read_levels([f"{code}={level}"])


def test_a_warning_may_be_raised_and_an_absent_purpose_be_allowed() -> None:
    """The rules then judge by it."""
    policy = adjusted(PRIVATE_CA, rules=["ku-absent=refuse", "eku-absent = warn"])
    no_usage, no_purpose = COMPANY.issuing.issue(ALICE, ku=None), COMPANY.issuing.issue(ALICE, eku=None)
    assert refusals(COMPANY.judge(no_usage)) == []
    assert refusals(COMPANY.judge(no_usage, policy=policy)) == [Code.KU_ABSENT]
    assert refusals(COMPANY.judge(no_purpose)) == [Code.EKU_ABSENT]
    assert refusals(COMPANY.judge(no_purpose, policy=policy)) == []
    assert remarks(COMPANY.judge(no_purpose, policy=policy)) == [Code.EKU_ABSENT]


def test_what_a_pack_raised_may_be_lowered_again() -> None:
    """The base is the decision table's."""
    assert adjusted(PUBLIC_SBR, rules=["ku-absent=warn"]).level(Code.KU_ABSENT) is Level.WARN


def test_all_problems_are_told_at_once() -> None:
    """Each with its name."""
    wrong = ["expired", "no-such-code=warn", "ku-absent=fatal", "revoked=warn", "eku-any=warn", "eku-any=refuse"]
    with pytest.raises(RuleSettingsError) as raised:
        read_levels([*wrong, "shadowing=refuse"])
    for part in ("'expired'", "no-such-code", "fatal", "revoked", "eku-any is there twice", "shadowing"):
        assert part in str(raised.value)


def test_algorithms_are_allowed_by_name() -> None:
    """SHA-1, the Brainpool curves, X25519 and X448; each alone."""
    assert adjusted(PRIVATE_CA, allow=["sha1"]).hashes == PRIVATE_CA.hashes | {"sha1"}
    assert adjusted(PRIVATE_CA, allow=["brainpool", "x448"]).curves > PRIVATE_CA.curves | {"x448"}
    x25519 = COMPANY.issuing.issue(ALICE, key="x25519")
    assert refusals(COMPANY.judge(x25519)) == [Code.KEY_CURVE]
    assert refusals(COMPANY.judge(x25519, policy=adjusted(PRIVATE_CA, allow=["x25519"]))) == []
    with pytest.raises(RuleSettingsError, match="'md5'"):
        adjusted(PRIVATE_CA, allow=["md5"])


@pytest.mark.parametrize(
    ("issued", "days", "accepted"),
    [
        ((2025, 7, 16), 825, True),
        ((2025, 7, 16), 826, False),
        ((2025, 7, 15), 1185, True),
        ((2025, 7, 15), 1186, False),
        ((2023, 8, 31), 1500, True),
    ],
)
def test_how_long_a_public_certificate_may_be_valid_depends_on_its_day_of_issue(
    issued: tuple[int, int, int], days: int, accepted: bool
) -> None:
    """Both ends are part of the time; a private CA may do as it likes."""
    begin = datetime(*issued, tzinfo=UTC)
    leaf = COMPANY.issuing.issue(ALICE, not_before=begin, not_after=begin + days * DAY - timedelta(seconds=1))
    assert (Code.VALIDITY_TOO_LONG not in refusals(COMPANY.judge(leaf, policy=PUBLIC_SBR))) is accepted
    assert Code.VALIDITY_TOO_LONG not in refusals(COMPANY.judge(leaf))


def test_the_public_pack_asks_for_more() -> None:
    """A good certificate passes both; one for any purpose, or with its address in the subject only, one."""
    assert COMPANY.judge(COMPANY.issuing.issue(ALICE), policy=PUBLIC_SBR).accepted
    for leaf, code in (
        (COMPANY.issuing.issue(ALICE, eku=(ANY_EKU,)), Code.EKU_ANY),
        (COMPANY.issuing.issue(subject_email=ALICE), Code.MAILBOX_NONE),
        (COMPANY.issuing.issue(ALICE, ku=None), Code.KU_ABSENT),
    ):
        assert COMPANY.judge(leaf).accepted
        assert refusals(COMPANY.judge(leaf, policy=PUBLIC_SBR)) == [code]


def test_a_verdict_names_pack_and_date() -> None:
    """As the ledger and the command show them."""
    assert COMPANY.judge(COMPANY.issuing.issue(ALICE), now=NOW).policy == "private-ca 2026-01-01"
    assert {each.label for each in POLICIES.values()} == {"private-ca 2026-01-01", "public-sbr 2025-07-16"}
