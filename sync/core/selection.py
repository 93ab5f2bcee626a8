"""Choosing, among all of a person's judged values, what to publish (rules.md, C1 to C6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from sync.core.addresses import Likeness
from sync.core.certificate import Certificate
from sync.core.codes import Code
from sync.core.context import Context
from sync.core.findings import Finding, Level
from sync.core.judgement import Verdict
from sync.core.person import Attribute, Values
from sync.core.policy import OPEN
from sync.core.rules import read_mailboxes


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to publish, and why not the rest.

    `verdicts` are those given, in their order, with what the selection found added. `values` go to the two attributes.
    `published` are the fingerprints of the certificates in userCertificate. `findings` are about the person.
    """

    verdicts: tuple[Verdict, ...]
    values: Values
    published: frozenset[str]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """One certificate, however often it stands there. `expired` says that it is in its grace (C5): any other that is
    accepted goes before it."""

    certificate: Certificate
    expired: bool
    preferred: bool
    addresses: frozenset[str]

    @property
    def newest_first(self) -> tuple[bool, float, float, str]:
        begin, end = self.certificate.not_before.timestamp(), self.certificate.not_after.timestamp()
        return self.expired, -begin, -end, self.certificate.fingerprint

    @property
    def best_first(self) -> tuple[bool, bool, tuple[bool, float, float, str]]:
        return self.expired, not self.preferred, self.newest_first


def select(verdicts: Sequence[Verdict], context: Context) -> Selection:
    """Select from the verdicts of one person. A certificate from a userSMIMECertificate is a candidate like any other.

    1 candidates, each certificate once; 2 the best of each address; 3 the limit on all; 4 the userSMIMECertificate
    values of what was selected; 5 the findings.
    """
    # 1
    candidates = _candidates(verdicts, context)
    # 2
    best, losers = _best_of_each_address(candidates, context)
    # 3
    selected = {c.certificate.fingerprint: c.certificate for c in best[: context.policy.max_values]}
    losers |= {c.certificate.fingerprint: Code.OVER_LIMIT for c in best[context.policy.max_values :]}
    # 4
    room = context.policy.max_values - len(selected)
    blobs = dict(list(_blobs(verdicts, selected))[:room])
    # 5
    found = tuple(_explained(verdicts, selected, losers, blobs, context))
    return Selection(
        verdicts=found,
        values=Values.of((certificate.der for certificate in selected.values()), blobs.values()),
        published=frozenset(selected),
        findings=tuple(_of_person(verdicts, selected, context)),
    )


def spared(verdict: Verdict, published: Set[str]) -> Verdict:
    """C5: keep what we `published` before (fingerprints of certificates) though its revocation cannot be found out.

    Only doubt is forgiven: what is revoked, or refused for any other reason, goes.
    """
    refusing = [finding for finding in verdict.findings if finding.refuses]
    certificate = verdict.certificate
    if not refusing or certificate is None or certificate.fingerprint not in published:
        return verdict
    if any(finding.code not in OPEN for finding in refusing):
        return verdict
    softened = (
        replace(each, level=Level.WARN, detail=f"{each.detail}; published already, it stays") if each.refuses else each
        for each in verdict.findings
    )
    return replace(verdict, findings=tuple(softened))


def _of_person(verdicts: Sequence[Verdict], selected: Mapping[str, Certificate], context: Context) -> Iterator[Finding]:
    """C5: nothing is left."""
    if verdicts and not selected:
        yield context.policy.finding(Code.NONE_PUBLISHABLE, f"of {len(verdicts)} values none can be published")


def _candidates(verdicts: Iterable[Verdict], context: Context) -> list[_Candidate]:
    """C1: the same certificate twice, or in both attributes, counts once."""
    found: dict[str, _Candidate] = {}
    for verdict in verdicts:
        certificate = verdict.certificate
        if certificate is None or not verdict.accepted:
            continue
        earlier = found.get(certificate.fingerprint)
        found[certificate.fingerprint] = _Candidate(
            certificate=certificate,
            expired=context.now > certificate.not_after,
            preferred=verdict.preferred or (earlier is not None and earlier.preferred),
            addresses=_served(certificate, context),
        )
    return list(found.values())


def _served(certificate: Certificate, context: Context) -> frozenset[str]:
    """The person's addresses that a certificate is for; all of its own where the person's are not known."""
    mailboxes, _ = read_mailboxes(certificate, subject_email=context.policy.subject_email)
    if context.addresses is None:
        return frozenset(f"{mailbox.local.lower()}@{mailbox.domain}" for mailbox in mailboxes)
    return frozenset(
        address.text
        for address in context.mailboxes
        if any(mailbox.likeness(address) is not Likeness.NONE for mailbox in mailboxes)
    )


def _best_of_each_address(
    candidates: Sequence[_Candidate], context: Context
) -> tuple[list[_Candidate], dict[str, Code]]:
    """C2, C3 and C6: of each address the newest of each key, then the best `max_per_address` of those, and for a while
    the predecessor of the last of these.

    Return the winners, those of the primary address first and predecessors last, and the code of each that won at no
    address or stays as a predecessor only.
    """
    served = {address for candidate in candidates for address in candidate.addresses}
    known = [mailbox.text for mailbox in context.mailboxes if mailbox.text in served]
    winners: dict[str, _Candidate] = {}
    losers: dict[str, Code] = {}
    staying: dict[str, _Candidate] = {}
    for address in known or sorted(served):
        contenders = [candidate for candidate in candidates if address in candidate.addresses]
        of_key: dict[bytes, _Candidate] = {}
        for candidate in sorted(contenders, key=lambda c: c.newest_first):
            newest = of_key.setdefault(candidate.certificate.public_key.encoded, candidate)
            if newest is not candidate:
                losers[candidate.certificate.fingerprint] = Code.SUPERSEDED_SAME_KEY
        ranked = sorted(of_key.values(), key=lambda c: c.best_first)
        for place, candidate in enumerate(ranked):
            if place < context.policy.max_per_address:
                winners[candidate.certificate.fingerprint] = candidate
            elif place == context.policy.max_per_address and _overlaps(candidate, ranked[place - 1], context):
                staying[candidate.certificate.fingerprint] = candidate
            else:
                losers.setdefault(candidate.certificate.fingerprint, Code.SUPERSEDED)
    staying = {mark: candidate for mark, candidate in staying.items() if mark not in winners}
    lost = {mark: code for mark, code in losers.items() if mark not in winners}
    return [*winners.values(), *staying.values()], lost | dict.fromkeys(staying, Code.OVERLAP)


def _overlaps(former: _Candidate, successor: _Candidate, context: Context) -> bool:
    """C6: senders that still hold the former certificate, and devices that lack the new key, get their time."""
    begin = successor.certificate.not_before
    return not former.expired and former.certificate.not_before < begin and context.now < begin + context.policy.overlap


def _blobs(verdicts: Iterable[Verdict], selected: Mapping[str, Certificate]) -> Iterator[tuple[str, bytes]]:
    """C4: of each selected certificate the one userSMIMECertificate value that is for it, verbatim.

    Where there are several, one whose signature names the certificate goes first.
    """
    mine = [
        verdict
        for verdict in verdicts
        if verdict.attribute is Attribute.USER_SMIME_CERTIFICATE and verdict.copyable and verdict.accepted
    ]
    taken = set()
    for verdict in sorted(mine, key=lambda v: (not v.preferred, v.fingerprint)):
        mark = verdict.certificate.fingerprint if verdict.certificate else ""
        if mark in selected and mark not in taken:
            taken.add(mark)
            yield verdict.fingerprint, verdict.value


def _explained(
    verdicts: Iterable[Verdict],
    selected: Mapping[str, Certificate],
    losers: Mapping[str, Code],
    blobs: Mapping[str, bytes],
    context: Context,
) -> Iterator[Verdict]:
    """Add to each verdict what the selection has to say of it."""
    seen: set[str] = set()
    for verdict in verdicts:
        mark = verdict.certificate.fingerprint if verdict.certificate else None
        added: list[Finding] = []
        if mark is not None and verdict.accepted:
            if mark in seen:
                added.append(context.policy.finding(Code.DUPLICATE, f"certificate {mark[:16]} counts once"))
            elif mark in losers:
                added.append(_lost(losers[mark], selected, context))
            seen.add(mark)
        if _shadows(verdict, selected, blobs):
            detail = "left out: Outlook would take it before the certificate that is published"
            added.append(context.policy.finding(Code.SHADOWING, detail))
        yield replace(verdict, findings=(*verdict.findings, *added))


def _lost(code: Code, selected: Mapping[str, Certificate], context: Context) -> Finding:
    if code is Code.OVER_LIMIT:
        return context.policy.finding(code, f"{context.policy.max_values} are published already")
    if code is Code.OVERLAP:
        return context.policy.finding(code, "stays for a while beside its successor")
    return context.policy.finding(code, f"published instead: {', '.join(mark[:16] for mark in sorted(selected))}")


def _shadows(verdict: Verdict, selected: Mapping[str, Certificate], blobs: Mapping[str, bytes]) -> bool:
    """Whether a userSMIMECertificate value is left out that would hide what is selected.

    One that holds the selected certificate hides nothing, whatever form it has.
    """
    if verdict.attribute is not Attribute.USER_SMIME_CERTIFICATE or verdict.fingerprint in blobs or not selected:
        return False
    return verdict.certificate is None or verdict.certificate.fingerprint not in selected
