"""Judges values on their own, for `smime-sync validate`: no directory, no tenant, nothing is written."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from sync.core.findings import Code, Finding, Level
from sync.core.judgement import Context, Verdict, judge
from sync.core.path import TrustStore
from sync.core.person import Attribute
from sync.core.policy import Policy
from sync.errors import ErrorCode


def _decode(value: object) -> object:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else value
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64 (RFC 4648, section 4)") from error


_Base64 = Annotated[bytes, BeforeValidator(_decode)]


class Case(BaseModel):
    """One line of `smime-sync validate --jsonl`. Without `addresses` the address rules are left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str | int | None = None
    value: _Base64
    attribute: Attribute = Attribute.USER_CERTIFICATE
    addresses: tuple[str, ...] | None = None
    anchors: tuple[_Base64, ...] = Field(min_length=1)
    intermediates: tuple[_Base64, ...] = ()
    crls: tuple[_Base64, ...] = ()
    at: AwareDatetime | None = None
    revocation: Literal["off", "soft", "hard"] = "off"


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
        return _refused(identity, ErrorCode.CASE_MALFORMED, told)
    except ValueError as error:
        return _refused(identity, ErrorCode.CASE_MALFORMED, str(error))
    context = Context(now=case.at or now, trust=trust, policy=policy, addresses=case.addresses)
    verdict = judge(case.attribute, case.value, context)
    findings = [*verdict.findings, *_revocation(case.revocation)]
    return verdict_to_json(verdict, findings, case.id)


def verdict_to_json(verdict: Verdict, findings: Sequence[Finding], identity: object) -> dict[str, object]:
    """A verdict for machines."""
    accepted = verdict.certificate is not None and not any(finding.refuses for finding in findings)
    return {
        "id": identity,
        "accepted": accepted,
        "findings": [{"code": f.code, "level": f.level, "detail": f.detail} for f in findings],
        "fingerprint": verdict.certificate.fingerprint if verdict.certificate else None,
    }


def _revocation(wanted: str) -> list[Finding]:
    """Revocation is not looked at yet: whoever asks for it is told so, and `hard` refuses rather than guess."""
    if wanted == "off":
        return []
    level = Level.REFUSE if wanted == "hard" else Level.WARN
    return [Finding(Code.REVOCATION_UNKNOWN, level, "this version does not look at revocation")]


@lru_cache(maxsize=64)
def _trust(anchors: tuple[bytes, ...], intermediates: tuple[bytes, ...]) -> TrustStore:
    return TrustStore.of(anchors, intermediates)


def _refused(identity: object, code: ErrorCode, detail: str) -> dict[str, object]:
    told = identity if isinstance(identity, str | int) else None
    finding = {"code": code, "level": Level.REFUSE, "detail": detail}
    return {"id": told, "accepted": False, "findings": [finding], "fingerprint": None}
