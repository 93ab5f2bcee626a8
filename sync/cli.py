"""The `smime-sync` command. Commands that act are dry by default; every one has `--json`.

Exit codes: 0 all well, 1 something was refused or differs, 2 a bad call or wrong settings, 75 try again later.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from sync import __version__, envelope, settings, wiring
from sync.agent import Agent, Round
from sync.core.findings import EXPLANATIONS, Level
from sync.core.judgement import Context, Verdict, judge
from sync.core.person import Attribute
from sync.core.policy import POLICIES
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.replayer import failure_to_public_json
from sync.validator import validate_line, verdict_to_json

app = typer.Typer(
    name="smime-sync",
    help="Carries S/MIME certificates from Active Directory to Office 365: judged, explained, verified.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
agent_app = typer.Typer(help="The half beside Active Directory.", no_args_is_help=True)
app.add_typer(agent_app, name="agent")

out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Apply = Annotated[bool, typer.Option("--apply", help="Act; without it only what would be done is shown.")]
LEVEL_STYLE = {Level.REFUSE: "red", Level.WARN: "yellow", Level.NOTE: "dim"}


def main() -> None:
    """Run the command; every error of ours ends in one sentence with its code and a hint, never in a trace."""
    try:
        app()
    except SyncError as error:
        err.print(f"[red]{error.code}[/red]: {escape(error.message)}")
        err.print(f"  [dim]{escape(error.hint)}[/dim]")
        sys.exit(75 if isinstance(error, TemporaryError) else 2)


@app.command()
def version() -> None:
    """Print the version."""
    out.print(__version__)


@app.command()
def schema() -> None:
    """Print the event's JSON Schema, as docs/event.schema.json holds it."""
    sys.stdout.write(json.dumps(envelope.schema(), indent=2) + "\n")


@app.command()
def validate(
    files: Annotated[list[Path] | None, typer.Argument(help="PEM or DER files, several certificates in one.")] = None,
    anchors: Annotated[list[Path] | None, typer.Option(help="Trust anchors, PEM or DER.")] = None,
    intermediates: Annotated[list[Path] | None, typer.Option(help="Intermediate CAs, PEM or DER.")] = None,
    policy: Annotated[str, typer.Option(help=f"The policy pack: {', '.join(POLICIES)}.")] = "private-ca",
    at: Annotated[
        datetime | None, typer.Option(help="Judge as of this time (UTC), not now.", formats=["%Y-%m-%dT%H:%M:%SZ"])
    ] = None,
    address: Annotated[list[str] | None, typer.Option(help="The person's addresses, the primary one first.")] = None,
    attribute: Annotated[
        Attribute, typer.Option(help="The attribute in which the values stand.")
    ] = Attribute.USER_CERTIFICATE,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Judge a case a line from standard input.")] = False,
    as_json: AsJson = False,
) -> None:
    """Judge certificates as the function would. Exit 0: all accepted, 1: some refused, 2: bad call."""
    if policy not in POLICIES:
        raise typer.BadParameter(f"there is no policy pack {policy!r}; there are {', '.join(POLICIES)}")
    moment = at.replace(tzinfo=UTC) if at else wiring.now()
    if jsonl:
        accepted = True
        for line in sys.stdin.buffer:
            verdict = validate_line(line, policy=POLICIES[policy], now=moment)
            accepted &= bool(verdict["accepted"])
            sys.stdout.write(json.dumps(verdict) + "\n")
        raise typer.Exit(0 if accepted else 1)
    if not files or not anchors:
        raise typer.BadParameter("name at least one FILE, and --anchors FILE")
    trust = wiring.read_trust_store(anchors, intermediates or [])
    context = Context(now=moment, trust=trust, policy=POLICIES[policy], addresses=tuple(address) if address else None)
    verdicts = []
    for path in files:
        values = wiring.read_values(path)
        if not values:
            raise PermanentError(ErrorCode.FILE_UNREADABLE, f"{path} is empty")
        verdicts += [(f"{path}#{n}", judge(attribute, value, context)) for n, value in enumerate(values, start=1)]
    if as_json:
        _print_json([verdict_to_json(verdict, verdict.findings, name) for name, verdict in verdicts])
    else:
        _print_verdicts(verdicts)
    raise typer.Exit(0 if all(verdict.accepted for _, verdict in verdicts) else 1)


@agent_app.command("once")
def agent_once(as_json: AsJson = False) -> None:
    """Read what changed in Active Directory, send it, and stop."""
    with _agent() as agent:
        done = agent.once() if as_json else _with_progress(agent)
    if as_json:
        _print_json({"read": done.read, "sent": done.sent, "refused": done.refused})
    else:
        out.print(f"{done.read} people read, [green]{done.sent} events sent[/green], {len(done.refused)} refused")
    raise typer.Exit(1 if done.refused else 0)


@agent_app.command("run")
def agent_run() -> None:
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


@app.command()
def reconcile(apply: Apply = False, as_json: AsJson = False) -> None:
    """Compare what every recipient holds with what it should. Exit 1 when somebody differs."""
    found = wiring.cloud().reconcile(apply=apply)
    if as_json:
        _print_json(found.to_json())
    else:
        table = Table("person (ImmutableId)", "to add", "to withdraw", "why not examined")
        for difference in (*found.differing, *found.unreadable):
            table.add_row(difference.anchor, str(difference.added), str(difference.withdrawn), difference.reason)
        out.print(table)
        out.print(
            f"{found.examined} people examined; their events were {'sent again' if apply else 'not sent (dry run)'}"
        )
    raise typer.Exit(1 if found.differing or found.unreadable else 0)


@app.command()
def failed(as_json: AsJson = False) -> None:
    """List the messages that did not succeed, with the reason. Exit 1 when there are any."""
    failures = wiring.cloud().failed()
    if as_json:
        _print_json([failure_to_public_json(failure) for failure in failures])
    else:
        table = Table("when", "message", "person (ImmutableId)", "reason", "detail")
        for failure in failures:
            table.add_row(
                f"{failure.at:%Y-%m-%d %H:%M}", failure.id, failure.anchor, failure.reason, escape(failure.detail)
            )
        out.print(table)
    raise typer.Exit(1 if failures else 0)


@app.command()
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
        _print_json(done.to_json())
    else:
        out.print(f"{len(done.chosen)} messages {'went back on the queue' if apply else 'would go back (dry run)'}")


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


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _print_verdicts(verdicts: list[tuple[str, Verdict]]) -> None:
    table = Table("value", "verdict", "code", "what it means", "detail")
    for name, verdict in verdicts:
        word = "[green]accepted[/green]" if verdict.accepted else "[red]refused[/red]"
        table.add_row(name, word, "", "", verdict.fingerprint[:16])
        for finding in verdict.findings:
            style = LEVEL_STYLE[finding.level]
            meaning = EXPLANATIONS[finding.code].meaning
            table.add_row("", "", f"[{style}]{finding.code}[/{style}]", meaning, escape(finding.detail))
    out.print(table)
