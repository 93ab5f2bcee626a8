"""`smime-sync reconcile`, `failed`, `replay` and `restore`: the operator's hand on the cloud side."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sync import wiring
from sync.commands.output import Apply, AsJson, out, print_json
from sync.replayer import failure_to_public_json


def reconcile(apply: Apply = False, as_json: AsJson = False) -> None:
    """Compare what every recipient holds with what it should. Exit 1 when somebody differs."""
    found = wiring.cloud().reconcile(apply=apply)
    if as_json:
        print_json(found.to_json())
    else:
        table = Table("person (ImmutableId)", "to add", "to withdraw", "why not examined")
        for difference in (*found.differing, *found.unreadable):
            table.add_row(difference.anchor, str(difference.added), str(difference.withdrawn), difference.reason)
        out.print(table)
        out.print(
            f"{found.examined} people examined; their events were {'sent again' if apply else 'not sent (dry run)'}"
        )
    raise typer.Exit(1 if found.differing or found.unreadable else 0)


def failed(as_json: AsJson = False) -> None:
    """List the messages that did not succeed, with the reason. Exit 1 when there are any."""
    failures = wiring.cloud().failed()
    if as_json:
        print_json([failure_to_public_json(failure) for failure in failures])
    else:
        table = Table("when", "message", "person (ImmutableId)", "reason", "detail")
        for failure in failures:
            table.add_row(
                f"{failure.at:%Y-%m-%d %H:%M}", failure.id, failure.anchor, failure.reason, escape(failure.detail)
            )
        out.print(table)
    raise typer.Exit(1 if failures else 0)


def replay(
    reason: Annotated[str | None, typer.Option(help="Only those that failed for this reason.")] = None,
    user: Annotated[str | None, typer.Option(help="Only those of this person (ImmutableId).")] = None,
    message: Annotated[str | None, typer.Option(help="Only the one with this id.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Put failed messages back on the change queue; a newer state is never undone."""
    if all_ == any(choice is not None for choice in (reason, user, message)):
        raise typer.BadParameter("choose --all, or one or more of --reason, --user, --message")
    done = wiring.cloud().replayer.replay(apply=apply, reason=reason, anchor=user, message=message)
    if as_json:
        print_json(done.to_json())
    else:
        out.print(f"{len(done.chosen)} messages {'went back on the queue' if apply else 'would go back (dry run)'}")


def restore(
    user: Annotated[str, typer.Argument(help="The person: an address, the UPN or the ImmutableId.")],
    to: Annotated[int | None, typer.Option(help="Hold this earlier state; 1 is the one before the last write.")] = None,
    lift: Annotated[bool, typer.Option("--lift", help="Lift the hold: the directory decides again.")] = False,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """List what a recipient held before our writes, and hold one of these states until it is lifted."""
    if lift and to is not None:
        raise typer.BadParameter("choose --to N or --lift, not both")
    found = wiring.cloud().restorer.restore(user, number=to, lift=lift, apply=apply)
    if as_json:
        print_json(found.to_json())
        return
    table = Table("number", "until", "userCertificate", "userSMIMECertificate", "")
    for number, snapshot in enumerate(found.snapshots, start=1):
        values = snapshot.values
        counts = str(len(values.user_certificate)), str(len(values.user_smime_certificate))
        mark = "[yellow]held[/yellow]" if snapshot.id == found.hold else ""
        table.add_row(str(number), f"{snapshot.at:%Y-%m-%d %H:%M:%S}", *counts, mark)
    out.print(table)
    out.print("done: the processor was woken" if found.applied else "nothing was changed (dry run)")
