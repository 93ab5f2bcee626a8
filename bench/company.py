"""A company of any size for the bench: its ledger as a state file, its list, and its recipients by number.

Run by the bench in a process of its own, which reconciles it and prints times and peak memory as JSON. Nobody has a
private key: certificates are bytes, since a run in which nothing changed opens none.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import cast

from sync import census
from sync.adapters.embedded import (
    Database,
    EmbeddedBlobs,
    EmbeddedHistory,
    EmbeddedLedger,
    EmbeddedQueue,
    EmbeddedRecipients,
)
from sync.adapters.embedded.schema import index
from sync.archive import record_to_json
from sync.core.context import Context
from sync.core.digest import place
from sync.core.identity import SourceAnchor, Watermark
from sync.core.path import TrustStore
from sync.core.person import Person, Values, fingerprint
from sync.core.plan import Managed
from sync.core.recipient import Recipient, RecipientKind, appearance
from sync.core.record import Outcome, Record, Status
from sync.core.run import Run
from sync.ports import Directory, Page, RecipientPage, Seen, nobody
from sync.processor import Processor
from sync.reconciler import Reconciler
from tests.mill import NOW, Mill

SOURCE = "urn:smime-sync:agent:corp.example"
_PAGE = 1000
_BODY = bytes(1400)
"""A certificate has about so many bytes."""


def anchor(number: int) -> str:
    """An ImmutableId."""
    return base64.b64encode(hashlib.sha256(number.to_bytes(4)).digest()[:16]).decode("ascii")


def recipient(number: int) -> Recipient:
    """One with two addresses and a certificate."""
    return Recipient(
        id=str(uuid.UUID(int=number)),
        kind=RecipientKind.MAILBOX,
        addresses=(f"person{number}@corp.example", f"p{number}@corp.example"),
        values=Values.of([number.to_bytes(4) + _BODY]),
    )


class Tenant:
    """A stub of the tenant's list: whatever it would show."""

    def __init__(self, people: int) -> None:
        self.people = people

    def page(self, cursor: str | None) -> RecipientPage:
        first = int(cursor or 0)
        after = min(first + _PAGE, self.people)
        return RecipientPage(
            recipients=[recipient(number) for number in range(first, after)],
            cursor=str(after) if after < self.people else None,
        )


class Shown:
    """A stub of the directory: everybody, a page after the other."""

    name = "corp.example"

    def __init__(self, people: int) -> None:
        self.people = people

    def changes(self, checkpoint: bytes | None, seen: Seen = nobody) -> Iterator[Page]:  # noqa: ARG002
        for first in range(0, self.people, _PAGE):
            after = min(first + _PAGE, self.people)
            people = tuple(person(number) for number in range(first, after))
            yield Page(people=people, checkpoint=b"", full=True, complete=after == self.people)

    def close(self) -> None:
        """Nothing is held open."""


def person(number: int) -> Person:
    """Whose mailbox that is."""
    guid = base64.b64decode(anchor(number))
    mail = f"person{number}@corp.example"
    return Person(anchor=SourceAnchor(guid), mail=mail, values=Values.of([number.to_bytes(4) + _BODY]))


def reconciler(database: Database, trust: TrustStore, people: int) -> Reconciler:
    """A reconciler of this company."""
    ledger = EmbeddedLedger(database)
    processor = Processor(
        recipients=EmbeddedRecipients(database),
        ledger=ledger,
        history=EmbeddedHistory(database),
        judging=lambda moment: Context(now=moment, trust=trust),
        now=lambda: NOW,
    )
    return Reconciler(
        ledger=ledger,
        queue=EmbeddedQueue(database),
        processor=processor,
        blobs=EmbeddedBlobs(database),
        now=lambda: NOW,
        recipients=Tenant(people),
    )


def make(path: Path, people: int) -> None:
    """The ledger of so many people who are as they should be, and the agent's list of them."""
    trust = _trust()
    database = Database(path, lambda: NOW)
    basis = reconciler(database, trust, people).processor.basis()
    with database.transaction() as connection:
        for number in range(people):
            record = _record(number, basis)
            connection.execute("INSERT INTO ledger VALUES (?, 1, ?)", (record.anchor, record_to_json(record)))
            index(connection, record)
    lines = sorted((place(anchor(number)), number) for number in range(people))
    census.publish(
        EmbeddedBlobs(database),
        ((anchor(number), person(number).state_hash) for _, number in lines),
        source=SOURCE,
        watermark=Watermark(1, people),
        created=NOW,
    )
    database.close()


def _record(number: int, basis: str) -> Record:
    held = recipient(number)
    value = fingerprint(held.values.user_certificate[0])
    return Record(
        anchor=anchor(number),
        watermark=Watermark(1, number),
        recipient=held.id,
        managed=Managed(frozenset([value])),
        outcome=Outcome(status=Status.WRITTEN, at=NOW, anchor=anchor(number)),
        event="{}",
        state_hash=person(number).state_hash,
        names=(f"person{number}@corp.example",),
        desired=appearance(held),
        next_change=NOW + timedelta(days=1 + number % 700),
        basis=basis,
        certificates=(f"{value[:16]}{number:x}",),
        source=SOURCE,
    )


def _trust() -> TrustStore:
    return TrustStore.of([Mill().root().der])


def _peak() -> float:
    """In MiB, of this program alone."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> int:
    """Make the company in another process than the one that is measured; then reconcile it, by the agent's list or
    (`directory`) by the directory itself."""
    what, path, people = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if what == "make":
        make(path, people)
        return 0
    database = Database(path, lambda: NOW)
    moments: dict[str, float] = {}

    def told(run: Run) -> None:
        moments[run.phase] = time.process_time()

    started = time.process_time()
    made = reconciler(database, _trust(), people)
    if what == "directory":
        made = replace(made, directory=cast(Callable[[], Directory], lambda: Shown(people)))
    found = made.reconcile(apply=True, progress=told)
    done = time.process_time()
    print(
        json.dumps(
            {
                "people": found.examined,
                "found": len(found.differing) + found.counts.lost + found.counts.suspects,
                "recipients": found.counts.recipients,
                "directory": moments.get("read", started) - started if what == "directory" else 0.0,
                "notes": list(found.notes),
                "read": moments["compare"] - started,
                "compare": done - moments["compare"],
                "cpu": done - started,
                "peak": _peak(),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
