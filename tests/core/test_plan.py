"""The plan: set algebra over what is selected, what is there and what is ours."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sync.core.person import Attribute, Values, fingerprint
from sync.core.plan import Managed, Plan, plan

OURS, THEIRS, NEW = b"ours", b"theirs", b"new"

# Few distinct values, so that selected, current and managed overlap in every way.
_bytes = st.sampled_from([bytes([n]) for n in range(6)])
_values = st.builds(Values.of, st.frozensets(_bytes), st.frozensets(_bytes))
_prints = st.frozensets(_bytes.map(fingerprint))
_managed = st.builds(Managed, _prints, _prints)
_plans = st.builds(lambda s, c, m: (s, m, plan(selected=s, current=c, managed=m)), _values, _values, _managed)


def of(*values: bytes) -> Values:
    return Values.of(values)


def managed(*values: bytes) -> Managed:
    return Managed(frozenset(map(fingerprint, values)))


@given(_plans)
def test_planning_again_finds_nothing_to_do(planned: tuple[Values, Managed, Plan]) -> None:
    """Idempotence: after the write, with what the ledger then says, the same question has no work left."""
    selected, _, first = planned
    for remembered in (first.settled, first.claim):
        assert plan(selected=selected, current=first.after, managed=remembered).empty


@given(_plans)
def test_only_managed_values_are_withdrawn(planned: tuple[Values, Managed, Plan]) -> None:
    """Other people's values stay."""
    _, mine, made = planned
    for attribute in Attribute:
        assert {fingerprint(value) for value in made.withdrawn[attribute]} <= mine[attribute]
        assert set(made.foreign[attribute]) <= set(made.after[attribute])


@given(_plans)
def test_every_selected_value_is_present_afterwards(planned: tuple[Values, Managed, Plan]) -> None:
    """And nothing else than selected and foreign values."""
    selected, _, made = planned
    for attribute in Attribute:
        assert set(made.after[attribute]) == set(selected[attribute]) | set(made.foreign[attribute])


@given(_plans)
def test_the_claim_covers_all_that_the_write_brings(planned: tuple[Values, Managed, Plan]) -> None:
    """A crash after the write orphans nothing: the claim names what was added and forgets nothing of ours."""
    _, mine, made = planned
    for attribute in Attribute:
        assert {fingerprint(value) for value in made.added[attribute]} <= made.claim[attribute]
        assert mine[attribute] <= made.claim[attribute]
        assert made.settled[attribute] <= made.claim[attribute]


@given(_plans, _values)
def test_after_a_crash_between_claim_and_record_withdrawal_is_still_complete(
    planned: tuple[Values, Managed, Plan], later: Values
) -> None:
    """Whatever is selected next, no value that we brought is taken for foreign."""
    _, _, made = planned
    again = plan(selected=later, current=made.after, managed=made.claim)
    for attribute in Attribute:
        left_behind = set(again.after[attribute]) - set(later[attribute])
        assert left_behind <= set(made.foreign[attribute])


def test_a_new_certificate_is_added_beside_a_foreign_one() -> None:
    """Nothing of somebody else's is lost, and only ours is claimed."""
    made = plan(selected=of(NEW), current=of(THEIRS), managed=Managed())
    assert made.after == of(NEW, THEIRS)
    assert made.changes == {Attribute.USER_CERTIFICATE: made.after.user_certificate}
    assert made.settled == managed(NEW)


def test_a_value_that_somebody_else_published_is_not_adopted() -> None:
    """Selected and already there: nothing to write, and we shall never withdraw it."""
    made = plan(selected=of(THEIRS), current=of(THEIRS), managed=Managed())
    assert made.empty
    assert made.settled == Managed()


def test_a_withdrawn_value_that_returns_by_hand_is_foreign() -> None:
    """After a withdrawal we own nothing of it any more."""
    withdrawal = plan(selected=Values(), current=of(OURS), managed=managed(OURS))
    assert withdrawal.after == Values()
    assert withdrawal.settled == Managed()
    assert plan(selected=Values(), current=of(OURS), managed=withdrawal.settled).empty


def test_clearing_an_attribute_is_a_change_to_the_empty_list() -> None:
    """Exchange replaces lists, so withdrawing the last value sends an empty one."""
    blob = Values.of((), [OURS])
    made = plan(selected=Values(), current=blob, managed=Managed(frozenset(), frozenset({fingerprint(OURS)})))
    assert made.changes == {Attribute.USER_SMIME_CERTIFICATE: ()}


_shared_plans = st.builds(
    lambda s, c, m, o: (s, m, o, plan(selected=s, current=c, managed=m, shared=o)), _values, _values, _managed, _managed
)


@given(_shared_plans)
def test_what_others_of_the_recipient_published_stays(planned: tuple[Values, Managed, Managed, Plan]) -> None:
    """Whatever we published too, and planning again finds nothing to do."""
    selected, mine, others, made = planned
    for attribute in Attribute:
        withdrawn = {fingerprint(value) for value in made.withdrawn[attribute]}
        assert withdrawn <= mine[attribute] - others[attribute]
    for remembered in (made.settled, made.claim):
        assert plan(selected=selected, current=made.after, managed=remembered, shared=others).empty


@given(_shared_plans)
def test_what_is_selected_and_was_ours_for_anybody_is_ours_here(
    planned: tuple[Values, Managed, Managed, Plan],
) -> None:
    """So that it goes with the last of them, and not before."""
    selected, _, others, made = planned
    for attribute in Attribute:
        wanted = {fingerprint(value) for value in selected[attribute]}
        assert others[attribute] & wanted <= made.settled[attribute] <= made.claim[attribute]


@given(_values, _values, st.lists(_managed, min_size=2, max_size=2))
def test_when_everybody_of_a_recipient_has_left_nothing_of_ours_is_left(
    selected: Values, current: Values, both: list[Managed]
) -> None:
    """One after the other, in whatever order: what is foreign to both stays, all else goes."""
    first = plan(selected=selected, current=current, managed=both[0], shared=both[1])
    gone = plan(selected=Values(), current=first.after, managed=first.settled, shared=both[1])
    last = plan(selected=Values(), current=gone.after, managed=both[1], shared=gone.settled)
    for attribute in Attribute:
        ours = both[0][attribute] | both[1][attribute]
        assert set(last.after[attribute]) == {value for value in current[attribute] if fingerprint(value) not in ours}
