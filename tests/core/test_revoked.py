"""Which published certificates the lists at hand name."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from sync.core.certificate import Certificate
from sync.core.revocation_list import RevocationList
from sync.core.revoked import Revoked, issuer_mark, mark
from tests.mill import Authority, Issued, Mill
from tests.mill.revocation import crl


def read(issued: Issued) -> Certificate:
    return Certificate.parse(issued.der)


def read_ca(authority: Authority) -> Certificate:
    return Certificate.parse(authority.der)


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


def test_a_new_edition_is_told_by_its_ca_and_no_other(mill: Mill) -> None:
    """A first one, another one, one that is there no more; the same ones in another order are the same."""
    one, other = mill.root("One", key="ec256"), mill.root("Other", key="ec256")
    first, second, others = (RevocationList.parse(crl(ca, number=n)) for ca, n in ((one, 1), (one, 2), (other, 1)))
    mark_of_one, mark_of_other = (issuer_mark(read_ca(each).subject) for each in (one, other))
    both = Revoked.of([first, others], [])
    assert both.renewed(Revoked.of([others, first], []).editions) == frozenset()
    assert both.renewed(Revoked.of([second, others], []).editions) == {mark_of_one}
    assert both.renewed(Revoked.of([first], []).editions) == {mark_of_other}
    assert Revoked.of([first], []).renewed(both.editions) == {mark_of_other}
    assert both.renewed(()) == {mark_of_one, mark_of_other}


def test_a_list_may_spell_the_name_of_its_ca_otherwise(mill: Mill) -> None:
    """Names are the same whatever their case and string type (RFC 5280, 7.1): so are their marks."""
    printable, utf8 = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text, _type=kind)]).public_bytes()
        for text, kind in (("Example CA", _ASN1Type.PrintableString), ("EXAMPLE  ca", _ASN1Type.UTF8String))
    )
    assert printable != utf8
    assert issuer_mark(printable) == issuer_mark(utf8)
    assert issuer_mark(b"no name") != issuer_mark(b"another")
