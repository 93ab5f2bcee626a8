"""`smime-sync agent`: the half beside Active Directory."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from sync import settings, wiring
from sync.agent import Agent, Round
from sync.commands.output import AsJson, err, out, print_json

app = typer.Typer(help="The half beside Active Directory.", no_args_is_help=True)


@app.command("once")
def once(as_json: AsJson = False) -> None:
    """Read what changed in Active Directory, send it, and stop."""
    with _agent() as agent:
        done = agent.once() if as_json else _with_progress(agent)
    if as_json:
        print_json({"read": done.read, "sent": done.sent, "refused": done.refused})
    else:
        out.print(f"{done.read} people read, [green]{done.sent} events sent[/green], {len(done.refused)} refused")
    raise typer.Exit(1 if done.refused else 0)


@app.command("run")
def run() -> None:
    """Watch Active Directory and send every change, until SIGTERM or Ctrl-C."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    config = settings.load(settings.AgentSettings, os.environ)
    with _agent() as agent:
        agent.run(
            stopped=stop.is_set,
            pause=lambda wait: stop.wait(wait.total_seconds()),
            every=timedelta(seconds=config.poll_seconds),
        )


@contextmanager
def _agent() -> Iterator[Agent]:
    agent = wiring.agent(settings.load(settings.AgentSettings, os.environ))
    try:
        yield agent
    finally:
        agent.directory.close()


def _with_progress(agent: Agent) -> Round:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("reading the directory")

        def told(so_far: Round) -> None:
            progress.update(task, description=f"{so_far.read} people read, {so_far.sent} events sent")

        return agent.once(told)
