"""`smime-sync explain`: why can nobody encrypt to this person?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sync import wiring
from sync.commands.output import AsJson, out, print_json
from sync.core.certificate import Certificate
from sync.core.clients import Taken
from sync.core.findings import EXPLANATIONS, Finding, Level
from sync.core.recipient import Owner
from sync.explainer import Explanation, Held

_STYLES = {Level.REFUSE: "red", Level.WARN: "yellow", Level.NOTE: "cyan"}


def explain(
    user: Annotated[str, typer.Argument(help="The person: an address, the UPN or the ImmutableId.")],
    as_json: AsJson = False,
) -> None:
    """Tell all about one person: in the directory, in Exchange, judged value by value, and what happens next."""
    told = wiring.cloud().explainer.explain(user)
    if as_json:
        print_json(told.to_json())
    else:
        out.print(picture(told))


def picture(told: Explanation) -> RenderableType:
    """The explanation for a person who reads."""
    return Group(*_parts(told))


def _parts(told: Explanation) -> Iterator[RenderableType]:
    good = told.outlook is not None and bool(told.outlook.certificates)
    yield Panel(Text(told.answer), border_style="green" if good else "red", title=_title(told), title_align="left")
    if told.event is not None:
        person = told.event.person
        state = "deleted" if person.deleted else "enabled" if person.enabled else "disabled"
        yield Text(f"In Active Directory, seen {told.event.time:%Y-%m-%d %H:%M:%S} UTC: {state}, ", end="")
        yield Text(f"{len(person.values)} value{'' if len(person.values) == 1 else 's'}")
    if told.values:
        yield _directory(told)
    for finding in told.findings:
        yield _line(finding)
    if told.recipient is not None:
        recipient = told.recipient
        seen = " (from memory: the tenant does not show its bytes)" if recipient.unverified else ""
        yield Text(
            f"\nIn Exchange Online now{seen}: {recipient.kind}, the attribute is owned {_OWNERS[recipient.owner]}"
        )
        if told.held:
            yield _exchange(told)
        yield from _clients(told)
    if told.record.outcome is not None:
        outcome = told.record.outcome
        why = "".join(f": {each}" for each in (outcome.reason, outcome.detail) if each)
        yield Text(f"\nLast: {outcome.status} at {outcome.at:%Y-%m-%d %H:%M:%S} UTC ({outcome.cause}){why}")
    yield Text("Next:")
    for step in told.next_steps:
        yield Text(f"  • {step}")


_OWNERS = {
    "cloud": "by the cloud: written here",
    "cloud-managed": "by the cloud, of a synchronised mailbox: written here and verified after an hour",
    "on-premises": "by Entra Connect: not written here",
}


def _title(told: Explanation) -> str:
    address = next(iter(told.event.person.addresses), None) if told.event else None
    return escape(f"{address or 'somebody'} ({told.record.anchor})")


def _directory(told: Explanation) -> Table:
    on_premises = told.recipient is not None and told.recipient.owner is Owner.ON_PREMISES
    nowhere = "[yellow]left to Entra Connect[/yellow]" if on_premises else "[red]nowhere[/red]"
    table = Table("value", "certificate", "published in", "findings", show_lines=True)
    for value in told.values:
        judged = value.judged
        table.add_row(
            f"{judged.attribute}\n{judged.fingerprint[:16]}",
            _facts(value.facts),
            "\n".join(judged.published) or nowhere,
            Group(*(_line(finding) for finding in judged.findings)) if judged.findings else "[green]all well[/green]",
        )
    return table


def _exchange(told: Explanation) -> Table:
    table = Table("value", "certificate", "whose", "Outlook", show_lines=True)
    for value in told.held:
        whose = "ours" if value.ours else "foreign"
        table.add_row(
            f"{value.attribute}\n{value.fingerprint[:16]}", _facts(value.facts), whose, _role(value, told.outlook)
        )
    return table


def _clients(told: Explanation) -> Iterator[RenderableType]:
    table = Table("a sender's client", "encrypts to", "how sure that is")
    conditions: dict[str, list[str]] = {}
    for choice in told.choices:
        marks = " or\n".join(each.fingerprint[:16] for each in choice.candidates)
        sure = choice.sure.words if choice.candidates else "there is nothing to take"
        table.add_row(choice.client.name, marks or "[red]nothing[/red]", sure)
        if choice.client.needs and choice.candidates:
            conditions.setdefault(choice.client.needs, []).append(choice.client.name)
    yield table
    for condition, names in conditions.items():
        yield Text(f"{', '.join(names)}: only if {condition}")


def _role(value: Held, outlook: Taken | None) -> str:
    if outlook is None or value.facts is None:
        return ""
    if value.attribute is outlook.attribute and value.facts.fingerprint in _marks(outlook.certificates[:1]):
        return "[green]takes it[/green]"
    return "[yellow]never looks at it[/yellow]" if value.facts.fingerprint in _marks(outlook.shadowed) else ""


def _marks(certificates: Sequence[Certificate]) -> set[str]:
    return {each.fingerprint for each in certificates}


def _facts(certificate: Certificate | None) -> str:
    if certificate is None:
        return "[red]cannot be read[/red]"
    return escape(
        f"{certificate.fingerprint[:16]}, {certificate.public_key.name}\n"
        f"{certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}\n{certificate.issuer_text}"
    )


def _line(finding: Finding) -> Text:
    explained = EXPLANATIONS[finding.code]
    style = _STYLES[finding.level]
    return Text.assemble(
        (f"{finding.level} {finding.code}", style), f": {explained.meaning} ({finding.detail})\n  {explained.remedy}"
    )
