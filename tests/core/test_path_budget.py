"""What a path may cost: counted in questions to OpenSSL, not in time, so that a loaded machine does not matter.

One question takes 0.1 to 0.8 ms here with up to eight CAs; constraints times names are bounded by OpenSSL itself at
2**20 (about 50 ms). With 33 questions at most that stays far below 250 ms. So do 128 signatures: the slowest,
of P-521 keys, take 0.5 ms each.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from sync.core.codes import Code
from sync.core.path import TrustStore
from sync.core.person import Attribute
from sync.core.policy import PRIVATE_CA
from tests.core.company import ALICE, Company, refusals
from tests.mill import Authority, certificates_only_blob, der, extensions
from tests.mill.keys import KeyKind

_MOST = PRIVATE_CA.max_paths + 1
_ALABEL = "xn--exmple-cua.example"
_NAMELESS: dict[str, Any] = {"without": [extensions.SUBJECT_KEY_IDENTIFIER], "authority_key_identifier": False}


@pytest.fixture
def company() -> Company:
    """With a trust store of its own."""
    return Company()


def _refused_within(
    company: Company, asked: Sequence[object], leaf: bytes, cas: Sequence[Authority], most: int = _MOST
) -> list[Code]:
    trust = TrustStore.of([company.root.der], [each.der for each in cas])
    codes = refusals(company.judge(leaf, trust=trust))
    assert 0 < len(asked) <= most
    return codes


def test_a_crowd_of_cas_of_one_name(company: Company, asked: list[object]) -> None:
    """Each could have issued the leaf, none did: signatures tell, and they are counted."""
    twins = [company.root.issue_ca("Twin", key="ec256", **_NAMELESS) for _ in range(PRIVATE_CA.max_signatures + 2)]
    leaf = twins[50].issue(ALICE, key="ec256", authority_key_identifier=False, broken_signature=True)

    codes = _refused_within(company, asked, leaf.der, twins, most=1)

    assert codes == [Code.CHAIN_SIGNATURE, Code.CHAIN_BUDGET]


@pytest.mark.parametrize(
    ("place", "key"), [(0, "ec256"), (31, "ec256"), (32, "ec256"), (33, "ec256"), (99, "ec256"), (33, "ed25519")]
)
def test_the_right_one_of_a_hundred_is_found(place: int, key: KeyKind, company: Company, asked: list[object]) -> None:
    """Wherever it stands among its namesakes: those that did not sign cost no question."""
    twins = [company.root.issue_ca("Twin", key=key, **_NAMELESS) for _ in range(100)]
    trust = TrustStore.of([company.root.der], [each.der for each in twins])
    leaf = twins[place].issue(ALICE, key="ec256", authority_key_identifier=False)

    assert company.judge(leaf, trust=trust).accepted
    assert len(asked) <= 2


@pytest.mark.parametrize(("high", "questions"), [(5, _MOST), (6, 1)])
def test_a_ladder_of_cas_with_several_certificates_on_each_rung(
    high: int, questions: int, company: Company, asked: list[object]
) -> None:
    """Six CAs on each rung, several of which signed each below, and the root excludes the address at the end of all.

    The budget is used before it is said to be exhausted; of the high ladder it is used up before any path is whole.
    """
    excluded = extensions.name_constraints(excluded=[extensions.rfc822_name("corp.example")])
    root = company.mill.root("Root", key="ec256", extra=[excluded])
    rungs: list[Authority] = []
    upper = [root]
    for level in range(high):
        keys = [company.mill.key("ec256") for _ in range(2)]
        upper = [each.issue_ca(f"Rung {level}", key=key, **_NAMELESS) for each in upper[:3] for key in keys]
        rungs += upper
    leaf = upper[0].issue(ALICE, key="ec256", authority_key_identifier=False)

    codes = refusals(company.judge(leaf, trust=TrustStore.of([root.der], [each.der for each in rungs])))

    assert codes == [Code.NC_EXCLUDED, Code.CHAIN_BUDGET]
    assert len(asked) == questions


def test_cas_that_certify_each_other_in_a_ring(company: Company, asked: list[object]) -> None:
    """No anchor in it: nobody walks round and round."""
    makers = [company.mill.root(f"Ring {number}", key="ec256", **_NAMELESS) for number in range(6)]
    ring = [one.issue_ca(other.name, key=other.key, **_NAMELESS) for one, other in pairwise([*makers, makers[0]])]
    leaf = makers[0].issue(ALICE, key="ec256", authority_key_identifier=False)

    codes = _refused_within(company, asked, leaf.der, ring, most=1)

    assert codes in ([Code.CHAIN_NO_ISSUER], [Code.CHAIN_UNTRUSTED])


def test_a_crowd_in_the_value(company: Company, asked: list[object]) -> None:
    """Sixty self-issued CAs of one name and one key, each the issuer of each, and none of them trusted."""
    key = company.mill.key("ec256")
    crowd = [company.mill.root("Crowd", key=key, **_NAMELESS) for _ in range(60)]
    leaf = crowd[7].issue(ALICE, key="ec256", authority_key_identifier=False, subject="alice")
    blob = certificates_only_blob(leaf, *crowd)

    codes = refusals(company.judge(blob, Attribute.USER_SMIME_CERTIFICATE))

    assert codes == [Code.CHAIN_UNTRUSTED, Code.CHAIN_BUDGET]
    assert len(asked) == 1


def test_a_chain_deeper_than_is_allowed_is_not_searched_further(company: Company, asked: list[object]) -> None:
    """Forty CAs in a row: OpenSSL verifies them once, and our search stops at its depth."""
    row = [company.root]
    for number in range(40):
        row.append(row[-1].issue_ca(f"CA {number}", key="ec256"))

    codes = _refused_within(company, asked, row[-1].issue(ALICE, key="ec256").der, row, most=1)

    assert codes == [Code.CHAIN_BUDGET]


@pytest.mark.parametrize(
    ("constraints", "names", "codes"), [(1_024, 1_000, []), (1_500, 800, [Code.CHAIN_BUDGET])], ids=["within", "over"]
)
def test_constraints_times_names(
    company: Company, asked: list[object], constraints: int, names: int, codes: list[Code]
) -> None:
    """OpenSSL compares each with each, and gives up over 2**20: then the reason is the budget, not the trust."""
    excluded = [extensions.rfc822_name(f"h{number}.example") for number in range(constraints)]
    ca = company.root.issue_ca("Constrained", key="ec256", extra=[extensions.name_constraints(excluded=excluded)])
    leaf = ca.issue(ALICE, *(f"a{number}@corp.example" for number in range(names - 2)), key="ec256")

    assert _refused_within(company, asked, leaf.der, [ca], most=2) == codes


@pytest.mark.parametrize(
    ("names", "leaf", "codes"),
    [
        ({"excluded": ["corp.example"]}, {"utf8_addresses": ["ålice@corp.example"]}, [Code.NC_EXCLUDED]),
        ({"excluded": ["other.example"]}, {"utf8_addresses": ["ålice@corp.example"]}, []),
        ({"excluded": [".corp.example"]}, {"utf8_addresses": ["ålice@sub.corp.example"]}, [Code.NC_EXCLUDED]),
        ({"excluded": [".corp.example"]}, {"utf8_addresses": ["ålice@corp.example"]}, []),
        ({"excluded": ["alice@corp.example"]}, {"utf8_addresses": ["alice@corp.example"]}, [Code.NC_EXCLUDED]),
        ({"permitted": [".corp.example"]}, {"utf8_addresses": ["ålice@corp.example"]}, [Code.NC_NOT_PERMITTED]),
        ({"excluded": [_ALABEL]}, {"utf8_addresses": [f"ålice@{_ALABEL}"]}, [Code.NC_EXCLUDED]),
        ({"excluded": [_ALABEL]}, {"utf8_addresses": ["ålice@exämple.example"]}, [Code.NC_EXCLUDED]),
        ({"permitted": [_ALABEL]}, {"utf8_addresses": ["ålice@exämple.example"]}, []),
        # Known limits of OpenSSL, on the safe side: permitted subdomains, and A-labels in the address.
        ({"permitted": [".corp.example"]}, {"utf8_addresses": ["ålice@sub.corp.example"]}, [Code.NC_NOT_PERMITTED]),
        ({"permitted": [_ALABEL]}, {"utf8_addresses": [f"ålice@{_ALABEL}"]}, [Code.NC_NOT_PERMITTED]),
        ({"excluded": ["corp.example"]}, {"subject_email": "alice@corp.example"}, [Code.NC_EXCLUDED]),
        ({"permitted": ["corp.example"]}, {"subject_email": "alice@corp.example"}, []),
    ],
)
def test_constraints_on_addresses_wherever_they_stand(
    company: Company, names: dict[str, list[str]], leaf: dict[str, Any], codes: list[Code]
) -> None:
    """SmtpUTF8Mailbox by its domain (RFC 9598, 6), and the subject where there is no other address."""
    made: dict[str, Any] = {tree: [extensions.rfc822_name(name) for name in group] for tree, group in names.items()}
    ca = company.root.issue_ca("Constrained", key="ec256", extra=[extensions.name_constraints(**made)])
    trust = TrustStore.of([company.root.der], [ca.der])

    assert refusals(company.judge(ca.issue(key="ec256", **leaf), trust=trust, addresses=None)) == codes


def test_a_constrained_form_that_nobody_can_check_refuses(company: Company) -> None:
    """A registered identifier is compared by no engine: a leaf that has one is refused, one that has none is not."""
    registered = der.implicit(8, der.oid("1.2.3.4")[2:])
    ca = company.root.issue_ca("Constrained", key="ec256", extra=[extensions.name_constraints(excluded=[registered])])
    trust = TrustStore.of([company.root.der], [ca.der])

    found = [
        refusals(company.judge(ca.issue(ALICE, key="ec256", other_names=names), trust=trust))
        for names in ([registered], [])
    ]

    assert found == [[Code.NC_UNSUPPORTED], []]
