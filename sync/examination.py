"""Examines what the agent needs, one part after the other: `smime-sync agent check`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync import heartbeat
from sync.agent import Agent
from sync.errors import ErrorCode, PermanentError, SyncError
from sync.own_certificate import Expiry
from sync.ports import BlobStore, ClaimStore, Directory, Lease

SKEW = timedelta(minutes=5)
"""Kerberos refuses a larger difference between clocks (RFC 4120, 5.2.3, as Active Directory has it by default)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One part: whether it is well, in words, and what to do when it is not. `ok` None: not set, or cannot be told."""

    part: str
    ok: bool | None
    said: str
    hint: str = ""


def examine(
    agent: Agent,
    *,
    signing: Callable[[], str | None],
    queue: Callable[[], object],
    work: BlobStore,
    certificates: Sequence[Expiry] = (),
) -> Iterator[Line]:
    """Nothing is sent. The lease is not taken: that would put the active agent out of work when this one is gone.

    `signing` gives the key's id, `queue` asks the queue how long it is, `work` holds heartbeat and census,
    `certificates` are the agent's own.
    """
    directory = agent.directory
    yield _try("state", lambda: f"next event {agent.state.next_watermark()}")
    yield _try("bind and rights", lambda: f"domain {directory.name}")
    yield _try("DirSync and read", lambda: _reads(directory))
    yield _try("notification", lambda: "registered" if directory.wait(timedelta(0)) else "registered before")
    yield _clock(agent.now, directory.clock)
    yield from (_good(each, agent.now()) for each in certificates)
    yield _try("queue", lambda: f"{queue()} messages wait (about)")
    key = _try("signing key", lambda: signing() or "")
    yield key if key.said or not key.ok else Line(part="signing key", ok=None, said="not set: events go unsigned")
    yield _try("heartbeat and census", lambda: _reports(work))
    yield from _containers(agent.claims, agent.lease)
    yield _of_the_canary(agent)
    requests = agent.requests
    if requests is None:
        yield Line(part="request queue", ok=None, said="not set: the cloud cannot ask for people again")
    else:
        yield _try("request queue", lambda: f"{requests.count()} requests wait (about)")


def _try(part: str, look: Callable[[], str]) -> Line:
    try:
        return Line(part=part, ok=True, said=look())
    except SyncError as error:
        return Line(part=part, ok=False, said=f"{error.code}: {error.message}", hint=error.hint)


def _good(certificate: Expiry, now: datetime) -> Line:
    ok = certificate.at - now >= certificate.notice
    said = f"good until {certificate.at:%Y-%m-%d %H:%M} UTC"
    return Line(part=certificate.name, ok=ok, said=said, hint="" if ok else "Renew it: docs/upgrade.md, Our own keys.")


def _reads(directory: Directory) -> str:
    """The first page is enough: a cookie was taken for it, and a page was read."""
    page = next(directory.changes(None), None)
    return f"{len(page.people)} people on the first page" if page else "nobody in scope"


def _clock(ours: Callable[[], datetime], theirs: Callable[[], datetime | None]) -> Line:
    try:
        there = theirs()
    except SyncError as error:
        return Line(part="clock", ok=False, said=f"{error.code}: {error.message}", hint=error.hint)
    if there is None:
        return Line(part="clock", ok=None, said="the directory does not tell its time")
    skew = abs(ours() - there)
    said = f"{skew.total_seconds():.0f} s from the domain controller's"
    return Line(
        part="clock", ok=skew <= SKEW, said=said, hint="" if skew <= SKEW else "Synchronise this machine's clock."
    )


def _of_the_canary(agent: Agent) -> Line:
    if agent.canary is None or not agent.canary.wanted:
        return Line(part="canary", ok=None, said="not set: nobody measures how long a change takes")
    canary = agent.canary

    def look() -> str:
        seen = canary.examine()
        (person,) = agent.directory.find([seen.anchor.object_guid])
        if person.deleted:
            raise PermanentError(ErrorCode.CANARY_UNKNOWN, f"the canary {seen.anchor} is out of the agent's scope")
        return f"{seen.anchor} may be changed; set that as SMIME_SYNC_CANARY of the function too"

    return _try("canary", look)


def _containers(claims: ClaimStore | None, lease: Lease | None) -> Iterator[Line]:
    if claims is None:
        yield Line(part="large events", ok=None, said="not set: a person over 48 KiB is refused")
    else:
        yield _try("large events", lambda: _reachable(claims))
    if lease is None:
        yield Line(part="lease", ok=None, said="not set: only one agent may run")
    else:
        yield _try("lease", lease.look)


def _reports(work: BlobStore) -> str:
    count = sum(1 for name in work.names(heartbeat.ROOT))
    return f"the container answers; heartbeats of {count} agents are in it"


def _reachable(claims: ClaimStore) -> str:
    claims.check()
    return "the container answers"
