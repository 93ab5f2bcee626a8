"""The ports as the world watches them: each call is a step, and what is stored or written has a witness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from sync.adapters.embedded import EmbeddedRecipients
from sync.core.person import Attribute, Values
from sync.core.recipient import Recipient
from sync.core.record import Record, Snapshot
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import EventQueue, History, Ledger, Message, MessageSource, Recipients
from tests.convergence.interleaving import Steps
from tests.passing import PassingLedger

if TYPE_CHECKING:
    from tests.convergence.world import World

_STEPS_OF_A_WRITE: Final = 8


@dataclass(frozen=True, slots=True)
class Plant:
    """A fault of the product that a test plants, at the ports; this one plants none.

    `shows` is the one thing by which a fault must be found (a regular expression over what the world says is wrong);
    whatever else it breaks is not counted, so that no fault is found by chance of another.
    """

    shows: ClassVar[str] = ""

    def ledger(self, ledger: Ledger, world: World) -> Ledger:
        """What the processor takes for the ledger."""
        return ledger

    def recipients(self, recipients: Recipients, world: World) -> Recipients:
        """What the processor takes for the tenant."""
        return recipients

    def queue(self, queue: EventQueue) -> EventQueue:
        """Where the receiver sends what is to come again."""
        return queue

    def moment(self, now: datetime) -> datetime:
        """The moment for which is judged."""
        return now


@dataclass(frozen=True, slots=True)
class Watched:
    """Any port: whoever calls it makes a step first."""

    inner: object
    steps: Steps

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)

        def call(*arguments: object, **named: object) -> Any:
            self.steps.reached()
            return method(*arguments, **named)

        return call


@dataclass(frozen=True, slots=True)
class Few:
    """A queue that gives a consumer only so many messages, so that it comes to an end."""

    inner: MessageSource
    left: list[None]

    def receive(self, limit: int, hidden_for: timedelta) -> Sequence[Message]:
        """See ports.MessageSource: one message at a time."""
        if not self.left:
            return ()
        self.left.pop()
        return self.inner.receive(1, hidden_for)

    def delete(self, message: Message) -> None:
        """See ports.MessageSource."""
        self.inner.delete(message)

    def release(self, message: Message, delay: timedelta) -> None:
        """See ports.MessageSource."""
        self.inner.release(message, delay)

    def renew(self, message: Message, hidden_for: timedelta) -> Message:
        """See ports.MessageSource."""
        return self.inner.renew(message, hidden_for)

    def count(self) -> int:
        """See ports.MessageSource."""
        return self.inner.count()


TROUBLES: Final[Mapping[str, Exception | None]] = {
    "throttled": TemporaryError(ErrorCode.TENANT_THROTTLED, "429", retry_after=timedelta(seconds=30)),
    "away": TemporaryError(ErrorCode.TENANT_UNAVAILABLE, "503"),
    "answer-lost": TemporaryError(ErrorCode.TENANT_UNAVAILABLE, "connection reset"),
    "write-dropped": None,
    "no-role": PermanentError(ErrorCode.TENANT_ROLE, "403"),
    "defect": RuntimeError("a defect of ours"),
}
"""What a call to the tenant can meet. `answer-lost` comes after the write; `write-dropped` succeeds, and is none."""


@dataclass(slots=True)
class Tenant:
    """Recipients, with troubles to come (the next one first), and the world as witness of each write."""

    inner: EmbeddedRecipients
    world: World
    troubles: list[str] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)

    def find(self, *, pinned: str | None, addresses: Sequence[str]) -> Recipient | None:
        """See ports.Recipients."""
        if self.troubles and self.troubles[0] == "away":
            raise cast(TemporaryError, TROUBLES[self.troubles.pop(0)])
        return self.inner.find(pinned=pinned, addresses=addresses)

    def read(self, recipient: Recipient) -> Values:
        """See ports.Recipients."""
        return self.inner.read(recipient)

    def write(self, recipient: Recipient, changes: Mapping[Attribute, tuple[bytes, ...]]) -> None:
        """See ports.Recipients. A write takes longer than anything else: a few steps lie in it."""
        trouble = self.troubles.pop(0) if self.troubles else None
        error = TROUBLES[trouble] if trouble else None
        if error and trouble != "answer-lost":
            raise error
        with Writing(self.busy, recipient.id, self.world):
            for _ in range(_STEPS_OF_A_WRITE):
                self.world.steps.reached()
            if trouble != "write-dropped":
                before = self.inner.read(recipient)
                self.inner.write(recipient, changes)
                self.world.witness(recipient.id, before, self.inner.read(recipient))
        if error:
            raise error


@dataclass(frozen=True, slots=True)
class Writing:
    """One write under way; two at once to one recipient are a violation."""

    busy: set[str]
    recipient: str
    world: World

    def __enter__(self) -> None:
        if self.recipient in self.busy:
            self.world.together(self.recipient)
        self.busy.add(self.recipient)

    def __exit__(self, *_: object) -> None:
        self.busy.discard(self.recipient)


@dataclass(frozen=True, slots=True)
class WatchedLedger(PassingLedger):
    """The ledger, with the world as witness of what it stores."""

    world: World

    def put(self, record: Record) -> Record:
        before = self.inner.get(record.anchor)
        stored = self.inner.put(record)
        self.world.stored(stored, before)
        return stored


@dataclass(frozen=True, slots=True)
class WatchedHistory:
    """The history, with the world as witness of what it keeps."""

    inner: History
    world: World

    def keep(self, who: str, snapshot: Snapshot) -> None:
        self.world.snapshot(who, snapshot)
        self.world.office.pass_time(self.world.slowness.pop() if self.world.slowness else timedelta(0))
        self.world.steps.reached()
        self.inner.keep(who, snapshot)

    def all(self, who: str) -> Sequence[Snapshot]:
        return self.inner.all(who)
