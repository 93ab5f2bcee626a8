"""What there is to tell the cloud of a person, given what it was told last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sync.core.person import Person


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the cloud was told of a person last: who they were, without values, and the hash of their whole state.

    `holds` is whether they had values then.
    """

    person: Person
    state_hash: str
    holds: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """A state to tell. `withdraws` when the person had certificates and has none any more: what the guard counts."""

    person: Person
    withdraws: bool = False


def news(person: Person, told: Told | None, *, doubt: bool = False) -> Iterator[News]:
    """Nothing, the person's state, or also that they are no longer who they were.

    Someone new matters once they have a certificate; someone known matters whenever their state differs. With `doubt`
    somebody else may have told the cloud more since: then whoever was read is told again, whatever we remember.
    """
    if told is None:
        if doubt or (person.values and not person.deleted):
            yield News(person=person)
        return
    if person.deleted:
        # A tombstone has lost mS-DS-ConsistencyGuid, mail and addresses: who it was is what we remember.
        gone = replace(told.person, deleted=True)
        if doubt or gone.state_hash != told.state_hash:
            yield News(person=gone, withdraws=told.holds)
        return
    if not doubt and person.state_hash == told.state_hash:
        return
    if person.anchor.immutable_id != told.person.anchor.immutable_id and not told.person.deleted:
        # Somebody set mS-DS-ConsistencyGuid: what was published under the old anchor must not be orphaned.
        yield News(person=replace(told.person, deleted=True), withdraws=told.holds and not person.values)
    yield News(person=person, withdraws=told.holds and not person.values)
