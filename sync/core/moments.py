"""The moments at which a judgement changes by time alone, with no event: when a person is to be looked at again.

It may tell a moment at which nothing changes; it misses none at which a value is accepted, refused or warned of by
time. (Why a value is refused may change unsaid.)

The next update of a revocation list is none of them: on that day everybody below a CA would be looked at, and nothing
would have changed for nearly all. Whom a new list names is found by serial number (core.revoked), who waits for one is
`awaited`; and that one has become old withdraws nobody (rules.md, C5).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from sync.core import ocsp
from sync.core.certificate import Certificate
from sync.core.codes import Code
from sync.core.context import Context
from sync.core.judgement import Verdict
from sync.core.policy import Revocation
from sync.core.revoked import issuer_mark, mark

_CERTAIN = frozenset({Code.REVOKED, Code.CA_REVOKED})
_REVOCATION = _CERTAIN | {Code.REVOCATION_UNKNOWN, Code.CRL_STALE, Code.CRL_SIGNATURE}
_ASK_AGAIN = timedelta(days=1)
"""A responder that could not be asked, or gave what counts no more, is asked again after this."""
_AFTER = timedelta(seconds=1)
"""What holds until a moment holds through its second: the change is told for the next one."""


def next_change(verdicts: Iterable[Verdict], context: Context) -> datetime | None:
    """The first moment after `context.now` (UTC) at which the values may be judged otherwise, warnings included, or
    others of them be selected; None when time changes nothing.

    `verdicts` are those of one person, by this context.
    """
    told = (moment for verdict in verdicts for moment in _moments(verdict, context))
    return min((moment for moment in told if moment > context.now), default=None)


def _moments(verdict: Verdict, context: Context) -> Iterator[datetime]:
    """1 of the certificate, 2 of its path, 3 of revocation, 4 of what supersedes it."""
    certificate, policy = verdict.certificate, context.policy
    if certificate is None:
        return
    # 1
    yield certificate.not_before - policy.clock_skew
    yield certificate.not_after - policy.expires_soon + _AFTER
    yield certificate.not_after + _AFTER
    if certificate.fingerprint in context.published:
        yield certificate.not_after + policy.expiry_grace
    # 2
    yield from (authority.not_after + _AFTER for authority in verdict.authorities)
    if not verdict.authorities:
        # It may be a CA of the trust store that is waited for.
        yield from (each.not_before - policy.clock_skew for each in _known(context))
    # 3
    if policy.revocation is not Revocation.OFF:
        yield from _of_revocation(verdict, certificate, context)
    # 4
    if verdict.accepted and policy.overlap:
        yield certificate.not_before + policy.overlap


def awaited(verdicts: Iterable[Verdict]) -> tuple[str, ...]:
    """What lists may bring to values that revocation alone refuses, as marks (core.revoked): of the CAs of the path
    where there is doubt, which any next list of theirs may end; of a certificate that was revoked, which one may name
    no more."""
    return tuple(sorted({mark_ for verdict in verdicts if _waits(verdict) for mark_ in _awaited(verdict)}))


def _awaited(verdict: Verdict) -> Iterable[str]:
    if verdict.certificate is not None and any(each.code in _CERTAIN for each in verdict.findings):
        return (mark(verdict.certificate),)
    return (issuer_mark(issuer.subject) for issuer in verdict.authorities)


def _waits(verdict: Verdict) -> bool:
    """Whether nothing but revocation is against the value."""
    return not verdict.accepted and all(each.code in _REVOCATION for each in verdict.findings if each.refuses)


def _of_revocation(verdict: Verdict, certificate: Certificate, context: Context) -> Iterator[datetime]:
    """Of the certificate and each CA of its path: 1 when a list begins to count that names it, or that is waited for;
    2 when the OCSP answer at hand begins and ceases to count, with its grace or without, and when the certificates
    that may have signed it do; 3 when a responder is asked again that gave nothing that counts."""
    skew, grace, waits = context.policy.clock_skew, context.policy.crl_grace, _waits(verdict)
    for subject, issuer in pairwise((certificate, *verdict.authorities)):
        lists, answer = context.revocation.lists_of(issuer.subject), context.revocation.answers.get(subject.fingerprint)
        # 1
        coming = (each for each in lists if each.this_update - skew > context.now)
        yield from (each.this_update - skew for each in coming if waits or each.find(subject.serial))
        signers = [(each.not_before, each.not_after) for each in _known(context) if each.subject == issuer.subject]
        # 2
        spans = ocsp.spans(answer) if answer is not None else []
        for begin, end in (*spans, *(signers if spans or waits else ())):
            yield begin - skew
            yield end
            yield end + _AFTER
            yield end + skew + _AFTER
            yield end + grace + _AFTER
        # 3
        if issuer.subject in context.revocation.responders:
            counts = None if answer is None else ocsp.counts_until(answer)
            if counts is None or counts <= context.now:
                yield context.now + _ASK_AGAIN


def _known(context: Context) -> Iterator[Certificate]:
    return (each.certificate for each in (*context.trust.anchors, *context.trust.intermediates))
