"""The moments at which a judgement changes by time alone, with no event: when a person is to be looked at again.

It may tell a moment at which nothing changes; it misses none at which a value is accepted, refused or warned of by
time. (Why a value is refused may change unsaid.) That a source of revocation is up again is no matter of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from sync.core import ocsp
from sync.core.certificate import Certificate
from sync.core.context import Context
from sync.core.judgement import Verdict
from sync.core.policy import Revocation

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
        yield from _of_revocation(certificate, verdict.authorities, context)
    # 4
    if verdict.accepted and policy.overlap:
        yield certificate.not_before + policy.overlap


def _of_revocation(
    certificate: Certificate, authorities: tuple[Certificate, ...], context: Context
) -> Iterator[datetime]:
    """When the next list or answer is due for the certificate and each CA of its path, when the one at hand begins and
    ceases to count, with its grace or without, and when the certificates that may have signed it do."""
    skew, grace = context.policy.clock_skew, context.policy.crl_grace
    for subject, issuer in pairwise((certificate, *authorities)):
        spans = [(each.not_before, each.not_after) for each in _known(context) if each.subject == issuer.subject]
        answer = context.revocation.answers.get(subject.fingerprint)
        if answer is not None:
            spans += ocsp.spans(answer)
        for each in context.revocation.lists_of(issuer.subject):
            spans.append((each.this_update, each.next_update or each.this_update))
        for begin, end in spans:
            yield begin - skew
            yield end
            yield end + _AFTER
            yield end + skew + _AFTER
            yield end + grace + _AFTER


def _known(context: Context) -> Iterator[Certificate]:
    return (each.certificate for each in (*context.trust.anchors, *context.trust.intermediates))
