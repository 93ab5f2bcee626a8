"""Judging one value from its bytes to its verdict."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.core.codes import Code
from sync.core.judgement import judge
from sync.core.person import Attribute, fingerprint
from tests.core.company import ALICE, Company, refusals, remarks
from tests.core.strategies import mutated
from tests.mill import DAY, NOW, Extension, certificates_only_blob, der, extensions, mapi_blob

COMPANY = Company()
ISSUING = COMPANY.issuing


def test_a_verdict_names_the_value_and_the_certificate_in_it() -> None:
    """Both by SHA-256; for a bare certificate they are the same."""
    alice = ISSUING.issue(ALICE, key="ec256")
    blob = alice.smime_blob()

    bare, wrapped = COMPANY.judge(alice), COMPANY.judge(blob, Attribute.USER_SMIME_CERTIFICATE)

    assert bare.certificate is not None
    assert wrapped.certificate is not None
    assert bare.fingerprint == bare.certificate.fingerprint == wrapped.certificate.fingerprint
    assert wrapped.fingerprint == fingerprint(blob) != wrapped.certificate.fingerprint
    assert wrapped.preferred


@pytest.mark.parametrize("attribute", Attribute)
def test_a_value_without_a_certificate_is_not_accepted(attribute: Attribute) -> None:
    """Even where no finding refused it there would be nothing to publish."""
    verdict = COMPANY.judge(b"junk", attribute)

    assert not verdict.accepted
    assert verdict.certificate is None
    assert refusals(verdict) == [Code.VALUE_UNKNOWN_FORMAT]


def test_a_damaged_certificate_is_malformed() -> None:
    """Cut off in the middle, as copy and paste leaves it."""
    verdict = COMPANY.judge(ISSUING.issue(ALICE, key="ec256").der[:200])

    assert refusals(verdict) == [Code.CERT_MALFORMED]
    assert verdict.certificate is None


def test_findings_of_the_value_stand_before_those_of_the_certificate() -> None:
    """In the order of the decision table."""
    blob = ISSUING.issue("bob@corp.example", key="ec256", ku=None).smime_blob(trailing=b"\0", broken_signature=True)

    verdict = COMPANY.judge(blob, Attribute.USER_SMIME_CERTIFICATE)

    order = list(Code)
    assert [finding.code for finding in verdict.findings] == [
        Code.CMS_TRAILING_DATA,
        Code.CMS_SIGNATURE_INVALID,
        Code.KU_ABSENT,
        Code.MAILBOX_MISMATCH,
    ]
    assert sorted(verdict.findings, key=lambda finding: order.index(finding.code)) == list(verdict.findings)


def test_a_path_is_looked_for_only_when_no_rule_refuses() -> None:
    """An expired certificate of an unknown CA is expired; only a current one is asked where it comes from."""
    stranger = COMPANY.mill.root("Stranger", key="ec256")
    expired = stranger.issue(ALICE, key="ec256", not_after=NOW - DAY)

    assert refusals(COMPANY.judge(expired)) == [Code.EXPIRED]
    assert refusals(COMPANY.judge(stranger.issue(ALICE, key="ec256"))) == [Code.CHAIN_NO_ISSUER]


def test_a_certificate_in_a_mapi_blob_is_judged_like_any_other() -> None:
    """Good and bad."""
    good = COMPANY.judge(mapi_blob(ISSUING.issue(ALICE, key="ec256")), Attribute.USER_SMIME_CERTIFICATE)
    bad = COMPANY.judge(mapi_blob(ISSUING.issue(ALICE, key="ed25519")), Attribute.USER_SMIME_CERTIFICATE)

    assert good.accepted
    assert refusals(bad) == [Code.KEY_NOT_FOR_ENCRYPTION]


def test_a_bare_certificate_in_the_wrong_attribute_is_judged_with_a_warning() -> None:
    """It may still be published, where it belongs."""
    verdict = COMPANY.judge(ISSUING.issue(ALICE, key="ec256"), Attribute.USER_SMIME_CERTIFICATE)

    assert verdict.accepted
    assert remarks(verdict) == [Code.SMIME_BARE_CERTIFICATE]


_ALICE = ISSUING.issue(ALICE, key="ec256", utf8_addresses=["å@corp.example"], upn=ALICE, subject_email=ALICE)
_RSA = ISSUING.issue(ALICE, key="rsa2048", extra=[extensions.certificate_policies("1.2.3")])
_ODD = ISSUING.issue(ALICE, b"\xff@x", key="ec256", other_names=[der.explicit(3)], extra=[Extension("1.2.3", b"")])
_CONSTRAINED = ISSUING.issue_ca(
    "Constrained", key="ec256", extra=[extensions.name_constraints(permitted=[extensions.rfc822_name("corp.example")])]
)
_SEEDS = [
    _ALICE.der,
    _RSA.der,
    _ODD.der,
    _ALICE.smime_blob(_RSA, certificates=[ISSUING, COMPANY.root]),
    _RSA.smime_blob(_ALICE, preference="recipient-key-id", content=b"content"),
    _RSA.smime_blob(preference="microsoft", digest="sha1"),
    _CONSTRAINED.issue(ALICE, key="ec256").smime_blob(certificates=[_CONSTRAINED]),
    certificates_only_blob(_ALICE, _RSA, ISSUING),
    mapi_blob(_ALICE),
]


@given(st.sampled_from(Attribute), mutated(_SEEDS) | st.binary(max_size=200))
@settings(max_examples=4_000, deadline=None)
def test_judging_never_raises(attribute: Attribute, value: bytes) -> None:
    """Whatever the bytes, there is a verdict; and what is not accepted says why."""
    verdict = judge(attribute, value, COMPANY.context())

    assert verdict.fingerprint == fingerprint(value)
    assert verdict.accepted or refusals(verdict)


@given(mutated([_ALICE.der, _RSA.der]))
@settings(max_examples=1_000, deadline=None)
def test_a_changed_certificate_is_never_accepted(value: bytes) -> None:
    """Every bit of a bare certificate is signed, or is the signature, or its frame."""
    if value not in (_ALICE.der, _RSA.der):
        assert not judge(Attribute.USER_CERTIFICATE, value, COMPANY.context()).accepted
