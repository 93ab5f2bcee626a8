"""Who is in scope, in LDAP's words."""

from __future__ import annotations

import pytest

from sync.adapters.active_directory.scope import USERS, USERS_AND_CONTACTS, Scope


@pytest.mark.parametrize(
    ("scope", "people"),
    [
        (Scope(), USERS),
        (Scope(contacts=True), USERS_AND_CONTACTS),
        (Scope(filter_="(department=Sales)"), f"(&{USERS}(department=Sales))"),
        (
            Scope(excluded_groups=("CN=No (mail),DC=corp,DC=example",)),
            f"(&{USERS}(!(memberOf:1.2.840.113556.1.4.1941:=CN=No \\28mail\\29,DC=corp,DC=example)))",
        ),
    ],
    ids=["users", "contacts", "a-filter", "an-excluded-group-with-parentheses"],
)
def test_who_is_in_scope(scope: Scope, people: str) -> None:
    """People, and what is asked of them besides."""
    assert scope.people == people


def test_what_is_tracked_says_nothing_that_a_tombstone_lost() -> None:
    """Only objectClass survives a deletion: whatever else the scope says, DirSync does not hear of it."""
    narrow = Scope(base="OU=X", filter_="(objectCategory=person)", excluded_groups=("CN=G",))
    assert narrow.tracked == Scope().tracked == USERS
