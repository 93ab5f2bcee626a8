"""Names that are the same, however they are spelt."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type

from sync.core.names import below, same_name

ORGANISATION, COMMON = x509.NameOID.ORGANIZATION_NAME, x509.NameOID.COMMON_NAME


def name(text: str, kind: _ASN1Type = _ASN1Type.UTF8String) -> bytes:
    """The DER of a name of one common name."""
    return x509.Name([x509.NameAttribute(COMMON, text, kind)]).public_bytes()


@pytest.mark.parametrize(
    "spelt", [name("Example CA", _ASN1Type.PrintableString), name("EXAMPLE ca"), name(" Example   CA ")]
)
def test_spellings_of_one_name(spelt: bytes) -> None:
    """String type, case and runs of blanks do not matter (RFC 5280, 7.1)."""
    assert same_name(spelt, name("Example CA"))


@pytest.mark.parametrize("other", [name("Example CB"), name("ExampleCA"), b"", b"junk", b"\x30\x02\x05\x00"])
def test_other_names(other: bytes) -> None:
    """And what is no name is like itself alone."""
    assert not same_name(other, name("Example CA"))
    assert same_name(other, other)


def test_a_name_below_another() -> None:
    """As a distribution point relative to its issuer stands (RFC 5280, 4.2.1.13)."""
    organisation = x509.NameAttribute(ORGANISATION, "Example")
    point = x509.NameAttribute(COMMON, "CRL1")

    whole = x509.Name([organisation, point]).public_bytes()

    assert below(x509.Name([organisation]).public_bytes(), x509.Name([point]).public_bytes()) == whole
