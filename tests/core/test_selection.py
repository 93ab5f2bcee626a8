"""Selection, C1 to C4: the best of each address, each certificate once, and no blob that would shadow it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.core.codes import Code
from sync.core.judgement import Verdict
from sync.core.person import Attribute, Values, fingerprint
from sync.core.policy import PRIVATE_CA
from sync.core.selection import Selection, select
from tests.core.company import ALICE, Company
from tests.mill import NOW, certificates_only_blob, extensions, mapi_blob, smime_blob

DAY = timedelta(days=1)
A_SMITH = "a.smith@corp.example"


@pytest.fixture
def company() -> Company:
    """A company of one's own."""
    return Company()


def codes(selection: Selection) -> list[list[Code]]:
    """The codes of each verdict, in order."""
    return [[finding.code for finding in verdict.findings] for verdict in selection.verdicts]


def test_nothing_comes_of_nothing(company: Company) -> None:
    """A person without values publishes none."""
    selection = company.select()

    assert selection.values == Values()
    assert selection.published == frozenset()


def test_the_only_good_certificate_is_published(company: Company) -> None:
    """And the refused ones beside it are not, with their own reasons and no more."""
    good, efs = company.issuing.issue(ALICE, key="ec256"), company.issuing.issue(ALICE, eku=(extensions.EFS,))

    selection = company.select(efs, good)

    assert selection.values == Values.of([good.der])
    assert selection.published == {good.fingerprint}
    assert codes(selection) == [[Code.EKU_NOT_EMAIL], []]


# C1


def test_the_same_certificate_in_both_attributes_counts_once(company: Company) -> None:
    """It goes to userCertificate, and its blob stays where it was."""
    alice = company.issuing.issue(ALICE, key="ec256")
    blob = alice.smime_blob()

    selection = company.select(alice, smime=(blob,))

    assert selection.values == Values.of([alice.der], [blob])
    assert codes(selection) == [[], [Code.DUPLICATE]]


def test_a_certificate_that_only_a_blob_holds_goes_to_user_certificate_too(company: Company) -> None:
    """So whoever reads the other attribute finds it as well."""
    alice = company.issuing.issue(ALICE, key="ec256")
    for blob in (alice.smime_blob(), mapi_blob(alice)):
        assert company.select(smime=(blob,)).values == Values.of([alice.der], [blob])


def test_of_two_blobs_of_one_certificate_the_signed_one_is_kept(company: Company) -> None:
    """One value for each certificate is enough."""
    alice = company.issuing.issue(ALICE, key="ec256")
    old = mapi_blob(alice)
    blobs = (alice.smime_blob(signed_at=NOW - minute * timedelta(minutes=1)) for minute in range(100))
    signed = next(blob for blob in blobs if fingerprint(blob) > fingerprint(old))  # not the first by name

    selection = company.select(smime=(old, signed))

    assert selection.values == Values.of([alice.der], [signed])
    assert codes(selection) == [[], [Code.DUPLICATE]]


def test_a_blob_that_is_refused_is_not_kept_although_its_certificate_is_published(company: Company) -> None:
    """The certificate has its path by another value; this one lacks the issuing CA."""
    issuing = company.root.issue_ca("Unknown Issuing CA", key="ec256")
    alice = issuing.issue(ALICE, key="ec256")

    selection = company.select(alice.smime_blob(certificates=[issuing]), smime=(alice.smime_blob(),))

    assert selection.values == Values.of([alice.der])
    assert codes(selection) == [[], [Code.CHAIN_NO_ISSUER]]


def test_a_certificate_that_is_good_in_one_place_is_good(company: Company) -> None:
    """Alone it lacks its issuing CA, which the blob brings."""
    issuing = company.root.issue_ca("Unknown Issuing CA", key="ec256")
    alice = issuing.issue(ALICE, key="ec256")
    blob = alice.smime_blob(certificates=[issuing])

    selection = company.select(alice, smime=(blob,))

    assert selection.values == Values.of([alice.der], [blob])
    assert codes(selection) == [[Code.CHAIN_NO_ISSUER], []]


# C2


def test_of_two_certificates_of_one_key_the_newest_is_published(company: Company) -> None:
    """A renewal with the same key, even where more than one an address is allowed."""
    new = company.issuing.issue(ALICE, key="ec256")
    old = company.issuing.issue(ALICE, key=new.key, not_before=NOW - 300 * DAY)

    for allowed in (1, 3):
        selection = company.select(old, new, max_per_address=allowed)
        assert selection.published == {new.fingerprint}
        assert codes(selection) == [[Code.SUPERSEDED_SAME_KEY], []]


def test_the_newest_of_one_key_goes_before_a_preference(company: Company) -> None:
    """The blob prefers the certificate that was renewed since: it is stale, and left out."""
    new = company.issuing.issue(ALICE, key="ec256")
    old = company.issuing.issue(ALICE, key=new.key, not_before=NOW - 300 * DAY)

    selection = company.select(new, smime=(old.smime_blob(),))

    assert selection.values == Values.of([new.der])
    assert codes(selection) == [[], [Code.SUPERSEDED_SAME_KEY, Code.SHADOWING]]


def test_a_key_certified_for_two_addresses_serves_both(company: Company) -> None:
    """The newer one is for another address: each of the two is the only one of its own."""
    new = company.issuing.issue(A_SMITH, key="ec256")
    old = company.issuing.issue(ALICE, key=new.key, not_before=NOW - 300 * DAY)

    selection = company.select(old, new, addresses=(ALICE, A_SMITH))

    assert selection.published == {old.fingerprint, new.fingerprint}


# C3


def test_the_later_not_before_goes_first(company: Company) -> None:
    """Even when it ends sooner."""
    old = company.issuing.issue(ALICE, key="ec256", not_before=NOW - 300 * DAY, not_after=NOW + 700 * DAY)
    new = company.issuing.issue(ALICE, key="ec256", not_before=NOW - 3 * DAY, not_after=NOW + 100 * DAY)

    selection = company.select(old, new)

    assert selection.published == {new.fingerprint}
    assert codes(selection) == [[Code.SUPERSEDED], []]


def test_of_the_same_not_before_the_later_not_after_goes_first(company: Company) -> None:
    """Then the fingerprint, so that the choice never depends on the order of values."""
    short, long = (company.issuing.issue(ALICE, key="ec256", not_after=NOW + days * DAY) for days in (100, 200))
    twin = company.issuing.issue(ALICE, key="ec256", not_after=NOW + 200 * DAY)
    first = min((long, twin), key=lambda issued: issued.fingerprint)

    assert company.select(short, long).published == {long.fingerprint}
    assert company.select(short, long, twin).published == {first.fingerprint}
    assert company.select(twin, short, long).published == {first.fingerprint}


def test_a_verified_preference_goes_before_a_newer_certificate(company: Company) -> None:
    """The person chose it in Outlook."""
    chosen = company.issuing.issue(ALICE, key="ec256", not_before=NOW - 300 * DAY)
    newer = company.issuing.issue(ALICE, key="ec256")
    blob = chosen.smime_blob()

    selection = company.select(newer, smime=(blob,))

    assert selection.values == Values.of([chosen.der], [blob])
    assert codes(selection) == [[Code.SUPERSEDED], []]


def test_a_preference_that_does_not_verify_counts_for_nothing(company: Company) -> None:
    """The newer one is published, and the blob would shadow it."""
    chosen = company.issuing.issue(ALICE, key="ec256", not_before=NOW - 300 * DAY)
    newer = company.issuing.issue(ALICE, key="ec256")

    selection = company.select(newer, smime=(chosen.smime_blob(broken_signature=True),))

    assert selection.values == Values.of([newer.der])
    assert codes(selection) == [[], [Code.CMS_SIGNATURE_INVALID, Code.SUPERSEDED, Code.SHADOWING]]


def test_each_address_has_its_own_best(company: Company) -> None:
    """One certificate for each of two addresses; an old one of the first goes."""
    old = company.issuing.issue(ALICE, key="ec256", not_before=NOW - 300 * DAY)
    first, second = company.issuing.issue(ALICE, key="ec256"), company.issuing.issue(A_SMITH, key="ec256")

    selection = company.select(old, first, second, addresses=(ALICE, A_SMITH))

    assert selection.published == {first.fingerprint, second.fingerprint}


def test_a_certificate_that_loses_one_address_and_wins_another_is_not_superseded(company: Company) -> None:
    """It is published, so nothing is said of it."""
    both = company.issuing.issue(ALICE, A_SMITH, key="ec256", not_before=NOW - 300 * DAY)
    newer = company.issuing.issue(ALICE, key="ec256")

    selection = company.select(both, newer, addresses=(ALICE, A_SMITH))

    assert selection.published == {both.fingerprint, newer.fingerprint}
    assert codes(selection) == [[], []]


def test_a_certificate_for_both_addresses_serves_both(company: Company) -> None:
    """It is the newest of both, so neither needs another."""
    both = company.issuing.issue(ALICE, A_SMITH, key="ec256")
    one = company.issuing.issue(A_SMITH, key="ec256", not_before=NOW - 300 * DAY)

    selection = company.select(one, both, addresses=(ALICE, A_SMITH))

    assert selection.published == {both.fingerprint}


def test_without_known_addresses_those_of_the_certificates_count(company: Company) -> None:
    """As `validate` judges without --address."""
    alice, bob = company.issuing.issue(ALICE, key="ec256"), company.issuing.issue("bob@corp.example", key="ec256")
    old = company.issuing.issue("ALICE@corp.example", key="ec256", not_before=NOW - 300 * DAY)

    selection = company.select(alice, bob, old, addresses=None)

    assert selection.published == {alice.fingerprint, bob.fingerprint}


def test_of_seventeen_good_certificates_fifteen_are_published(company: Company) -> None:
    """Seventeen addresses, one certificate each: the primary address and those after it come first."""
    addresses = tuple(f"alice{number}@corp.example" for number in range(17))
    issued = [company.issuing.issue(address, key="ec256") for address in addresses]

    selection = company.select(*reversed(issued), addresses=addresses)

    assert selection.published == {each.fingerprint for each in issued[:15]}
    assert [code for code in codes(selection) if Code.OVER_LIMIT in code] == codes(selection)[:2]


def test_of_seventeen_certificates_of_one_address_the_newest_is_published(company: Company) -> None:
    """The daily case: an account on which auto-enrolment left seventeen."""
    issued = [company.issuing.issue(ALICE, key="ec256", not_before=NOW - day * DAY) for day in range(17)]

    selection = company.select(*issued)

    assert selection.published == {issued[0].fingerprint}
    assert codes(selection)[1:] == [[Code.SUPERSEDED]] * 16


# C4


def test_a_stale_blob_is_left_out_since_it_would_shadow(company: Company) -> None:
    """The person renewed, and Outlook did not publish again."""
    expired = company.issuing.issue(ALICE, key="ec256", not_before=NOW - 400 * DAY, not_after=NOW - DAY)
    renewed = company.issuing.issue(ALICE, key="ec256")

    selection = company.select(renewed, smime=(expired.smime_blob(),))

    assert selection.values == Values.of([renewed.der])
    assert codes(selection) == [[], [Code.EXPIRED, Code.SHADOWING]]


def test_a_refused_blob_alone_shadows_nothing(company: Company) -> None:
    """There is nothing that it could hide."""
    expired = company.issuing.issue(ALICE, key="ec256", not_after=NOW - DAY)

    selection = company.select(smime=(expired.smime_blob(),))

    assert selection.values == Values()
    assert codes(selection) == [[Code.EXPIRED]]


def test_a_blob_of_split_keys_is_kept_with_its_encryption_certificate(company: Company) -> None:
    """The signing certificate beside it is refused for encryption, as it must be."""
    signing = company.issuing.issue(ALICE, key="rsa2048", ku=("digitalSignature",))
    encryption = company.issuing.issue(ALICE, key="rsa2048", ku=("keyEncipherment",))
    blob = smime_blob(signing, encryption)

    selection = company.select(signing, encryption, smime=(blob,))

    assert selection.values == Values.of([encryption.der], [blob])
    assert codes(selection) == [[Code.KU_NOT_ENCRYPTION], [], [Code.DUPLICATE]]


def test_a_bare_certificate_is_never_copied_to_user_smime_certificate(company: Company) -> None:
    """It is published where it belongs, and hides nothing."""
    alice = company.issuing.issue(ALICE, key="ec256")

    selection = company.select(smime=(alice.der,))

    assert selection.values == Values.of([alice.der])
    assert codes(selection) == [[Code.SMIME_BARE_CERTIFICATE]]


def test_an_old_bare_certificate_in_user_smime_certificate_would_shadow(company: Company) -> None:
    """Whatever its form, Outlook looks there first."""
    old, new = (company.issuing.issue(ALICE, key="ec256", not_before=NOW - days * DAY) for days in (300, 3))

    selection = company.select(new, smime=(old.der, b"junk"))

    assert selection.values == Values.of([new.der])
    assert codes(selection) == [
        [],
        [Code.SMIME_BARE_CERTIFICATE, Code.SUPERSEDED, Code.SHADOWING],
        [Code.VALUE_UNKNOWN_FORMAT, Code.SHADOWING],
    ]


def test_a_blob_in_user_certificate_is_not_copied(company: Company) -> None:
    """Its certificate is published; the blob stands in the wrong attribute."""
    alice = company.issuing.issue(ALICE, key="ec256")

    assert company.select(alice.smime_blob()).values == Values.of([alice.der])


# whatever the values


def _pool() -> tuple[Company, list[Verdict]]:
    company = Company()
    issue = company.issuing.issue
    new = issue(ALICE, key="ec256")
    old = issue(ALICE, key=new.key, not_before=NOW - 300 * DAY)
    older = issue(ALICE, key="ec256", not_before=NOW - 300 * DAY)
    second = issue(A_SMITH, key="ec256")
    both = issue(A_SMITH, ALICE, key="ec256", not_before=NOW - 100 * DAY)
    expired = issue(ALICE, key="ec256", not_after=NOW - DAY)
    bare = [each.der for each in (new, old, older, second, both, expired)]
    blobs = [
        new.smime_blob(),
        older.smime_blob(),
        both.smime_blob(older),
        expired.smime_blob(),
        mapi_blob(second),
        certificates_only_blob(both),
        old.der,
        b"junk",
    ]
    addresses = (ALICE, A_SMITH)
    verdicts = [company.judge(value, addresses=addresses) for value in bare]
    verdicts += [company.judge(value, Attribute.USER_SMIME_CERTIFICATE, addresses=addresses) for value in blobs]
    return company, verdicts


COMPANY, POOL = _pool()


@given(st.lists(st.sampled_from(POOL), unique_by=lambda v: (v.attribute, v.fingerprint)), st.integers(1, 3))
@settings(max_examples=300, deadline=None)
def test_a_selection_holds_what_it_promises(verdicts: list[Verdict], allowed: int) -> None:
    """Accepted certificates alone, blobs of selected ones alone, within the limits, a reason for what is left out."""
    context = COMPANY.context(addresses=(ALICE, A_SMITH), max_per_address=allowed, max_values=4)

    selection = select(verdicts, context)

    accepted = {v.certificate.der for v in verdicts if v.accepted and v.certificate}
    published = selection.values.user_certificate
    assert set(published) <= accepted
    assert bool(published) == bool(accepted)
    assert len(selection.values) <= 4
    by_value = {verdict.value: verdict for verdict in verdicts if verdict.attribute is Attribute.USER_SMIME_CERTIFICATE}
    for blob in selection.values.user_smime_certificate:
        certificate = by_value[blob].certificate
        assert by_value[blob].accepted
        assert certificate is not None
        assert certificate.fingerprint in selection.published
    for before, after in zip(verdicts, selection.verdicts, strict=True):
        assert after.findings[: len(before.findings)] == before.findings
        assert after.accepted == before.accepted
        if before.certificate is None or before.certificate.fingerprint not in selection.published:
            assert after.findings


@given(st.permutations(POOL))
@settings(max_examples=50, deadline=None)
def test_the_order_of_values_decides_nothing(verdicts: list[Verdict]) -> None:
    """A directory returns them in any order; the same must come of it each time."""
    context = COMPANY.context(addresses=(ALICE, A_SMITH))

    assert select(verdicts, context).values == select(POOL, context).values


def test_the_limits_are_those_of_entra() -> None:
    """One of each address, fifteen in all."""
    assert (PRIVATE_CA.max_per_address, PRIVATE_CA.max_values) == (1, 15)
