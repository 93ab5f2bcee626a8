"""OpenSSL's numbers in our codes, where no chain of a test brings them about."""

from __future__ import annotations

import pytest

from sync.core.certificate import Certificate
from sync.core.codes import Code
from sync.core.policy import PRIVATE_CA
from sync.core.refusals import refusal
from tests.mill import Mill

ALICE = Certificate.parse(Mill().root(key="ec256").issue("alice@corp.example", key="ec256").der)


@pytest.mark.parametrize(
    ("number", "depth", "code"),
    [
        (34, 0, Code.EXT_UNKNOWN_CRITICAL),
        (34, 1, Code.CHAIN_CRITICAL_EXT),
        (22, 3, Code.CHAIN_BUDGET),
        (47, 0, Code.NC_NOT_PERMITTED),
        (1, 0, Code.CHAIN_BUDGET),
        (17, 0, Code.CHAIN_BUDGET),
        (9_999, 0, Code.CHAIN_UNTRUSTED),
    ],
)
def test_a_number_has_a_code(number: int, depth: int, code: Code) -> None:
    """One that a newer OpenSSL adds refuses as untrusted, with OpenSSL's words."""
    finding = refusal(number, "its words", failing=ALICE, depth=depth, issuers=[], policy=PRIVATE_CA)

    assert finding.code is code
    assert finding.refuses
    assert "its words" in finding.detail


def test_a_refusal_without_a_certificate_is_one_all_the_same() -> None:
    """OpenSSL names none when a policy is missing."""
    finding = refusal(43, "no explicit policy", failing=None, depth=0, issuers=[], policy=PRIVATE_CA)

    assert finding.code is Code.CHAIN_POLICY
