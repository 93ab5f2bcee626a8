"""Faults of the product, planted at its ports: each is what a processor does that has forgotten one thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import ClassVar

from sync.core.person import Attribute, Values, fingerprint
from sync.core.plan import Managed
from sync.core.recipient import Recipient
from sync.core.record import Record
from sync.ports import EventQueue, Ledger, Recipients
from tests.convergence.watching import Plant
from tests.convergence.world import World
from tests.mill import NOW
from tests.passing import PassingLedger


@dataclass(frozen=True, slots=True)
class _Ledger(PassingLedger):
    """The ledger, as somebody sees it who reads or stores otherwise; None stores nothing."""

    read: Callable[[Record], Record] = lambda record: record
    store: Callable[[Record], Record | None] = lambda record: record

    def get(self, anchor: str) -> Record | None:
        record = self.inner.get(anchor)
        return None if record is None else self.read(record)

    def put(self, record: Record) -> Record:
        stored = self.store(record)
        return record if stored is None else self.inner.put(stored)

    def records(self) -> Iterator[Record]:
        return map(self.read, self.inner.records())


@dataclass(slots=True)
class _Recipients:
    """The tenant, of which `read` answers what was asked to be written; a write may wait for `deferred`."""

    inner: Recipients
    defers: bool = False
    last: dict[str, Mapping[Attribute, tuple[bytes, ...]]] = field(default_factory=dict)
    deferred: list[tuple[Recipient, Mapping[Attribute, tuple[bytes, ...]]]] = field(default_factory=list)

    def find(self, *, pinned: str | None, addresses: Sequence[str]) -> Recipient | None:
        return self.inner.find(pinned=pinned, addresses=addresses)

    def write(self, recipient: Recipient, changes: Mapping[Attribute, tuple[bytes, ...]]) -> None:
        self.last[recipient.id] = changes
        if self.defers:
            self.deferred.append((recipient, changes))
        else:
            self.inner.write(recipient, changes)

    def read(self, recipient: Recipient) -> Values:
        changes = self.last[recipient.id]
        return Values.of(*(changes.get(each, recipient.values[each]) for each in Attribute))


class ClaimLeftOut(Plant):
    """Writes first and says afterwards whose the values are."""

    shows: ClassVar[str] = r"holds .* too many"

    def ledger(self, ledger: Ledger, world: World) -> Ledger:
        return _Ledger(ledger, store=lambda record: None if record.claimed_until else record)


class WatermarkIgnored(Plant):
    """Takes the last event to come for the newest."""

    shows: ClassVar[str] = r"holds .* too many|lacks"

    def ledger(self, ledger: Ledger, world: World) -> Ledger:
        return _Ledger(ledger, read=lambda record: replace(record, watermark=None))


class ManagedIgnored(Plant):
    """Takes all that a recipient holds for its own."""

    shows: ClassVar[str] = r"foreign values of \w+ were taken away"

    def ledger(self, ledger: Ledger, world: World) -> Ledger:
        def everything(record: Record) -> Record:
            found = world.office.recipients.find(pinned=record.recipient, addresses=[])
            if found is None:
                return record
            marks = (frozenset(map(fingerprint, found.values[each])) for each in Attribute)
            return replace(record, managed=Managed(*marks))

        return _Ledger(ledger, read=everything)


class ReadBackLeftOut(Plant):
    """Believes the tenant's answer to a write."""

    shows: ClassVar[str] = r"recorded as written"

    def recipients(self, recipients: Recipients, world: World) -> Recipients:
        return _Recipients(recipients)


class ClaimOfAnotherIgnored(Plant):
    """Writes though another consumer writes for the same person."""

    shows: ClassVar[str] = r"two writers wrote one recipient at once"

    def ledger(self, ledger: Ledger, world: World) -> Ledger:
        return _Ledger(ledger, read=lambda record: replace(record, claimed_until=None))


class ClaimThatNeverLapses(Plant):
    """Waits for a consumer that is dead."""

    shows: ClassVar[str] = r"does not come to rest"

    def ledger(self, ledger: Ledger, world: World) -> Ledger:
        never = timedelta(days=10_000)
        return _Ledger(
            ledger,
            store=lambda record: record if not record.claimed_until else replace(record, claimed_until=NOW + never),
        )


class ExpiryUnnoticed(Plant):
    """Judges for the moment when it was started."""

    shows: ClassVar[str] = r"(current|short).*(refused|too many)"

    def moment(self, now: datetime) -> datetime:
        return NOW


@dataclass(frozen=True, slots=True)
class _Forgetful:
    inner: EventQueue

    def send(self, body: str, *, delay: timedelta = timedelta(0)) -> None:
        """Send what is wanted at once, and forget what is to come later."""
        if not delay:
            self.inner.send(body)


class DeferredLost(Plant):
    """Takes an event from the queue that it has put off, and puts it nowhere."""

    shows: ClassVar[str] = r"came to no end"

    def queue(self, queue: EventQueue) -> EventQueue:
        return _Forgetful(queue)


@dataclass(frozen=True, slots=True)
class OutcomeBeforeWrite(Plant):
    """Records what it is about to do as done."""

    shows: ClassVar[str] = r"recorded as written"

    tenants: list[_Recipients] = field(default_factory=list)

    def recipients(self, recipients: Recipients, world: World) -> Recipients:
        tenant = _Recipients(recipients, defers=True)
        self.tenants[:] = [tenant]
        return tenant

    def ledger(self, ledger: Ledger, world: World) -> Ledger:
        return _After(ledger, self.tenants)


@dataclass(frozen=True, slots=True)
class _After(PassingLedger):
    """The ledger, and the writes that wait until it has stored something."""

    tenants: list[_Recipients]

    def put(self, record: Record) -> Record:
        stored = self.inner.put(record)
        for tenant in self.tenants:
            while tenant.deferred:
                tenant.inner.write(*tenant.deferred.pop())
        return stored


FAULTS: Sequence[type[Plant]] = (
    ClaimLeftOut,
    WatermarkIgnored,
    ManagedIgnored,
    ReadBackLeftOut,
    ClaimOfAnotherIgnored,
    ClaimThatNeverLapses,
    ExpiryUnnoticed,
    DeferredLost,
    OutcomeBeforeWrite,
)
