"""The company that the console is shown with: the people of `make demo` and two hundred more.

The real use cases brought it up: agent, queue, processor, reconciler and tenant of the embedded product, at a clock
that only tests move. What went wrong went wrong: people without a mailbox, two mailboxes of one address, a message that
nobody can read, and mailboxes that somebody emptied, too many for the reconciliation to go on unasked.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from examples.demo import _people_the_tenant
from sync import wiring
from sync.adapters import http_server
from sync.adapters.ldif import LdifDirectory
from sync.core.person import Attribute, Values
from sync.core.recipient import Recipient, RecipientKind
from sync.drain import drain
from sync.wiring import Embedded
from tests.lab import ROOT
from tests.mill import DAY, Authority, Issued, Mill

EXAMPLES = ROOT / "examples"
BEGAN = datetime(2026, 9, 14, 6, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
GIVEN = (
    "ada",
    "ben",
    "cleo",
    "dora",
    "emil",
    "fay",
    "gina",
    "hugo",
    "iris",
    "jon",
    "kira",
    "leo",
    "maya",
    "nils",
    "oda",
)
FAMILY = ("adler", "brandt", "conti", "duval", "eriksen", "fischer", "greco", "horvat", "ibarra", "jensen", "kovac")
NAMES = [f"{given}.{family}" for given in GIVEN for family in (*FAMILY, "lind", "moreau", "novak", "orsi", "ruiz")]
HOMELESS = ("quinn.abel", "ruth.abel", "sven.abel")
TWICE = "tess.abel"


@dataclass(kw_only=True)
class Company:
    """The product, its clock, and whoever writes the directory."""

    folder: Path
    now: datetime = BEGAN
    people: dict[str, list[bytes]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        mill = Mill(now=BEGAN)
        root, public = mill.root("Corp Root CA 2025", key="ec256"), mill.root("Worldwide Root R3", key="ec256")
        self.issuing = [
            root.issue_ca("Corp Issuing CA 2025", key="ec256"),
            public.issue_ca("Worldwide Secure Mail CA 7", key="ec256"),
            root.issue_ca("Corp Smart Card CA", key="ec256"),
        ]
        (self.folder / "anchors.pem").write_text(root.pem + public.pem)
        (self.folder / "intermediates.pem").write_text("".join(each.pem for each in self.issuing))
        trust = wiring.read_trust_store(
            [EXAMPLES / "anchors.pem", self.folder / "anchors.pem"],
            [EXAMPLES / "intermediates.pem", self.folder / "intermediates.pem"],
        )
        self.directory = self.folder / "directory.ldif"
        product = wiring.embedded(self.folder / "state.sqlite", self.directory, trust, clock=lambda: self.now)
        directory = LdifDirectory(self.directory, name="corp.example")
        self.product: Embedded = replace(product, agent=replace(product.agent, directory=directory))

    def issue(self, name: str, number: int, *, days: int) -> Issued:
        """A certificate by one of the three issuing CAs, the first of them most often."""
        authority: Authority = self.issuing[(0, 0, 0, 1, 0, 1, 0, 2)[number % 8]]
        return authority.issue(
            f"{name}@corp.example", key="ec256", not_before=BEGAN - 200 * DAY, not_after=self.now + days * DAY
        )

    def mailbox(self, name: str, number: int = 0) -> None:
        """Give a person a mailbox, or another one of the same address."""
        mark = hashlib.sha256(f"{name} {number}".encode()).digest()[:16]
        address = f"{name}@corp.example"
        self.product.recipients.add(
            Recipient(id=str(uuid.UUID(bytes=mark)), kind=RecipientKind.MAILBOX, addresses=(address,))
        )

    def failed(self, reason: str | None = None) -> int:
        """How many messages failed, for this reason or any."""
        return len(list(self.product.failures.all(reason=reason)))

    def held(self, name: str) -> Values:
        """What the person's mailbox holds now."""
        recipient = self.product.recipients.find(pinned=None, addresses=[f"{name}@corp.example"])
        assert recipient is not None
        return recipient.values

    def changes(self, file: str = "directory-1.ldif", *, seconds: float = 2) -> None:
        """Write the directory as it is now; the agent reads it, and the processor works so many seconds later."""
        entries = [(EXAMPLES / file).read_text("ascii"), *(_entry(*each) for each in self.people.items())]
        self.directory.write_text("\n".join(entries), encoding="ascii")
        os.utime(self.directory, (self.now.timestamp(), self.now.timestamp()))
        self.now += timedelta(seconds=seconds)
        self.product.agent.once()
        self.work()

    def work(self) -> None:
        """Work off what is visible on the change queue."""
        drain(self.product.queue, self.product.receiver, done=lambda *_: None)

    def empty(self, names: list[str]) -> None:
        """Somebody empties mailboxes behind our back."""
        for name in names:
            found = self.product.recipients.find(pinned=None, addresses=[f"{name}@corp.example"])
            assert found is not None
            self.product.recipients.add(replace(found, values=Values()))

    def copied(self, folder: Path) -> Company:
        """The same company again, to be changed by somebody."""
        for each in ("state.sqlite", "state-agent.sqlite"):
            with (
                contextlib.closing(sqlite3.connect(self.folder / each)) as here,
                contextlib.closing(sqlite3.connect(folder / each)) as there,
            ):
                here.backup(there)
        shutil.copy(self.directory, folder)
        return Company(folder=folder, now=self.now, people={name: [*values] for name, values in self.people.items()})

    @contextlib.contextmanager
    def serving(self, key: str | None = None) -> Iterator[str]:
        """Its routes, over HTTP; gives the console's address, without the key."""
        with http_server.serving(lambda: self.product, host="127.0.0.1", port=0, key=key) as address:
            yield f"{address}/api/console"


def founded(folder: Path) -> Company:
    """The company on a working day."""
    company = Company(folder=folder)
    # The first import: everybody has a mailbox but for three new ones.
    _people_the_tenant(company.product)
    for number, name in enumerate(NAMES):
        company.mailbox(name)
        # Renewals come in waves: more in autumn and after the new year than between.
        days = 5 + (number * 7) % 260 if number % 3 else 30 + (number * 11) % 60
        company.people[name] = [] if number % 17 == 5 else [company.issue(name, number, days=days).der]
    company.changes()
    company.now += 20 * HOUR
    company.product.overseer.count()
    company.product.reconcile()
    # A day of changes, some of which nobody can finish.
    for number, name in enumerate((*HOMELESS, TWICE)):
        company.people[name] = [company.issue(name, number, days=365).der]
    company.mailbox(TWICE, 0)
    company.mailbox(TWICE, 1)
    for number, name in enumerate(NAMES[:12]):
        company.people[name] = [*company.people[name], company.issue(name, number, days=365 + number).der]
        company.changes("directory-2.ldif", seconds=1.2 + number * 0.3)
    company.product.queue.send("{a message that nobody can read")
    for _ in range(30):
        company.now += HOUR
        company.work()
    # The night after: sixty-odd mailboxes are empty that should not be.
    company.empty([name for name in NAMES[20:110] if company.held(name)])
    company.product.reconcile()
    company.now += HOUR
    for number, name in enumerate(NAMES[12:20]):
        company.people[name] = [company.issue(name, number, days=365 + number).der]
        company.changes("directory-2.ldif", seconds=0.9 + number * 0.4)
    company.product.overseer.count()
    assert company.product.agent.reporting is not None
    company.product.agent.reporting.beat()
    company.now += timedelta(seconds=21)
    return company


def _entry(name: str, values: list[bytes]) -> str:
    guid = base64.b64encode(hashlib.sha256(name.encode()).digest()[:16]).decode("ascii")
    lines = [
        f"dn: CN={name},OU=People,DC=corp,DC=example",
        "objectClass: user",
        f"objectGUID:: {guid}",
        f"mail: {name}@corp.example",
        f"proxyAddresses: SMTP:{name}@corp.example",
        "userAccountControl: 512",
        *(f"{Attribute.USER_CERTIFICATE};binary:: {base64.b64encode(each).decode('ascii')}" for each in values),
    ]
    return "\n".join(lines) + "\n"
