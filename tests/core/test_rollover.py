"""Rollover and doubt, C5 and C6: what is published stays while its revocation is unknown, for a grace when it expired,
and for a while when its successor is new."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sync.core.codes import Code
from sync.core.decision import Decision, decide
from sync.core.findings import Level
from sync.core.judgement import judge
from sync.core.person import Attribute, Values
from sync.core.plan import Managed
from sync.core.policy import Revocation
from sync.core.recipient import Recipient, RecipientKind
from sync.core.revocation import Knowledge
from sync.core.revocation_list import RevocationList
from sync.core.selection import select
from tests.core.company import ALICE, Company
from tests.mill import DAY, NOW, Issued
from tests.mill.revocation import crl
from tests.office import person

COMPANY = Company()
OLD = COMPANY.issuing.issue(ALICE, key="ec256", not_before=NOW - 300 * DAY)
NEW = COMPANY.issuing.issue(ALICE, key="ec256", not_before=NOW - 3 * DAY)
OFF: dict[str, Any] = {"revocation": Revocation.OFF}


def decided(
    *certificates: Issued, held: tuple[Issued, ...] = (), ours: tuple[Issued, ...] = (), lists: Any = (), **policy: Any
) -> Decision:
    """Decide with hard revocation for Alice, whose mailbox holds some of which some are ours."""
    context = COMPANY.context(**{"revocation": Revocation.HARD} | policy)
    context = replace(context, revocation=Knowledge.of(map(RevocationList.parse, lists)))
    mailbox = Recipient(
        id="alice", kind=RecipientKind.MAILBOX, addresses=(ALICE,), values=Values.of(each.der for each in held)
    )
    managed = Managed(frozenset(each.fingerprint for each in ours))
    return decide(person=person("alice", *certificates), recipient=mailbox, managed=managed, context=context)


def codes(decision: Decision, level: Level) -> list[Code]:
    return [f.code for judged in decision.judged for f in judged.findings if f.level is level]


def test_what_we_published_stays_while_its_revocation_is_unknown() -> None:
    """With a warning: a source that is down must not take everybody's certificate away."""
    decision = decided(OLD, held=(OLD,), ours=(OLD,))
    assert decision.plan.empty
    assert decision.findings == ()
    assert codes(decision, Level.WARN) == [Code.REVOCATION_UNKNOWN] * 2
    assert decision.plan.settled == Managed(frozenset({OLD.fingerprint}))


def test_a_new_certificate_is_not_published_while_its_revocation_is_unknown() -> None:
    """And the person is noted."""
    decision = decided(NEW)
    assert decision.plan.empty
    assert [(f.code, f.level) for f in decision.findings] == [(Code.NONE_PUBLISHABLE, Level.NOTE)]


def test_the_doubtful_successor_does_not_push_out_the_published_one() -> None:
    """It comes when it is known to be good."""
    decision = decided(OLD, NEW, held=(OLD,), ours=(OLD,))
    assert decision.plan.empty
    good = decided(OLD, NEW, held=(OLD,), ours=(OLD,), lists=[crl(COMPANY.issuing), crl(COMPANY.root)])
    assert good.plan.after.user_certificate == (NEW.der,)


def test_what_was_revoked_or_has_expired_goes_though_we_published_it() -> None:
    """Only doubt is forgiven."""
    revoking = crl(COMPANY.issuing, [OLD.certificate.serial_number])
    expired = COMPANY.issuing.issue(ALICE, key="ec256", not_after=NOW - DAY)
    assert decided(OLD, held=(OLD,), ours=(OLD,), lists=[revoking]).plan.after == Values()
    assert decided(expired, held=(expired,), ours=(expired,)).plan.after == Values()


EXPIRED = COMPANY.issuing.issue(ALICE, key="ec256", not_before=NOW - 9 * DAY, not_after=NOW - DAY / 2)


def test_what_we_published_stays_for_a_grace_after_it_expired() -> None:
    """With a warning that says until when; at the last moment of the grace it goes."""
    for moment, after, told in ((DAY / 2 - timedelta(seconds=1), 1, Code.EXPIRY_GRACE), (DAY / 2, 0, Code.EXPIRED)):
        decision = decided(EXPIRED, held=(EXPIRED,), ours=(EXPIRED,), **OFF, now=NOW + moment)
        assert len(decision.plan.after.user_certificate) == after
        assert [f.code for judged in decision.judged for f in judged.findings] == [told]
    assert decided(EXPIRED, held=(EXPIRED,), ours=(EXPIRED,), **OFF, expiry_grace=0 * DAY).plan.after == Values()


@pytest.mark.parametrize("whose", [{"held": (EXPIRED,)}, {"ours": (EXPIRED,)}, {}], ids=["theirs", "claimed", "new"])
def test_the_grace_is_for_what_the_recipient_holds_from_us(whose: dict[str, Any]) -> None:
    """Nothing that has expired is published anew, and what somebody else put there is not taken for ours."""
    decision = decided(EXPIRED, **whose, **OFF)
    assert codes(decision, Level.REFUSE) == [Code.EXPIRED]
    assert decision.plan.empty
    assert decision.plan.settled == Managed()


def test_in_its_grace_everything_else_is_still_asked_of_it() -> None:
    """A revocation that came after the expiry, above all; doubt alone is forgiven then too."""
    revoking = crl(COMPANY.issuing, [EXPIRED.certificate.serial_number])
    gone = decided(EXPIRED, held=(EXPIRED,), ours=(EXPIRED,), lists=[revoking, crl(COMPANY.root)])
    assert gone.plan.after == Values()
    doubtful = decided(EXPIRED, held=(EXPIRED,), ours=(EXPIRED,))
    assert doubtful.plan.empty
    assert codes(doubtful, Level.WARN) == [Code.EXPIRY_GRACE] + [Code.REVOCATION_UNKNOWN] * 2


@pytest.mark.parametrize("same_key", [False, True], ids=["other-key", "same-key"])
def test_whatever_is_valid_goes_before_what_has_expired(same_key: bool) -> None:
    """Also one that is older, and also while predecessors overlap: nobody needs the expired one any more."""
    for begin in (NOW - 300 * DAY, NOW - 3 * DAY):
        valid = COMPANY.issuing.issue(ALICE, key=EXPIRED.key if same_key else "ec256", not_before=begin)
        decision = decided(EXPIRED, valid, held=(EXPIRED,), ours=(EXPIRED,), **OFF, overlap=30 * DAY)
        assert decision.plan.after.user_certificate == (valid.der,)


def test_what_has_expired_yields_though_a_signature_prefers_it() -> None:
    """And its userSMIMECertificate goes with it: Outlook would take that first."""
    context = replace(COMPANY.context(**OFF), published=frozenset({EXPIRED.fingerprint}))
    verdicts = [
        judge(Attribute.USER_SMIME_CERTIFICATE, EXPIRED.smime_blob(), context),
        judge(Attribute.USER_CERTIFICATE, OLD.der, context),
    ]
    assert verdicts[0].preferred
    assert verdicts[0].accepted
    assert select(verdicts, context).values == Values.of([OLD.der])


def test_a_doubtful_one_that_we_claim_but_nobody_holds_is_not_published() -> None:
    """A claim alone is no publication."""
    assert decided(OLD, ours=(OLD,)).plan.after == Values()


@pytest.mark.parametrize(("overlap", "published"), [(0, {NEW}), (2, {NEW}), (4, {NEW, OLD})])
def test_the_predecessor_stays_for_the_overlap(overlap: int, published: set[Issued]) -> None:
    """Counted from the day from which the new one is valid, which was three days ago."""
    decision = decided(OLD, NEW, **OFF, overlap=overlap * DAY)
    assert set(decision.plan.after.user_certificate) == {each.der for each in published}
    notes = codes(decision, Level.NOTE)
    assert notes == [Code.OVERLAP] if OLD in published else notes == [Code.SUPERSEDED]


def test_only_one_predecessor_stays() -> None:
    """The one right before."""
    older = COMPANY.issuing.issue(ALICE, key="ec256", not_before=NOW - 330 * DAY, not_after=NOW + 100 * DAY)
    decision = decided(older, OLD, NEW, **OFF, overlap=10 * DAY)
    assert set(decision.plan.after.user_certificate) == {NEW.der, OLD.der}


def test_the_overlap_ends_by_itself() -> None:
    """At its last moment it is over."""
    for moment, count in ((7 * DAY - timedelta(seconds=1), 2), (7 * DAY, 1)):
        begin = NEW.certificate.not_valid_before_utc
        decision = decided(OLD, NEW, **OFF, overlap=7 * DAY, now=begin + moment)
        assert len(decision.plan.after.user_certificate) == count


def test_predecessors_never_push_out_anybody() -> None:
    """The limit is for the new ones first."""
    decision = decided(OLD, NEW, **OFF, overlap=10 * DAY, max_values=1)
    assert decision.plan.after.user_certificate == (NEW.der,)
    assert Code.OVER_LIMIT in codes(decision, Level.WARN)
