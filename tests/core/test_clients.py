"""What clients take: what is documented is told as such, and what is not is not guessed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sync.core.clients import CLIENTS, Sureness, choices
from sync.core.person import Values
from tests.mill import DAY, NOW, Authority, Issued, Mill

OTHERS = [client.key for client in CLIENTS if client.key != "outlook"]


@pytest.fixture
def issuing() -> Authority:
    return Mill().root().issue_ca("Example Issuing CA")


def taken(values: Values) -> dict[str, tuple[list[str], Sureness]]:
    return {each.client.key: ([one.fingerprint for one in each.candidates], each.sure) for each in choices(values, NOW)}


def prints(*issued: Issued) -> list[str]:
    return [each.fingerprint for each in issued]


def issue(authority: Authority, *, days: float = 3) -> Issued:
    return authority.issue("bob@corp.example", not_before=NOW - days * DAY)


def test_one_certificate_is_what_all_take(issuing: Authority) -> None:
    """Whichever attribute a client looks at, there is nothing else; in both attributes it is one as well."""
    one = issue(issuing)
    for values in (Values.of([one.der]), Values.of([one.der], [one.smime_blob()]), Values.of([], [one.smime_blob()])):
        found = taken(values)
        assert found.pop("outlook") == (prints(one), Sureness.DOCUMENTED)
        assert found == dict.fromkeys(OTHERS, (prints(one), Sureness.ONLY_ONE))


def test_of_a_shadowed_one_only_classic_outlook_is_certain(issuing: Authority) -> None:
    """It takes the stale one; of the others nobody says which."""
    stale, renewed = issue(issuing, days=300), issue(issuing)
    found = taken(Values.of([renewed.der], [stale.smime_blob()]))
    assert found.pop("outlook") == (prints(stale), Sureness.DOCUMENTED)
    assert found == dict.fromkeys(OTHERS, (prints(stale, renewed), Sureness.UNKNOWN))


def test_of_several_in_one_attribute_nobody_says_which(issuing: Authority) -> None:
    """Not even of Outlook: it is documented to take the first, and values of an attribute have no order."""
    older, newer = issue(issuing, days=300), issue(issuing)
    found = taken(Values.of([older.der, newer.der]))
    assert found == dict.fromkeys(["outlook", *OTHERS], (prints(newer, older), Sureness.UNKNOWN))


@pytest.mark.parametrize("values", [Values(), Values.of([b"broken"]), Values.of([], [b"broken"])])
def test_where_nothing_can_be_taken_nobody_takes_anything(values: Values) -> None:
    """None of them."""
    assert all(candidates == [] for candidates, _ in taken(values).values())


def test_every_client_says_who_says_so() -> None:
    """A source for each, and keys that stay."""
    keys: Sequence[str] = [client.key for client in CLIENTS]
    assert keys == ["outlook", "new-outlook", "outlook-web", "outlook-mobile", "activesync"]
    assert all(client.source and client.looks for client in CLIENTS)
