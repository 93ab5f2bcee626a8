"""What an administrator may change of a policy pack: the level of single rules, and further algorithms.

A rule that keeps a stranger's, a broken or an untrusted certificate out cannot be lowered: the decision table lets a
setting raise a warning, and lower a refusal only where a company may know better.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from sync.core.codes import Code
from sync.core.findings import Level
from sync.core.policy import OPEN, PRIVATE_CA, Policy

_MAY_BE_LOWERED = OPEN | {Code.EKU_ABSENT, Code.VALIDITY_TOO_LONG}
_OF_A_PERSON = frozenset(
    {
        Code.DUPLICATE,
        Code.SUPERSEDED_SAME_KEY,
        Code.SUPERSEDED,
        Code.OVER_LIMIT,
        Code.SHADOWING,
        Code.NONE_PUBLISHABLE,
        Code.OVERLAP,
    }
)
_WEIGHT = {Level.NOTE: 0, Level.WARN: 1, Level.REFUSE: 2}
_ALGORITHMS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = MappingProxyType(
    {
        "sha1": (frozenset({"sha1"}), frozenset()),
        "brainpool": (frozenset(), frozenset({"brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"})),
        "x25519": (frozenset(), frozenset({"x25519"})),
        "x448": (frozenset(), frozenset({"x448"})),
    }
)


class RuleSettingsError(ValueError):
    """Some of what was asked for cannot be; the message names all of it."""


def read_levels(rules: Iterable[str]) -> Mapping[Code, Level]:
    """Read `code=level` pairs. Raises RuleSettingsError that names every problem."""
    levels: dict[Code, Level] = {}
    problems = []
    for rule in rules:
        name, equals, word = (part.strip() for part in rule.partition("="))
        if not equals:
            problems.append(f"{rule!r} is not of the form code=level")
        elif name not in set(Code):
            problems.append(f"there is no code {name!r}")
        elif word not in set(Level):
            problems.append(f"{name}: there is no level {word!r}, but {', '.join(Level)}")
        elif (problem := _objection(Code(name), Level(word), levels)) is not None:
            problems.append(problem)
        else:
            levels[Code(name)] = Level(word)
    if problems:
        raise RuleSettingsError("; ".join(problems))
    return levels


def read_algorithms(names: Iterable[str]) -> tuple[str, ...]:
    """Check names of algorithms. Raises RuleSettingsError."""
    names = tuple(names)
    unknown = [name for name in names if name not in _ALGORITHMS]
    if unknown:
        known = ", ".join(_ALGORITHMS)
        raise RuleSettingsError(f"there is no {', '.join(map(repr, unknown))} that can be allowed, but {known}")
    return names


def adjusted(policy: Policy, *, rules: Iterable[str] = (), allow: Iterable[str] = ()) -> Policy:
    """A policy pack with an administrator's changes. Raises RuleSettingsError."""
    chosen = [_ALGORITHMS[name] for name in read_algorithms(allow)]
    return replace(
        policy,
        levels=MappingProxyType({**policy.levels, **read_levels(rules)}),
        hashes=policy.hashes.union(*(hashes for hashes, _ in chosen)),
        curves=policy.curves.union(*(curves for _, curves in chosen)),
    )


def _objection(code: Code, level: Level, earlier: Mapping[Code, Level]) -> str | None:
    if code in earlier:
        return f"{code} is there twice"
    if code in _OF_A_PERSON:
        return f"{code} tells what was chosen among a person's certificates and has no level to set"
    # The base is the decision table's, not the pack's: what a pack raised may be lowered again.
    if code not in _MAY_BE_LOWERED and _WEIGHT[level] < _WEIGHT[PRIVATE_CA.level(code)]:
        return f"{code} cannot be less than {PRIVATE_CA.level(code)}"
    return None
