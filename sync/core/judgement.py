"""Judging one attribute value: everything that the decision table says of it, in its order."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sync.core.certificate import Certificate, MalformedCertificateError
from sync.core.context import Context
from sync.core.findings import Finding
from sync.core.path import Path, find_path
from sync.core.person import Attribute, fingerprint
from sync.core.policy import Revocation
from sync.core.revocation import revocation_findings
from sync.core.rules import LEAF_RULES
from sync.core.values import Opened, open_value

__all__ = ["Context", "Verdict", "judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one value is worth. `fingerprint` names the value, `certificate` is the person's in it, if it can be read.

    `policy` is the pack by which it was judged, with its date; `authorities` are the CAs of its path, from the issuer
    up to the anchor, where there is one.

    `preferred` says that a verified signature names that certificate as the one to encrypt to; `copyable` that the
    value is of a form that belongs in userSMIMECertificate.
    """

    attribute: Attribute
    value: bytes
    fingerprint: str
    policy: str = ""
    certificate: Certificate | None = None
    authorities: tuple[Certificate, ...] = ()
    findings: tuple[Finding, ...] = ()
    preferred: bool = False
    copyable: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the certificate may be published, as far as it alone goes."""
        return self.certificate is not None and not any(finding.refuses for finding in self.findings)


def judge(attribute: Attribute, value: bytes, context: Context) -> Verdict:
    """Judge one value, whatever its bytes. Raises nothing: what a library refuses is a finding.

    1 open the value, 2 read the person's certificate, 3 ask every rule, 4 look for a path when none of them refuses,
    5 ask whether the certificate or a CA of the path was revoked.
    """
    # 1
    opened = open_value(attribute, value, context.policy)
    findings = list(opened.findings)
    certificate = None
    path = Path()
    if opened.leaf is not None:
        # 2
        try:
            certificate = Certificate.parse(opened.leaf)
        except MalformedCertificateError as error:
            findings.append(context.policy.finding(error.code, str(error)))
        else:
            # 3
            own = [finding for rule in LEAF_RULES for finding in rule(certificate, context)]
            findings += own
            if not any(finding.refuses for finding in own):
                # 4 and 5
                path = _path(certificate, opened, context)
                findings += path.findings
    return Verdict(
        attribute=attribute,
        value=value,
        # Most values are a certificate and nothing else: that is hashed already.
        fingerprint=certificate.fingerprint if certificate and certificate.der == value else fingerprint(value),
        policy=context.policy.label,
        certificate=certificate,
        authorities=path.authorities,
        findings=tuple(findings),
        preferred=opened.preferred,
        copyable=opened.copyable,
    )


def _path(certificate: Certificate, opened: Opened, context: Context) -> Path:
    """The path of a certificate, and what there is to say of it and of revocation along it."""
    path = find_path(certificate, opened.intermediates, trust=context.trust, policy=context.policy, now=context.now)
    if not path.authorities or context.policy.revocation is Revocation.OFF:
        return path
    revocation = revocation_findings(
        certificate,
        path.authorities,
        knowledge=context.revocation,
        trust=context.trust,
        policy=context.policy,
        now=context.now,
    )
    return replace(path, findings=(*path.findings, *revocation))
