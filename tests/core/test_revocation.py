"""Revocation, B16: along the path, from lists full and delta and from OCSP. Doubt is never called good."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.core.codes import Code
from sync.core.findings import Level
from sync.core.judgement import Context, Verdict, judge
from sync.core.path import TrustStore
from sync.core.person import Attribute
from sync.core.policy import Revocation
from sync.core.revocation import Knowledge
from sync.core.revocation_list import MalformedListError, RevocationList
from tests.core.company import ALICE, Company
from tests.mill import DAY, NOW, Authority, Issued, der, extensions, keys
from tests.mill.extensions import Extension
from tests.mill.revocation import Reason, crl, limited_to, ocsp_response

OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
COMPANY = Company()
ROOT, ISSUING = COMPANY.root, COMPANY.issuing
LEAF = ISSUING.issue(ALICE, key="ec256")
SERIAL = LEAF.certificate.serial_number
ROOT_LIST = crl(ROOT)
REVOKING = crl(ISSUING, {3: Reason.superseded, SERIAL: Reason.key_compromise})
WHERE = x509.UniformResourceIdentifier("http://pki.corp.example/issuing.crl")


def judged(
    *lists: bytes,
    leaf: Issued = LEAF,
    answers: dict[str, bytes] | None = None,
    mode: Revocation = Revocation.HARD,
    root_list: bytes | None = ROOT_LIST,
    **context: Any,
) -> Verdict:
    """Judge Alice's certificate when these lists are known, and a good one of the root."""
    known = [RevocationList.parse(each) for each in (*lists, *([root_list] if root_list else []))]
    knowledge = Knowledge.of(known, answers)
    made = COMPANY.context(revocation=mode, **context)
    with_knowledge = Context(
        now=made.now, trust=made.trust, policy=made.policy, addresses=made.addresses, revocation=knowledge
    )
    return judge(Attribute.USER_CERTIFICATE, leaf.der, with_knowledge)


def found(verdict: Verdict) -> list[Code]:
    return [finding.code for finding in verdict.findings]


# what a list says


def test_a_certificate_that_no_list_names_is_good() -> None:
    """Of its CA a current list is known, and of the CA's CA."""
    assert found(judged(crl(ISSUING, [1, 2, SERIAL + 1]))) == []


def test_a_certificate_that_the_list_names_is_refused_with_day_and_reason() -> None:
    """For good measure in soft mode too."""
    for mode in (Revocation.SOFT, Revocation.HARD):
        verdict = judged(crl(ISSUING, {5: None, SERIAL: Reason.key_compromise}), mode=mode)
        assert found(verdict) == [Code.REVOKED]
        assert not verdict.accepted
        assert verdict.findings[0].detail == "on 2026-05-30, reason keyCompromise"


def test_a_hold_is_a_revocation() -> None:
    """RFC 5280, 5.3.1: it may be lifted, then the next list says so."""
    assert found(judged(crl(ISSUING, {SERIAL: Reason.certificate_hold}))) == [Code.REVOKED]


def test_a_revoked_ca_refuses_what_is_below_it() -> None:
    """And the finding names the CA."""
    verdict = judged(crl(ISSUING), root_list=crl(ROOT, [ISSUING.certificate.serial_number]))
    assert found(verdict) == [Code.CA_REVOKED]
    assert "Example Issuing CA" in verdict.findings[0].detail


def test_revocation_that_is_off_is_not_looked_at() -> None:
    """Whatever the lists say."""
    assert judged(crl(ISSUING, [SERIAL]), mode=Revocation.OFF).accepted


@pytest.mark.parametrize(("mode", "level"), [(Revocation.SOFT, Level.WARN), (Revocation.HARD, Level.REFUSE)])
def test_without_a_list_it_is_unknown(mode: Revocation, level: Level) -> None:
    """A warning when soft, a refusal when hard; once for the leaf, once for its CA."""
    verdict = judged(mode=mode, root_list=None)
    assert [(f.code, f.level) for f in verdict.findings] == [(Code.REVOCATION_UNKNOWN, level)] * 2


def test_a_list_of_another_ca_says_nothing() -> None:
    """Though it holds the serial number."""
    other = ROOT.issue_ca("Other CA", key="ec256")
    assert found(judged(crl(other, [SERIAL]))) == [Code.REVOCATION_UNKNOWN]


# who signed it, and when


def test_a_list_that_another_key_signed_counts_for_nothing() -> None:
    """Neither what it holds nor what it does not."""
    other = COMPANY.mill.root("Example Issuing CA", key="ec256")
    assert found(judged(crl(other))) == [Code.CRL_SIGNATURE]
    assert found(judged(crl(other, [SERIAL]))) == [Code.CRL_SIGNATURE]


def test_a_list_that_was_changed_counts_for_nothing() -> None:
    """One bit of the date."""
    good = crl(ISSUING)
    place = good.index(b"260531")
    changed = good[:place] + b"260530" + good[place + 6 :]
    assert found(judged(changed)) == [Code.CRL_SIGNATURE]


def test_a_ca_that_may_not_sign_lists_signed_it_in_vain() -> None:
    """RFC 5280, 6.3.3 (f)."""
    issuing = ROOT.issue_ca("Certificates Only CA", key="ec256", ku=("keyCertSign",))
    leaf = issuing.issue(ALICE, key="ec256")
    trust = TrustStore.of([ROOT.der], [issuing.der])
    assert found(judged(crl(issuing), leaf=leaf, trust=trust)) == [Code.CRL_SIGNATURE]


def test_the_former_key_of_a_renewed_ca_may_still_sign() -> None:
    """A second certificate of the CA's name with a path to the same anchor."""
    renewed = ROOT.issue_ca("Example Issuing CA", key="ec256")
    leaf = renewed.issue(ALICE, key="ec256")
    both = TrustStore.of([ROOT.der], [renewed.der, ISSUING.der])
    assert found(judged(crl(ISSUING), leaf=leaf, trust=both)) == []
    assert found(judged(crl(ISSUING, [leaf.certificate.serial_number]), leaf=leaf, trust=both)) == [Code.REVOKED]
    revoked = crl(ROOT, [ISSUING.certificate.serial_number])
    assert found(judged(crl(ISSUING), leaf=leaf, trust=both, root_list=revoked)) == [Code.CRL_SIGNATURE]


def test_a_namesake_under_another_anchor_may_not_sign() -> None:
    """RFC 5280, 6.3.3 (f): the same anchor."""
    elsewhere = COMPANY.mill.root("Other Root CA", key="ec256")
    namesake = elsewhere.issue_ca("Example Issuing CA", key="ec256")
    trust = TrustStore.of([ROOT.der, elsewhere.der], [ISSUING.der, namesake.der])
    assert found(judged(crl(namesake), trust=trust)) == [Code.CRL_SIGNATURE]


@pytest.mark.parametrize("kind", ["rsa2048", "ec384"])
def test_lists_are_verified_with_each_kind_of_key(kind: Any) -> None:
    """And a broken signature is seen with each."""
    company = Company(key=kind)
    leaf = company.issuing.issue(ALICE, key="ec256")
    known = [crl(company.issuing), crl(company.root)]
    assert found(judged(*known, leaf=leaf, trust=company.trust, root_list=None)) == []
    broken = known[0][:-1] + bytes((known[0][-1] ^ 1,))
    assert found(judged(broken, known[1], leaf=leaf, trust=company.trust, root_list=None)) == [Code.CRL_SIGNATURE]


def test_a_list_signed_with_a_weak_hash_counts_for_nothing_unless_allowed() -> None:
    """The same hashes as for certificates."""
    company = Company(key="rsa2048")
    leaf = company.issuing.issue(ALICE, key="ec256")
    lists = [crl(company.issuing, digest=hashes.SHA224()), crl(company.root)]
    options: dict[str, Any] = {"leaf": leaf, "trust": company.trust, "root_list": None}
    assert found(judged(*lists, **options)) == [Code.CRL_SIGNATURE]
    assert found(judged(*lists, **options, hashes=frozenset({"sha224", "sha256"}))) == []


def test_a_list_past_its_next_update_is_stale() -> None:
    """It proves nothing good any more, but what it revoked stays revoked."""
    old: dict[str, Any] = {"this_update": NOW - 9 * DAY, "next_update": NOW - DAY}
    assert found(judged(crl(ISSUING, **old))) == [Code.CRL_STALE]
    assert found(judged(crl(ISSUING, [SERIAL], **old))) == [Code.REVOKED]


def test_a_stale_list_counts_within_the_grace() -> None:
    """With a warning, even when revocation is hard."""
    old = crl(ISSUING, this_update=NOW - 9 * DAY, next_update=NOW - DAY)
    verdict = judged(old, crl_grace=2 * DAY)
    assert [(f.code, f.level) for f in verdict.findings] == [(Code.CRL_STALE, Level.WARN)]
    assert not judged(old, crl_grace=DAY / 2).accepted


def test_a_list_of_tomorrow_is_not_used() -> None:
    """Beyond the skew of clocks."""
    assert found(judged(crl(ISSUING, this_update=NOW + DAY))) == [Code.REVOCATION_UNKNOWN]
    assert found(judged(crl(ISSUING, this_update=NOW + timedelta(minutes=4)))) == []


def test_the_newest_list_counts() -> None:
    """A hold was lifted; the order in which they came does not matter."""
    before = crl(ISSUING, [SERIAL], number=1, this_update=NOW - 2 * DAY)
    after = crl(ISSUING, number=2)
    assert found(judged(before, after)) == found(judged(after, before)) == []


# what it is for


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        (limited_to(users=True), []),
        (limited_to(cas=True), [Code.REVOCATION_UNKNOWN]),
        (limited_to(attributes=True), [Code.REVOCATION_UNKNOWN]),
        (limited_to(indirect=True), [Code.REVOCATION_UNKNOWN]),
        (limited_to(reasons=[Reason.key_compromise]), [Code.REVOCATION_UNKNOWN]),
        (limited_to(full_name=[WHERE]), [Code.REVOCATION_UNKNOWN]),
    ],
)
def test_a_limited_list_counts_for_what_it_is_for(point: x509.IssuingDistributionPoint, expected: list[Code]) -> None:
    """Elsewhere it proves nothing."""
    assert found(judged(crl(ISSUING, point=point))) == expected


def test_a_list_for_users_says_nothing_of_a_ca() -> None:
    """The root's list must be for CAs."""
    for point, expected in ((limited_to(users=True), [Code.REVOCATION_UNKNOWN]), (limited_to(cas=True), [])):
        assert found(judged(crl(ISSUING), root_list=crl(ROOT, point=point))) == expected


def test_a_partition_counts_for_the_certificates_that_name_it() -> None:
    """By the certificate's own distribution point, which is compared and never followed."""
    points = x509.CRLDistributionPoints([x509.DistributionPoint([WHERE], None, None, None)])
    named = ISSUING.issue(ALICE, key="ec256", extra=[Extension("2.5.29.31", points.public_bytes())])
    partition = limited_to(full_name=[WHERE])
    assert found(judged(crl(ISSUING, point=partition), leaf=named)) == []
    assert found(judged(crl(ISSUING, [named.certificate.serial_number], point=partition), leaf=named)) == [Code.REVOKED]


def test_lists_of_some_reasons_each_make_a_whole() -> None:
    """RFC 5280, 6.3.3 (l): all reasons must be told of; but what one of them revokes is revoked."""
    some = [Reason.key_compromise, Reason.ca_compromise]
    others = [r for r in Reason if r not in {*some, Reason.unspecified, Reason.remove_from_crl}]
    first, second = (crl(ISSUING, point=limited_to(reasons=each)) for each in (some, others))
    assert found(judged(first, second)) == []
    revoking = crl(ISSUING, {SERIAL: Reason.key_compromise}, point=limited_to(reasons=some))
    assert found(judged(revoking)) == [Code.REVOKED]


def test_a_list_whose_signed_part_names_another_algorithm_is_none() -> None:
    """RFC 5280, 5.1.1.2. `cryptography` sees to that."""
    inner, outer = (keys.signature_algorithm(ISSUING.key, digest) for digest in ("sha384", "sha256"))
    for algorithm in (inner, outer):
        times = (der.time(NOW - DAY), der.time(NOW + DAY))
        tbs = der.sequence(der.integer(1), algorithm, ISSUING.name.public_bytes(), *times)
        made = der.sequence(tbs, outer, der.bit_string(keys.sign(ISSUING.key, tbs, "sha256")))
        if algorithm == outer:
            assert found(judged(made)) == []
        else:
            with pytest.raises(MalformedListError, match="do not match"):
                RevocationList.parse(made)


@pytest.mark.parametrize("where", ["extra", "entry_extra"])
def test_a_critical_extension_that_nobody_knows_makes_a_list_useless(where: str) -> None:
    """Of the list or of any entry (RFC 5280, 5.2 and 5.3), be it about another certificate."""
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    options: dict[str, Any] = {where: [(unknown, True)]}
    verdict = judged(crl(ISSUING, [7], **options))
    assert found(verdict) == [Code.REVOCATION_UNKNOWN]
    assert "1.3.6.1.4.1.99999.1" in verdict.findings[0].detail
    options = {where: [(unknown, False)]}
    assert found(judged(crl(ISSUING, [7], **options))) == []


# deltas


def test_a_delta_adds_to_its_base() -> None:
    """And alone it proves nothing."""
    base, delta = crl(ISSUING, number=3), crl(ISSUING, [SERIAL], number=5, base=3)
    assert found(judged(base, delta)) == [Code.REVOKED]
    assert found(judged(delta)) == [Code.REVOCATION_UNKNOWN]


def test_a_delta_takes_away_from_its_base() -> None:
    """RemoveFromCRL."""
    base = crl(ISSUING, {SERIAL: Reason.certificate_hold}, number=3)
    assert found(judged(base, crl(ISSUING, {SERIAL: Reason.remove_from_crl}, number=5, base=3))) == []


@pytest.mark.parametrize(
    "delta",
    [
        {"number": 5, "base": 4},  # for a later base
        {"number": 2, "base": 1},  # older than the complete list
        {"number": 5, "base": 3, "next_update": NOW - DAY, "this_update": NOW - 2 * DAY},
        {"number": 5, "base": 3, "point": limited_to(users=True)},  # of another scope
    ],
)
def test_a_delta_that_does_not_belong_to_the_list_changes_nothing(delta: dict[str, Any]) -> None:
    """A hold that it lifts stays."""
    base = crl(ISSUING, {SERIAL: Reason.certificate_hold}, number=3)
    assert found(judged(base, crl(ISSUING, {SERIAL: Reason.remove_from_crl}, **delta))) == [Code.REVOKED]


# OCSP


def answered(response: bytes, *lists: bytes, **options: Any) -> list[Code]:
    return found(judged(*lists, answers={LEAF.fingerprint: response}, **options))


@pytest.mark.parametrize("by_name", [True, False])
def test_an_answer_of_the_ca_counts(by_name: bool) -> None:
    """However it names itself."""
    assert answered(ocsp_response(LEAF, ISSUING, by_name=by_name)) == []
    revoked = ocsp_response(LEAF, ISSUING, status="revoked", reason=Reason.superseded, by_name=by_name)
    assert answered(revoked) == [Code.REVOKED]


def responder(issuer: Authority = ISSUING, **options: Any) -> Issued:
    made: dict[str, Any] = {"key": "ec256", "subject": "Responder", "eku": (OCSP_SIGNING,), "ku": ("digitalSignature",)}
    return issuer.issue(**made | options)


def test_an_answer_of_a_responder_that_the_ca_named_counts() -> None:
    """RFC 6960, 4.2.2.2."""
    named = responder()
    assert answered(ocsp_response(LEAF, ISSUING, signer=named, attached=[named])) == []


@pytest.mark.parametrize(
    "impostor",
    [
        responder(eku=("1.3.6.1.5.5.7.3.4",)),
        responder(eku=None),
        responder(issuer=ROOT),
        responder(not_after=NOW - DAY),
        responder(ku=("keyEncipherment",)),
        responder(broken_signature=True),
    ],
    ids=["wrong-eku", "no-eku", "other-issuer", "expired", "wrong-usage", "forged"],
)
def test_an_answer_of_anybody_else_does_not_count(impostor: Issued) -> None:
    """Whatever it says."""
    statuses: tuple[Literal["good", "revoked"], ...] = ("good", "revoked")
    for status in statuses:
        response = ocsp_response(LEAF, ISSUING, status=status, signer=impostor, attached=[impostor])
        assert answered(response) == [Code.CRL_SIGNATURE]


def test_an_answer_about_another_certificate_does_not_count() -> None:
    """Of another serial number, or of another issuer with the same one."""
    bob = ISSUING.issue("bob@corp.example", key="ec256")
    assert answered(ocsp_response(bob, ISSUING)) == [Code.REVOCATION_UNKNOWN]
    other = ROOT.issue_ca("Other CA", key="ec256")
    twin = other.issue(ALICE, key="ec256", serial=SERIAL)
    assert answered(ocsp_response(twin, other, signer=ISSUING)) == [Code.REVOCATION_UNKNOWN]


def test_an_old_answer_is_stale() -> None:
    """One without a next update after a day; a revocation does not age."""
    old: dict[str, Any] = {"this_update": NOW - 3 * DAY, "next_update": NOW - DAY}
    assert answered(ocsp_response(LEAF, ISSUING, **old)) == [Code.CRL_STALE]
    assert answered(ocsp_response(LEAF, ISSUING, this_update=NOW - 2 * DAY, next_update=None)) == [Code.CRL_STALE]
    assert answered(ocsp_response(LEAF, ISSUING, this_update=NOW - DAY / 2, next_update=None)) == []
    assert answered(ocsp_response(LEAF, ISSUING, status="revoked", **old)) == [Code.REVOKED]
    assert answered(ocsp_response(LEAF, ISSUING, this_update=NOW + DAY)) == [Code.REVOCATION_UNKNOWN]


@pytest.mark.parametrize("response", [b"", b"junk", b"\x30\x03\x0a\x01\x06"], ids=["empty", "junk", "unauthorized"])
def test_what_is_no_answer_leaves_it_unknown(response: bytes) -> None:
    """And a list that knows goes before it."""
    assert answered(response) == [Code.REVOCATION_UNKNOWN]
    assert answered(response, crl(ISSUING)) == []
    assert answered(response, crl(ISSUING, [SERIAL])) == [Code.REVOKED]


def test_a_responder_that_does_not_know_leaves_it_to_the_list() -> None:
    """RFC 6960, 2.2."""
    unknown = ocsp_response(LEAF, ISSUING, status="unknown")
    assert answered(unknown) == [Code.REVOCATION_UNKNOWN]
    assert answered(unknown, crl(ISSUING)) == []


# what a CA says of itself


_LDAP = "ldap:///CN=Root,CN=CDP?certificateRevocationList"


@pytest.mark.parametrize(
    ("addresses", "noted"),
    [
        ((_LDAP,), True),
        ((_LDAP, "LDAPS://dc.corp.example/CN=Root"), True),
        ((_LDAP, "http://pki.corp.example/root.crl"), False),
        ((), False),
    ],
)
def test_a_ca_with_ldap_addresses_only_is_told_of(addresses: tuple[str, ...], noted: bool) -> None:
    """Nobody outside the domain can fetch the list that could revoke it; a note, whatever else is known."""
    issuing = ROOT.issue_ca("AD CS", key="ec256", extra=[extensions.list_addresses(*addresses)] if addresses else [])
    context: dict[str, Any] = {
        "leaf": issuing.issue(ALICE, key="ec256"),
        "trust": TrustStore.of([ROOT.der], [issuing.der]),
    }
    known = judged(crl(issuing), **context)
    assert [(f.code, f.level, f.detail) for f in known.findings] == [
        (Code.CRL_LDAP_ONLY, Level.NOTE, "CN=AD CS")
    ] * noted
    unknown = judged(crl(issuing), root_list=None, **context)
    assert found(unknown) == [Code.REVOCATION_UNKNOWN] + [Code.CRL_LDAP_ONLY] * noted


def test_where_a_person_s_certificate_points_is_no_matter() -> None:
    """All of AD CS's point to the directory."""
    leaf = ISSUING.issue(ALICE, key="ec256", extra=[extensions.list_addresses(_LDAP)])
    assert found(judged(crl(ISSUING), leaf=leaf)) == []


# reading lists


def test_every_entry_of_a_list_is_found_and_no_other() -> None:
    """Serial numbers of all lengths, entries of more than 127 bytes among them."""
    serials = [1 << bit for bit in range(0, 158, 3)] + [255, 128, 127]
    long = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.2"), bytes(300))
    for extra in ([], [(long, False)]):
        parsed = RevocationList.parse(crl(ISSUING, serials, entry_extra=extra))
        assert parsed.count == len(set(serials))
        assert all(parsed.find(serial) for serial in serials)
        assert not any(parsed.find(serial + 2) for serial in serials if serial + 2 not in serials)


def test_a_serial_inside_another_entry_is_no_hit() -> None:
    """Bytes that look like a whole entry, within an extension of another one."""
    victim = RevocationList.parse(crl(ISSUING, [SERIAL]))
    hidden = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.3"), victim._entries)
    assert RevocationList.parse(crl(ISSUING, [7], entry_extra=[(hidden, False)])).find(SERIAL) is None


@pytest.mark.parametrize("junk", [b"", b"\x30\x00", b"junk", LEAF.der, crl(ISSUING)[:-1], crl(ISSUING) + b"\x00"])
def test_what_is_no_list_is_refused(junk: bytes) -> None:
    """With one error of ours."""
    with pytest.raises(MalformedListError):
        RevocationList.parse(junk)


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_damaged_list_never_ends_in_another_error(place: int, value: int) -> None:
    """Nor does it make a revoked certificate good."""
    whole = bytearray(REVOKING)
    whole[place % len(whole)] = value
    try:
        parsed = RevocationList.parse(bytes(whole))
    except MalformedListError:
        return
    parsed.find(SERIAL)
    assert found(judged(bytes(whole))) != []
