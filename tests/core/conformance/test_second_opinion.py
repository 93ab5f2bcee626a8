"""A second opinion on 700 chains: pyhanko-certvalidator, pure Python, written by others over other libraries.

Both are asked the same: is there a path from this leaf to this root, now? Our rules for people's certificates are asked
too, but what the other engine knows nothing of only warns.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from asn1crypto import x509
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, ValidationError

from sync.core.codes import Code
from sync.core.findings import Level
from sync.core.judgement import Context, judge
from sync.core.path import TrustStore
from sync.core.person import Attribute
from sync.core.policy import PRIVATE_CA
from tests.core.company import refusals
from tests.core.conformance.chains import OF_A_CA, OF_A_LEAF, Chain, chains
from tests.mill import NOW

_COUNT, _SEED = 700 * int(os.environ.get("SMIME_SYNC_DRILL", "1")), 5280
_OF_PEOPLE = (Code.KEY_CURVE, Code.MAILBOX_NONE)
_POLICY = replace(PRIVATE_CA, levels=dict.fromkeys(_OF_PEOPLE, Level.WARN))

# We hold a SmtpUTF8Mailbox to constraints on addresses (RFC 9598, 6), they do not; and emailAddress in the subject also
# where the subject alternative name has names of other kinds only, since there it counts as an address (rule B11).
_OTHER_PLACES = {"international-address", "foreign-international-address", "subject-email", "foreign-subject-email"}
# Where we refuse and the other engine does not: our code, and one of what is then special about the chain.
_WE_REFUSE = {
    # RFC 5280 leaves open what a purpose in a CA certificate means; S/MIME BR 7.1.2.2 restricts by it, and Windows.
    Code.CHAIN_EKU: {"server-purpose"},
    Code.NC_NOT_PERMITTED: _OTHER_PLACES,
    Code.NC_EXCLUDED: _OTHER_PLACES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinions:
    """What two engines say of one chain; empty is good."""

    chain: Chain
    ours: tuple[Code, ...]
    theirs: str


def our_opinion(chain: Chain) -> tuple[Code, ...]:
    context = Context(now=NOW, trust=TrustStore.of([chain.root], chain.between), policy=_POLICY)
    return tuple(refusals(judge(Attribute.USER_CERTIFICATE, chain.leaf, context)))


def their_opinion(chain: Chain) -> str:
    leaf, root, *between = (x509.Certificate.load(der) for der in (chain.leaf, chain.root, *chain.between))
    context = ValidationContext(
        trust_roots=[root],
        other_certs=between,
        moment=NOW,
        weak_hash_algos={"md2", "md5", "sha1"},
        allow_fetching=False,
        time_tolerance=timedelta(0),
    )
    try:
        asyncio.run(CertificateValidator(leaf, between, context).async_validate_path())
    except (ValidationError, PathBuildingError, AssertionError) as error:
        # An assertion of theirs: the key of the CA does not fit the algorithm of what it should have signed.
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.fixture(scope="module")
def opinions() -> list[Opinions]:
    """Of every chain."""
    return [
        Opinions(chain=chain, ours=our_opinion(chain), theirs=their_opinion(chain)) for chain in chains(_COUNT, _SEED)
    ]


def test_what_they_refuse_we_refuse(opinions: list[Opinions]) -> None:
    """This is the direction that would publish a bad certificate: there is no exception."""
    assert [each for each in opinions if each.theirs and not each.ours] == []


def test_what_we_refuse_they_refuse_or_it_is_explained(opinions: list[Opinions]) -> None:
    """Every disagreement is of a class that is named, with what brings it about; both kinds occur."""
    strict = [each for each in opinions if each.ours and not each.theirs]

    for each in strict:
        special = {what.split()[-1] for what in each.chain.special}
        assert all(_WE_REFUSE.get(code, set()) & special for code in each.ours), each
    assert {code for each in strict for code in each.ours} >= {Code.CHAIN_EKU, Code.NC_NOT_PERMITTED}


def test_the_chains_are_worth_asking_about(opinions: list[Opinions]) -> None:
    """Good ones and bad ones in number, all that can be special, and refusals of every kind."""
    verdicts = Counter(not each.ours for each in opinions)
    special = {what.split()[-1] for each in opinions for what in each.chain.special}
    codes = {code for each in opinions for code in each.ours}

    assert min(verdicts.values()) > _COUNT / 4
    assert special >= OF_A_CA.keys() | OF_A_LEAF.keys()
    assert codes >= {
        Code.CHAIN_CA_EXPIRED, Code.CHAIN_CRITICAL_EXT, Code.CHAIN_EKU, Code.CHAIN_KEY_TOO_SMALL, Code.CHAIN_KU,
        Code.CHAIN_NO_ISSUER, Code.CHAIN_NOT_CA, Code.CHAIN_PATHLEN, Code.CHAIN_POLICY, Code.CHAIN_SIGNATURE,
        Code.CHAIN_WEAK_HASH, Code.EXPIRED, Code.EXT_UNKNOWN_CRITICAL, Code.NC_EXCLUDED, Code.NC_NOT_PERMITTED,
        Code.NOT_YET_VALID, Code.SIG_WEAK_HASH,
    }  # fmt: skip
