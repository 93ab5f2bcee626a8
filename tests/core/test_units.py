"""Marks of containers: found again however somebody writes the name, and telling nobody's name."""

from __future__ import annotations

import pytest

from sync.core.units import unit, units

SALES = "OU=Sales,DC=corp,DC=example"


def test_each_container_above_has_its_mark_the_nearest_first() -> None:
    """The whole domain is the last one, and the person's own name is in none."""
    found = units(f"CN=Alice,OU=North,{SALES}")

    assert found == (unit(f"OU=North,{SALES}"), unit(SALES), unit("DC=corp,DC=example"), unit("DC=example"))
    assert units(f"CN=Bob,OU=North,{SALES}") == found


@pytest.mark.parametrize(
    "name",
    [
        "ou=sales,dc=corp,dc=example",
        "OU = SALES , DC=Corp,  dc=example",
        f" {SALES} ",
        "OU=\\53ales,DC=corp,DC=example",
    ],
)
def test_a_container_is_found_however_it_is_written(name: str) -> None:
    """Case, blanks and escapes aside, as in Active Directory."""
    assert unit(name) == unit(SALES)


@pytest.mark.parametrize("name", ["OU=Sale,DC=corp,DC=example", "OU=Sales,DC=corp", "OU=Sales\\,DC=corp,DC=example"])
def test_another_container_is_another_one(name: str) -> None:
    """No part of a name, and no comma that belongs to one, will do."""
    assert unit(name) != unit(SALES)


def test_a_comma_in_the_persons_own_name_divides_nothing() -> None:
    """As "last, first" names have it; a backslash before it may itself be escaped."""
    assert units(f"CN=Smith\\, Bob,{SALES}") == units(f"CN=Alice,{SALES}") == units(f"CN=Odd\\\\,{SALES}")


@pytest.mark.parametrize("name", ["", "sales", "OU=Sales,,DC=corp", "OU=Sales,", "XY=Sales"])
def test_what_is_no_container_is_refused(name: str) -> None:
    """Said with what was asked for."""
    with pytest.raises(ValueError, match="is no distinguished name"):
        unit(name)


@pytest.mark.parametrize("name", ["", "nobody", "CN=Alice", "CN=Alice,nothing", "CN=Alice\nDEL:1,XY=Deleted Objects"])
def test_whose_name_cannot_be_read_is_in_no_container(name: str) -> None:
    """And is no reason to leave anybody out."""
    assert units(name) == ()
