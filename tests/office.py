"""A small company on the embedded adapters, in memory, with a clock that only tests move."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sync import envelope
from sync.adapters.embedded import (
    Database,
    EmbeddedAudit,
    EmbeddedBlobs,
    EmbeddedFailures,
    EmbeddedHistory,
    EmbeddedLedger,
    EmbeddedPace,
    EmbeddedQueue,
    EmbeddedRecipients,
)
from sync.auditor import Auditor
from sync.core.certificate import Certificate
from sync.core.event import Cause, Event
from sync.core.identity import SourceAnchor, Watermark
from sync.core.judgement import Context
from sync.core.path import TrustStore
from sync.core.person import Attribute, Person, Values
from sync.core.recipient import Recipient, RecipientKind
from sync.core.record import Outcome, Record
from sync.core.run import Run
from sync.core.summary import issuer_names
from sync.drain import drain
from sync.errors import SyncError
from sync.explainer import Explainer
from sync.loss_guard import LossGuard
from sync.overseer import Overseer
from sync.ports import Ledger, Message, Recipients
from sync.preflight import Level, Line
from sync.processor import Processor
from sync.receiver import Receiver
from sync.reconciler import Reconciler
from sync.replayer import Replayer
from sync.restorer import Restorer
from tests.mill import NOW, Authority, Issued, Mill


def anchor(name: str) -> SourceAnchor:
    """An anchor that belongs to this name."""
    return SourceAnchor(hashlib.sha256(name.encode()).digest()[:16])


def person(
    name: str, *certificates: Issued | bytes, smime: Iterable[bytes] = (), enabled: bool = True, deleted: bool = False
) -> Person:
    """A person as the directory shows them, with values of userCertificate and userSMIMECertificate."""
    values = [each if isinstance(each, bytes) else each.der for each in certificates]
    return Person(
        anchor=anchor(name),
        mail=f"{name}@corp.example",
        enabled=enabled,
        deleted=deleted,
        values=Values.of(values, smime),
    )


@dataclass
class Faulty:
    """The tenant, with a fault before or after the write. A real adapter does the work."""

    inner: Recipients
    before_write: BaseException | None = None
    after_write: SyncError | Exception | None = None
    reads: Values | None = None
    writes: int = 0

    def find(self, *, pinned: str | None, addresses: Sequence[str]) -> Recipient | None:
        return self.inner.find(pinned=pinned, addresses=addresses)

    def write(self, recipient: Recipient, changes: Mapping[Attribute, tuple[bytes, ...]]) -> None:
        if self.before_write:
            raise self.before_write
        self.writes += 1
        self.inner.write(recipient, changes)
        if self.after_write:
            raise self.after_write

    def read(self, recipient: Recipient) -> Values:
        return self.inner.read(recipient) if self.reads is None else self.reads


@dataclass
class Crash:
    """A ledger whose process is killed at the nth put: what was stored before stays, nothing after happens."""

    inner: Ledger
    at: int
    puts: int = 0

    def get(self, anchor: str) -> Record | None:
        return self.inner.get(anchor)

    def put(self, record: Record) -> Record:
        self.puts += 1
        if self.puts >= self.at:
            raise KeyboardInterrupt
        return self.inner.put(record)

    def named(self, name: str, *, besides: str = "") -> Sequence[Record]:
        return self.inner.named(name, besides=besides)

    def records(self) -> None:
        raise AssertionError


@dataclass(kw_only=True)
class Office:
    """The cloud side and its tenant. Everybody who was given a mailbox has `name`@corp.example."""

    now: datetime = NOW
    mill: Mill = field(default_factory=Mill)
    sequence: int = 0

    def __post_init__(self) -> None:
        self.root: Authority = self.mill.root()
        self.issuing = self.root.issue_ca("Example Issuing CA")
        self.trust = TrustStore.of([self.root.der], [self.issuing.der])
        self.database = Database(None, lambda: self.now)
        self.queue = EmbeddedQueue(self.database)
        self.ledger = EmbeddedLedger(self.database)
        self.failures = EmbeddedFailures(self.database)
        self.audit = EmbeddedAudit(self.database)
        self.history = EmbeddedHistory(self.database)
        self.recipients = EmbeddedRecipients(self.database)
        self.losses = LossGuard(blobs=EmbeddedBlobs(self.database))
        self.processor = Processor(
            recipients=self.recipients,
            ledger=self.ledger,
            history=self.history,
            judging=lambda moment: Context(now=moment, trust=self.trust),
            now=lambda: self.now,
            admits=self.losses.admits,
        )

    def change(self, **parts: Any) -> None:
        """Exchange parts of the processor for the rest of the test."""
        self.processor = replace(self.processor, **parts)

    @property
    def receiver(self) -> Receiver:
        return self.receiving()

    def receiving(self, **changes: object) -> Receiver:
        """The receiver around a processor with some of its parts exchanged; its pauses are never jittered."""
        return Receiver(
            processor=replace(self.processor, **changes),  # type: ignore[arg-type]
            ledger=self.ledger,
            failures=self.failures,
            audit=self.audit,
            queue=self.queue,
            now=lambda: self.now,
            jitter=lambda: 0.0,
        )

    @property
    def reconciler(self) -> Reconciler:
        return Reconciler(
            ledger=self.ledger,
            queue=self.queue,
            processor=self.processor,
            blobs=self.losses.blobs,
            now=lambda: self.now,
            losses=self.losses,
            recipients=self.recipients,
            waiting=self.queue.count,
        )

    @property
    def explainer(self) -> Explainer:
        return Explainer(ledger=self.ledger, failures=self.failures, processor=self.processor, now=lambda: self.now)

    @property
    def overseer(self) -> Overseer:
        authorities = [Certificate.parse(each.der) for each in (self.root, self.issuing)]
        return Overseer(
            ledger=self.ledger,
            failures=self.failures,
            backlog=self.queue,
            blobs=self.losses.blobs,
            audit=self.audit,
            pace=EmbeddedPace(self.database),
            issuers=lambda: issuer_names(authorities),
            now=lambda: self.now,
        )

    @property
    def auditor(self) -> Auditor:
        return Auditor(log=self.audit, ledger=self.ledger, now=lambda: self.now)

    @property
    def replayer(self) -> Replayer:
        return Replayer(failures=self.failures, queue=self.queue, ledger=self.ledger, now=lambda: self.now)

    @property
    def restorer(self) -> Restorer:
        return Restorer(ledger=self.ledger, history=self.history, queue=self.queue)

    def issue(self, name: str, **options: object) -> Issued:
        """A good certificate for this person, unless the options say otherwise."""
        return self.issuing.issue(f"{name}@corp.example", **options)  # type: ignore[arg-type]

    def mailbox(self, name: str, *held: Issued, **options: Any) -> Recipient:
        """Give a person a mailbox that already holds these certificates."""
        recipient = Recipient(
            id=str(uuid.UUID(bytes=anchor(name).object_guid)),
            kind=RecipientKind.MAILBOX,
            addresses=(f"{name}@corp.example",),
            values=Values.of(each.der for each in held),
            **options,
        )
        self.recipients.add(recipient)
        return recipient

    def held(self, name: str) -> Values:
        """What the person's mailbox holds now."""
        recipient = self.recipients.find(pinned=None, addresses=[f"{name}@corp.example"])
        assert recipient is not None
        return recipient.values

    def record(self, name: str) -> Record:
        """What the ledger says of the person."""
        record = self.ledger.get(anchor(name).immutable_id)
        assert record is not None
        return record

    def event(self, of: Person, *, sequence: int | None = None, waited: timedelta | None = None) -> str:
        """The next event of a person, as the agent would send it; or one that has waited so long already."""
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        return envelope.render(
            Event(
                id=str(sequence),
                source="urn:smime-sync:agent:corp.example",
                time=self.now,
                watermark=Watermark(1, sequence),
                person=of,
                cause=Cause.CHANGE,
                attempts=0 if waited is None else 4,
                since=None if waited is None else self.now - waited,
            )
        )

    def message(self, of: Person, *, sequence: int | None = None, waited: timedelta | None = None) -> Message:
        """The same, as the host hands it to the function."""
        return Message(id=str(uuid.uuid4()), body=self.event(of, sequence=sequence, waited=waited))

    def process(self, of: Person, *, sequence: int | None = None) -> Outcome:
        """Send a person's state straight to the receiver."""
        return self.receiver.process(self.message(of, sequence=sequence))

    def drain(self) -> list[Outcome | None]:
        """Work off the queue."""
        outcomes: list[Outcome | None] = []
        drain(self.queue, self.receiver, done=lambda _, outcome: outcomes.append(outcome))
        return outcomes

    def pass_time(self, time: timedelta) -> None:
        """Let the clock go on."""
        self.now += time


@dataclass
class Operated:
    """The office as the routes over HTTP ask it; `report` as in report mode."""

    office: Office = field(default_factory=Office)
    report: bool = False
    continuing: EmbeddedQueue | None = None
    tried: list[str | None] = field(default_factory=list)

    @property
    def explainer(self) -> Explainer:
        return self.office.explainer

    @property
    def overseer(self) -> Overseer:
        return self.office.overseer

    @property
    def replayer(self) -> Replayer:
        return self.office.replayer

    @property
    def reconciler(self) -> Reconciler:
        return replace(self.office.reconciler, continuing=self.continuing)

    @property
    def losses(self) -> LossGuard:
        return self.office.losses

    def now(self) -> datetime:
        return self.office.now

    def approve(self, run_id: str, *, by: str) -> Run:
        return self.reconciler.approve(run_id, apply=not self.report, by=by)

    def preflight(self, outside: str | None) -> Iterable[Line]:
        self.tried.append(outside)
        yield Line(check="token", level=Level.OK, detail="given")

    def health(self) -> dict[str, object]:
        return {"status": "ok"}
