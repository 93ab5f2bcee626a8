"""What the ledger remembers: a record per person, a failure per message that did not succeed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from sync.core.event import Event
from sync.core.findings import Finding
from sync.core.identity import Watermark
from sync.core.person import Attribute, Values
from sync.core.plan import Managed
from sync.core.recipient import Owner


class Status(StrEnum):
    """How handling an event ended. A deferred one is on the queue again; the others are done."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"
    MANAGED_ON_PREMISES = "managed-on-premises"
    GONE = "gone"
    REPORTED = "reported"
    DEFERRED = "deferred"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One value of the event and what became of it, without its bytes.

    `fingerprint` names the attribute value, `certificate` the leaf judged in it (both SHA-256, hex). `published` are
    the attributes in which the recipient shall hold it: the certificate, the value itself, or both.
    """

    attribute: Attribute
    fingerprint: str
    certificate: str | None = None
    published: tuple[Attribute, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The value in which handling one event ends; a refused certificate is an ordinary outcome.

    `reason` is the error code of a failure or deferral, `detail` its sentence; `added` and `withdrawn` are
    fingerprints. `seconds` is the time from the change to the end of handling, `again_in` the seconds until it is
    tried again. `policy` is the pack by which it was judged, with its date; `findings` are about the person as a whole.
    `unverified` says that the tenant does not show what the recipient holds: our memory stands in for it. `overtook`
    says that the claim of another processor had lapsed: what it began to write may still arrive.
    """

    status: Status
    at: datetime
    anchor: str | None = None
    watermark: Watermark | None = None
    cause: str | None = None
    judged: tuple[Judged, ...] = ()
    added: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    foreign: int = 0
    owner: Owner | None = None
    reason: str | None = None
    detail: str | None = None
    seconds: float | None = None
    again_in: float | None = None
    policy: str | None = None
    findings: tuple[Finding, ...] = ()
    unverified: bool = False
    overtook: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a recipient held right before a write of ours, and what of it was ours. `id` orders them by time."""

    id: str
    at: datetime
    values: Values
    managed: Managed


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What we know of one person: the key is `anchor` (the ImmutableId).

    `managed` names what we published. `claimed_until` says that a processor is writing for this person until then
    (UTC); it ends by itself, so a killed processor blocks nobody for longer. `event` is the last event handled, as it
    was sent. `hold` names the snapshot that an administrator restored: until it is lifted, that is what the recipient
    shall hold, whatever the directory says. `version` is the ledger's own mark for compare-and-swap; None means that
    the record is not stored yet.

    Of the last event: `state_hash` is its person's, `names` their addresses and UPN, folded, `deleted` whether they
    have left, `units` their containers (core.units), `source` the agent that told it. Of the last decision: `desired`
    is how the recipient should look (core.recipient.appearance), `certificates` are the marks of what is published of
    theirs (core.revoked), `expiries` the days until which each of these is valid, `awaits` what revocation lists may
    bring (core.moments), `next_change` is when time alone may make it another one (UTC), `basis` what it was judged
    on. See core.digest.
    """

    anchor: str
    watermark: Watermark | None = None
    recipient: str | None = None
    managed: Managed = Managed()
    claimed_until: datetime | None = None
    outcome: Outcome | None = None
    event: str | None = None
    hold: str | None = None
    state_hash: str | None = None
    names: tuple[str, ...] = ()
    deleted: bool = False
    units: tuple[str, ...] = ()
    desired: str | None = None
    next_change: datetime | None = None
    basis: str | None = None
    certificates: tuple[str, ...] = ()
    expiries: tuple[date, ...] = ()
    awaits: tuple[str, ...] = ()
    source: str | None = None
    version: str | None = None

    @property
    def known_as(self) -> frozenset[str]:
        """Every name by which a ledger finds the person: `names`, and the recipient, folded."""
        return frozenset(self.names) | ({self.recipient.casefold()} if self.recipient else set())

    def told(self, event: Event, body: str) -> Record:
        """The record when `event` is the last one handled; `body` is it as it was sent."""
        return replace(
            self,
            watermark=event.watermark,
            event=body,
            state_hash=event.person.state_hash,
            names=tuple(sorted(address.casefold() for address in event.person.addresses)),
            deleted=event.person.deleted,
            units=event.person.units,
            source=event.source,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A message that did not succeed, kept until somebody replays or dismisses it.

    `body` is the message as it was received, undecodable ones included.
    """

    id: str
    at: datetime
    reason: str
    detail: str
    body: str
    anchor: str | None = None
    dequeue_count: int = 0
