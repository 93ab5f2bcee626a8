"""The rules for one certificate, B2 to B12: for each code what brings it, and the good neighbour that does not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from sync.core.codes import Code
from sync.core.findings import Level
from sync.core.policy import PRIVATE_CA
from tests.core.company import ALICE, Company, refusals, remarks
from tests.mill import NOW, Extension, der, extensions
from tests.mill.keys import rsa_public_key_der

MINUTE, SECOND, DAY = timedelta(minutes=1), timedelta(seconds=1), timedelta(days=1)


@pytest.fixture(scope="module")
def company() -> Company:
    """One company for all cases; each issues its own certificate."""
    return Company()


def describe(codes: list[Code]) -> list[str]:
    """Plain words, so that a failure reads well."""
    return [str(code) for code in codes]


@pytest.mark.parametrize("key", ["rsa2048", "rsa3072", "ec256", "ec384", "ec521"])
def test_a_good_certificate_is_accepted_without_a_word(company: Company, key: Any) -> None:
    """Each kind of key that mail clients know, with the mill's defaults."""
    verdict = company.judge(company.issuing.issue(ALICE, key=key))

    assert verdict.accepted
    assert verdict.findings == ()


REFUSED: dict[str, tuple[dict[str, Any], Code]] = {
    # B2
    "version 1": ({"version": 1}, Code.CERT_NOT_V3),
    "version 2": ({"version": 2}, Code.CERT_NOT_V3),
    "another algorithm outside than inside": ({"outer_digest": "sha384"}, Code.SIGALG_MISMATCH),
    # B3
    "an unreadable key usage": (
        {"replacing": [Extension(extensions.KEY_USAGE, b"\x30\x05\x01")]},
        Code.EXT_MALFORMED,
    ),
    "an unreadable subject alternative name": (
        {"replacing": [Extension(extensions.SUBJECT_ALT_NAME, b"\x30\x05\x01")]},
        Code.EXT_MALFORMED,
    ),
    "an unreadable extension that path building reads": (
        {"replacing": [Extension(extensions.AUTHORITY_KEY_IDENTIFIER, b"\x30\x05\x01")]},
        Code.EXT_MALFORMED,
    ),
    "an empty extended key usage": ({"eku": ()}, Code.EXT_MALFORMED),
    "the key usage twice": ({"extra": [extensions.key_usage(("keyEncipherment",))]}, Code.EXT_DUPLICATE),
    "an unknown extension twice": (
        {"extra": [Extension("1.2.3.4", der.null()), Extension("1.2.3.4", der.null())]},
        Code.EXT_DUPLICATE,
    ),
    "an unknown critical extension": (
        {"extra": [Extension("1.2.3.4", der.null(), critical=True)]},
        Code.EXT_UNKNOWN_CRITICAL,
    ),
    # B4
    "the bit of a CA": ({"ca": True}, Code.IS_CA),
    "the key usage of a CA": ({"ku": ("keyEncipherment", "keyAgreement", "keyCertSign")}, Code.IS_CA),
    # B5, B6
    "validity that begins in six minutes": ({"not_before": NOW + 6 * MINUTE}, Code.NOT_YET_VALID),
    "validity that ended a second ago": ({"not_after": NOW - SECOND}, Code.EXPIRED),
    # B7
    "RSA of 1024 bits": ({"key": "rsa1024"}, Code.KEY_TOO_SMALL),
    "RSA of 1536 bits": ({"key": "rsa1536"}, Code.KEY_TOO_SMALL),
    "a curve that the policy does not know": ({"key": "ec-secp256k1"}, Code.KEY_CURVE),
    "a brainpool curve": ({"key": "ec-brainpool256"}, Code.KEY_CURVE),
    "a small curve": ({"key": "ec192"}, Code.KEY_CURVE),
    "X25519": ({"key": "x25519"}, Code.KEY_CURVE),
    "X448": ({"key": "x448"}, Code.KEY_CURVE),
    "Ed25519": ({"key": "ed25519"}, Code.KEY_NOT_FOR_ENCRYPTION),
    "Ed448": ({"key": "ed448"}, Code.KEY_NOT_FOR_ENCRYPTION),
    "DSA": ({"key": "dsa2048"}, Code.KEY_NOT_FOR_ENCRYPTION),
    "RSA for PSS only": ({"key": "rsa2048-pss"}, Code.KEY_NOT_FOR_ENCRYPTION),
    # B8
    "SHA-1": ({"digest": "sha1"}, Code.SIG_WEAK_HASH),
    "SHA-224": ({"digest": "sha224"}, Code.SIG_UNSUPPORTED),
    # B9
    "RSA that may only sign": ({"key": "rsa2048", "ku": ("digitalSignature",)}, Code.KU_NOT_ENCRYPTION),
    "RSA that may only agree": ({"key": "rsa2048", "ku": ("keyAgreement",)}, Code.KU_NOT_ENCRYPTION),
    "RSA that may only encrypt data": ({"key": "rsa2048", "ku": ("dataEncipherment",)}, Code.KU_NOT_ENCRYPTION),
    "EC that may only encipher": ({"ku": ("keyEncipherment",)}, Code.KU_NOT_ENCRYPTION),
    "EC that may only decipher": ({"ku": ("keyAgreement", "decipherOnly")}, Code.KU_NOT_ENCRYPTION),
    "an empty key usage": ({"ku": ()}, Code.KU_NOT_ENCRYPTION),
    # B10
    "EFS only": ({"eku": (extensions.EFS,)}, Code.EKU_NOT_EMAIL),
    "smart card logon only": ({"eku": (extensions.SMART_CARD_LOGON, extensions.CLIENT_AUTH)}, Code.EKU_NOT_EMAIL),
    "no extended key usage": ({"eku": None}, Code.EKU_ABSENT),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_for(company: Company, case: str) -> None:
    """Exactly the one code, so no rule speaks for another."""
    options, code = REFUSED[case]

    verdict = company.judge(company.issuing.issue(ALICE, **{"key": "ec256", **options}))

    assert not verdict.accepted
    assert describe(refusals(verdict)) == [str(code)]


WARNED: dict[str, tuple[dict[str, Any], Code]] = {
    "the serial number zero": ({"serial": 0}, Code.SERIAL_INVALID),
    "a negative serial number": ({"serial": -1}, Code.SERIAL_INVALID),
    "a serial number of 21 octets": ({"serial": 1 << 159}, Code.SERIAL_INVALID),
    "an unreadable extension that nobody reads": (
        {"extra": [Extension("1.3.6.1.5.5.7.1.1", b"\x30\x05\x01")]},
        Code.EXT_MALFORMED,
    ),
    "29 days of validity left": ({"not_after": NOW + 29 * DAY}, Code.EXPIRES_SOON),
    "its last second": ({"not_after": NOW}, Code.EXPIRES_SOON),
    "the exponent 3": ({"key": "rsa2048-e3"}, Code.KEY_BAD_EXPONENT),
    "no key usage": ({"ku": None}, Code.KU_ABSENT),
    "any purpose": ({"eku": (extensions.ANY_EKU,)}, Code.EKU_ANY),
}


@pytest.mark.parametrize("case", WARNED)
def test_it_is_accepted_with_a_warning_for(company: Company, case: str) -> None:
    """The certificate is published, and somebody may want to know."""
    options, code = WARNED[case]

    verdict = company.judge(company.issuing.issue(ALICE, **{"key": "ec256", **options}))

    assert verdict.accepted
    assert describe(remarks(verdict)) == [str(code)]


SILENT: dict[str, dict[str, Any]] = {
    "a serial number of 20 octets": {"serial": (1 << 159) - 1},
    "an unknown extension": {"extra": [Extension("1.2.3.4", der.null())]},
    "certificate policies": {"extra": [extensions.certificate_policies("1.2.3.4")]},
    "critical certificate policies": {"extra": [extensions.certificate_policies("1.2.3.4", critical=True)]},
    "basic constraints without the bit": {"ca": False},
    "validity that begins in four minutes": {"not_before": NOW + 4 * MINUTE},
    "31 days of validity left": {"not_after": NOW + 31 * DAY},
    "validity beyond 2050": {"not_after": NOW + 30 * 365 * DAY},
    "SHA-384": {"digest": "sha384"},
    "SHA-512": {"digest": "sha512"},
    "EC that may only encipher what it agreed on": {"ku": ("keyAgreement", "encipherOnly")},
    "RSA for encryption alone": {"key": "rsa2048", "ku": ("keyEncipherment",)},
    "e-mail among other purposes": {"eku": (extensions.EFS, extensions.CLIENT_AUTH, extensions.EMAIL_PROTECTION)},
    "a user principal name beside the address": {"upn": "alice@corp.local"},
    "an X.400 address beside the address": {"other_names": [der.explicit(3)]},
    "a DNS name beside the address": {"other_names": [extensions.dns_name("host.corp.example")]},
}


@pytest.mark.parametrize("case", SILENT)
def test_nothing_is_said_of(company: Company, case: str) -> None:
    """The good neighbours of the cases above."""
    verdict = company.judge(company.issuing.issue(ALICE, **{"key": "ec256", **SILENT[case]}))

    assert verdict.accepted
    assert verdict.findings == ()


def test_an_unreadable_extension_that_is_critical_is_refused_as_unknown(company: Company) -> None:
    """It may be broken in whatever way; that it is critical decides."""
    broken = Extension("1.3.6.1.5.5.7.1.1", b"\x30\x05\x01", critical=True)

    verdict = company.judge(company.issuing.issue(ALICE, key="ec256", extra=[broken]))

    assert refusals(verdict) == [Code.EXT_UNKNOWN_CRITICAL]
    assert remarks(verdict) == [Code.EXT_MALFORMED]


def test_a_self_signed_certificate_is_refused(company: Company) -> None:
    """As EFS makes them: nobody else vouches for it, and no path is looked for."""
    verdict = company.judge(company.mill.self_signed(ALICE, key="ec256"))

    assert refusals(verdict) == [Code.SELF_SIGNED]


def test_a_self_issued_certificate_is_refused_whoever_signed_it(company: Company) -> None:
    """The issuing CA's own name as the subject."""
    verdict = company.judge(company.issuing.issue(ALICE, key="ec256", subject=company.issuing.name))

    assert Code.SELF_SIGNED in refusals(verdict)


@pytest.mark.parametrize("digest", ["md5", "sha1"])
def test_a_broken_hash_is_refused_also_with_rsa(digest: Any) -> None:
    """MD5 and SHA-1 as old enterprise CAs sign with them; OpenSSL alone would accept."""
    company = Company(key="rsa2048")

    assert refusals(company.judge(company.issuing.issue(ALICE, digest=digest))) == [Code.SIG_WEAK_HASH]


def test_pss_signatures_are_good(company: Company) -> None:
    """With SHA-256; with SHA-1 they are weak like any other."""
    rsa = Company(key="rsa2048")

    assert rsa.judge(rsa.issuing.issue(ALICE, digest="sha256-pss")).findings == ()
    assert refusals(rsa.judge(rsa.issuing.issue(ALICE, digest="sha1-pss"))) == [Code.SIG_WEAK_HASH]


def test_sha_1_is_a_warning_where_the_policy_allows_it() -> None:
    """And MD5 stays refused, whatever the policy says."""
    company = Company(key="rsa2048")
    hashes = PRIVATE_CA.hashes | {"sha1", "md5"}

    allowed = company.judge(company.issuing.issue(ALICE, digest="sha1"), hashes=hashes)
    never = company.judge(company.issuing.issue(ALICE, digest="md5"), hashes=hashes)

    assert allowed.accepted
    assert remarks(allowed) == [Code.SIG_WEAK_HASH]
    assert refusals(never) == [Code.SIG_WEAK_HASH]


@pytest.mark.parametrize(("key", "curve"), [("ec-brainpool256", "brainpoolP256r1"), ("x25519", "x25519")])
def test_further_curves_are_a_setting(company: Company, key: Any, curve: str) -> None:
    """Named as `cryptography` names them."""
    certificate = company.issuing.issue(ALICE, key=key)

    assert company.judge(certificate, curves=PRIVATE_CA.curves | {curve}).accepted


def test_an_absent_extended_key_usage_is_a_setting(company: Company) -> None:
    """The policy gives the code another level."""
    certificate = company.issuing.issue(ALICE, key="ec256", eku=None)

    verdict = company.judge(certificate, levels={Code.EKU_ABSENT: Level.WARN})

    assert verdict.accepted
    assert remarks(verdict) == [Code.EKU_ABSENT]


@pytest.mark.parametrize(
    ("numbers", "codes"),
    [
        ({"bits": 512}, [Code.KEY_TOO_SMALL]),
        ({"bits": 2047}, [Code.KEY_TOO_SMALL]),
        ({"bits": 2048}, []),
        ({"bits": 8192}, []),
        ({"bits": 8200}, [Code.KEY_UNSUPPORTED]),
        ({"exponent": 1}, [Code.KEY_UNSUPPORTED, Code.KEY_BAD_EXPONENT]),
        ({"exponent": 2}, [Code.KEY_UNSUPPORTED, Code.KEY_BAD_EXPONENT]),
        ({"exponent": 65536}, [Code.KEY_UNSUPPORTED, Code.KEY_BAD_EXPONENT]),
        ({"exponent": 65539}, []),
    ],
)
def test_the_numbers_of_an_rsa_key_are_judged(company: Company, numbers: dict[str, int], codes: list[Code]) -> None:
    """Also where no library would load the key: the reason is told all the same."""
    public_key = rsa_public_key_der(**numbers)

    verdict = company.judge(company.issuing.issue(ALICE, key="ec256", public_key=public_key, ku=("keyEncipherment",)))

    assert refusals(verdict) == codes


def test_a_key_off_its_curve_is_unsupported(company: Company) -> None:
    """A point that is none: nothing could be encrypted to it."""
    certificate = company.issuing.issue(ALICE, key="ec256")
    numbers = certificate.certificate.public_key().public_numbers()  # type: ignore[union-attr]
    point = numbers.y.to_bytes(32, "big")  # type: ignore[union-attr]

    verdict = company.judge(certificate.der.replace(point, bytes(31) + b"\x01"))

    assert refusals(verdict) == [Code.KEY_UNSUPPORTED]


def test_an_unknown_critical_extension_is_told_before_any_path_is_looked_for(company: Company) -> None:
    """OpenSSL would tell it too, but nobody asks it of an expired certificate."""
    critical = Extension("1.2.3.4", der.null(), critical=True)

    verdict = company.judge(company.issuing.issue(ALICE, key="ec256", extra=[critical], not_after=NOW - DAY))

    assert refusals(verdict) == [Code.EXT_UNKNOWN_CRITICAL, Code.EXPIRED]


def test_everything_that_is_wrong_is_said_in_order(company: Company) -> None:
    """An expired EFS certificate of a bad address: three reasons, and no path is looked for."""
    certificate = company.issuing.issue("eve@evil.example", key="ec256", eku=(extensions.EFS,), not_after=NOW - DAY)

    verdict = company.judge(certificate)

    assert refusals(verdict) == [Code.EXPIRED, Code.EKU_NOT_EMAIL, Code.MAILBOX_MISMATCH]


# B11


def test_a_certificate_without_an_address_is_refused(company: Company) -> None:
    """As a smart card template makes it."""
    assert refusals(company.judge(company.issuing.issue(key="ec256"))) == [Code.MAILBOX_NONE]


def test_a_user_principal_name_is_no_address(company: Company) -> None:
    """Even if it looks like the person's."""
    assert refusals(company.judge(company.issuing.issue(key="ec256", upn=ALICE))) == [Code.MAILBOX_NONE]


def test_the_subject_email_counts_where_there_is_no_other(company: Company) -> None:
    """By setting, which a private CA's policy has on."""
    certificate = company.issuing.issue(key="ec256", subject_email=ALICE)

    assert company.judge(certificate).findings == ()
    assert refusals(company.judge(certificate, subject_email=False)) == [Code.MAILBOX_NONE]


def test_the_subject_email_does_not_count_beside_another(company: Company) -> None:
    """RFC 8550: the alternative name is the address; what the subject says besides is decoration."""
    certificate = company.issuing.issue("bob@corp.example", key="ec256", subject_email=ALICE)

    assert refusals(company.judge(certificate)) == [Code.MAILBOX_MISMATCH]


def test_the_subject_email_does_not_count_beside_a_malformed_one(company: Company) -> None:
    """Else a NUL in one place would move the question to another."""
    certificate = company.issuing.issue(b"alice@corp.example\0", key="ec256", subject_email=ALICE)

    assert refusals(company.judge(certificate)) == [Code.MAILBOX_NONE]


def test_the_subject_email_does_not_stand_in_for_an_unreadable_name(company: Company) -> None:
    """What cannot be read is not the same as what does not match: one code, for the extension."""
    broken = Extension(extensions.SUBJECT_ALT_NAME, b"\x30\x05\x01")
    certificate = company.issuing.issue(ALICE, key="ec256", subject_email="bob@corp.example", replacing=[broken])

    assert refusals(company.judge(certificate)) == [Code.EXT_MALFORMED]


@pytest.mark.parametrize(
    "address",
    [b"alice@corp.example\0.evil.example", b"al\xefce@corp.example", b"Alice <alice@corp.example>", b"alice"],
)
def test_a_malformed_address_matches_nobody(company: Company, address: bytes) -> None:
    """Refused when it is the only one."""
    verdict = company.judge(company.issuing.issue(address, key="ec256"))

    assert refusals(verdict) == [Code.MAILBOX_NONE]
    assert remarks(verdict) == [Code.MAILBOX_MALFORMED]


@pytest.mark.parametrize("address", [b"alice@corp.example\0", b"al\xefce@corp.example"])
def test_a_malformed_address_beside_a_good_one_is_a_warning(company: Company, address: bytes) -> None:
    """One bad name does not hide the good one, even where the parser refuses the extension as a whole."""
    verdict = company.judge(company.issuing.issue(ALICE, address, key="ec256"))

    assert verdict.accepted
    assert remarks(verdict) == [Code.MAILBOX_MALFORMED]


def test_a_utf8_mailbox_that_is_none_is_malformed(company: Company) -> None:
    """An otherName of the right kind with a number in it."""
    wrong = extensions.other_name(extensions.SMTP_UTF8_MAILBOX, der.integer(7))

    verdict = company.judge(company.issuing.issue(ALICE, key="ec256", other_names=[wrong]))

    assert verdict.accepted
    assert remarks(verdict) == [Code.MAILBOX_MALFORMED]


# B12


def test_a_certificate_for_somebody_else_is_refused(company: Company) -> None:
    """Whatever the directory claims: the cloud's addresses count."""
    assert refusals(company.judge(company.issuing.issue("bob@corp.example", key="ec256"))) == [Code.MAILBOX_MISMATCH]


def test_a_person_without_addresses_matches_nothing(company: Company) -> None:
    """No address known is not the same as no question asked."""
    certificate = company.issuing.issue(ALICE, key="ec256")

    assert refusals(company.judge(certificate, addresses=())) == [Code.MAILBOX_MISMATCH]
    assert company.judge(certificate, addresses=None).findings == ()


def test_a_difference_in_case_is_a_warning(company: Company) -> None:
    """Exchange delivers to either."""
    verdict = company.judge(company.issuing.issue("Alice@corp.example", key="ec256"))

    assert verdict.accepted
    assert remarks(verdict) == [Code.MAILBOX_CASE]


def test_a_difference_in_the_case_of_the_domain_is_none(company: Company) -> None:
    """RFC 5280, 7.5."""
    assert company.judge(company.issuing.issue("alice@CORP.Example", key="ec256")).findings == ()


def test_a_secondary_address_is_a_warning(company: Company) -> None:
    """Senders who use the primary address may not find it."""
    certificate = company.issuing.issue("a.smith@corp.example", key="ec256")

    verdict = company.judge(certificate, addresses=(ALICE, "a.smith@corp.example"))

    assert verdict.accepted
    assert remarks(verdict) == [Code.MAILBOX_SECONDARY]


def test_an_address_that_is_there_twice_is_where_it_stands_first(company: Company) -> None:
    """Exchange may list the primary one once more, spelt otherwise."""
    certificate = company.issuing.issue(ALICE, key="ec256")

    assert company.judge(certificate, addresses=(ALICE, ALICE.upper())).findings == ()


def test_the_primary_address_beside_a_secondary_one_is_fine(company: Company) -> None:
    """In whatever order the certificate names them."""
    certificate = company.issuing.issue("a.smith@corp.example", ALICE, key="ec256")

    assert company.judge(certificate, addresses=(ALICE, "a.smith@corp.example")).findings == ()


def test_a_foreign_address_beside_ones_own_is_a_warning(company: Company) -> None:
    """Often an old name; sometimes more."""
    verdict = company.judge(company.issuing.issue(ALICE, "bob@corp.example", key="ec256"))

    assert verdict.accepted
    assert remarks(verdict) == [Code.MAILBOX_FOREIGN]


def test_an_international_address_matches_exactly(company: Company) -> None:
    """SmtpUTF8Mailbox, RFC 9598."""
    certificate = company.issuing.issue(key="ec256", utf8_addresses=["ålice@bücher.example"])

    assert company.judge(certificate, addresses=("ålice@xn--bcher-kva.example",)).findings == ()
    assert refusals(company.judge(certificate, addresses=("Ålice@bücher.example",))) == [Code.MAILBOX_MISMATCH]


def test_odd_names_disturb_nothing(company: Company) -> None:
    """A country of three letters, as some private CAs write it: `cryptography` warns of it, and we stay silent."""
    with pytest.warns(UserWarning, match="length"):
        country = x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "DEU", _validate=False)

    verdict = company.judge(company.issuing.issue(ALICE, key="ec256", subject=x509.Name([country])))

    assert verdict.findings == ()
    assert verdict.certificate is not None
    assert verdict.certificate.subject_text == "C=DEU"
