"""Paths to a trust anchor, B13 and B14: what OpenSSL refuses, what we check along its chain, and what it misjudges."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from sync.core.codes import Code
from sync.core.path import TrustStore, TrustStoreError
from sync.core.person import Attribute
from tests.core.company import ALICE, Company, refusals
from tests.mill import NOW, Authority, Extension, Mill, der, extensions, smime_blob

DAY = timedelta(days=1)


@pytest.fixture
def company() -> Company:
    """A company of one's own, to which CAs can be added."""
    return Company()


def judged(company: Company, issuing: Authority, *between: Authority, **leaf: Any) -> list[Code]:
    """The refusals of a leaf that `issuing` issues, when it and `between` are the configured intermediates."""
    trust = TrustStore.of([company.root.der], [issuing.der, *(each.der for each in between)])
    return refusals(company.judge(issuing.issue(ALICE, **{"key": "ec256", **leaf}), trust=trust))


# the trust store


def test_an_empty_trust_store_is_refused() -> None:
    """Without an anchor every certificate would be refused, or worse."""
    with pytest.raises(TrustStoreError, match="no trust anchor"):
        TrustStore.of([])


@pytest.mark.parametrize("broken", [b"", b"junk", b"\x30\x03\x02\x01\x01"])
def test_a_malformed_anchor_is_named_by_its_place(company: Company, broken: bytes) -> None:
    """An administrator must find it in the file."""
    with pytest.raises(TrustStoreError, match="trust anchor number 2"):
        TrustStore.of([company.root.der, broken])
    with pytest.raises(TrustStoreError, match="intermediate number 1"):
        TrustStore.of([company.root.der], [broken])


def test_the_fingerprint_of_a_trust_store_changes_with_its_content_only(company: Company) -> None:
    """Order and repeats do not matter; who is trusted does."""
    root, issuing = company.root.der, company.issuing.der
    other = company.mill.root("Other Root", key="ec256").der

    assert TrustStore.of([root, other, root]).fingerprint == TrustStore.of([other, root]).fingerprint
    prints = [TrustStore.of(*args).fingerprint for args in (([root],), ([root], [issuing]), ([root, issuing],))]
    assert len(set(prints)) == 3
    once = TrustStore.of([root, root], [root])
    assert (len(once.anchors), len(once.intermediates)) == (1, 0)


# what leads to an anchor


def test_a_path_may_run_over_several_cas(company: Company) -> None:
    """Root, policy CA, issuing CA, in no particular order."""
    policy_ca = company.root.issue_ca("Example Policy CA", key="ec256")
    issuing = policy_ca.issue_ca("Example Issuing CA 2", key="ec384")

    assert judged(company, issuing, policy_ca) == []


def test_an_anchor_may_be_an_issuing_ca(company: Company) -> None:
    """Trust in it is enough; its root need not be known."""
    alice = company.issuing.issue(ALICE, key="ec256")

    assert company.judge(alice, trust=TrustStore.of([company.issuing.der])).accepted


def test_a_root_of_version_1_may_be_an_anchor() -> None:
    """Old enterprise roots are; an anchor's own form is not judged."""
    mill = Mill()
    root = mill.root("Old Root", version=1, key="rsa2048")

    assert Company().judge(root.issue(ALICE), trust=TrustStore.of([root.der])).accepted


def test_the_certificates_of_a_value_help_to_build_its_path(company: Company) -> None:
    """Outlook publishes the issuing CA along."""
    alice = company.issuing.issue(ALICE, key="ec256")
    trust = TrustStore.of([company.root.der])

    assert refusals(company.judge(alice, trust=trust)) == [Code.CHAIN_NO_ISSUER]
    blob = alice.smime_blob(certificates=[company.issuing])
    assert company.judge(blob, Attribute.USER_SMIME_CERTIFICATE, trust=trust).accepted


# what does not


def test_an_unknown_issuer_is_named(company: Company) -> None:
    """The remedy is to add it, so its name is told."""
    other = company.mill.root("Other Root", key="ec256").issue_ca("Other Issuing CA", key="ec256")

    verdict = company.judge(other.issue(ALICE, key="ec256"))

    assert refusals(verdict) == [Code.CHAIN_NO_ISSUER]
    assert "CN=Other Issuing CA" in verdict.findings[0].detail


def test_a_root_that_is_no_anchor_is_untrusted(company: Company) -> None:
    """However complete the path is."""
    root = company.mill.root("Other Root", key="ec256")

    assert judged(company, root) == [Code.CHAIN_UNTRUSTED]


def test_a_root_in_the_value_is_not_trusted(company: Company) -> None:
    """Whoever can write the attribute could bring any root."""
    evil = Mill().root("Example Root CA", key="rsa2048")
    blob = evil.issue(ALICE).smime_blob(certificates=[evil])

    assert refusals(company.judge(blob, Attribute.USER_SMIME_CERTIFICATE)) == [Code.CHAIN_UNTRUSTED]


def test_a_leaf_with_a_broken_signature_is_refused(company: Company) -> None:
    """One bit of it is wrong."""
    assert judged(company, company.issuing, broken_signature=True) == [Code.CHAIN_SIGNATURE]


def test_a_ca_with_a_broken_signature_is_refused(company: Company) -> None:
    """As for the leaf."""
    issuing = company.root.issue_ca("Issuing", key="ec256", broken_signature=True)

    assert judged(company, issuing) == [Code.CHAIN_SIGNATURE]


@pytest.mark.parametrize(
    ("made", "code"),
    [
        ({"ca": False}, Code.CHAIN_NOT_CA),
        ({"ca": None}, Code.CHAIN_NOT_CA),
        ({"ca": None, "ku": None}, Code.CHAIN_NOT_CA),
        ({"ku": ("cRLSign",)}, Code.CHAIN_KU),
        ({"eku": (extensions.SERVER_AUTH,)}, Code.CHAIN_EKU),
        ({"not_after": NOW - DAY}, Code.CHAIN_CA_EXPIRED),
        ({"not_before": NOW + DAY}, Code.CHAIN_CA_EXPIRED),
        ({"extra": [Extension("1.2.3.4", der.null(), critical=True)]}, Code.CHAIN_CRITICAL_EXT),
        ({"extra": [Extension(extensions.KEY_USAGE, b"\x30\x05\x01")]}, Code.CHAIN_CRITICAL_EXT),
        ({"key": "rsa1024"}, Code.CHAIN_KEY_TOO_SMALL),
        ({"key": "ec192"}, Code.CHAIN_KEY_TOO_SMALL),
        ({"digest": "sha1"}, Code.CHAIN_WEAK_HASH),
        ({"digest": "sha224"}, Code.CHAIN_WEAK_HASH),
    ],
)
def test_a_faulty_ca_is_refused(company: Company, made: dict[str, Any], code: Code) -> None:
    """Exactly for its fault, the leaf being good."""
    issuing = company.root.issue_ca("Issuing", **{"key": "ec256", **made})

    assert judged(company, issuing) == [code]


@pytest.mark.parametrize(
    "made",
    [
        {"eku": (extensions.EMAIL_PROTECTION, extensions.CLIENT_AUTH)},
        {"eku": (extensions.ANY_EKU,)},
        {"ku": None},
        {"not_after": NOW},
        {"not_before": NOW + timedelta(minutes=4)},
        {"path_length": 0},
        {"extra": [extensions.certificate_policies("1.2.3.4", critical=True)]},
    ],
)
def test_a_sound_ca_is_good(company: Company, made: dict[str, Any]) -> None:
    """The neighbours of the faults above."""
    assert judged(company, company.root.issue_ca("Issuing", key="ec256", **made)) == []


def test_md5_in_a_ca_certificate_is_refused_and_in_the_anchor_is_not() -> None:
    """An anchor is trusted because somebody configured it; nobody looks at its signature."""
    company = Company(key="rsa2048")
    weak = company.root.issue_ca("Issuing", digest="md5")
    assert judged(company, weak) == [Code.CHAIN_WEAK_HASH]

    old_root = company.mill.root("Old Root", digest="md5", key="rsa2048")
    trust = TrustStore.of([old_root.der])
    assert company.judge(old_root.issue(ALICE), trust=trust).accepted


def test_an_expired_anchor_is_told_from_an_expired_ca(company: Company) -> None:
    """The remedies differ."""
    root = company.mill.root("Old Root", key="ec256", not_after=NOW - DAY)

    verdict = company.judge(root.issue(ALICE, key="ec256"), trust=TrustStore.of([root.der]))

    assert refusals(verdict) == [Code.CHAIN_ANCHOR_EXPIRED]


def test_a_person_cannot_issue_for_another(company: Company) -> None:
    """The classic: a good leaf used as a CA."""
    mallory = company.issuing.issue_ca("mallory", key="ec256", ca=None, ku=("digitalSignature",))

    assert judged(company, mallory, company.issuing) in ([Code.CHAIN_KU], [Code.CHAIN_NOT_CA])


def test_a_path_length_is_kept(company: Company) -> None:
    """A CA that allows none below it has one."""
    upper = company.root.issue_ca("Upper", key="ec256", path_length=0)
    lower = upper.issue_ca("Lower", key="ec256")

    assert judged(company, lower, upper) == [Code.CHAIN_PATHLEN]


def test_a_path_of_more_than_eight_cas_is_refused(company: Company) -> None:
    """And one of eight, the anchor included, is not."""
    cas = [company.root]
    for number in range(8):
        cas.append(cas[-1].issue_ca(f"CA {number}", key="ec256"))

    assert judged(company, cas[7], *cas) == []
    assert judged(company, cas[8], *cas) == [Code.CHAIN_BUDGET]


# names


def constrained(company: Company, **constraints: Any) -> Authority:
    """A CA with name constraints."""
    made = extensions.name_constraints(**constraints)
    return company.root.issue_ca("Constrained", key="ec256", extra=[made])


MAIL_OF_CORP = extensions.rfc822_name("corp.example")


@pytest.mark.parametrize(
    ("constraints", "codes"),
    [
        ({"permitted": [MAIL_OF_CORP]}, []),
        ({"permitted": [extensions.rfc822_name(ALICE)]}, []),
        ({"permitted": [extensions.dns_name("other.example")]}, []),
        ({"permitted": [extensions.rfc822_name("other.example")]}, [Code.NC_NOT_PERMITTED]),
        ({"permitted": [extensions.rfc822_name("bob@corp.example")]}, [Code.NC_NOT_PERMITTED]),
        ({"permitted": [extensions.rfc822_name("other.example")], "critical": False}, [Code.NC_NOT_PERMITTED]),
        ({"excluded": [MAIL_OF_CORP]}, [Code.NC_EXCLUDED]),
        ({"excluded": [extensions.rfc822_name("other.example")]}, []),
        ({"permitted": [MAIL_OF_CORP], "excluded": [extensions.rfc822_name(ALICE)]}, [Code.NC_EXCLUDED]),
        ({"permitted": [extensions.directory_name(der.common_name("bob"))]}, [Code.NC_NOT_PERMITTED]),
        ({"permitted": [extensions.directory_name(der.common_name("alice"))]}, []),
    ],
)
def test_name_constraints_are_kept(company: Company, constraints: dict[str, Any], codes: list[Code]) -> None:
    """Of addresses and of the subject, critical or not."""
    assert judged(company, constrained(company, **constraints)) == codes


def test_constraints_on_addresses_hold_for_the_subject_too(company: Company) -> None:
    """An emailAddress in the subject is no way around them."""
    issuing = constrained(company, permitted=[extensions.rfc822_name("other.example")])
    trust = TrustStore.of([company.root.der], [issuing.der])

    verdict = company.judge(issuing.issue(key="ec256", subject_email=ALICE), trust=trust)

    assert refusals(verdict) == [Code.NC_NOT_PERMITTED]


def test_constraints_on_addresses_hold_for_international_ones(company: Company) -> None:
    """RFC 9598, 6."""
    issuing = constrained(company, permitted=[MAIL_OF_CORP])
    trust = TrustStore.of([company.root.der], [issuing.der])

    def codes(address: str) -> list[Code]:
        certificate = issuing.issue(key="ec256", utf8_addresses=[address])
        return refusals(company.judge(certificate, trust=trust, addresses=(address,)))

    assert codes("ålice@corp.example") == []
    assert codes("ålice@other.example") == [Code.NC_NOT_PERMITTED]


def test_a_constraint_on_a_form_that_cannot_be_checked_refuses(company: Company) -> None:
    """A registered identifier, on a leaf that has one."""
    registered = der.implicit(8, der.oid("1.2.3.4")[2:])
    issuing = constrained(company, permitted=[registered])

    assert judged(company, issuing, other_names=[registered]) == [Code.NC_UNSUPPORTED]


def test_a_constraint_with_a_minimum_refuses(company: Company) -> None:
    """RFC 5280 forbids it, so nobody knows what it means."""
    subtree = der.sequence(MAIL_OF_CORP, der.implicit(0, b"\x01"))
    constraint = Extension(extensions.NAME_CONSTRAINTS, der.sequence(der.explicit(0, subtree)), critical=True)
    issuing = company.root.issue_ca("Constrained", key="ec256", extra=[constraint])

    assert judged(company, issuing) == [Code.NC_UNSUPPORTED]


# policies


def test_a_path_without_the_policy_that_a_ca_asks_for_is_refused(company: Company) -> None:
    """requireExplicitPolicy of a CA above is honoured."""
    require = Extension("2.5.29.36", der.sequence(der.implicit(0, b"\x00")), critical=True)
    issuing = company.root.issue_ca("Issuing", key="ec256", extra=[require])

    assert judged(company, issuing) == [Code.CHAIN_POLICY]


def test_a_path_with_the_policy_that_a_ca_asks_for_is_refused_too(company: Company) -> None:
    """A known limit, on the safe side: OpenSSL wants to be told that any policy will do, and pyOpenSSL cannot."""
    require = Extension("2.5.29.36", der.sequence(der.implicit(0, b"\x00")), critical=True)
    policies = extensions.certificate_policies("1.2.3.4")
    issuing = company.root.issue_ca("Issuing", key="ec256", extra=[require, policies])

    assert judged(company, issuing, extra=[policies]) == [Code.CHAIN_POLICY]


# what OpenSSL alone misjudges


@pytest.mark.parametrize("order", [1, -1])
def test_a_ca_renewed_with_a_new_key_under_its_old_name(order: int) -> None:
    """Without a key identifier in the leaf, OpenSSL tries one CA of that name and gives up."""
    mill = Mill()
    old, new = mill.root("Example Root CA", key="ec256"), mill.root("Example Root CA", key="ec256")
    trust = TrustStore.of([old.der, new.der][::order])

    for root in (old, new):
        alice = root.issue(ALICE, key="ec256", authority_key_identifier=False)
        assert Company().judge(alice, trust=trust).accepted


@pytest.mark.parametrize("order", [1, -1])
def test_an_expired_ca_certificate_beside_the_renewed_one(company: Company, order: int) -> None:
    """Same name, same key: a valid path exists, and is found."""
    key = company.issuing.key
    expired = company.root.issue_ca("Example Issuing CA", key=key, not_after=NOW - DAY)
    trust = TrustStore.of([company.root.der], [expired.der, company.issuing.der][::order])

    assert company.judge(company.issuing.issue(ALICE, key="ec256"), trust=trust).accepted


def test_an_expired_anchor_beside_the_renewed_one() -> None:
    """Administrators add the new root and forget to take the old one out."""
    mill = Mill()
    new = mill.root("Example Root CA", key="ec256")
    expired = mill.root("Example Root CA", key=new.key, not_after=NOW - DAY)
    trust = TrustStore.of([expired.der, new.der])

    assert Company().judge(new.issue(ALICE, key="ec256"), trust=trust).accepted


def test_a_cross_certificate_that_leads_nowhere_is_passed_by(company: Company) -> None:
    """Two certificates of one CA, one from a root that nobody trusts."""
    foreign = company.mill.root("Foreign Root", key="ec256")
    crossed = foreign.issue_ca("Example Issuing CA", key=company.issuing.key)
    trust = TrustStore.of([company.root.der], [crossed.der, company.issuing.der])

    assert company.judge(company.issuing.issue(ALICE, key="ec256"), trust=trust).accepted


def test_a_false_issuer_in_the_value_does_not_hide_the_true_one(company: Company) -> None:
    """Same name, another key, no key identifiers: the configured CA is found all the same."""
    false = Mill().root("Example Root CA", key="rsa2048").issue_ca("Example Issuing CA", without=["2.5.29.14"])
    alice = company.issuing.issue(ALICE, key="ec256", authority_key_identifier=False)

    verdict = company.judge(alice.smime_blob(certificates=[false]), Attribute.USER_SMIME_CERTIFICATE)

    assert verdict.accepted


def test_a_few_cas_of_one_name_that_lead_nowhere_do_not_exhaust_the_budget(company: Company) -> None:
    """Each could have issued each other; nobody walks in circles over that."""
    strangers = [company.mill.root("Strangers", key="ec256", without=["2.5.29.14", "2.5.29.35"]) for _ in range(3)]
    blob = strangers[0].issue(ALICE, key="ec256").smime_blob(certificates=strangers)

    assert refusals(company.judge(blob, Attribute.USER_SMIME_CERTIFICATE)) == [Code.CHAIN_UNTRUSTED]


def test_the_budget_of_a_policy_counts() -> None:
    """With one signature allowed, not every CA of the name is reached; with enough it is."""
    mill = Mill()
    roots = [mill.root("Example Root CA", key="ec256") for _ in range(3)]
    trust = TrustStore.of([root.der for root in roots])
    company = Company()

    leaves = [root.issue(ALICE, key="ec256", authority_key_identifier=False) for root in roots]
    few = [company.judge(leaf, trust=trust, max_signatures=1) for leaf in leaves]
    enough = [company.judge(leaf, trust=trust) for leaf in leaves]

    assert all(verdict.accepted for verdict in enough)
    assert [Code.CHAIN_SIGNATURE, Code.CHAIN_BUDGET] in [refusals(verdict) for verdict in few]


def test_a_pinned_leaf_is_its_own_anchor(company: Company) -> None:
    """Whoever configures a person's certificate as an anchor trusts just it."""
    other = company.mill.root("Other Root", key="ec256").issue(ALICE, key="ec256")

    assert company.judge(other, trust=TrustStore.of([other.der])).accepted


def test_the_moment_decides_and_nothing_else(company: Company) -> None:
    """One store serves every moment: before, within and after the CA's validity."""
    issuing = company.root.issue_ca("Issuing", key="ec256", not_before=NOW - 10 * DAY, not_after=NOW + 10 * DAY)
    trust = TrustStore.of([company.root.der], [issuing.der])
    alice = issuing.issue(ALICE, key="ec256", not_before=NOW - 100 * DAY, not_after=NOW + 100 * DAY)

    moments = (NOW - 11 * DAY, NOW, NOW + 11 * DAY, NOW)
    accepted = [company.judge(alice, trust=trust, now=moment).accepted for moment in moments]

    assert accepted == [False, True, False, True]


def test_names_are_compared_as_rfc_5280_says(company: Company) -> None:
    """Case and blanks apart, and whatever the string type: the CA's name in its certificate and in the leaf."""
    spelt = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "EXAMPLE  issuing ca")])
    issuing = company.root.issue_ca(spelt, key="ec256", extra=[])
    trust = TrustStore.of([company.root.der], [issuing.der])
    renamed = Authority(
        der=issuing.der,
        key=issuing.key,
        mill=issuing.mill,
        name=der.common_name("Example Issuing CA"),
        key_identifier=issuing.key_identifier,
    )

    assert company.judge(renamed.issue(ALICE, key="ec256"), trust=trust).accepted


def test_two_blobs_of_split_keys_use_the_same_path(company: Company) -> None:
    """The signing certificate's path is not asked; the encryption certificate's is."""
    stranger = company.mill.root("Stranger", key="ec256").issue(ALICE, key="ec256", ku=("digitalSignature",))
    encryption = company.issuing.issue(ALICE, key="ec256")

    verdict = company.judge(smime_blob(stranger, encryption), Attribute.USER_SMIME_CERTIFICATE)

    assert verdict.accepted
    assert verdict.certificate is not None
    assert verdict.certificate.der == encryption.der
