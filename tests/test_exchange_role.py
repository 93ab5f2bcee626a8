"""The role that infra/exchange makes: exactly what the product calls, only when asked, and back again.

PowerShell cannot be had for these tests, so the script is parsed, not run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

from sync.core.person import Attribute
from sync.core.recipient import RecipientKind
from sync.preflight import APPLICATION_ROLE, TOO_MUCH, Preflight
from sync.settings import CloudSettings
from tests.adapters.exchange_online.connection import DETAILS, Connection
from tests.adapters.recipients_contract import listed
from tests.lab.tenant import Tenant
from tests.mill import NOW

FOLDER = Path(__file__).parent.parent / "infra" / "exchange"
SCRIPT = FOLDER / "Grant-SmimeSyncAccess.ps1"
VALUE = bytes([0x30, 3, 2, 1, 5])
_CHANGES = re.compile(r"(New|Set|Add|Remove)-(?!StrictMode)\w+")
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Role = dict[str, frozenset[str]]


def parsed(source: bytes) -> Node:
    """The script as a tree."""
    return Parser(Language(tree_sitter_powershell.language())).parse(source).root_node


def every(node: Node, *kinds: str) -> Iterator[Node]:
    """This node and all below it of these kinds, as they stand."""
    if node.type in kinds:
        yield node
    for child in node.children:
        yield from every(child, *kinds)


def text(node: Node) -> str:
    """What stands there."""
    assert node.text is not None
    return node.text.decode("ascii")


def commands(node: Node) -> Iterator[tuple[str, Node]]:
    """Each command below `node`, by its name."""
    for command in every(node, "command"):
        name = command.child_by_field_name("command_name")
        assert name is not None
        yield text(name), command


def unasked(tree: Node) -> list[str]:
    """The commands that change something, and do so also under -WhatIf."""
    found = []
    for name, command in commands(tree):
        if not _CHANGES.fullmatch(name):
            continue
        inside, node = False, command
        while node.parent is not None:
            child, node = node, node.parent
            if node.type in {"if_statement", "elseif_clause"} and child.type == "statement_block":
                condition = next(each for each in node.children if each.type == "pipeline")
                inside |= "$PSCmdlet.ShouldProcess(" in text(condition) and child.prev_sibling is not None
        if not inside:
            found.append(name)
    return found


def table(tree: Node) -> Role:
    """The roles' entries as the script has them."""
    return {
        text(entry.named_children[0]).strip("'"): frozenset(
            text(each).strip("'") for each in every(entry.named_children[1], "string_literal")
        )
        for assignment in every(tree, "assignment_expression")
        if text(assignment).startswith(("$WriterEntries", "$TrustStoreEntries"))
        for entry in every(assignment, "hash_entry")
    }


def test_it_is_powershell() -> None:
    """Without a syntax error, in ASCII, which Windows PowerShell reads in any code page."""
    source = SCRIPT.read_bytes()

    source.decode("ascii")
    assert not parsed(source).has_error
    assert parsed(source.replace(b"finally {", b"finally (")).has_error


def test_nothing_changes_under_whatif() -> None:
    """Each command that changes something stands where -WhatIf keeps it from running."""
    source = SCRIPT.read_bytes()

    assert b"SupportsShouldProcess = $true" in source
    assert unasked(parsed(source)) == []
    assert unasked(parsed(b"if ($a) { New-RoleGroup -Name x }; Set-Mailbox y")) == ["New-RoleGroup", "Set-Mailbox"]


def test_what_it_makes_it_takes_back() -> None:
    """For everything that is made there is a removal."""
    verbs: dict[str, set[str]] = {"New": set(), "Remove": set()}
    for name, _ in commands(parsed(SCRIPT.read_bytes())):
        verb, _, noun = name.partition("-")
        verbs.setdefault(verb, set()).add(noun)

    assert verbs["New"] == verbs["Remove"] - {"ManagementRoleEntry"}
    assert len(verbs["New"]) == 6


def test_the_same_by_hand() -> None:
    """The page tells the same entries as the script makes, and the same ids."""
    page, source = (FOLDER / "README.md").read_text("utf-8"), SCRIPT.read_text("ascii")
    rows = re.findall(r"^\| `([\w-]+)` \| (.+?) \|", page, re.MULTILINE)

    assert {name: frozenset(re.findall(r"`(\w+)`", words)) for name, words in rows} == table(parsed(source.encode()))
    assert set(_GUID.findall(page)) <= set(_GUID.findall(source))
    assert APPLICATION_ROLE in page
    assert APPLICATION_ROLE in source


def test_the_clouds_of_the_setting() -> None:
    """Every national cloud that the product knows, and no other, in each of the three places."""
    source = SCRIPT.read_text("ascii")
    known = set(CloudSettings.model_fields["cloud"].annotation.__args__)  # type: ignore[union-attr]

    choices = re.search(r"\[ValidateSet\((.+?)\)\]\s+\[string\] \$Cloud", source)
    assert choices is not None
    assert set(re.findall(r"'([\w-]+)'", choices[1])) == known
    for name in ("$GraphEnvironments", "$ExchangeEnvironments"):
        (entries,) = [
            each for each in every(parsed(source.encode()), "assignment_expression") if text(each).startswith(name)
        ]
        assert {text(each.named_children[0]).strip("'") for each in every(entries, "hash_entry")} == known


@pytest.mark.lab
def test_what_the_product_calls(tenant: Tenant) -> None:
    """Every cmdlet and parameter that goes over the wire stands in the role, and nothing else does."""
    with requests.Session() as session:
        everything(tenant, Connection(tenant=tenant, session=session))

    called: dict[str, set[str]] = {}
    for call in tenant.calls:
        body = json.loads(call.body)
        for each in body.get("requests", [{"body": body}]):
            given = each["body"]["CmdletInput"]
            called.setdefault(given["CmdletName"], set()).update(p for p in given["Parameters"] if "@" not in p)
    # Asked for to see it refused.
    called[TOO_MUCH[0]].discard(TOO_MUCH[1])

    assert {name: frozenset(parameters) for name, parameters in called.items()} == table(parsed(SCRIPT.read_bytes()))


def everything(tenant: Tenant, connection: Connection) -> None:
    """Whatever the product asks of a tenant, of each kind of recipient."""
    for kind in RecipientKind:
        address = f"{kind}@corp.example"
        tenant.add(DETAILS[kind], address, user_principal_name=None)
        found = connection.recipients.find(pinned=None, addresses=[address])
        assert found is not None
        connection.recipients.write(found, dict.fromkeys(Attribute, (VALUE,)))
        connection.recipients.read(found)
        connection.recipients.read_many([found])
    assert len(list(listed(connection.everybody))) == len(RecipientKind)
    preflight = Preflight(
        token=lambda: "token",
        cmdlets=connection.api,
        recipients=connection.recipients,
        anchors=[],
        intermediates=[],
        fetch=lambda _: b"",
        now=lambda: NOW,
        lists={},
        outside="UserMailbox@corp.example",
    )
    assert list(preflight.lines())
