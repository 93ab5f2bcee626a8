"""Decides what one recipient should hold: judge each value, select, plan. No step of it touches anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime

from sync.core.findings import Finding
from sync.core.judgement import Context, Verdict, judge
from sync.core.moments import awaited, next_change
from sync.core.person import Attribute, Person, Values, fingerprint
from sync.core.plan import NOTHING, Managed, Plan, plan, plan_back
from sync.core.recipient import Owner, Recipient
from sync.core.record import Judged, Snapshot
from sync.core.revoked import mark
from sync.core.selection import Selection, select, spared


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What should be written to whom, and the reason for each value.

    `policy` is the pack by which it was judged, with its date; `findings` are about the person as a whole. At
    `next_change` (UTC) time alone may make it another decision. `marks` name what is published (core.revoked),
    `expiries` are the days (UTC) until which each of these is valid. `awaits` is what revocation lists
    may bring (core.moments).
    """

    owner: Owner
    judged: tuple[Judged, ...]
    plan: Plan
    ours_to_write: bool
    policy: str = ""
    findings: tuple[Finding, ...] = ()
    next_change: datetime | None = None
    marks: tuple[str, ...] = ()
    expiries: tuple[date, ...] = ()
    awaits: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether anything is to be written: the plan is not empty and the attribute is ours to write."""
        return self.ours_to_write and not self.plan.empty

    @property
    def loses_last(self) -> bool:
        """Whether it takes the last value that we published: afterwards nobody can encrypt by what is ours."""
        return self.writes and bool(self.plan.withdrawn) and not self.plan.settled


def decide(
    *,
    person: Person,
    recipient: Recipient,
    managed: Managed,
    context: Context,
    shared: Managed = NOTHING,
    withdraw: bool = False,
    try_synchronised: bool = False,
    held: Snapshot | None = None,
) -> Decision:
    """Decide for one person and their recipient; `withdraw` selects nothing, whatever the certificates are worth.
    `shared` is what we published on the same recipient for other people: see core.plan.

    `try_synchronised` takes the attribute of a recipient that Entra Connect owns for ours to write. `held` is what an
    administrator restored: judged all the same, it goes before what would be selected, but not before a withdrawal.

    The addresses come from the recipient, never from the event: a claim of addresses proves nothing (rules.md B12).
    """
    ours = frozenset(map(fingerprint, recipient.values.user_certificate)) & managed.user_certificate
    here = replace(context, addresses=recipient.addresses, published=ours)
    verdicts = [
        spared(judge(attribute, value, here), ours) for attribute in Attribute for value in person.values[attribute]
    ]
    selection = select(verdicts, here)
    selected = Values() if withdraw else selection.values
    made = plan(selected=selected, current=recipient.values, managed=managed, shared=shared)
    if held is not None and not withdraw:
        selected = held.values
        made = plan_back(
            values=held.values, ours=held.managed, current=recipient.values, managed=managed, shared=shared
        )
    published = {
        mark(each.certificate): each.certificate.not_after.date()
        for each in selection.verdicts
        if each.certificate and any(_published(each, selected))
    }
    published = dict(sorted(published.items()))
    return Decision(
        owner=recipient.owner,
        judged=_judged(selection, selected),
        ours_to_write=try_synchronised or recipient.owner is not Owner.ON_PREMISES,
        plan=made,
        policy=context.policy.label,
        findings=selection.findings,
        next_change=None if withdraw else next_change(selection.verdicts, here),
        marks=tuple(published),
        expiries=tuple(published.values()),
        awaits=() if withdraw else awaited(selection.verdicts),
    )


def _judged(selection: Selection, selected: Values) -> tuple[Judged, ...]:
    return tuple(
        Judged(
            attribute=verdict.attribute,
            fingerprint=verdict.fingerprint,
            certificate=verdict.certificate.fingerprint if verdict.certificate else None,
            published=tuple(_published(verdict, selected)),
            findings=verdict.findings,
        )
        for verdict in selection.verdicts
    )


def _published(verdict: Verdict, selected: Values) -> Iterator[Attribute]:
    if verdict.certificate is not None and verdict.certificate.der in selected.user_certificate:
        yield Attribute.USER_CERTIFICATE
    if verdict.attribute is Attribute.USER_SMIME_CERTIFICATE and verdict.value in selected.user_smime_certificate:
        yield Attribute.USER_SMIME_CERTIFICATE
