"""Judges values on their own, for `smime-sync validate`: no directory, no tenant, nothing is written."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from sync.core.findings import Finding, Level
from sync.core.judgement import Context, Verdict, judge
from sync.core.path import TrustStore
from sync.core.person import Attribute
from sync.core.policy import Policy, Revocation
from sync.core.revocation import NOTHING_KNOWN, Knowledge
from sync.core.revocation_list import MalformedListError, RevocationList
from sync.errors import ErrorCode


def _decode(value: object) -> object:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else value
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64 (RFC 4648, section 4)") from error


_NUMBERS = range(-(2**63), 2**63)
_Identity = Annotated[str, Field(strict=True)] | Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
_Base64 = Annotated[bytes, BeforeValidator(_decode)]


class Case(BaseModel):
    """One line of `smime-sync validate --jsonl`. Without `addresses` the address rules are left out.

    Without `revocation` it is soft where there are `crls`, else off.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: _Identity | None = None
    value: _Base64
    attribute: Attribute = Attribute.USER_CERTIFICATE
    addresses: tuple[str, ...] | None = None
    anchors: tuple[_Base64, ...] = Field(min_length=1)
    intermediates: tuple[_Base64, ...] = ()
    crls: tuple[_Base64, ...] = ()
    at: AwareDatetime | None = None
    revocation: Revocation | None = None

    @property
    def mode(self) -> Revocation:
        """Whether revocation is looked at."""
        return self.revocation or (Revocation.SOFT if self.crls else Revocation.OFF)


def validate_line(line: str | bytes, *, policy: Policy, now: datetime) -> dict[str, object]:
    """Judge one line; whatever it holds, the answer is a verdict: {"id", "accepted", "findings", "fingerprint"}."""
    identity: object = None
    try:
        members = from_json(line)
        identity = members.get("id") if isinstance(members, dict) else None
        case = Case.model_validate(members)
        trust = _trust(case.anchors, case.intermediates)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        told = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'line'}: {p['msg']}" for p in problems[:8])
        return refused_case(identity, told)
    except ValueError as error:
        return refused_case(identity, str(error))
    context = Context(
        now=case.at or now,
        trust=trust,
        policy=policy if case.mode is policy.revocation else replace(policy, revocation=case.mode),
        addresses=case.addresses,
        revocation=NOTHING_KNOWN if case.mode is Revocation.OFF else _known(case.crls),
    )
    verdict = judge(case.attribute, case.value, context)
    return verdict_to_json(verdict, verdict.findings, case.id)


def verdict_to_json(verdict: Verdict, findings: Sequence[Finding], identity: object) -> dict[str, object]:
    """A verdict for machines."""
    accepted = verdict.certificate is not None and not any(finding.refuses for finding in findings)
    return {
        "id": identity,
        "accepted": accepted,
        "findings": [{"code": f.code, "level": f.level, "detail": f.detail} for f in findings],
        "fingerprint": verdict.certificate.fingerprint if verdict.certificate else None,
    }


def known_lists(encoded: Sequence[bytes]) -> Knowledge:
    """What these revocation lists tell; one that cannot be read is a reason why something is unknown."""
    lists, troubles = [], []
    for place, der in enumerate(encoded, start=1):
        try:
            lists.append(RevocationList.parse(der))
        except MalformedListError as error:
            troubles.append(f"revocation list number {place} cannot be read: {error}")
    return Knowledge.of(lists, troubles={b"": tuple(troubles)} if troubles else None)


# Few, since a list may be large; a stream of cases mostly has the same ones.
_known = lru_cache(maxsize=8)(known_lists)


@lru_cache(maxsize=64)
def _trust(anchors: tuple[bytes, ...], intermediates: tuple[bytes, ...]) -> TrustStore:
    return TrustStore.of(anchors, intermediates)


def refused_case(identity: object, detail: str) -> dict[str, object]:
    """A verdict for what is no case; an `identity` that is none (a fraction, a number without end) is left out."""
    number = isinstance(identity, int) and not isinstance(identity, bool) and identity in _NUMBERS
    finding = {"code": ErrorCode.CASE_MALFORMED, "level": Level.REFUSE, "detail": detail}
    told = identity if isinstance(identity, str) or number else None
    return {"id": told, "accepted": False, "findings": [finding], "fingerprint": None}
