"""Who has to be looked at again, by their digest alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sync.core.digest import Digest, place
from sync.core.mirror import Mirror, entry
from sync.core.person import Values
from sync.core.recipient import Recipient, RecipientKind, appearance
from sync.core.record import Status
from sync.core.suspicion import Look, Reason
from tests.mill import NOW

ALICE = Recipient(
    id="alice", kind=RecipientKind.MAILBOX, addresses=("alice@corp.example",), values=Values.of([b"certificate"])
)
CA = "0123456789abcdef"  # as long as the mark of a CA is
DIGEST = Digest(
    place=place("a"),
    anchor="a",
    recipient=ALICE.id,
    status=Status.WRITTEN,
    desired=appearance(ALICE),
    holding=True,
    next_change=NOW + timedelta(days=1),
    basis="basis",
    certificates=("mark",),
    awaits=(CA,),
)
LOOK = Look(now=NOW, basis="basis", mirror=Mirror.of([entry(ALICE)]), revoked=lambda _: False)


def test_whoever_is_as_they_were_is_left_alone() -> None:
    """Nothing was read of them but the digest."""
    assert LOOK.reasons(DIGEST) == ()


@pytest.mark.parametrize(
    ("look", "reason"),
    [
        (replace(LOOK, mirror=Mirror.of([entry(replace(ALICE, values=Values()))])), Reason.DRIFT),
        (replace(LOOK, mirror=Mirror.of([entry(replace(ALICE, addresses=("al@corp.example",)))])), Reason.DRIFT),
        (replace(LOOK, mirror=Mirror.of([entry(replace(ALICE, directory_synchronised=True))])), Reason.DRIFT),
        (replace(LOOK, mirror=Mirror.of([])), Reason.VANISHED),
        (replace(LOOK, now=NOW + timedelta(days=1)), Reason.TIME),
        (replace(LOOK, basis="another"), Reason.BASIS),
        (replace(LOOK, revoked=lambda marks: "mark" in marks), Reason.REVOCATION),
        (replace(LOOK, renewed=frozenset({CA})), Reason.REVOCATION),
    ],
)
def test_each_reason(look: Look, reason: Reason) -> None:
    """One at a time."""
    assert look.reasons(DIGEST) == (reason,)


def test_several_reasons_are_all_told() -> None:
    """In one order."""
    look = Look(now=NOW + timedelta(days=2), basis="other", mirror=Mirror.of([]), revoked=lambda _: True)
    assert look.reasons(DIGEST) == (Reason.VANISHED, Reason.TIME, Reason.BASIS, Reason.REVOCATION)


@pytest.mark.parametrize(
    "digest",
    [
        replace(DIGEST, status=Status.FAILED),
        replace(DIGEST, status=Status.DEFERRED),
        replace(DIGEST, deleted=True, holding=False),
    ],
)
def test_whoever_waits_or_has_left_with_nothing_is_left_alone(digest: Digest) -> None:
    """Whatever else would speak against them."""
    look = Look(now=NOW + timedelta(days=2), basis="other", mirror=Mirror.of([]), revoked=lambda _: True)
    assert look.reasons(digest) == ()
    assert not look.by_lists(digest)


def test_whoever_was_revoked_waits_until_no_list_names_them() -> None:
    """And is looked at when a list is new, of whichever CA: it may be the one above that was revoked."""
    waiting = replace(DIGEST, certificates=(), awaits=(f"{CA}5",))
    for named, renewed, looked_at in ((True, CA, False), (False, CA, True), (False, "other", True), (False, "", False)):
        marks = [f"{CA}5"] if named else []
        look = replace(LOOK, revoked=marks.__eq__, renewed=frozenset([renewed] if renewed else []))
        assert look.by_lists(waiting) is looked_at


def test_lists_alone() -> None:
    """The hourly look is at nothing else."""
    look = Look(now=NOW + timedelta(days=2), basis="other", mirror=Mirror.of([]), revoked=lambda _: False)
    assert not look.by_lists(DIGEST)
    assert replace(look, revoked=lambda _: True).by_lists(DIGEST)
    assert replace(look, renewed=frozenset({CA, "other"})).by_lists(DIGEST)


def test_whoever_has_left_and_still_holds_something_is_looked_at() -> None:
    """Their withdrawal did not come to its end."""
    assert replace(LOOK, basis="other").reasons(replace(DIGEST, deleted=True)) == (Reason.BASIS,)


def test_without_the_tenants_list_drift_goes_unseen() -> None:
    """And nobody is taken for vanished."""
    assert replace(LOOK, mirror=None).reasons(DIGEST) == ()
    assert LOOK.reasons(replace(DIGEST, recipient=None, desired=None)) == ()
