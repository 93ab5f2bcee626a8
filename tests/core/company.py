"""A company with a root, an issuing CA and one address: what a test of the judgement stands on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from sync.core.codes import Code
from sync.core.findings import Level
from sync.core.judgement import Context, Verdict, judge
from sync.core.path import TrustStore
from sync.core.person import Attribute
from sync.core.policy import PRIVATE_CA, Policy
from sync.core.selection import Selection, select
from tests.mill import NOW, Issued, KeyKind, Mill

ALICE = "alice@corp.example"


class Company:
    """`judge` and `codes` take a certificate or the bytes of a value; the rest of the context may be named."""

    def __init__(self, *, key: KeyKind = "ec256") -> None:
        self.mill = Mill()
        self.root = self.mill.root("Example Root CA", key=key)
        self.issuing = self.root.issue_ca("Example Issuing CA", key=key)
        self.trust = TrustStore.of([self.root.der], [self.issuing.der])

    def context(
        self,
        *,
        now: datetime = NOW,
        trust: TrustStore | None = None,
        policy: Policy = PRIVATE_CA,
        addresses: tuple[str, ...] | None = (ALICE,),
        **policy_changes: Any,
    ) -> Context:
        """The context of a judgement; other names are settings of the policy."""
        changed = replace(policy, **policy_changes)
        return Context(now=now, trust=trust or self.trust, policy=changed, addresses=addresses)

    def judge(
        self, value: Issued | bytes, attribute: Attribute = Attribute.USER_CERTIFICATE, **context: Any
    ) -> Verdict:
        """Judge one value."""
        der = value if isinstance(value, bytes) else value.der
        return judge(attribute, der, self.context(**context))

    def select(self, *values: Issued | bytes, smime: tuple[bytes, ...] = (), **context: Any) -> Selection:
        """Judge all values of one person, those of userSMIMECertificate in `smime`, and select."""
        verdicts = [self.judge(value, **context) for value in values]
        verdicts += [self.judge(value, Attribute.USER_SMIME_CERTIFICATE, **context) for value in smime]
        return select(verdicts, self.context(**context))


def refusals(verdict: Verdict) -> list[Code]:
    """The codes of a verdict that refuse, in its order."""
    return [finding.code for finding in verdict.findings if finding.refuses]


def remarks(verdict: Verdict, level: Level = Level.WARN) -> list[Code]:
    """The codes of a verdict at a level that does not refuse."""
    return [finding.code for finding in verdict.findings if finding.level is level]
