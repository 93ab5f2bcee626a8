"""What every command shares: where it prints, and the options that all of them have."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.console import Console

out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Apply = Annotated[bool, typer.Option("--apply", help="Act; without it only what would be done is shown.")]


def print_json(value: object) -> None:
    """Print for machines: no colour, no width."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
