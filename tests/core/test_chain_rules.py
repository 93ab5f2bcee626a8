"""Our own eyes along a chain. OpenSSL would refuse some of these before; neither relies on the other."""

from __future__ import annotations

from typing import Any

import pytest

from sync.core.certificate import Certificate
from sync.core.chain_rules import chain_findings
from sync.core.codes import Code
from sync.core.policy import PRIVATE_CA
from tests.mill import DAY, NOW, Mill, extensions


def found(**made: Any) -> list[Code]:
    """What is found of a CA below a good anchor."""
    root = Mill().root(key="ec256")
    issuing = root.issue_ca("Issuing", **{"key": "ec256", **made})
    chain = [Certificate.parse(issuing.der), Certificate.parse(root.der)]
    return [finding.code for finding in chain_findings(chain, PRIVATE_CA, NOW)]


@pytest.mark.parametrize(
    ("made", "codes"),
    [
        ({}, []),
        ({"ku": None}, []),
        ({"ca": None}, [Code.CHAIN_NOT_CA]),
        ({"ca": False}, [Code.CHAIN_NOT_CA]),
        ({"ku": ("digitalSignature",)}, [Code.CHAIN_KU]),
        ({"eku": (extensions.CLIENT_AUTH,)}, [Code.CHAIN_EKU]),
        ({"key": "rsa1024"}, [Code.CHAIN_KEY_TOO_SMALL]),
        ({"digest": "sha1"}, [Code.CHAIN_WEAK_HASH]),
        ({"not_after": NOW - DAY}, [Code.CHAIN_CA_EXPIRED]),
        ({"ca": False, "digest": "sha1", "not_after": NOW - DAY}, list(map(Code, (
            "chain-not-ca", "chain-weak-hash", "chain-ca-expired")))),
    ],
)  # fmt: skip
def test_a_ca_is_held_to_each_rule(made: dict[str, Any], codes: list[Code]) -> None:
    """All that is wrong with it is said."""
    assert found(**made) == codes


def test_a_chain_of_the_leaf_alone_has_no_ca_to_judge() -> None:
    """The leaf itself is the anchor."""
    assert list(chain_findings([], PRIVATE_CA, NOW)) == []
