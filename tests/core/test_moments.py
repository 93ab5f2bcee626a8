"""When time alone changes a judgement: no moment is missed, and each is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from sync.core.certificate import Certificate
from sync.core.codes import Code
from sync.core.context import Context
from sync.core.decision import decide
from sync.core.findings import Level
from sync.core.judgement import judge
from sync.core.moments import awaited, next_change
from sync.core.path import TrustStore
from sync.core.person import Attribute, Values
from sync.core.plan import Managed
from sync.core.policy import Revocation
from sync.core.recipient import Recipient, RecipientKind
from sync.core.revocation import Knowledge
from sync.core.revocation_list import RevocationList
from sync.core.revoked import issuer_mark, mark
from sync.core.selection import select, spared
from tests.core.company import ALICE, Company
from tests.mill import DAY, NOW, Issued
from tests.mill.revocation import crl, ocsp_response
from tests.office import person

COMPANY = Company()
ROOT, ISSUING = COMPANY.root, COMPANY.issuing
SECOND, SKEW = timedelta(seconds=1), timedelta(minutes=5)
PLAIN = ISSUING.issue(ALICE, key="ec256", not_before=NOW - 9 * DAY, not_after=NOW + 300 * DAY)


def moments(context: Context, *certificates: Issued, until: datetime = NOW + 5000 * DAY) -> Iterator[datetime]:
    """Every moment that is told, each found from the one before."""
    while True:
        verdicts = [spared(judge(Attribute.USER_CERTIFICATE, c.der, context), context.published) for c in certificates]
        moment = next_change(verdicts, context)
        if moment is None or moment > until:
            return
        assert moment > context.now
        yield moment
        context = replace(context, now=moment)


def told(context: Context, *certificates: Issued) -> Any:
    """What a judgement comes to: accepted or not, the warnings, what is published. That a list has become old, which
    withdraws nobody, is none of it."""
    verdicts = [spared(judge(Attribute.USER_CERTIFICATE, c.der, context), context.published) for c in certificates]
    selection = select(verdicts, context)
    doubt = {Code.CRL_STALE, Code.REVOCATION_UNKNOWN}
    warned = [
        [each.code for each in verdict.findings if each.level is Level.WARN and each.code not in doubt]
        for verdict in selection.verdicts
        if verdict.accepted
    ]
    return [each.accepted for each in selection.verdicts], warned, selection.published


def test_a_certificate_that_waits_then_ends() -> None:
    """It begins, with the clocks' tolerance; the warning begins; it ends; each told for the first moment after."""
    leaf = ISSUING.issue(ALICE, key="ec256", not_before=NOW + DAY, not_after=NOW + 100 * DAY)
    context = COMPANY.context()
    expected = [NOW + DAY - SKEW, NOW + 70 * DAY + SECOND, NOW + 100 * DAY + SECOND]
    assert list(moments(context, leaf, until=NOW + 200 * DAY)) == expected


def test_the_grace_of_a_published_one_is_told() -> None:
    """Of one that is not ours there is none."""
    leaf = ISSUING.issue(ALICE, key="ec256", not_before=NOW - DAY, not_after=NOW + DAY)
    ours = replace(COMPANY.context(), published=frozenset({leaf.fingerprint}))
    assert list(moments(ours, leaf, until=NOW + 9 * DAY)) == [NOW + DAY + SECOND, NOW + 2 * DAY]
    assert list(moments(COMPANY.context(), leaf, until=NOW + 9 * DAY)) == [NOW + DAY + SECOND]


def test_the_end_of_a_ca_is_told() -> None:
    """Of the first on the path that ends."""
    short = ROOT.issue_ca("Short CA", key="ec256", not_after=NOW + 5 * DAY)
    context = COMPANY.context(trust=TrustStore.of([ROOT.der], [short.der]))
    leaf = short.issue(ALICE, key="ec256", not_before=NOW - 9 * DAY, not_after=NOW + 300 * DAY)
    assert next(moments(context, leaf)) == NOW + 5 * DAY + SECOND


def test_a_ca_that_is_waited_for_is_told() -> None:
    """A value that nothing is against but its CA's begin is looked at then."""
    coming = ROOT.issue_ca("Coming CA", key="ec256", not_before=NOW + 5 * DAY)
    context = COMPANY.context(trust=TrustStore.of([ROOT.der], [coming.der]))
    leaf = coming.issue(ALICE, key="ec256", not_before=NOW - 9 * DAY, not_after=NOW + 300 * DAY)
    assert next(moments(context, leaf)) == NOW + 5 * DAY - SKEW


def with_lists(*lists: bytes) -> Context:
    """Doubt refuses."""
    context = COMPANY.context(revocation=Revocation.HARD)
    return replace(context, revocation=Knowledge.of(map(RevocationList.parse, lists)))


def test_the_next_update_of_a_list_is_nobodys_moment() -> None:
    """Of a company below one CA everybody would be looked at on that day; whom the next list names is found by it."""
    context = with_lists(crl(ISSUING), crl(ROOT))
    assert list(moments(context, PLAIN, until=NOW + 60 * DAY)) == []
    assert told(context, PLAIN)[0] == [True]


def test_a_list_that_does_not_count_yet_is_told_to_whom_it_names() -> None:
    """From the clocks' tolerance before its time on it revokes; nobody else has to be looked at."""
    named = ISSUING.issue(ALICE, key="ec256", not_before=NOW - 9 * DAY, not_after=NOW + 300 * DAY)
    coming = crl(ISSUING, [Certificate.parse(named.der).serial], number=2, this_update=NOW + DAY)
    context = with_lists(crl(ISSUING), coming, crl(ROOT))
    assert list(moments(context, named, until=NOW + 60 * DAY)) == [NOW + DAY - SKEW]
    assert list(moments(context, PLAIN, until=NOW + 60 * DAY)) == []


def test_a_list_that_does_not_count_yet_is_told_to_whom_waits_for_it() -> None:
    """Nothing else is against the certificate."""
    context = with_lists(crl(ISSUING, this_update=NOW + DAY), crl(ROOT))
    assert told(context, PLAIN)[0] == [False]
    assert next(moments(context, PLAIN)) == NOW + DAY - SKEW


def awaited_by(context: Context, *certificates: Issued) -> tuple[str, ...]:
    return awaited([spared(judge(Attribute.USER_CERTIFICATE, c.der, context), context.published) for c in certificates])


def test_whoever_revocation_alone_refuses_waits_for_a_list() -> None:
    """One in doubt for the next of any CA on the path, one that was revoked for one that names it no more."""
    leaf = Certificate.parse(PLAIN.der)
    marks = tuple(sorted(issuer_mark(Certificate.parse(each.der).subject) for each in (ISSUING, ROOT)))
    assert awaited_by(with_lists(), PLAIN) == awaited_by(with_lists(crl(ISSUING)), PLAIN) == marks
    assert awaited_by(with_lists(crl(ISSUING, [leaf.serial]), crl(ROOT)), PLAIN) == (mark(leaf),)
    assert awaited_by(with_lists(crl(ISSUING, [leaf.serial])), PLAIN) == (mark(leaf),)


def test_whoever_is_accepted_or_refused_for_another_reason_waits_for_no_list() -> None:
    """No list would change that."""
    expired = ISSUING.issue(ALICE, key="ec256", not_after=NOW - 3 * DAY)
    known = with_lists(crl(ISSUING), crl(ROOT))
    published = replace(with_lists(), published=frozenset({PLAIN.fingerprint}))
    assert awaited_by(known, PLAIN) == awaited_by(known, expired) == awaited_by(published, PLAIN) == ()


@pytest.mark.parametrize("answered", [False, True])
def test_a_responder_that_gives_nothing_that_counts_is_asked_again(answered: bool) -> None:
    """A day later, whoever is published too: no list would tell of them."""
    old = ocsp_response(PLAIN, ISSUING, this_update=NOW - 9 * DAY, next_update=NOW - 2 * DAY)
    responders = {Certificate.parse(ISSUING.der).subject}
    answers = {PLAIN.fingerprint: old} if answered else {}
    knowledge = Knowledge.of([RevocationList.parse(crl(ROOT))], answers, responders=responders)
    context = replace(COMPANY.context(revocation=Revocation.SOFT), revocation=knowledge)
    assert next(moments(context, PLAIN)) == NOW + DAY
    assert list(moments(replace(context, revocation=Knowledge.of()), PLAIN, until=NOW + 60 * DAY)) == []


@pytest.mark.parametrize("next_update", [NOW + 2 * DAY, None])
def test_the_end_of_an_ocsp_answer_is_told(next_update: datetime | None) -> None:
    """Also of one that names none: it counts for a day."""
    answer = ocsp_response(PLAIN, ISSUING, this_update=NOW - DAY / 2, next_update=next_update)
    knowledge = Knowledge.of([RevocationList.parse(crl(ROOT))], {PLAIN.fingerprint: answer})
    context = replace(COMPANY.context(revocation=Revocation.SOFT), revocation=knowledge)
    end = next_update or NOW + DAY / 2
    found = list(moments(context, PLAIN, until=end + DAY))
    assert {end, end + SKEW + SECOND} <= set(found)


def test_the_end_of_an_overlap_is_told() -> None:
    """Counted from the begin of the successor."""
    former = ISSUING.issue(ALICE, key="ec256", not_before=NOW - 100 * DAY, not_after=NOW + 300 * DAY)
    context = COMPANY.context(overlap=14 * DAY)
    assert next(moments(context, former, PLAIN)) == NOW + 5 * DAY


def test_what_nothing_changes_has_no_moment() -> None:
    """Bytes that are no certificate, one that has long expired, and nothing at all."""
    expired = ISSUING.issue(ALICE, key="ec256", not_after=NOW - 3 * DAY)
    context = COMPANY.context()
    assert list(moments(context, expired)) == []
    verdict = judge(Attribute.USER_CERTIFICATE, b"nothing", context)
    assert next_change([verdict], context) is None
    assert next_change([], context) is None


def test_no_change_is_missed() -> None:
    """Between two moments that are told nothing changes: looked at right before each of the next, and in between."""
    waiting = ISSUING.issue(ALICE, key="ec256", not_before=NOW + 3 * DAY, not_after=NOW + 50 * DAY)
    ending = ISSUING.issue(ALICE, key="ec256", not_before=NOW - 99 * DAY, not_after=NOW + 4 * DAY)
    short = ROOT.issue_ca("Short CA", key="ec256", not_after=NOW + 45 * DAY)
    below = short.issue(ALICE, key="ec256", not_before=NOW - 3 * DAY, not_after=NOW + 60 * DAY)
    certificates = (waiting, ending, below, PLAIN)
    lists = [crl(short, next_update=NOW + 30 * DAY), crl(ROOT, next_update=NOW + 44 * DAY), crl(ISSUING)]
    context = replace(
        COMPANY.context(
            trust=TrustStore.of([ROOT.der], [ISSUING.der, short.der]),
            revocation=Revocation.HARD,
            overlap=2 * DAY,
            max_per_address=2,
        ),
        revocation=Knowledge.of(map(RevocationList.parse, lists)),
        published=frozenset(each.fingerprint for each in certificates),
    )
    at, seen = NOW, []
    for moment in moments(context, *certificates, until=NOW + 400 * DAY):
        before = told(replace(context, now=at), *certificates)
        # A moment says "by now": what it tells of may have happened within the second before.
        for instant in (at + (moment - SECOND - at) / 2, moment - SECOND):
            if instant > at:
                assert told(replace(context, now=instant), *certificates) == before, (at, instant, moment)
        seen.append(before)
        at = moment
    assert told(replace(context, now=at + 999 * DAY), *certificates)[0] == [False] * 4
    assert len({str(each) for each in seen}) >= 6, "too little changes to tell"


def test_a_decision_tells_it() -> None:
    """For the person, by the addresses and the published values of the recipient."""
    leaf = ISSUING.issue(ALICE, key="ec256", not_before=NOW - 9 * DAY, not_after=NOW - DAY / 4)
    mailbox = Recipient(id="alice", kind=RecipientKind.MAILBOX, addresses=(ALICE,), values=Values.of([leaf.der]))
    for managed, moment in ((Managed(frozenset({leaf.fingerprint})), NOW + 3 * DAY / 4), (Managed(), None)):
        decision = decide(person=person("alice", leaf), recipient=mailbox, managed=managed, context=COMPANY.context())
        assert decision.next_change == moment
