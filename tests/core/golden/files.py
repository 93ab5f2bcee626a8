"""Golden files: one case a file, in TOML, what is judged in PEM beside what is found."""

from __future__ import annotations

import base64
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sync.core.findings import Finding
from sync.core.judgement import Context, judge
from sync.core.path import TrustStore
from sync.core.person import Attribute
from sync.core.policy import POLICIES, Policy, Revocation
from sync.core.revocation import Knowledge
from sync.core.revocation_list import RevocationList
from sync.core.selection import Selection, select
from tests.core.golden.cases import Case
from tests.mill import NOW

FOLDER = Path(__file__).parent
_ARMOUR = re.compile(r"-----BEGIN [^-]+-----\n(.*?)-----END", re.DOTALL)
_LABELS = {Attribute.USER_CERTIFICATE: "CERTIFICATE", Attribute.USER_SMIME_CERTIFICATE: "PKCS7"}


def load(path: Path) -> tuple[Case, dict[str, Any]]:
    """Read a file: the case, and what is expected of it."""
    read = tomllib.loads(path.read_text(encoding="utf-8"))
    case = Case(
        values=tuple((Attribute(each["attribute"]), _plain(each["value"])) for each in read["values"]),
        addresses=tuple(read["addresses"]),
        anchors=tuple(map(_plain, read["anchors"])),
        intermediates=tuple(map(_plain, read["intermediates"])),
        lists=tuple(map(_plain, read["lists"])),
        published=tuple(read.get("published", ())),
        policy=read["policy"],
    )
    return case, read["expected"]


def policy_of(case: Case) -> Policy:
    """The policy of a case, in the types of `Policy`."""
    given = dict(case.policy)
    pack = POLICIES[given.pop("pack", "private-ca")]
    if "overlap_days" in given:
        given["overlap"] = timedelta(days=given.pop("overlap_days"))
    if "revocation" in given:
        given["revocation"] = Revocation(given["revocation"])
    return replace(pack, **given)


def judged(case: Case, policy: Policy | None = None) -> Selection:
    """Judge all values of a case and select, as for a person."""
    context = Context(
        now=NOW,
        trust=TrustStore.of(case.anchors, case.intermediates),
        policy=policy or policy_of(case),
        addresses=case.addresses,
        revocation=Knowledge.of(map(RevocationList.parse, case.lists)),
        published=frozenset(case.published),
    )
    return select([judge(attribute, value, context) for attribute, value in case.values], context)


def expected(selection: Selection) -> dict[str, Any]:
    """What a file says of a selection. Details are for reading and not held: they quote libraries."""
    return {
        "accepted": [verdict.accepted for verdict in selection.verdicts],
        "published": sorted(selection.published),
        "values": [_told(verdict.findings) for verdict in selection.verdicts],
        "person": _told(selection.findings),
    }


def write(path: Path, case: Case, selection: Selection) -> None:
    """Write a file."""
    path.write_text("\n".join(_lines(case, selection)) + "\n", encoding="utf-8")


def _told(findings: tuple[Finding, ...]) -> list[str]:
    return [f"{finding.level} {finding.code}" for finding in findings]


def _lines(case: Case, selection: Selection) -> Iterator[str]:
    yield f"# At {NOW:%Y-%m-%dT%H:%M:%SZ}. Expectations are renewed by: python -m tests.core.golden"
    yield f"addresses = {json.dumps(case.addresses)}"
    for name, group, label in (
        ("anchors", case.anchors, "CERTIFICATE"),
        ("intermediates", case.intermediates, "CERTIFICATE"),
        ("lists", case.lists, "X509 CRL"),
    ):
        yield f"{name} = [{','.join(_armoured(each, label) for each in group)}]"
    if case.published:
        yield f"published = {json.dumps(case.published)}"
    yield "\n[expected]"
    for name, value in expected(selection).items():
        yield f"{name} = {json.dumps(value)}"
    for finding in (*(f for verdict in selection.verdicts for f in verdict.findings), *selection.findings):
        yield f"# {finding.code}: {finding.detail}".encode("ascii", "backslashreplace").decode().replace("\n", " ")
    yield "\n[policy]"
    for name, value in case.policy.items():
        yield f"{name} = {json.dumps(value)}"
    for attribute, value in case.values:
        yield f"\n[[values]]\nattribute = {json.dumps(attribute)}\nvalue = {_armoured(value, _LABELS[attribute])}"


def _armoured(der: bytes, label: str) -> str:
    text = base64.encodebytes(der).decode("ascii")
    return f"'''\n-----BEGIN {label}-----\n{text}-----END {label}-----\n'''"


def _plain(pem: str) -> bytes:
    match = _ARMOUR.search(pem)
    assert match is not None, "no PEM"
    return base64.b64decode(match[1])
