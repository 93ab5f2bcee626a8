"""A path that is known spares the search and nothing else: whatever the memory holds, the verdict is the same."""

from __future__ import annotations

from typing import Any

import pytest

from sync.core.codes import Code
from sync.core.known_paths import KnownPaths
from sync.core.path import TrustStore
from sync.core.person import Attribute
from sync.core.policy import PRIVATE_CA
from tests.core.company import ALICE, Company, refusals
from tests.core.conformance.chains import OF_A_CA, OF_A_LEAF
from tests.mill import DAY, NOW, Authority, Extension, Mill, extensions
from tests.mill.keys import KeyKind

REQUIRE_POLICY = OF_A_CA["requires-policy"]["extra"][0]
POLICIES = extensions.certificate_policies("1.2.3.4", "1.2.3.5")
SAME_POLICY_TWICE = extensions.certificate_policies("1.2.3.4", "1.2.3.4")
LEAVES: dict[str, dict[str, Any]] = {
    **{name: options for name, options in OF_A_LEAF.items() if name != "pss"},
    "good": {},
    "ca": {"ca": True},
    "version-1": {"version": 1},
    "duplicate": {"extra": [extensions.extended_key_usage([extensions.EMAIL_PROTECTION])]},
    "malformed": {"extra": [Extension("2.5.29.32", b"\x30\x05\x01")]},
    "policies": {"extra": [POLICIES]},
    "same-policy-twice": {"extra": [SAME_POLICY_TWICE]},
    "mismatch": {"outer_digest": "sha384"},
    "path-length": {"extra": [extensions.basic_constraints(ca=False, path_length=0)]},
    "constrains": {"extra": [extensions.name_constraints(permitted=[extensions.rfc822_name("x.example")])]},
}


@pytest.fixture
def company() -> Company:
    """With a memory of its own."""
    return Company()


def issue(issuing: Authority, **options: Any) -> bytes:
    addresses = options.pop("addresses", (ALICE,))
    return issuing.issue(*addresses, **{"key": "ec256", "subject": "alice", **options}).der


@pytest.mark.parametrize("name", LEAVES)
def test_the_verdict_is_the_same_with_and_without_memory(company: Company, name: str) -> None:
    """Of good leaves and of faulty ones, in a store that knows the path well."""
    leaf = issue(company.issuing, **LEAVES[name])
    cold = company.judge(leaf, trust=TrustStore.of([company.root.der], [company.issuing.der]))

    assert company.judge(issue(company.issuing)).accepted
    warm = [company.judge(leaf) for _ in range(2)]

    assert [verdict.findings for verdict in warm] == [cold.findings, cold.findings]


@pytest.mark.parametrize(
    ("key", "signed"),
    [("ec256", {}), ("rsa2048", {}), ("rsa2048", {"digest": "sha256-pss"}), ("rsa2048-pss", {}), ("ed25519", {})],
    ids=["ecdsa", "rsa", "rsa-pss", "rsa-pss-key", "ed25519"],
)
def test_the_second_leaf_of_a_ca_is_not_searched_for(key: KeyKind, signed: dict[str, Any], asked: list[object]) -> None:
    """One search for the issuer, none for its further leaves: whatever its key, the signature is verified with it."""
    company = Company(key=key)
    verdicts = [company.judge(issue(company.issuing, **signed)) for _ in range(4)]

    assert all(verdict.accepted for verdict in verdicts)
    assert len(asked) == 1


@pytest.mark.parametrize(
    "constraint",
    [
        REQUIRE_POLICY,
        extensions.name_constraints(permitted=[extensions.rfc822_name("corp.example")]),
        extensions.name_constraints(excluded=[extensions.rfc822_name("other.example")], critical=False),
    ],
)
@pytest.mark.parametrize("at_the_anchor", [True, False])
def test_a_ca_that_constrains_is_asked_every_time(
    constraint: Extension, at_the_anchor: bool, company: Company, asked: list[object]
) -> None:
    """A good leaf opens no door to one that breaks the constraint."""
    root = company.mill.root("Root", key="ec256", extra=[constraint] if at_the_anchor else [])
    issuing = root.issue_ca("Issuing", key="ec256", extra=[] if at_the_anchor else [constraint])
    trust = TrustStore.of([root.der], [issuing.der])
    bad = issue(issuing, addresses=(ALICE, "alice@other.example"))

    company.judge(issue(issuing), trust=trust)
    before = len(asked)
    company.judge(issue(issuing), trust=trust)
    verdict = company.judge(bad, trust=trust)

    assert len(asked) >= before + 2
    assert refusals(verdict) == refusals(company.judge(bad, trust=TrustStore.of([root.der], [issuing.der])))


def test_a_known_path_ages(company: Company) -> None:
    """The memory knows no time: a CA that has expired since refuses, and one that is valid again does not."""
    issuing = company.root.issue_ca("Short", key="ec256", not_after=NOW + DAY)
    trust = TrustStore.of([company.root.der], [issuing.der])
    leaf = issue(issuing)

    found = [refusals(company.judge(leaf, trust=trust, now=now)) for now in (NOW, NOW + 2 * DAY, NOW)]

    assert found == [[], [Code.CHAIN_CA_EXPIRED], []]


def test_another_policy_sees_a_known_path_with_its_own_eyes() -> None:
    """What is strong enough for one is not for another."""
    company = Company(key="rsa2048")
    leaf = issue(company.issuing, key="rsa3072")

    assert company.judge(leaf).accepted
    assert refusals(company.judge(leaf, min_rsa_bits=3072)) == [Code.CHAIN_KEY_TOO_SMALL]
    assert company.judge(leaf).accepted


def test_a_namesake_of_the_issuer_cannot_sign(company: Company) -> None:
    """The same name and the same key identifier, another key: the signature decides."""
    false = Authority(
        der=b"",
        key=company.mill.key("ec256"),
        mill=company.mill,
        name=company.issuing.name,
        key_identifier=company.issuing.key_identifier,
    )

    assert company.judge(issue(company.issuing)).accepted
    assert refusals(company.judge(issue(false))) == [Code.CHAIN_SIGNATURE]


def test_what_came_with_a_value_is_not_remembered(company: Company) -> None:
    """A value brings the CA that its path needs; the next one, without it, is refused as before."""
    trust = TrustStore.of([company.root.der])
    alice = company.issuing.issue(ALICE, key="ec256")
    blob = alice.smime_blob(certificates=[company.issuing])

    found = [
        company.judge(alice, trust=trust).accepted,
        company.judge(blob, Attribute.USER_SMIME_CERTIFICATE, trust=trust).accepted,
        company.judge(alice, trust=trust).accepted,
    ]

    assert found == [False, True, False]


def test_the_memory_is_bounded() -> None:
    """Whoever can write the attribute chooses the key identifier; he fills no memory with it."""
    mill, known, company = Mill(), KnownPaths(limit=5), Company()
    trust = TrustStore.of([company.root.der], [company.issuing.der])
    issuers = [mill.root(f"Root {number}", key="ec256") for number in range(12)]

    for root in issuers:
        certificate = company.judge(issue(root), trust=trust).certificate
        assert certificate is not None
        known.learn(certificate, [trust.anchors[0].certificate], PRIVATE_CA)

    assert 0 < len(known._paths) <= 5
