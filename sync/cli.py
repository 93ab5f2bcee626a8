"""The `smime-sync` command. Commands that act are dry by default; every one has `--json`.

Exit codes: 0 all well, 1 something was refused or differs, 2 a bad call or wrong settings, 75 try again later.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from sync import __version__, envelope, wiring
from sync.commands import agent, audit, explain, operate, reconcile, serve, status, tenant, validate
from sync.commands.output import err, out, print_json
from sync.errors import SyncError, TemporaryError

app = typer.Typer(
    name="smime-sync",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(validate.validate)
app.add_typer(agent.app, name="agent")
app.command()(explain.explain)
app.command()(status.status)
app.add_typer(audit.app, name="audit")
app.command()(reconcile.reconcile)
app.command()(operate.guard)
app.command()(operate.failed)
app.command()(operate.replay)
app.command()(tenant.probe)
app.command()(tenant.preflight)
app.command()(operate.restore)
app.command()(serve.serve)


@app.callback()
def settings_from(
    file: Annotated[
        Path | None, typer.Option("--settings", help="File of NAME=value lines, as the service has them.")
    ] = None,
) -> None:
    """Carries S/MIME certificates from Active Directory to Office 365: judged, explained, verified.

    Settings come from the environment, or from a file.
    """
    if file is not None:
        os.environ.update(wiring.read_settings(file))


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
    print_json(envelope.schema())
