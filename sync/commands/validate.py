"""`smime-sync validate`: judge certificates without directory or tenant."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn
from rich.table import Table

from sync import wiring
from sync.commands.output import AsJson, err, out, print_json
from sync.core.findings import EXPLANATIONS, Code, Level
from sync.core.judgement import Context, Verdict, judge
from sync.core.list_scope import only_by_ldap
from sync.core.person import Attribute
from sync.core.policy import POLICIES, Revocation
from sync.errors import ErrorCode, PermanentError
from sync.validator import known_lists, verdict_to_json
from sync.verdict_stream import answers

_BROKEN_PIPE, _INTERRUPTED = 128 + 13, 128 + 2  # as a shell tells of SIGPIPE and SIGINT
_LEVEL_STYLE = {Level.REFUSE: "red", Level.WARN: "yellow", Level.NOTE: "dim"}


def validate(
    files: Annotated[list[Path] | None, typer.Argument(help="PEM or DER files, several certificates in one.")] = None,
    anchors: Annotated[list[Path] | None, typer.Option(help="Trust anchors, PEM or DER.")] = None,
    intermediates: Annotated[list[Path] | None, typer.Option(help="Intermediate CAs, PEM or DER.")] = None,
    crls: Annotated[list[Path] | None, typer.Option(help="Revocation lists, full and delta, PEM or DER.")] = None,
    revocation: Annotated[
        Revocation | None,
        typer.Option(help="Look at revocation, and whether doubt refuses (hard); soft where there are lists."),
    ] = None,
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
        if files or anchors or intermediates or crls or address:
            raise typer.BadParameter("with --jsonl every line brings its own value, anchors, lists and addresses")
        raise typer.Exit(_judge_stream(policy, moment))
    if not files or not anchors:
        raise typer.BadParameter("name at least one FILE, and --anchors FILE")
    trust = wiring.read_trust_store(anchors, intermediates or [])
    mode = revocation or (Revocation.SOFT if crls else Revocation.OFF)
    for authority in (each.certificate for each in (*trust.anchors, *trust.intermediates)):
        # Nobody revokes what vouches for itself.
        if authority.issuer != authority.subject and only_by_ldap(authority):
            meaning = EXPLANATIONS[Code.CRL_LDAP_ONLY].meaning
            err.print(f"{Code.CRL_LDAP_ONLY}: {escape(authority.subject_text)}: {meaning}")
    context = Context(
        now=moment,
        trust=trust,
        policy=replace(POLICIES[policy], revocation=mode),
        addresses=tuple(address) if address else None,
        revocation=known_lists([value for path in crls or [] for value in wiring.read_lists(path)]),
    )
    verdicts = []
    for path in files:
        values = wiring.read_values(path)
        if not values:
            raise PermanentError(ErrorCode.FILE_UNREADABLE, f"{path} is empty")
        verdicts += [(f"{path}#{n}", judge(attribute, value, context)) for n, value in enumerate(values, start=1)]
    if as_json:
        print_json(
            [
                verdict_to_json(verdict, verdict.findings, name) | {"policy": verdict.policy}
                for name, verdict in verdicts
            ]
        )
    else:
        _print_verdicts(verdicts)
    raise typer.Exit(0 if all(verdict.accepted for _, verdict in verdicts) else 1)


def _judge_stream(policy: str, moment: datetime) -> int:
    """Answer standard input line by line; the exit code is a shell's where the reader went away or Ctrl-C came."""
    progress = Progress(
        SpinnerColumn(), "{task.completed:,} judged, {task.fields[refused]:,} refused", TimeElapsedColumn(),
        console=err, transient=True, disable=not err.is_terminal or out.is_terminal,
    )  # fmt: skip
    refused = 0
    # A file object of its own: the thread that waits in it must not hold up Python's closing of `sys.stdin`.
    stdin = open(sys.stdin.fileno(), "rb", closefd=False)  # noqa: SIM115 - a number, and left to that thread
    try:
        with progress:
            task = progress.add_task("", total=None, refused=0)
            for batch in answers(stdin, policy=policy, now=moment, processes=wiring.cores()):
                sys.stdout.write(batch.text)
                sys.stdout.flush()
                refused += batch.count - batch.accepted
                progress.update(task, advance=batch.count, refused=refused)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try once more at its end
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 1 if refused else 0


def _print_verdicts(verdicts: list[tuple[str, Verdict]]) -> None:
    table = Table("value", "verdict", "code", "what it means", "detail")
    for name, verdict in verdicts:
        word = "[green]accepted[/green]" if verdict.accepted else "[red]refused[/red]"
        table.add_row(name, word, "", "", verdict.fingerprint[:16])
        for finding in verdict.findings:
            style = _LEVEL_STYLE[finding.level]
            meaning = EXPLANATIONS[finding.code].meaning
            table.add_row("", "", f"[{style}]{finding.code}[/{style}]", meaning, escape(finding.detail))
    out.print(table)
