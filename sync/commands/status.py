"""`smime-sync status`: is it keeping up, how many people are covered, and whose certificates expire next?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import typer
from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from sync import wiring
from sync.commands.output import AsJson, err, out, print_json
from sync.core.canary import Standing
from sync.core.summary import Summary
from sync.overview import Health, Overview, behind

_STYLES = {Health.OK: "green", Health.WARNING: "yellow", Health.CRITICAL: "red"}


def status(
    count: Annotated[bool, typer.Option("--count", help="Count coverage and expiry anew.")] = False,
    as_json: AsJson = False,
) -> None:
    """Agent, queue, failures, coverage and expiry at a glance. Exit 0 all well, 1 a warning, 2 critical."""
    overseer = wiring.cloud().overseer
    if count:
        with Progress(TextColumn("counted {task.completed}"), console=err, transient=True, disable=as_json) as bar:
            task = bar.add_task("", total=None)
            overseer.count(lambda number: bar.update(task, completed=number))
    found = overseer.look()
    if as_json:
        print_json(found.to_json())
    else:
        out.print(picture(found))
    raise typer.Exit(int(found.health))


def picture(found: Overview) -> RenderableType:
    """The overview for a person who reads."""
    return Group(*_parts(found))


def _parts(found: Overview) -> Iterator[RenderableType]:
    yield Text(found.health.name.lower(), style=_STYLES[found.health])
    for concern in found.concerns:
        yield Text(f"  • {concern.text}", style=_STYLES[concern.health])
    table = Table(show_header=False, box=None)
    for source, beat in found.agents.items():
        lag = behind(beat)
        cursor = f"cursor {str(lag).partition('.')[0]} behind" if lag is not None else "nothing read to the end yet"
        told = f"heard at {beat.get('at')}, {cursor}, waiting {beat.get('waiting', 0)}"
        table.add_row(f"agent {escape(source)}", escape(told))
    since = f", the oldest since {found.oldest:%Y-%m-%d %H:%M:%S} UTC" if found.oldest else ""
    table.add_row("change queue", f"{found.queued} messages{since}")
    if found.booked is not None and found.booked > found.at:
        table.add_row("throttling", f"turns of writing are booked until {found.booked:%Y-%m-%d %H:%M:%S} UTC")
    if found.throttled is not None:
        table.add_row("throttled", f"by the tenant, the last time at {found.throttled:%Y-%m-%d %H:%M} UTC")
    table.add_row("failed", ", ".join(f"{number} {reason}" for reason, number in found.failed.items()) or "none")
    if found.run is not None:
        table.add_row(
            "reconciliation",
            escape(f"{found.run.get('kind')}, {found.run.get('phase')}, begun {found.run.get('began')}"),
        )
    if found.reconciled is not None:
        table.add_row("last full one", escape(f"ended {found.reconciled.get('ended')}"))
    if found.latency is not None:
        told = f"p50 {found.latency.p50:.1f} s, p99 {found.latency.p99:.1f} s"
        since = f"since {found.latency.since:%Y-%m-%d %H:%M} UTC"
        table.add_row("change to write", f"{told} ({found.latency.writes} writes {since})")
    if found.canary is not None:
        table.add_row("canary", _canary(found.canary, found.at))
    if found.ends:
        first = min(found.ends, key=lambda each: each.at)
        table.add_row("first to end", escape(f"{first.name} good until {first.at:%Y-%m-%d}"))
    if found.summary is not None:
        share = 100 * found.summary.covered / found.summary.people if found.summary.people else 0.0
        counted = f"counted {found.summary.at:%Y-%m-%d %H:%M} UTC"
        table.add_row(
            "coverage", f"{found.summary.covered} of {found.summary.people} people, {share:.1f} % ({counted})"
        )
    yield table
    if found.summary is not None and found.summary.expiring:
        yield _forecast(found, found.summary)


def _canary(canary: Standing, now: datetime) -> str:
    if canary.last is None:
        return "never written"
    told = f"written at {canary.last.at:%Y-%m-%d %H:%M:%S} UTC after {canary.last.seconds:.1f} s"
    lately = canary.lately(now)
    if lately is None:
        return told
    share = f"{100 * lately.within:.1f} % within {canary.limit:g} s"
    return f"{told}; of the last day p50 {lately.latency.p50:.1f} s, p99 {lately.latency.p99:.1f} s, {share}"


def _forecast(found: Overview, summary: Summary) -> Table:
    most = max(sum(counts.values()) for counts in summary.expiring.values())
    table = Table(
        "week of", "expire", "", "by issuer", title="Published certificates that expire", title_justify="left"
    )
    for week, counts in summary.expiring.items():
        total = sum(counts.values())
        issuers = "\n".join(f"{number} {escape(found.issuer(each))}" for each, number in Counter(counts).most_common(5))
        table.add_row(week, str(total), Bar(most, 0, total, width=20), issuers)
    return table
