"""`smime-sync guard`, `failed`, `replay` and `restore`: the operator's hand on the cloud side."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from sync import wiring
from sync.asked import read
from sync.commands.output import Apply, AsJson, err, out, print_json
from sync.replayer import failure_to_public_json


def guard(
    minutes: Annotated[int | None, typer.Option("--open", min=0, help="Let everybody go for so long; 0 shuts.")] = None,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """How many people lost their last certificate within the hour; open the guard when that is right."""
    losses, now = wiring.cloud().losses, wiring.now()
    if minutes is not None and apply:
        losses.open(now + timedelta(minutes=minutes) if minutes else None)
    found = losses.look(now)
    if as_json:
        print_json(losses.to_json(found))
        return
    out.print(f"{len(found.recent)} people lost their last certificate within the hour; {losses.limit} may")
    if minutes is not None and not apply:
        out.print(f"it would be {'opened' if minutes else 'shut'} (dry run)")
    else:
        out.print(f"open until {found.open_until:%Y-%m-%d %H:%M} UTC" if found.open_until else "shut")


Reason = Annotated[str | None, typer.Option(help="Only those that failed for this reason (docs/errors.md).")]
User = Annotated[str | None, typer.Option(help="Only those of this person: ImmutableId, address or UPN.")]
Since = Annotated[str | None, typer.Option(help="Only those that failed since then, as 2026-01-31T08:00:00Z.")]
Limit = Annotated[int | None, typer.Option(help="The first so many only.")]


def failed(
    reason: Reason = None,
    user: User = None,
    since: Since = None,
    limit: Limit = None,
    dismiss: Annotated[str | None, typer.Option(help="Forget the one with this id, for good.")] = None,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """List the messages that did not succeed, with the reason. Exit 1 when there are any."""
    replayer = wiring.cloud().replayer
    if dismiss is not None:
        gone = replayer.dismiss(dismiss, apply=apply)
        if as_json:
            print_json({"applied": apply, "dismissed": failure_to_public_json(gone) if gone else None})
        else:
            verb = "was dismissed" if apply else "would be dismissed (dry run)"
            out.print(f"{gone.id} ({gone.reason}) {verb}" if gone else f"there is no failure {escape(dismiss)}")
        raise typer.Exit(0 if gone else 1)
    asked = read(_given(reason=reason, user=user, since=since, limit=limit), _CHOICES)
    # Without their bodies: a hundred thousand of them would not fit into the memory of a small machine.
    failures = [replace(failure, body="") for failure in replayer.failed(asked.choice)]
    if as_json:
        print_json([failure_to_public_json(failure) for failure in failures])
    else:
        table = Table("when", "message", "person (ImmutableId)", "reason", "detail")
        for failure in failures:
            table.add_row(
                f"{failure.at:%Y-%m-%d %H:%M}", failure.id, failure.anchor, failure.reason, escape(failure.detail)
            )
        out.print(table)
        for code, count in Counter(failure.reason for failure in failures).most_common():
            out.print(f"{count:>6} {code}")
    raise typer.Exit(1 if failures else 0)


def replay(
    reason: Reason = None,
    user: User = None,
    message: Annotated[str | None, typer.Option(help="Only the one with this id.")] = None,
    since: Since = None,
    all_: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    rate: Annotated[str | None, typer.Option(help="Spread them, as 5/s, 30/min or 200/h.")] = None,
    limit: Limit = None,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Put failed messages back on the change queue, in order; a newer state is never undone."""
    given = _given(reason=reason, user=user, message=message, since=since, limit=limit, rate=rate)
    asked = read(given, _CHOICES)
    if all_ == asked.chosen:
        raise typer.BadParameter("choose --all, or one or more of --reason, --user, --message, --since")
    with Progress(
        TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), console=err, transient=True, disable=as_json
    ) as bar:
        task = bar.add_task("", total=None)
        done = wiring.cloud().replayer.replay(
            asked.choice,
            apply=apply,
            rate=asked.rate,
            progress=lambda number, of: bar.update(task, completed=number, total=of),
        )
    if as_json:
        print_json(done.to_json())
        return
    out.print(f"{len(done.chosen)} messages {'went back on the queue' if apply else 'would go back (dry run)'}")
    if done.lasts:
        out.print(f"the last of them is seen after {done.lasts}".partition(".")[0])


_CHOICES = {"reason", "user", "message", "since", "limit", "rate"}


def _given(**options: object) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


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
