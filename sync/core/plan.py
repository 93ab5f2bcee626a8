"""The heart: what to write, as set algebra over the values of each attribute."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sync.core.person import Attribute, Values, fingerprint


@dataclass(frozen=True, slots=True)
class Managed:
    """Fingerprints of the values that we published, per attribute. Whatever else is there is foreign."""

    user_certificate: frozenset[str] = frozenset()
    user_smime_certificate: frozenset[str] = frozenset()

    def __getitem__(self, attribute: Attribute) -> frozenset[str]:
        return self.user_certificate if attribute is Attribute.USER_CERTIFICATE else self.user_smime_certificate

    def __bool__(self) -> bool:
        return bool(self.user_certificate or self.user_smime_certificate)

    def __or__(self, other: Managed) -> Managed:
        return _marks(lambda attribute: self[attribute] | other[attribute])


NOTHING = Managed()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one recipient holds, what it should hold, and whose each value is.

    `claim` is what the ledger must call managed before the write, `settled` what it must call managed after it.
    """

    current: Values
    after: Values
    foreign: Values
    claim: Managed
    settled: Managed

    @property
    def empty(self) -> bool:
        """Nothing to write: the recipient holds what it should."""
        return self.current == self.after

    @property
    def contested(self) -> bool:
        """Whether it matters what other people published on the same recipient: something goes, or is not ours."""
        return bool(self.withdrawn or self.foreign)

    @property
    def changes(self) -> Mapping[Attribute, tuple[bytes, ...]]:
        """The whole new list of each attribute that differs: Exchange replaces lists, it does not merge."""
        return MappingProxyType(
            {
                attribute: self.after[attribute]
                for attribute in Attribute
                if self.after[attribute] != self.current[attribute]
            }
        )

    @property
    def added(self) -> Values:
        """Values that the write brings."""
        return _each(lambda attribute: set(self.after[attribute]) - set(self.current[attribute]))

    @property
    def withdrawn(self) -> Values:
        """Values that the write takes away; each was published by us."""
        return _each(lambda attribute: set(self.current[attribute]) - set(self.after[attribute]))


def plan(*, selected: Values, current: Values, managed: Managed, shared: Managed = NOTHING) -> Plan:
    """Plan the write that makes `current` hold `selected` and every foreign value.

    Per attribute: foreign = current − (managed − shared); after = selected ∪ foreign. A value that somebody else had
    already published and that is selected too stays theirs: we never withdraw what we did not bring.

    `shared` is what we published on the same recipient for other people: somebody was deleted and made anew, or two
    accounts have one mailbox. Nothing of it is taken away, and what is selected here too is ours here as well, so that
    it stays when the others go, and goes with the last of them.
    """
    foreign = _each(lambda a: {value for value in current[a] if fingerprint(value) not in managed[a] - shared[a]})
    after = _each(lambda a: {*selected[a], *foreign[a]})
    wanted = _marks(lambda a: frozenset(map(fingerprint, selected[a])))
    new = _marks(lambda a: frozenset(fingerprint(value) for value in selected[a] if value not in current[a]))
    brought = _marks(lambda a: managed[a] | new[a] | (shared[a] & wanted[a]))
    settled = _marks(lambda a: brought[a] & wanted[a])
    return Plan(current=current, after=after, foreign=foreign, claim=brought, settled=settled)


def plan_back(*, values: Values, ours: Managed, current: Values, managed: Managed, shared: Managed = NOTHING) -> Plan:
    """Plan the write that makes `current` hold exactly what it held once: `values`, of which `ours` was ours; and what
    is `shared`, as in `plan`.

    What is ours now or was then is claimed, so that a crash in between orphans nothing.
    """
    others = _each(lambda a: {value for value in current[a] if fingerprint(value) in shared[a]})
    after = _each(lambda a: {*values[a], *others[a]})
    return Plan(
        current=current,
        after=after,
        foreign=_each(lambda a: {value for value in after[a] if fingerprint(value) not in ours[a]}),
        claim=_marks(lambda a: managed[a] | ours[a]),
        settled=_marks(lambda a: ours[a] & {fingerprint(value) for value in values[a]}),
    )


def _each(values: Callable[[Attribute], Iterable[bytes]]) -> Values:
    return Values.of(values(Attribute.USER_CERTIFICATE), values(Attribute.USER_SMIME_CERTIFICATE))


def _marks(fingerprints: Callable[[Attribute], frozenset[str]]) -> Managed:
    return Managed(fingerprints(Attribute.USER_CERTIFICATE), fingerprints(Attribute.USER_SMIME_CERTIFICATE))
