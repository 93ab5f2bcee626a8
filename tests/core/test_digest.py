"""What is compared of a person, and when a judgement stands on another basis."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from types import MappingProxyType

import pytest

from sync.core.context import Context
from sync.core.digest import Digest, basis, digest, place
from sync.core.findings import Code, Level
from sync.core.path import TrustStore
from sync.core.policy import PRIVATE_CA, PUBLIC_SBR, Revocation
from sync.core.record import Record
from tests.mill import NOW, Mill


@pytest.fixture(scope="module")
def trust() -> TrustStore:
    return TrustStore.of([Mill().root().der])


def test_a_place_is_the_hash_of_the_immutable_id() -> None:
    """The agent writes its census in this order, so it may never change."""
    assert place("ABCDEFGHIJKLMNOPQRSTUg==") == "fe6826c2448decd5bda1c20016b265188b5cff99ab3c7ce977ac568d9cffad9f"


def test_a_digest_takes_every_field_of_its_record_by_name() -> None:
    """A field more in the one is not forgotten in the other."""
    ours = {each.name for each in fields(Digest)} - {"place", "status", "holding"}
    assert ours <= {each.name for each in fields(Record)}
    record = Record(anchor="a", state_hash="s", deleted=True, recipient="r", desired="d", next_change=NOW, basis="b")
    assert {name: getattr(digest(record), name) for name in ours} == {name: getattr(record, name) for name in ours}


def test_time_and_addresses_are_no_part_of_the_basis(trust: TrustStore) -> None:
    """They are a person's, and a moment's."""
    now = Context(now=NOW, trust=trust)
    later = Context(now=NOW + timedelta(days=400), trust=trust, addresses=("alice@corp.example",))
    assert basis(now, release="1") == basis(later, release="1")


def test_whatever_decides_is_part_of_the_basis(trust: TrustStore) -> None:
    """Release, trust store, pack, each level and threshold, revocation, and the two settings of the processor."""
    levels = MappingProxyType({Code.EKU_ABSENT: Level.WARN})
    policies = [
        PRIVATE_CA,
        PUBLIC_SBR,
        replace(PRIVATE_CA, levels=levels),
        replace(PRIVATE_CA, hashes=PRIVATE_CA.hashes | {"sha1"}),
        replace(PRIVATE_CA, revocation=Revocation.HARD),
        replace(PRIVATE_CA, overlap=timedelta(days=1)),
        replace(PRIVATE_CA, expiry_grace=timedelta(0)),
    ]
    context = Context(now=NOW, trust=trust)
    other = TrustStore.of([Mill().root("Another Root CA").der])
    told = [basis(replace(context, policy=each), release="1") for each in policies]
    told += [
        basis(context, release="2"),
        basis(replace(context, trust=other), release="1"),
        basis(context, release="1", withdraw_disabled=True),
        basis(context, release="1", try_synchronised=True),
    ]
    assert len(set(told)) == len(told)


def test_a_basis_is_the_same_in_every_process(trust: TrustStore) -> None:
    """Sets print in an order that differs from process to process; another instance must not judge everybody again."""
    one = replace(PRIVATE_CA, hashes=frozenset(["sha256", "sha384", "sha512", "sha1"]))
    other = replace(PRIVATE_CA, hashes=frozenset(["sha1", "sha512", "sha384", "sha256"]))
    context = Context(now=NOW, trust=trust)
    assert basis(replace(context, policy=one), release="1") == basis(replace(context, policy=other), release="1")
