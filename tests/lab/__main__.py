"""`make lab`: ten changes in a real Active Directory, each followed to the simulated tenant, on real protocols."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from sync.core.person import Values
from tests.lab import left_out
from tests.lab.administrator import Account
from tests.lab.site import CERTIFICATE, SMIME_CERTIFICATE, Site, start
from tests.mill import DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that an administrator does, and what the mailbox must hold after it."""

    person: str
    story: str
    do: Callable[[], object]
    holds: Values


def changes(site: Site) -> Iterator[Change]:
    """Ten changes; each is made before the next is asked for."""
    directory = site.administrator
    accounts: dict[str, Account] = {}

    def create(name: str, **attributes: object) -> None:
        accounts[name] = directory.create_person(
            name,
            unit=site.people,
            mail=f"{name}@corp.example",
            proxyAddresses=[f"SMTP:{name}@corp.example"],
            **attributes,
        )

    for name in ("alice", "bob", "carol", "dave", "ivan"):
        site.tenant.add_mailbox(f"{name}@corp.example")
    alice, bob = site.issue("alice"), site.issue("bob")
    alices_next = site.issue("alice", not_before=site.issuing.mill.now)
    carol = site.issue("carol", key="ec256")
    expired = site.issue("dave", not_before=site.issuing.mill.now - 90 * DAY, not_after=site.issuing.mill.now - DAY)
    dave = site.issue("dave")
    ivan_signs, ivan_receives = (
        site.issue("ivan", ku=("digitalSignature",)),
        site.issue("ivan", ku=("keyEncipherment",)),
    )
    blob = ivan_signs.smime_blob(ivan_receives, certificates=[site.issuing])

    def of(*values: bytes) -> Values:
        return Values.of(values)

    yield Change(person="alice", story="joins, with a certificate", holds=of(alice.der),
                 do=lambda: create("alice", **{CERTIFICATE: [alice.der]}))  # fmt: skip
    yield Change(person="bob", story="joins, with a certificate", holds=of(bob.der),
                 do=lambda: create("bob", **{CERTIFICATE: [bob.der]}))  # fmt: skip
    yield Change(person="carol", story="joins, with an elliptic-curve certificate", holds=of(carol.der),
                 do=lambda: create("carol", **{CERTIFICATE: [carol.der]}))  # fmt: skip
    yield Change(person="ivan", story="joins, with split keys in a userSMIMECertificate",
                 holds=Values.of([ivan_receives.der], [blob]),
                 do=lambda: create("ivan", **{SMIME_CERTIFICATE: [blob]}))  # fmt: skip
    yield Change(person="dave", story="joins, with an expired certificate and a good one", holds=of(dave.der),
                 do=lambda: create("dave", **{CERTIFICATE: [expired.der, dave.der]}))  # fmt: skip
    yield Change(person="alice", story="renews: the new one is added beside the old", holds=of(alices_next.der),
                 do=lambda: directory.add_value(accounts["alice"], CERTIFICATE, alices_next.der))  # fmt: skip
    yield Change(person="alice", story="the new one is taken away again", holds=of(alice.der),
                 do=lambda: directory.remove_value(accounts["alice"], CERTIFICATE, alices_next.der))  # fmt: skip
    yield Change(person="carol", story="her certificate is removed", holds=of(),
                 do=lambda: directory.replace(accounts["carol"], {CERTIFICATE: []}))  # fmt: skip
    yield Change(person="ivan", story="his userSMIMECertificate is removed", holds=of(),
                 do=lambda: directory.replace(accounts["ivan"], {SMIME_CERTIFICATE: []}))  # fmt: skip
    yield Change(person="bob", story="leaves: his account is deleted", holds=of(),
                 do=lambda: directory.delete(accounts["bob"]))  # fmt: skip


def main() -> int:
    """Start, change, show, stop. Exit 1 when a change does not arrive, 2 when a part is missing."""
    console = Console(width=max(Console().width, 110))
    if missing := left_out():
        for part, reason in missing.items():
            console.print(f"[red]{part}[/red] is not there: {reason}")
        return 2
    table = Table("change in Active Directory", "the mailbox then holds", "arrived after", show_edge=False)
    arrived = 0
    with (
        tempfile.TemporaryDirectory(prefix="site-") as folder,
        Progress(SpinnerColumn(), TextColumn("{task.description}"), console=console, transient=True) as progress,
    ):
        task = progress.add_task("starting")
        begun = time.perf_counter()
        with start(Path(folder), told=lambda part: progress.update(task, description=f"starting {part}")) as site:
            console.print(f"Real parts started in {time.perf_counter() - begun:.1f} s: Samba, Azurite, worker, tenant")
            with site.running():
                for change in changes(site):
                    progress.update(task, description=f"{change.person} {change.story}")
                    change.do()
                    try:
                        seconds = site.until(lambda change=change: site.held(change.person) == change.holds)  # type: ignore[misc]
                    except TimeoutError as error:
                        table.add_row(f"{change.person} {change.story}", str(error), "[red]never[/red]")
                        continue
                    arrived += 1
                    table.add_row(f"{change.person} {change.story}", _told(change.holds), f"{seconds * 1000:.0f} ms")
            failed = list(site.failures.all())
    console.print(table)
    console.print(f"{arrived} of 10 changes arrived; {len(failed)} messages failed; every part is stopped")
    return 0 if arrived == 10 and not failed else 1


def _told(values: Values) -> str:
    count = len(values.user_certificate)
    blobs = len(values.user_smime_certificate)
    told = [f"{count} userCertificate" if count else "", f"{blobs} userSMIMECertificate" if blobs else ""]
    return " and ".join(filter(None, told)) or "nothing"


if __name__ == "__main__":
    sys.exit(main())
