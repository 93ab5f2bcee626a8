"""What the use cases need from outside, as protocols. Adapters implement them; `wiring` joins the two.

Every method may raise `TemporaryError` or `PermanentError` (sync.errors) and nothing else of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sync.core.person import Attribute, Person, Values
from sync.core.rate import Rate
from sync.core.recipient import Recipient
from sync.core.record import Failure, Record, Snapshot

MAX_MESSAGE_BYTES = 49_152
"""A storage queue message holds 64 KiB of base64: 48 KiB of event."""

SNAPSHOTS = 5
"""How many earlier states of a recipient are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One piece of a delta or full import.

    `checkpoint` is valid once every person of this page is safely sent. `complete` is set on the last page of a full
    import: whoever was known and was on none of its pages has left the scope. `full` marks every page of one.
    `changed_at` is when the directory changed, as far as it is known (UTC).
    """

    people: tuple[Person, ...]
    checkpoint: bytes
    full: bool = False
    complete: bool = False
    changed_at: datetime | None = None


class Directory(Protocol):
    """Active Directory, or what stands for it."""

    @property
    def name(self) -> str:
        """The domain, for the event's source."""

    def changes(self, checkpoint: bytes | None) -> Iterator[Page]:
        """Read all that changed since `checkpoint` to the end; with None, or a checkpoint refused, everything.

        Each person comes whole. A person deleted or out of scope comes with `deleted` set.
        """

    def wait(self, timeout: timedelta) -> bool:
        """Sleep until something changed (True) or `timeout` passed (False). It may wake for nothing."""

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was sent of a person last: who they were then, without values, and the hash of their whole state."""

    person: Person
    state_hash: str


class Checkpoints(Protocol):
    """The agent's memory: the checkpoint, what it sent of whom, and its sequence.

    People are told apart by objectGUID, which even a tombstone keeps; the anchor may be another attribute.
    """

    def load(self) -> bytes | None:
        """The last saved checkpoint; None on the first run."""

    def known(self, guids: Sequence[bytes]) -> Mapping[bytes, Sent]:
        """What was sent last of each of these people, where something was."""

    def absent(self, seen: Set[bytes]) -> Iterator[Person]:
        """People whose last sent state was not a deletion and whose objectGUID is not in `seen`."""

    def reserve(self, count: int) -> tuple[int, int]:
        """Durably take `count` sequence numbers; return (epoch, first). A number is never given twice."""

    def save(self, people: Sequence[Person], checkpoint: bytes) -> None:
        """In one transaction, remember what was sent of `people` and move the checkpoint."""


class EventQueue(Protocol):
    """The change queue, from the sender's side."""

    def send(self, body: str, *, delay: timedelta = timedelta(0)) -> None:
        """Put one event on the queue, never to expire; it becomes visible after `delay`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """The envelope in which an event arrives. `receipt` is the queue's own handle of this delivery."""

    id: str
    body: str
    dequeue_count: int = 1
    receipt: str = ""


class MessageSource(Protocol):
    """The change queue, from the receiver's side, where no Functions host stands in between."""

    def receive(self, limit: int, hidden_for: timedelta) -> Sequence[Message]:
        """Take up to `limit` visible messages and hide them from others for a time."""

    def delete(self, message: Message) -> None:
        """The message is done. Deleting one that is gone is no error."""

    def release(self, message: Message, delay: timedelta) -> None:
        """Give the message back, visible again after `delay`."""

    def count(self) -> int:
        """How many messages wait, hidden ones included (about)."""


class Recipients(Protocol):
    """Exchange Online."""

    def find(self, *, pinned: str | None, addresses: Sequence[str]) -> Recipient | None:
        """The recipient with ExternalDirectoryObjectId `pinned`, or else the one that answers to the first of
        `addresses` that anybody answers to, with what it holds now; None when nobody does.

        Raises PermanentError `recipient-ambiguous`, `recipient-kind`.
        """

    def write(self, recipient: Recipient, changes: Mapping[Attribute, tuple[bytes, ...]]) -> None:
        """Replace the whole list of each attribute named in `changes`; an empty tuple clears it."""

    def read(self, recipient: Recipient) -> Values:
        """What the recipient holds now, exact to the byte."""


class RecipientList(Protocol):
    """Exchange Online, read whole."""

    def all(self) -> Iterator[Recipient]:
        """Every recipient that can hold certificates, with what it holds now, read piece by piece, in no order.

        One may come twice. Raises PermanentError `read-back-unreadable`, TemporaryError `page-expired`.
        """


class Ledger(Protocol):
    """A record per person, with compare-and-swap."""

    def get(self, anchor: str) -> Record | None:
        """The record of the person with this ImmutableId."""

    def put(self, record: Record) -> Record:
        """Store `record` if nobody stored it since it was read (`version`); return it with its new version.

        Raises TemporaryError `ledger-conflict` when somebody did.
        """

    def records(self) -> Iterator[Record]:
        """Every record, in no particular order, read piece by piece."""


class History(Protocol):
    """What each recipient held before our writes: the last few, so that each write can be taken back."""

    def keep(self, anchor: str, snapshot: Snapshot) -> None:
        """Keep it, and drop the oldest of this person beyond `SNAPSHOTS`."""

    def all(self, anchor: str) -> Sequence[Snapshot]:
        """Those of one person, the newest first."""


class Pace(Protocol):
    """The tenant's rate of writes, shared by every instance."""

    def book(self, rate: Rate, now: datetime) -> datetime:
        """Book the next turn at this rate and return its moment, `now` or later.

        Raises TemporaryError `ledger-conflict` when others were faster several times.
        """


class Failures(Protocol):
    """Messages that did not succeed."""

    def add(self, failure: Failure) -> None:
        """Keep it; one with the same id is replaced."""

    def get(self, failure_id: str) -> Failure | None:
        """The one with this id."""

    def all(self) -> Iterator[Failure]:
        """Every one, oldest first."""

    def remove(self, failure_id: str) -> None:
        """It was replayed or dismissed. Removing one that is gone is no error."""
