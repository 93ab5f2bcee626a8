"""`smime-sync reconcile`: who differs from what should be there, why, and what is done about it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from sync import wiring
from sync.commands.output import Apply, AsJson, err, out, print_json
from sync.core.run import Phase, Run
from sync.reconciling.found import Reconciliation


def reconcile(
    scope: Annotated[
        str,
        typer.Option(
            help="One person (ImmutableId, address, UPN), a mail domain as @example.com, an OU by its DN, or ALL."
        ),
    ] = "ALL",
    approve: Annotated[str | None, typer.Option(help="Do what this guarded run would have done.")] = None,
    status: Annotated[bool, typer.Option("--status", help="Show the run at work and the last ones.")] = False,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Compare what every recipient holds with what it should. Exit 1 when somebody differs, 3 when it was guarded."""
    if status:
        _show_runs(as_json=as_json)
        return
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), TimeElapsedColumn()
    with Progress(*columns, console=err, transient=True, disable=as_json) as bar:
        task = bar.add_task("beginning", total=None, told="")
        found = wiring.cloud().reconcile(
            apply=apply,
            scope=None if scope.upper() == "ALL" else scope,
            approve=approve,
            progress=lambda run: _progress(bar, task, run),
        )
    if as_json:
        print_json(found.to_json())
    else:
        _show(found)
    raise typer.Exit(3 if found.guarded else 1 if found.differing or found.unreadable or found.counts.lost else 0)


def _progress(bar: Progress, task: TaskID, run: Run) -> None:
    """Of 256 partitions while people are compared, of the suspects while they are examined."""
    counts = run.counts
    total: int | None = None
    completed, told = 0, f"{counts.suspects or counts.recipients:,}"
    match run.phase:
        case Phase.DIRECTORY:
            told = f"{counts.directory:,}"
        case Phase.COMPARE | Phase.SIFT | Phase.LISTS:
            total, completed, told = 256, int(run.place or "0", 16), f"{counts.people:,} people"
        case Phase.EXAMINE:
            total, completed, told = counts.suspects, counts.examined, f"{counts.differing:,} differ"
        case Phase.SEND:
            total, completed = counts.differing + counts.lost, counts.sent + counts.asked
            told = f"{counts.sent:,} sent"
    bar.update(task, description=run.phase, total=total, completed=completed, told=told)


def _show(found: Reconciliation) -> None:
    table = Table("person (ImmutableId)", "because of", "to add", "to withdraw", "")
    for each in (*found.differing, *found.unreadable):
        added, withdrawn = (" ".join(mark[:8] for mark in marks) for marks in (each.added, each.withdrawn))
        told = each.reason or ("[red]the last one[/red]" if each.loses else "")
        row = each.anchor, " ".join(each.because), f"[green]{added}[/green]", f"[yellow]{withdrawn}[/yellow]", told
        table.add_row(*row)
    if table.row_count:
        out.print(table)
    out.print(
        f"{found.examined} people compared, {found.holding} with certificates of ours; {len(found.differing)} differ, "
        f"{found.losing} would lose their last one, {len(found.unreadable)} could not be examined"
    )
    counts = found.counts
    if counts.lost:
        out.print(
            f"lost on the way: {counts.unknown} unknown to the ledger, {counts.different} with another state, "
            f"{counts.gone} who left; the agent {'was' if counts.asked else 'is to be'} asked for them"
        )
    for note in found.notes:
        out.print(f"[yellow]note[/yellow]: {escape(note)}")
    if found.guarded:
        out.print(
            "[red]guarded[/red]: too many would change. Look at trust store, directory and clock; if it is right:"
        )
        out.print(f"  smime-sync reconcile --approve {found.guarded} --apply")
    else:
        out.print("their events were sent again" if found.applied else "nothing was sent (dry run)")


def _show_runs(*, as_json: bool) -> None:
    runs = wiring.cloud().reconciler.runs
    if as_json:
        print_json(runs.told())
        return
    at_work, past = runs.at_work(), runs.latest()
    table = Table("run", "began (UTC)", "looks for", "phase", "people", "suspects", "differ", "lost", "sent", "asked")
    for run in (*([at_work] if at_work else []), *past):
        counts = run.counts
        numbers = counts.people, counts.suspects, counts.differing, counts.lost, counts.sent, counts.asked
        place = f" {run.place}" if run is at_work and run.place and run.phase is Phase.COMPARE else ""
        mark = "red" if run.phase in {Phase.GUARDED, Phase.FAILED} else "bold" if run is at_work else "green"
        kind = run.scope or run.kind
        shown = f"{run.began:%Y-%m-%d %H:%M}", kind, f"[{mark}]{run.phase}{place}[/{mark}]"
        table.add_row(run.id, *shown, *(f"{number:,}" for number in numbers))
    out.print(table)
    for note in at_work.notes if at_work else past[0].notes if past else ():
        out.print(f"[yellow]note[/yellow]: {escape(note)}")
    out.print(f"at work: {at_work.id}" if at_work else "no run is at work")
