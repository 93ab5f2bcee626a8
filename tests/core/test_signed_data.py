"""SignedData, A3 to A5: which certificate in it is the person's, and what its signature is worth."""

from __future__ import annotations

from typing import Any

import pytest

from sync.core.codes import Code
from sync.core.policy import PRIVATE_CA
from sync.core.signed_data import SignedData, read
from tests.core.company import ALICE
from tests.mill import NOW, Authority, Issued, Mill, certificates_only_blob, der, smime_blob
from tests.mill.certificates import DAY


@pytest.fixture(scope="module")
def issuing() -> Authority:
    """An issuing CA below a root."""
    return Mill().root(key="ec256").issue_ca("Example Issuing CA", key="ec256")


@pytest.fixture(scope="module")
def signing(issuing: Authority) -> Issued:
    """A certificate to sign with."""
    return issuing.issue(ALICE, key="rsa2048", ku=("digitalSignature",))


@pytest.fixture(scope="module")
def encryption(issuing: Authority) -> Issued:
    """A certificate to encrypt to."""
    return issuing.issue(ALICE, key="rsa2048", ku=("keyEncipherment",))


def opened(value: bytes) -> SignedData:
    """Read by the default policy."""
    return read(value, PRIVATE_CA)


def codes(signed: SignedData) -> list[Code]:
    """The codes of what was found."""
    return [finding.code for finding in signed.findings]


@pytest.mark.parametrize("preference", ["issuer-and-serial", "recipient-key-id", "subject-key-id", "microsoft"])
def test_the_preference_names_the_encryption_certificate(signing: Issued, encryption: Issued, preference: Any) -> None:
    """In each form that software writes it."""
    signed = opened(smime_blob(signing, encryption, preference=preference))

    assert signed.leaf == encryption.der
    assert signed.preferred
    assert signed.findings == ()


def test_the_other_certificates_come_along(signing: Issued, encryption: Issued, issuing: Authority) -> None:
    """They may help to build a path."""
    signed = opened(smime_blob(signing, encryption, certificates=[issuing]))

    assert set(signed.others) == {signing.der, issuing.der}


@pytest.mark.parametrize("key", ["rsa2048", "ec256", "ec384", "ed25519", "dsa2048"])
@pytest.mark.parametrize("content", [None, b"", b"content"])
def test_a_signature_of_each_kind_verifies(issuing: Authority, key: Any, content: bytes | None) -> None:
    """With and without content; Outlook leaves it out."""
    assert opened(issuing.issue(ALICE, key=key).smime_blob(content=content)).findings == ()


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384"])
def test_a_signature_with_each_hash_verifies(signing: Issued, digest: Any) -> None:
    """SHA-1 too, which old Outlooks write: it orders, it does not admit."""
    assert opened(signing.smime_blob(digest=digest)).findings == ()


def test_a_signature_by_pss_verifies(signing: Issued) -> None:
    """RFC 4056."""
    assert opened(signing.smime_blob(digest="sha256-pss")).findings == ()


def test_a_signature_without_signed_attributes_verifies(signing: Issued) -> None:
    """RFC 5652, 5.4: then the content itself is signed, and nothing is preferred."""
    signed = opened(signing.smime_blob(signed_attributes=False, content=b"content"))

    assert signed.findings == ()
    assert signed.leaf == signing.der
    assert not signed.preferred


def test_without_a_preference_the_signer_is_the_leaf(signing: Issued, encryption: Issued) -> None:
    """Even beside another certificate."""
    signed = opened(smime_blob(signing, encryption, preference=None))

    assert signed.leaf == signing.der
    assert not signed.preferred


@pytest.mark.parametrize(
    "broken",
    [
        {"broken_signature": True},
        {"broken_digest": True, "content": b"content"},
    ],
)
def test_a_preference_counts_only_when_the_signature_verifies(
    signing: Issued, encryption: Issued, broken: dict[str, Any]
) -> None:
    """Else whoever writes the attribute would choose."""
    signed = opened(smime_blob(signing, encryption, **broken))

    assert codes(signed) == [Code.CMS_SIGNATURE_INVALID]
    assert signed.leaf == signing.der
    assert not signed.preferred


@pytest.mark.parametrize("preference", ["empty", "unknown"])
def test_a_preference_that_cannot_be_read_counts_for_nothing(
    signing: Issued, encryption: Issued, preference: Any
) -> None:
    """The signature is good, and what it signs makes no sense: the signer is left."""
    signed = opened(smime_blob(signing, encryption, preference=preference))

    assert codes(signed) == [Code.CMS_SIGNATURE_INVALID]
    assert signed.leaf == signing.der
    assert not signed.preferred


def test_md5_signs_nothing(signing: Issued, encryption: Issued) -> None:
    """Anybody can forge it, so a good one counts as little as a bad one."""
    signed = opened(smime_blob(signing, encryption, digest="md5"))

    assert codes(signed) == [Code.CMS_SIGNATURE_INVALID]
    assert not signed.preferred


def test_a_signer_that_is_not_there_verifies_nothing(signing: Issued, encryption: Issued, issuing: Authority) -> None:
    """The certificates that are nobody's issuer are the person's, then."""
    signed = opened(smime_blob(signing, include=False, certificates=[encryption, issuing]))

    assert codes(signed) == [Code.CMS_SIGNATURE_INVALID]
    assert signed.leaf == encryption.der


def test_a_preferred_certificate_that_is_not_there_cannot_be_used(signing: Issued, encryption: Issued) -> None:
    """To encrypt to the signing key instead would be a guess."""
    signed = opened(smime_blob(signing, encryption, include=False, certificates=[signing]))

    assert codes(signed) == [Code.CMS_NO_USER_LEAF]
    assert signed.leaf is None


def test_certificates_alone_bear_no_signature(encryption: Issued, issuing: Authority) -> None:
    """As an exported chain does: the leaf is the one that issued none of the others."""
    signed = opened(certificates_only_blob(issuing, encryption))

    assert codes(signed) == [Code.CMS_SIGNATURE_INVALID]
    assert signed.leaf == encryption.der


def test_of_several_possible_leaves_the_newest_is_taken(issuing: Authority) -> None:
    """With a warning."""
    old = issuing.issue(ALICE, key="ec256", not_before=NOW - 300 * DAY)
    new = issuing.issue(ALICE, key="ec256", not_before=NOW - 3 * DAY)

    signed = opened(certificates_only_blob(old, new, issuing))

    assert codes(signed) == [Code.CMS_SIGNATURE_INVALID, Code.CMS_AMBIGUOUS_LEAF]
    assert signed.leaf == new.der


def test_cas_alone_hold_no_leaf(issuing: Authority) -> None:
    """Somebody published the chain without the person."""
    signed = opened(certificates_only_blob(issuing, issuing.issue_ca("Lower", key="ec256")))

    assert codes(signed) == [Code.CMS_SIGNATURE_INVALID, Code.CMS_NO_USER_LEAF]


def test_a_self_signed_certificate_is_not_its_own_issuer() -> None:
    """It is the leaf, for the rules to refuse by its proper name."""
    alone = Mill().self_signed(ALICE, key="ec256")

    assert opened(certificates_only_blob(alone)).leaf == alone.der


def test_no_certificate_at_all_is_refused() -> None:
    """An empty SignedData."""
    assert codes(opened(certificates_only_blob())) == [Code.CMS_NO_CERTIFICATE]


def test_more_than_64_certificates_are_refused(issuing: Authority) -> None:
    """And 64 are not."""
    crowd = [issuing.issue(f"p{number}@corp.example", key="ec256") for number in range(65)]

    assert Code.CMS_MALFORMED not in codes(opened(certificates_only_blob(*crowd[:64])))
    assert codes(opened(certificates_only_blob(*crowd))) == [Code.CMS_MALFORMED]


def test_an_unreadable_certificate_beside_the_leaf_is_passed_over(signing: Issued) -> None:
    """It helps nobody and harms nobody."""
    broken = signing.der.replace(b"\x06\x03\x55\x1d\x0f", b"\x06\x03\x80\x80\x0f")

    signed = opened(signing.smime_blob(certificates=[broken]))

    assert signed.leaf == signing.der
    assert signed.preferred


def test_trailing_bytes_are_a_warning(signing: Issued) -> None:
    """Active Directory keeps what it is given."""
    signed = opened(signing.smime_blob(trailing=b"\0\0"))

    assert codes(signed) == [Code.CMS_TRAILING_DATA]
    assert signed.leaf == signing.der


@pytest.mark.parametrize("kept", [10, 40, 200, -1])
def test_a_blob_that_is_cut_off_is_malformed(signing: Issued, kept: int) -> None:
    """Wherever."""
    assert codes(opened(signing.smime_blob()[:kept])) == [Code.CMS_MALFORMED]


@pytest.mark.parametrize("kind", ["1.2.840.113549.1.7.3", "1.2.840.113549.1.7.1", "1.2.3.4"])
def test_another_cms_message_is_malformed(kind: str) -> None:
    """Enveloped data, data, something unknown: nothing of it is a certificate."""
    message = der.sequence(der.oid(kind), der.explicit(0, der.octet_string(b"x")))

    assert codes(opened(message)) == [Code.CMS_MALFORMED]


def test_ber_is_read_too(signing: Issued) -> None:
    """Indefinite lengths, as Java libraries write them."""
    blob = signing.smime_blob()
    inner = blob[4:]
    indefinite = b"\x30\x80" + inner + b"\0\0"

    signed = opened(indefinite)

    assert signed.leaf == signing.der
    assert signed.preferred
    assert signed.findings == ()


def test_deep_nesting_is_malformed() -> None:
    """A thousand indefinite lengths within one another end in a finding, not in the interpreter's stack."""
    head = b"\x30\x80" + der.oid("1.2.840.113549.1.7.2")

    assert codes(opened(head + b"\xa0\x80" * 5_000)) == [Code.CMS_MALFORMED]
