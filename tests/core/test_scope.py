"""What an administrator may name as the scope of a reconciliation."""

from __future__ import annotations

import pytest

from sync.core.record import Record
from sync.core.scope import covering, is_many
from sync.core.units import units

ALICE = Record(
    anchor="alice", names=("alice@corp.example",), units=units("CN=Alice,OU=North,OU=Sales,DC=corp,DC=example")
)


@pytest.mark.parametrize(
    "scope",
    [
        "alice@corp.example",
        "o=odd@corp.example",
        "crM6HLC/yc3T2wECliQUxw==",
        "ou==",
        "abcdefghijklmnopqrstuv==",
    ],
)
def test_a_name_of_one_person_is_no_scope_of_many(scope: str) -> None:
    """An address may hold an equals sign, and an ImmutableId ends in two."""
    assert not is_many(scope) or "@" in scope.partition("=")[2]


@pytest.mark.parametrize(
    "scope", ["@corp.example", "@CORP.example", "ou=sales,dc=corp,dc=example", "DC=corp,DC=example"]
)
def test_a_domain_and_a_container_cover_who_is_there(scope: str) -> None:
    """However deep."""
    assert is_many(scope)
    assert covering(scope)(ALICE)


@pytest.mark.parametrize("scope", ["@example", "@sub.corp.example", "OU=South,OU=Sales,DC=corp,DC=example", "OU=North"])
def test_others_are_not_covered(scope: str) -> None:
    """No part of a name will do."""
    assert is_many(scope)
    assert not covering(scope)(ALICE)
