"""`smime-sync agent`: the half beside Active Directory."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from sync import canary, settings, wiring
from sync.agent import Agent, Round
from sync.commands.output import Apply, AsJson, err, out, print_json
from sync.examination import Line
from sync.ports import Condition

app = typer.Typer(help="The half beside Active Directory.", no_args_is_help=True)


@app.command("once")
def once(as_json: AsJson = False) -> None:
    """Read what changed in Active Directory, send it, and stop. Exit 1 when somebody was refused or is held."""
    with _agent() as agent:
        _finish(_with_progress(agent, quiet=as_json), as_json)


@app.command("run")
def run(as_json: AsJson = False) -> None:
    """Watch Active Directory and send every change, until SIGTERM or Ctrl-C; with --json, log lines are JSON."""
    form = '{"at": "%(asctime)s", "level": "%(levelname)s", "said": "%(message)s"}' if as_json else "%(message)s"
    logging.basicConfig(level=logging.INFO, format=form)
    logging.getLogger("azure").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    config = settings.load(settings.AgentSettings, os.environ)
    manager = wiring.service_manager()
    with _agent() as agent:
        manager.ready()
        agent.run(
            stopped=stop.is_set,
            pause=lambda wait: stop.wait(wait.total_seconds()),
            every=timedelta(seconds=config.poll_seconds),
            alive=manager.alive,
        )
        manager.stopping()


@app.command("full-import")
def full_import(
    everybody: Annotated[
        bool, typer.Option("--everybody", help="Send everybody again, not only who differs from what was sent.")
    ] = False,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Read everybody again and send who differs. Cut off, the next round goes on with it."""
    config = settings.load(settings.AgentSettings, os.environ)
    if not apply:
        known = wiring.agent_state(config).condition()
        plan = {"applied": False, "people": known.people, "lastImport": known.last_import, "everybody": everybody}
        if as_json:
            print_json(plan)
        else:
            what = "everybody" if everybody else "whoever differs"
            out.print(f"would read the directory again and send {what}; {known.people} people known (dry run)")
        return
    with _agent() as agent:
        agent.state.read_again(doubt=everybody)
        _finish(_with_progress(agent, quiet=as_json), as_json)


@app.command("status")
def status(as_json: AsJson = False) -> None:
    """Say what the agent remembers. Exit 1 when events are held for an answer."""
    condition = wiring.agent_state(settings.load(settings.AgentSettings, os.environ)).condition()
    if as_json:
        print_json(_condition_to_json(condition))
    else:
        table = Table(show_header=False)
        for name, value in _condition_to_json(condition).items():
            table.add_row(name, escape(str(value)))
        out.print(table)
        if condition.held:
            out.print("[red]held[/red]: many people would lose their certificates; see `smime-sync agent release`")
    raise typer.Exit(1 if condition.held else 0)


@app.command("release")
def release(
    discard: Annotated[bool, typer.Option("--discard", help="Throw the held events away instead.")] = False,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Let go the events that were held because suddenly many people would lose their certificates."""
    state = wiring.agent_state(settings.load(settings.AgentSettings, os.environ))
    held = state.condition().held
    anchors = held.anchors if held else ()
    answered = state.answer(release=not discard) if apply and held else 0
    if as_json:
        print_json({"applied": apply, "discard": discard, "held": anchors, "answered": answered})
        return
    for anchor in anchors:
        out.print(anchor)
    verb = "thrown away" if discard else "released; the running agent sends them in its next round"
    if not held:
        out.print("nothing is held")
    else:
        out.print(f"{answered} events {verb}" if apply else f"{len(anchors)} of {held.holding} held (dry run)")


@app.command("check")
def check(as_json: AsJson = False) -> None:
    """Try everything that the agent needs, without sending anything. Exit 1 when something is not well."""
    config = settings.load(settings.AgentSettings, os.environ)
    with _agent() as agent:
        lines = list(wiring.examine(agent, config))
    if as_json:
        print_json([{"part": each.part, "ok": each.ok, "said": each.said, "hint": each.hint} for each in lines])
    else:
        _print_lines(lines)
    raise typer.Exit(1 if any(each.ok is False for each in lines) else 0)


@app.command("key")
def key(
    private: Annotated[Path, typer.Argument(help="Where the private key goes; a file that is there is kept.")],
    as_json: AsJson = False,
) -> None:
    """Make the key that signs events, and print its public half for the function's event_keys_file."""
    name, public = wiring.make_signing_key(private)
    if as_json:
        print_json({"keyId": name, "publicKey": public})
    else:
        err.print(f"private key written to {escape(str(private))}; key id {name}; the public key:")
        typer.echo(public, nl=False)


@contextmanager
def _agent() -> Iterator[Agent]:
    config = settings.load(settings.AgentSettings, os.environ)
    wiring.telemetry(config, "agent")
    agent = wiring.agent(config)
    try:
        yield agent
    finally:
        agent.directory.close()
        if agent.lease is not None:
            agent.lease.release()


def _finish(done: Round, as_json: bool) -> None:
    if as_json:
        members = {"read": done.read, "written": done.written, "sent": done.sent, "held": done.held}
        print_json({**members, "refused": done.refused})
    else:
        out.print(
            f"{done.read} people read, [green]{done.sent} events sent[/green], "
            f"{len(done.refused)} refused, {done.held} held"
        )
    raise typer.Exit(1 if done.refused or done.held else 0)


def _with_progress(agent: Agent, *, quiet: bool) -> Round:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=quiet) as progress:
        task = progress.add_task("reading the directory", total=None)

        def told(so_far: Round) -> None:
            progress.update(
                task,
                description=f"{so_far.before + so_far.read} people read, {so_far.sent} events sent",
                completed=so_far.before + so_far.read,
                total=max(so_far.expected, so_far.before + so_far.read) or None,
            )

        done = agent.once(told)
        progress.update(task, description="telling of everybody", completed=0, total=None)
        agent.report()
        return done


def _condition_to_json(condition: Condition) -> dict[str, object]:
    held = condition.held
    return {
        "nextEvent": f"{condition.epoch}.{condition.sequence}",
        "people": condition.people,
        "withCertificates": condition.holding,
        "waiting": condition.waiting,
        "held": len(held.anchors) if held else 0,
        "heldSince": held.since.isoformat() if held else None,
        "importing": condition.importing,
        "importRead": condition.import_read,
        "lastImport": condition.last_import,
        "doubt": condition.doubt,
        "lastCensus": condition.notes.get("last-census") or None,
        "lastRound": condition.notes.get("last-round") or None,
        "canary": canary.told(condition.notes),
        "lastError": condition.notes.get("last-error") or None,
    }


def _print_lines(lines: list[Line]) -> None:
    words = {True: "[green]ok[/green]", False: "[red]fail[/red]", None: "[dim]-[/dim]"}
    table = Table("part", "", "what was found", "what to do")
    for each in lines:
        table.add_row(each.part, words[each.ok], escape(each.said), escape(each.hint))
    out.print(table)
