"""What the use cases need from outside, as protocols. Adapters implement them; `wiring` joins the two.

Every method may raise `TemporaryError` or `PermanentError` (sync.errors) and nothing else of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sync.core.audit import Entry
from sync.core.digest import Digest
from sync.core.event import Claim
from sync.core.identity import SourceAnchor, Watermark
from sync.core.news import Told
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
    `changed_at` is when the directory changed, as far as it is known (UTC). `scope` is the part of the directory (a
    domain) that a full import is of: whoever is missing is missed within it. `resumed` marks a page of a full import
    that an earlier read began and this one goes on with.
    """

    people: tuple[Person, ...]
    checkpoint: bytes
    full: bool = False
    complete: bool = False
    changed_at: datetime | None = None
    scope: str = ""
    resumed: bool = False


Seen = Callable[[Sequence[bytes]], Set[bytes]]
"""Which of these objectGUIDs the full import that is open has read already."""


def nobody(guids: Sequence[bytes]) -> Set[bytes]:  # noqa: ARG001 - a Seen
    """Nobody was seen before."""
    return frozenset()


class Directory(Protocol):
    """Active Directory, or what stands for it."""

    @property
    def name(self) -> str:
        """The domain, for the event's source."""

    def changes(self, checkpoint: bytes | None, seen: Seen = nobody) -> Iterator[Page]:
        """Read all that changed since `checkpoint` to the end; with None, or a checkpoint refused, everything.

        Each person comes whole. A person deleted or out of scope comes with `deleted` set. With the checkpoint of a
        full import that came to no end it is gone on with, and whoever was `seen` by then does not come again.
        """

    def find(self, guids: Sequence[bytes]) -> Sequence[Person]:
        """These people whole, as they are now; whoever is not there or out of scope comes as deleted."""

    def anchored(self, consistency_guids: Sequence[bytes]) -> Sequence[Person]:
        """Whoever lives in scope under one of these mS-DS-ConsistencyGuids, whole."""

    def clock(self) -> datetime | None:
        """What time it is there (UTC); None where there is no clock."""

    def wait(self, timeout: timedelta) -> bool:
        """Sleep until something changed (True) or `timeout` passed (False). It may wake for nothing."""

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """The canary as the directory shows it now, with its userCertificate values; `writable` is whether we may change
    them."""

    anchor: SourceAnchor
    certificates: tuple[bytes, ...]
    writable: bool


class CanaryPerson(Protocol):
    """The one object of the directory that the agent may change, and of that userCertificate alone."""

    def look(self) -> Sighting:
        """Find it, as the setting names it. Raises PermanentError `canary-unknown`, and what Directory raises."""

    def take(self, guid: bytes, certificate: bytes) -> None:
        """Take one certificate away from the object with this objectGUID; one that is gone already is no error.

        Raises PermanentError `canary-rights`, `canary-unknown`, and what Directory raises.
        """

    def put_back(self, guid: bytes, certificate: bytes) -> None:
        """Put it back; one that is there already is no error. Raises what `take` raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One event in the agent's outbox, written and signed. `withdraws` is as in core.news.News."""

    person: Person
    watermark: Watermark
    body: str
    withdraws: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Events that wait for an administrator, since when, and of how many people who had certificates before."""

    anchors: tuple[str, ...]
    holding: int
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What the agent's memory says of itself, for status and check."""

    epoch: int
    sequence: int
    people: int
    holding: int
    waiting: int
    held: Held | None
    doubt: bool
    importing: bool
    import_read: int
    last_import: int
    notes: Mapping[str, str]


class AgentState(Protocol):
    """The agent's memory: the checkpoint, what it told of whom, the outbox and its sequence.

    People are told apart by objectGUID, which even a tombstone keeps; the anchor may be another attribute. Raises
    TemporaryError `state-full`, `state-busy`, `state-unavailable`; nothing was changed then.
    """

    def checkpoint(self) -> bytes | None:
        """The last saved checkpoint; None on the first run, or when everything shall be read again."""

    def doubt(self) -> bool:
        """Whether somebody else may have told the cloud more than we remember, until `settle`."""

    def known(self, guids: Sequence[bytes]) -> Mapping[bytes, Told]:
        """What was told last of each of these people, where something was."""

    def next_watermark(self) -> Watermark:
        """The watermark of the next event."""

    def begin_import(self, scope: str) -> int:
        """A full import of `scope` begins anew; whoever is not on one of its pages has left. Returns how many people
        the last complete one read, 0 when there was none."""

    def record(
        self,
        letters: Sequence[Letter],
        *,
        expected: Watermark,
        checkpoint: bytes | None = None,
        scope: str = "",
        seen: Sequence[bytes] = (),
    ) -> None:
        """In one transaction: the people of `letters`, the letters themselves, the marks of whom a full import has
        `seen`, and `checkpoint` unless it is None.

        A letter takes the place of an older one under the same anchor: a state makes the one before it needless. A
        letter that withdraws is held until `settle`. Raises TemporaryError `state-busy` when `expected` is not the
        next watermark any more: another process has written meanwhile.
        """

    def seen(self, guids: Sequence[bytes]) -> Set[bytes]:
        """Which of these people a full import that is still open has seen."""

    def unseen(self, scope: str) -> Iterator[Person]:
        """People of `scope` whose last told state was no deletion and whom its full import has not seen yet."""

    def end_import(self, scope: str, checkpoint: bytes) -> None:
        """The full import is complete, and whoever was unseen is recorded."""

    def settle(self, alarming: Callable[[int, int], bool], *, complete: bool = True) -> Held | None:
        """A read came to its end: let the held letters go, unless `alarming(withdrawn, holding)` or an alarm of
        before is unanswered. A `complete` read ends all doubt. Returns what is held."""

    def answer(self, *, release: bool) -> int:
        """Answer the alarm: let the held letters go, or discard them and forget that they were told. Returns how
        many letters that were."""

    def outbox(self, after: Watermark, limit: int) -> Sequence[Letter]:
        """Letters that may go, past `after`, oldest first."""

    def clear(self, watermarks: Sequence[Watermark]) -> None:
        """These letters lie on the queue. Lost in a power failure, it makes them go twice, which is harmless."""

    def adopt(self, epoch: int, *, doubt: bool) -> None:
        """Go on under a later epoch; an earlier one than ours is ignored."""

    def read_again(self, *, doubt: bool) -> None:
        """Forget the checkpoint, so that the next read is a full import; with `doubt` everybody is told again."""

    def anchors(self, immutable_ids: Sequence[str]) -> Mapping[str, bytes]:
        """The objectGUID of each of these people, where it is known."""

    def told(self) -> Iterator[tuple[str, str]]:
        """Anchor and state hash of everybody of whom was told last that they exist, in order of place (core.digest), as
        they are when the first is asked for."""

    def note(self, notes: Mapping[str, str], *, durable: bool = False) -> None:
        """Remember words, by name, for `condition`: when the last round was, what went wrong last. What is not
        `durable` may be undone by a power failure."""

    def noted(self, name: str) -> str | None:
        """What was noted last under this name; None when nothing was."""

    def condition(self) -> Condition:
        """What there is to say of it all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """The time for which one agent is active. `previous` is the epoch of the term before, None for the first."""

    epoch: int
    previous: int | None


class Lease(Protocol):
    """Makes one of several agents the active one. It is renewed by itself until it is released or lost."""

    def take(self, floor: int) -> Term | None:
        """Become the active agent, under an epoch of at least `floor` that no term had; None while another one is.

        Raises TemporaryError `lease-unavailable`; PermanentError `lease-refused`.
        """

    def held(self) -> bool:
        """Whether it is certain that no other agent is active."""

    def release(self) -> None:
        """Let another agent take over at once."""

    def look(self) -> str:
        """Say how it stands without taking it. Raises what `take` raises."""


class ClaimStore(Protocol):
    """Holds events that are too large for a message, by the SHA-256 of their bytes."""

    def put(self, claim: Claim, content: bytes) -> None:
        """Keep it. Raises TemporaryError `claim-unavailable`; PermanentError `claim-refused`."""

    def get(self, claim: Claim) -> bytes:
        """The content, as it is there; whoever asks verifies it. Raises PermanentError `claim-missing` besides."""

    def check(self) -> None:
        """Raise what `put` would raise if the store is not there or refuses us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """What lies under a name, and the store's own mark of it for compare-and-swap."""

    content: bytes
    version: str


ANY = "*"
"""A version: whatever lies there is replaced."""


class BlobStore(Protocol):
    """Small files that every instance sees: the state of runs, lists of the directory, heartbeats.

    Raises TemporaryError `blobs-unavailable`; PermanentError `blobs-refused`.
    """

    def get(self, name: str) -> Blob | None:
        """What lies there; None when nothing does."""

    def put(self, name: str, content: bytes, *, version: str | None = ANY) -> str:
        """Store it and return its version. With a version only over that one, with None only where nothing lies.

        Raises TemporaryError `ledger-conflict` when somebody else was faster.
        """

    def delete(self, name: str) -> None:
        """Nothing lies there any more. Deleting what is gone is no error."""

    def names(self, prefix: str) -> Iterator[str]:
        """Names that begin so, in order."""


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

    def renew(self, message: Message, hidden_for: timedelta) -> Message:
        """Keep it hidden for so long from now; return it with its new receipt.

        One that is gone or was delivered anew comes back as it is.
        """

    def count(self) -> int:
        """How many messages wait, hidden ones included (about)."""


class Backlog(Protocol):
    """The change queue, from the watcher's side."""

    def count(self) -> int:
        """How many messages wait, hidden ones included (about)."""

    def oldest(self) -> datetime | None:
        """Since when a visible message waits, of the few that come next; None where none is visible."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientPage:
    """One page of all recipients; `cursor` leads to the next one, None when this is the last."""

    recipients: Sequence[Recipient]
    cursor: str | None


class RecipientList(Protocol):
    """Exchange Online, read whole."""

    def page(self, cursor: str | None) -> RecipientPage:
        """The first page of every recipient that can hold certificates, with what it holds now, in no order; with a
        cursor the page that it leads to, in whatever process it is asked for.

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
        """Every record in order of place (core.digest), read piece by piece."""

    def digests(self, after: str = "", until: str | None = None) -> Iterator[Digest]:
        """What there is to compare of everybody, in order of place: past `after`, before `until`."""

    def due(self, until: datetime, limit: int, after: str | None = None) -> Sequence[str]:
        """Up to `limit` people (anchors) whose next change is reached, in order of place past the person `after`.

        Somebody who was just handled may be among them; nobody is missing.
        """

    def named(self, name: str, *, besides: str = "") -> Sequence[Record]:
        """Whoever had this address or UPN in their last event, or this recipient, case aside, in order of anchors;
        `besides` the one with this anchor, who is not read."""


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

    def booked(self) -> datetime | None:
        """Until when turns are booked; None before the first."""


class Fetcher(Protocol):
    """Asks a revocation source over the network."""

    def fetch(self, url: str, *, question: bytes | None = None) -> bytes:
        """What is at `url`, or what answers an OCSP question there. Raises TemporaryError `revocation-source`."""


class Cache(Protocol):
    """Remembers what was fetched, and when. It may forget anything, and it raises nothing."""

    def get(self, key: str) -> tuple[bytes, datetime] | None:
        """What was put last, with its time."""

    def put(self, key: str, value: bytes, at: datetime) -> None:
        """Keep it."""


class Failures(Protocol):
    """Messages that did not succeed."""

    def add(self, failure: Failure) -> None:
        """Keep it; one with the same id is replaced."""

    def get(self, failure_id: str) -> Failure | None:
        """The one with this id."""

    def all(
        self, *, reason: str | None = None, anchor: str | None = None, since: datetime | None = None
    ) -> Iterator[Failure]:
        """Every one, oldest first; of one reason or one person, or those since a moment, where that is named.

        Memory holds one at a time.
        """

    def remove(self, failure_id: str) -> None:
        """It was replayed or dismissed. Removing one that is gone is no error."""


class AuditLog(Protocol):
    """One entry per decision, only ever added to, until it is old."""

    def append(self, entry: Entry) -> None:
        """Keep it. One with the same id is there already and stays as it is."""

    def between(self, since: datetime, until: datetime) -> Iterator[Entry]:
        """Entries from `since` to before `until`, oldest first, read piece by piece."""

    def prune(self, before: datetime) -> int:
        """Delete the entries of the days (UTC) that end before this moment; return how many they were."""
