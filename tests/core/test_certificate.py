"""The facts of a certificate, and that its extensions are the same whether read together or one by one."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.core import extensions
from sync.core.certificate import Certificate, KeyKind, MalformedCertificateError
from sync.core.codes import Code
from tests.core.company import ALICE
from tests.core.conformance import pkits
from tests.core.strategies import mutated
from tests.mill import NOW, Authority, Extension, Mill, der
from tests.mill import extensions as made


@pytest.fixture(scope="module")
def issuing() -> Authority:
    """A root that issues everything."""
    return Mill().root("Example Root CA", key="ec256")


def test_the_facts_are_those_that_the_mill_put_in(issuing: Authority) -> None:
    """Times in UTC and aware, names as text and as DER."""
    issued = issuing.issue(ALICE, key="ec256", serial=7, subject="Alice", subject_email="a@corp.example")

    certificate = Certificate.parse(issued.der)

    assert certificate.fingerprint == issued.fingerprint
    assert (certificate.version, certificate.serial) == (3, 7)
    assert certificate.subject_text == "1.2.840.113549.1.9.1=a@corp.example,CN=Alice"
    assert certificate.issuer_text == "CN=Example Root CA"
    assert certificate.issuer == issuing.name.public_bytes()
    assert certificate.not_before == NOW - timedelta(days=30)
    assert certificate.not_after.tzinfo is UTC
    assert certificate.rfc822_names == (ALICE,)
    assert certificate.subject_emails == ("a@corp.example",)
    assert certificate.purposes == (made.EMAIL_PROTECTION,)
    assert certificate.critical == {made.KEY_USAGE}
    assert str(certificate.signature) == "ecdsa with sha256"


def test_the_signed_part_is_what_the_library_takes_for_it() -> None:
    """For every certificate of PKITS: it is cut out of the value, and signatures are verified over it."""
    for value in (*pkits.authorities(), *(case.der for case in pkits.cases())):
        try:
            certificate = Certificate.parse(value)
        except MalformedCertificateError:
            continue
        assert certificate.signed == certificate.parsed.tbs_certificate_bytes


@pytest.mark.parametrize(
    ("key", "kind", "bits", "name"),
    [
        ("rsa2048", KeyKind.RSA, 2048, "RSA-2048"),
        ("ec384", KeyKind.EC, 384, "secp384r1"),
        ("x25519", KeyKind.X25519, 255, "X25519"),
        ("x448", KeyKind.X448, 448, "X448"),
        ("ed25519", KeyKind.SIGNING_ONLY, 0, "Ed25519"),
        ("dsa2048", KeyKind.SIGNING_ONLY, 0, "DSA"),
        ("rsa2048-pss", KeyKind.SIGNING_ONLY, 0, "RSASSA-PSS"),
    ],
)
def test_a_key_is_told_by_what_it_can_do(issuing: Authority, key: Any, kind: KeyKind, bits: int, name: str) -> None:
    """RSA for PSS alone is not RSA for encryption."""
    public = Certificate.parse(issuing.issue(ALICE, key=key).der).public_key

    assert (public.kind, public.bits, public.name) == (kind, bits, name)


def test_the_same_key_is_the_same_in_two_certificates(issuing: Authority) -> None:
    """Its encoding is what they are compared by."""
    first = issuing.issue(ALICE, key="ec256")
    second, other = issuing.issue(ALICE, key=first.key), issuing.issue(ALICE, key="ec256")

    keys = [Certificate.parse(each.der).public_key.encoded for each in (first, second, other)]

    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("broken", [b"", b"\x30", b"junk", bytes(200), b"\x30\x03\x02\x01\x01"])
def test_what_is_no_certificate_is_malformed(broken: bytes) -> None:
    """With a detail, and without a foreign error."""
    with pytest.raises(MalformedCertificateError) as raised:
        Certificate.parse(broken)

    assert raised.value.code is Code.CERT_MALFORMED
    assert str(raised.value)


def test_trailing_bytes_are_malformed(issuing: Authority) -> None:
    """Two readers might see two different things."""
    with pytest.raises(MalformedCertificateError):
        Certificate.parse(issuing.der + b"\0")


@pytest.mark.parametrize(
    ("der_form", "other_form"),
    [
        (b"\x01\x01\xff", b"\x01\x01\x01"),
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x00"),
        (b"\x02\x01\x07", b"\x02\x01\x80"),
    ],
)
def test_what_is_ber_but_not_der_is_not_taken_for_the_same(
    issuing: Authority, der_form: bytes, other_form: bytes
) -> None:
    """A TRUE that is not 0xFF and a default that is written out are malformed; a negative serial number is another."""
    issued = issuing.issue(ALICE, key="ec256", serial=7).der
    assert der_form in issued
    changed = issued.replace(der_form, other_form, 1)

    try:
        assert Certificate.parse(changed).serial < 0
    except MalformedCertificateError as error:
        assert error.code is Code.CERT_MALFORMED


@pytest.mark.parametrize("version", [2, 4])
def test_an_impossible_version_is_told_from_damage(issuing: Authority, version: int) -> None:
    """The code says what is wrong, although nothing more can be read."""
    with pytest.raises(MalformedCertificateError) as raised:
        Certificate.parse(issuing.issue(ALICE, key="ec256", version=version).der)

    assert raised.value.code is Code.CERT_NOT_V3


def test_one_broken_extension_hides_no_other(issuing: Authority) -> None:
    """`cryptography` refuses them all together; read one by one, the rest is there."""
    whole = Certificate.parse(issuing.issue(ALICE, key="ec256", utf8_addresses=["å@corp.example"]).der)
    aia = Extension("1.3.6.1.5.5.7.1.1", b"\x30\x05\x01")
    broken = Certificate.parse(issuing.issue(ALICE, key="ec256", utf8_addresses=["å@corp.example"], extra=[aia]).der)

    assert set(broken.malformed) == {aia.oid}
    assert broken.oids == (*whole.oids, aia.oid)
    assert broken.critical == whole.critical
    assert broken.key_usage == whole.key_usage
    assert broken.purposes == whole.purposes
    assert broken.rfc822_names == whole.rfc822_names
    assert broken.utf8_mailboxes == whole.utf8_mailboxes == ("å@corp.example",)


def test_of_a_repeated_extension_the_first_counts(issuing: Authority) -> None:
    """It is refused anyway; but nothing may be read out of the second."""
    second = made.subject_alt_name([made.rfc822_name("eve@evil.example")])
    certificate = Certificate.parse(issuing.issue(ALICE, key="ec256", extra=[second]).der)

    assert certificate.oids.count(made.SUBJECT_ALT_NAME) == 2
    assert certificate.rfc822_names == (ALICE,)


@pytest.mark.parametrize(
    "odd",
    [der.explicit(3), der.explicit(5, der.explicit(1, der.utf8("x"))), made.rfc822_name(b"al\xefce@corp.example")],
)
def test_an_odd_name_hides_no_address(issuing: Authority, odd: bytes) -> None:
    """X.400 and EDI names, which `cryptography` does not take, and 8-bit addresses, which nobody may write."""
    certificate = Certificate.parse(issuing.issue(ALICE, key="ec256", other_names=[odd]).der)

    assert certificate.rfc822_names[0] == ALICE
    assert made.SUBJECT_ALT_NAME not in certificate.malformed


@pytest.mark.parametrize("broken", [der.explicit(0), der.explicit(0, der.oid(made.SMTP_UTF8_MAILBOX))])
def test_an_other_name_without_its_parts_makes_the_extension_malformed(issuing: Authority, broken: bytes) -> None:
    """Found by the mutation test: the reader expected at least a kind."""
    certificate = Certificate.parse(issuing.issue(ALICE, key="ec256", other_names=[broken]).der)

    assert set(certificate.malformed) == {made.SUBJECT_ALT_NAME}
    assert certificate.rfc822_names == ()


def test_a_name_with_a_bit_string_for_a_text_is_told_of_as_unreadable(issuing: Authority) -> None:
    """Found by the mutation test: the reader of names raised a TypeError where a detail named the issuer."""
    named = der.common_name("Example Root CA").public_bytes()
    changed = issuing.issue(ALICE, key="ec256").der.replace(named, named.replace(b"\x0c\x0f", b"\x03\x0f"), 1)

    certificate = Certificate.parse(changed)

    assert certificate.issuer_text == "(a name that cannot be read)"
    assert certificate.subject_text == "CN=alice"


@given(data=st.data())
@settings(deadline=None)
def test_extensions_are_the_same_read_together_or_one_by_one(data: st.DataObject) -> None:
    """The second way is taken when the first refuses; so both must agree where both can read."""
    mill = Mill()
    issued = mill.root(key="ec256").issue(
        *data.draw(st.lists(st.sampled_from([ALICE, "bob@corp.example"]), max_size=2)),
        key="ec256",
        utf8_addresses=data.draw(st.lists(st.just("å@corp.example"), max_size=1)),
        upn=data.draw(st.none() | st.just(ALICE)),
        ku=data.draw(st.none() | st.just(("keyAgreement",))),
        eku=data.draw(st.none() | st.just((made.EFS, made.EMAIL_PROTECTION))),
        ca=data.draw(st.none() | st.booleans()),
        extra=data.draw(st.lists(st.just(made.certificate_policies("1.2.3")), max_size=1)),
    )
    parsed = Certificate.parse(issued.der).parsed
    encoded = der.explicit(3, der.sequence(*_extensions_of(issued.der)))

    together = extensions.read(parsed, encoded)
    one_by_one = extensions._read_one_by_one(parsed, encoded)

    assert together == one_by_one


def _extensions_of(certificate: bytes) -> list[bytes]:
    from sync.core.der import content, elements

    return elements(content(content(elements(content(elements(content(certificate))[0]))[-1])))


_SEEDS = [
    Mill().root(key="ec256").issue(ALICE, key="ec256", utf8_addresses=["å@corp.example"], upn=ALICE).der,
    Mill().root(key="rsa2048").issue(ALICE, b"\xff", other_names=[der.explicit(3)]).der,
]


@given(mutated(_SEEDS))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_a_certificate_or_malformed(value: bytes) -> None:
    """Nothing else comes out; whatever is a certificate is written again the same, and can tell its names."""
    try:
        certificate = Certificate.parse(value)
    except MalformedCertificateError:
        return
    assert certificate.parsed.public_bytes(serialization.Encoding.DER) == value
    assert certificate.subject_text
    assert certificate.issuer_text
    assert isinstance(certificate.subject_emails, tuple)
