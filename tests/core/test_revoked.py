"""Which published certificates the lists at hand name."""

from __future__ import annotations

import pytest

from sync.core.certificate import Certificate
from sync.core.revocation_list import RevocationList
from sync.core.revoked import Revoked, mark
from tests.mill import Issued, Mill
from tests.mill.revocation import crl


def read(issued: Issued) -> Certificate:
    return Certificate.parse(issued.der)


@pytest.fixture(scope="module")
def mill() -> Mill:
    return Mill()


def test_a_listed_certificate_is_named_and_no_other(mill: Mill) -> None:
    """By issuer and serial number: another CA may have given the same number."""
    root = mill.root("One", key="ec256")
    other = mill.root("Other", key="ec256")
    bad, good = (root.issue("alice@corp.example", key="ec256") for _ in range(2))
    revoked = Revoked.of([RevocationList.parse(crl(root, [read(bad).serial]))], [])
    assert revoked.names([mark(read(good)), mark(read(bad))])
    assert not revoked.names([mark(read(good))])
    assert not revoked.names([])
    assert not Revoked.of([RevocationList.parse(crl(other, [read(bad).serial]))], []).names([mark(read(bad))])


def test_a_ca_that_is_revoked_takes_with_it_whatever_stands_below(mill: Mill) -> None:
    """Two CAs deep; what the other CA issued stays."""
    root = mill.root("Root", key="ec256")
    fallen, standing = root.issue_ca("Fallen", key="ec256"), root.issue_ca("Standing", key="ec256")
    below = fallen.issue_ca("Below", key="ec256")
    authorities = [Certificate.parse(each.der) for each in (root, fallen, standing, below)]
    revoked = Revoked.of([RevocationList.parse(crl(root, [Certificate.parse(fallen.der).serial]))], authorities)
    for authority, named in ((fallen, True), (below, True), (standing, False)):
        assert revoked.names([mark(read(authority.issue("alice@corp.example", key="ec256")))]) is named


def test_a_strange_serial_number_is_named_too(mill: Mill) -> None:
    """Zero or negative: warned of, and published."""
    root = mill.root("Root", key="ec256")
    strange = root.issue("alice@corp.example", key="ec256", serial=-5)
    assert int(mark(read(strange))[16:], 16) == -5
