"""Who may ask: by key the host decides; in Entra mode nobody is believed whom the platform did not sign in."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from sync.errors import ErrorCode, PermanentError
from sync.http_api import ROUTES, Request, Route, answer
from sync.sign_in import KEY_HOLDER, SignIn
from tests.office import Operated

ALICE = "1b671a64-40d5-491e-99b0-da01ff1f3341"
OID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
ENTRA = SignIn(entra=True, guarded=True)
OURS = {"x-requested-with": "smime-sync"}


def principal(*roles: str, oid: object = ALICE, **other: object) -> dict[str, str]:
    """The platform's header for somebody with these roles."""
    claims = [{"typ": "name", "val": "Alice Example"}, {"typ": OID, "val": oid}]
    claims += [{"typ": "roles", "val": role} for role in roles]
    return header({"auth_typ": "aad", "claims": claims, "name_typ": "", "role_typ": "", **other})


def header(said: object) -> dict[str, str]:
    return {"x-ms-client-principal": base64.b64encode(json.dumps(said).encode("utf-8")).decode("ascii")}


def refused(headers: Mapping[str, str], *, acts: bool = False, sign_in: SignIn = ENTRA) -> ErrorCode:
    with pytest.raises(PermanentError) as caught:
        sign_in.admit(headers, acts=acts)
    assert "Alice" not in caught.value.message
    return caught.value.code


@pytest.mark.parametrize(
    ("environment", "entra", "guarded"),
    [
        ({}, False, False),
        ({"SMIME_SYNC_SIGN_IN": "key"}, False, False),
        ({"SMIME_SYNC_SIGN_IN": "Entra"}, False, False),
        ({"SMIME_SYNC_SIGN_IN": "entra"}, True, False),
        ({"SMIME_SYNC_SIGN_IN": "entra", "WEBSITE_AUTH_ENABLED": "False"}, True, False),
        ({"SMIME_SYNC_SIGN_IN": "entra", "WEBSITE_AUTH_ENABLED": "True"}, True, True),
        ({"WEBSITE_AUTH_ENABLED": "True"}, False, True),
    ],
)
def test_how_it_is_set(environment: dict[str, str], entra: bool, guarded: bool) -> None:
    """A word that is not known leaves the key: never an open door."""
    assert SignIn.of(environment) == SignIn(entra=entra, guarded=guarded)


def test_with_a_key_the_host_has_decided() -> None:
    """And a header of the platform's is not looked at, since anybody may have written it."""
    assert SignIn().admit(principal("SmimeSync.Operate"), acts=True) == KEY_HOLDER


@pytest.mark.parametrize(("role", "acts"), [("Read", False), ("Operate", False), ("Operate", True)])
def test_whoever_has_the_role_is_admitted(role: str, acts: bool) -> None:
    """By object id; operating implies looking."""
    assert ENTRA.admit({**principal(f"SmimeSync.{role}", "Another"), **OURS}, acts=acts) == ALICE


@pytest.mark.parametrize(
    ("kind", "value"), [("roles", "oid"), ("http://schemas.microsoft.com/ws/2008/06/identity/claims/role", OID)]
)
def test_claims_come_by_their_short_and_their_long_names(kind: str, value: str) -> None:
    """Depending on the token's version and on the platform's mapping."""
    claims = [{"typ": value, "val": ALICE.upper()}, {"typ": kind, "val": "SmimeSync.Operate"}]
    assert ENTRA.admit({**header({"auth_typ": "aad", "claims": claims}), **OURS}, acts=True) == ALICE


def test_where_the_platform_is_not_there_nobody_is_believed() -> None:
    """Anybody could write its header."""
    unguarded = SignIn(entra=True, guarded=False)
    headers = {**principal("SmimeSync.Operate"), **OURS}
    assert refused(headers, sign_in=unguarded) is ErrorCode.REQUEST_UNAUTHORISED


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-ms-client-principal": ""},
        {"x-ms-client-principal": "{}"},
        {"x-ms-client-principal": "*" + principal("SmimeSync.Operate")["x-ms-client-principal"]},
        {"x-ms-client-principal": base64.b64encode(b"\xff").decode("ascii")},
        {"x-ms-client-principal": base64.b64encode(b"[" * 40_000).decode("ascii")},
        {"x-ms-client-principal-id": ALICE},
        header([]),
        header(None),
        header({"auth_typ": "aad"}),
        header({"auth_typ": "aad", "claims": {}}),
        header({"auth_typ": "aad", "claims": "roles"}),
        header({"auth_typ": "aad", "claims": [["roles", "SmimeSync.Operate"]]}),
        header({"auth_typ": "aad", "claims": [{"typ": "roles"}]}),
        header({"auth_typ": "aad", "claims": [{"typ": "roles", "val": "SmimeSync.Operate"}]}),
        principal("SmimeSync.Operate", auth_typ="github"),
        principal("SmimeSync.Operate", auth_typ=None),
        principal("SmimeSync.Operate", oid="alice"),
        principal("SmimeSync.Operate", oid=""),
        principal("SmimeSync.Operate", oid=f"{ALICE}\nby=somebody"),
        principal("SmimeSync.Operate", oid=[ALICE]),
        principal("SmimeSync.Operate", padding="x" * 50_000),
        header(
            {"auth_typ": "aad", "claims": [{"typ": "oid", "val": ALICE}, {"typ": OID, "val": ALICE.replace("1", "2")}]}
        ),
    ],
)
def test_what_the_platform_would_not_write_is_nobody(headers: dict[str, str]) -> None:
    """Another provider, another form, two people, or nobody at all."""
    assert refused({**headers, **OURS}) is ErrorCode.REQUEST_UNAUTHORISED


@pytest.mark.parametrize(
    ("roles", "acts"),
    [
        ([], False),
        (["smimesync.read"], False),
        (["SmimeSync.Reader"], False),
        (["SmimeSync.Read SmimeSync.Operate"], False),
        (["SmimeSync.Read"], True),
        (["Operate"], True),
    ],
)
def test_whoever_lacks_the_role_is_told_which(roles: list[str], acts: bool) -> None:
    """Being of the tenant is not enough."""
    assert refused({**principal(*roles), **OURS}, acts=acts) is ErrorCode.REQUEST_FORBIDDEN


@pytest.mark.parametrize("given", [{}, {"x-requested-with": "XMLHttpRequest"}, {"x-requested-with": ""}])
def test_what_acts_must_come_from_our_own_page(given: dict[str, str]) -> None:
    """A browser sends the cookie with another site's form too, but never this header. Looking needs none."""
    headers = {**principal("SmimeSync.Operate"), **given}
    assert refused(headers, acts=True) is ErrorCode.REQUEST_FORBIDDEN
    assert ENTRA.admit(headers, acts=False) == ALICE


def asked(route: Route, headers: Mapping[str, str], sign_in: SignIn = ENTRA) -> tuple[int, Any]:
    made = answer(route, Operated, Request(headers=headers, body=b'{"apply": true, "minutes": 5}'), sign_in)
    return made.status, json.loads(made.body) if made.media_type == "application/json" else made.body


@pytest.mark.parametrize("route", [route for route in ROUTES if route.name != "health"], ids=lambda route: route.name)
def test_each_route_asks_for_its_role(route: Route) -> None:
    """Nothing but `SmimeSync.Operate` acts; and nobody at all gets as far as the settings."""
    acts = route.method == "POST"
    assert asked(route, OURS)[0] == 401
    assert asked(route, {**principal(), **OURS})[0] == 403
    assert (asked(route, {**principal("SmimeSync.Read"), **OURS})[0] == 403) is acts
    assert asked(route, {**principal("SmimeSync.Operate"), **OURS})[0] not in {401, 403}

    def unbuilt() -> Operated:
        raise AssertionError

    assert answer(route, unbuilt, Request(), ENTRA).status == 401


def test_health_is_a_monitors_and_has_the_hosts_key_always() -> None:
    """So it asks for nobody here."""
    (health,) = [route for route in ROUTES if route.name == "health"]
    assert not health.signs_in(ENTRA)
    assert asked(health, {})[0] == 200


@pytest.mark.parametrize(
    ("headers", "sign_in", "told"),
    [
        ({**principal("SmimeSync.Operate"), **OURS}, ENTRA, f"route=open-guard by={ALICE} applied=True status=200"),
        (principal("SmimeSync.Operate"), SignIn(), "route=open-guard by=key applied=True status=200"),
        ({**principal("SmimeSync.Read"), **OURS}, ENTRA, "route=open-guard by=nobody applied=False status=403"),
        ({}, ENTRA, "route=open-guard by=nobody applied=False status=401"),
    ],
)
def test_whoever_acts_is_logged(
    headers: dict[str, str], sign_in: SignIn, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And whoever tried to: an object id, never a name."""
    (route,) = [route for route in ROUTES if route.name == "open-guard"]
    with caplog.at_level(logging.INFO):
        asked(route, headers, sign_in)
    assert told in caplog.text
    assert "Alice" not in caplog.text
