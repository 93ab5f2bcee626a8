"""Calls to the tenant per change, counted at the simulated tenant: each is a round trip and a share of the quota."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime

from bench.figure import Section
from sync.adapters.entra import ClientSecret, TokenSource
from sync.adapters.exchange_online import AdminApi, Codec, ExchangeOnline
from sync.core.person import Person
from tests.lab.tenant import Tenant
from tests.mill import Issued
from tests.office import Office, person

PEOPLE = int(os.environ.get("SMIME_SYNC_BENCH_PEOPLE", "50"))
HEAD = ("what happens", "people", "our reads", "our writes", "the script's reads", "the script's writes")


def measure() -> Section:
    """Everybody new, one in ten changed, nobody changed; beside the usual script, which rewrites all each time."""
    with Tenant.start() as tenant:
        office = Office(now=datetime.now(UTC).replace(microsecond=0))
        api = _admin_api(tenant)
        office.processor = replace(office.processor, recipients=ExchangeOnline(api))
        office.mill.now = office.now
        names = [f"user{number}" for number in range(PEOPLE)]
        held = {name: office.issue(name, key="ec256") for name in names}
        for name in names:
            tenant.add_mailbox(f"{name}@corp.example")
        rows = [_row("everybody is new", tenant, office, api, held, changed=names)]
        renewed = names[:: max(1, PEOPLE // 5)]
        held |= {name: office.issue(name, key="ec256", not_before=office.now) for name in renewed}
        rows.append(_row(f"{len(renewed)} renew", tenant, office, api, held, changed=renewed))
        rows.append(_row("nobody changed, everybody is looked at", tenant, office, api, held, changed=names))
    note = (
        "The usual script sets everybody's certificates, blindly, every time it runs. Ours reads recipient and values, "
        "writes only what differs, reads back after each write, and looks only at those who changed."
    )
    return Section(title="Calls to the tenant", head=HEAD, rows=tuple(rows), note=note)


def _row(
    what: str,
    tenant: Tenant,
    office: Office,
    api: AdminApi,
    held: dict[str, Issued],
    *,
    changed: list[str],
) -> tuple[str, ...]:
    tenant.calls.clear()
    for name in changed:
        office.process(person(name, held[name]))
    ours = _count(tenant)
    tenant.calls.clear()
    _script(api, [person(name, certificate) for name, certificate in held.items()])
    script = _count(tenant)
    return what, str(len(changed)), *(str(n) for n in ours), *(str(n) for n in script)


def _count(tenant: Tenant) -> tuple[int, int]:
    cmdlets = tenant.cmdlets()
    return sum(each.startswith("Get-") for each in cmdlets), sum(each.startswith("Set-") for each in cmdlets)


def _script(api: AdminApi, people: list[Person]) -> None:
    """What `Get-ADUser | ForEach-Object { Set-Mailbox -UserCertificate ... }` does each time."""
    for each in people:
        values = Codec().parameters("UserCertificate", each.values.user_certificate)
        api.invoke("Set-Mailbox", {"Identity": each.mail, "Confirm": False, **values})


def _admin_api(tenant: Tenant) -> AdminApi:
    credential = ClientSecret(client_id=tenant.tokens.client_id, secret=tenant.tokens.secret)
    cloud = tenant.cloud
    tokens = TokenSource(credential, tenant=tenant.id, cloud=cloud, ca_file=tenant.ca_file, instance_discovery=False)
    return AdminApi(tenant=tenant.id, tokens=tokens, host=tenant.url, suffixes=cloud.suffixes, ca_file=tenant.ca_file)
