"""The whole product on real parts: from a change in Active Directory to the certificate on the Office 365 object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sync import envelope
from sync.core.event import Event
from sync.core.identity import Watermark
from sync.core.person import Values
from sync.errors import ErrorCode
from sync.signature import Signer
from tests.lab import require, worker
from tests.lab.__main__ import changes
from tests.lab.samba import DomainController
from tests.lab.setup import azurite
from tests.lab.site import CERTIFICATE, Site, start
from tests.lab.worker.payloads import http_request, timer
from tests.mill import DAY
from tests.office import person

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def site(domain_controller: DomainController, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    require("azurite", azurite.missing())
    require("worker", worker.missing())
    with start(tmp_path_factory.mktemp("site"), controller=domain_controller) as site, site.running():
        yield site


def test_ten_changes_arrive_in_the_tenant(site: Site) -> None:
    """Joining, renewal, removal and leaving, split keys and an expired certificate: the tour of `make lab`."""
    for change in changes(site):
        change.do()
        site.until(lambda change=change: site.held(change.person) == change.holds)  # type: ignore[misc]
    assert list(site.failures.all()) == []


def test_a_refused_certificate_reaches_nobody_and_the_ledger_says_why(site: Site) -> None:
    """A certificate for somebody else's address, on real protocols."""
    mailbox = site.tenant.add_mailbox("frank@corp.example")
    frank = site.administrator.create_person(
        "frank", unit=site.people, mail="frank@corp.example", **{CERTIFICATE: [site.issue("mallory").der]}
    )
    site.until(lambda: any(record.recipient == mailbox.id for record in site.ledger.records()))
    (record,) = [record for record in site.ledger.records() if record.recipient == mailbox.id]
    assert record.outcome is not None
    assert "mailbox-mismatch" in {finding.code for judged in record.outcome.judged for finding in judged.findings}
    assert site.held("frank") == Values()
    assert mailbox.writes == 0
    site.administrator.delete(frank)


def test_what_cannot_succeed_is_failed_listed_and_replayed_over_http(site: Site) -> None:
    """A message that is no event, through Azurite, the worker and the table; then the operator's two calls."""
    site.queue.send("this is no event")
    site.until(lambda: any(failure.reason == ErrorCode.EVENT_NOT_JSON for failure in site.failures.all()))
    listed = site.worker.invoke("failed", http_request("GET", "https://lab/api/failed"))
    assert listed is not None
    assert [each["reason"] for each in listed.json()["failed"]] == [ErrorCode.EVENT_NOT_JSON]
    assert "this is no event" not in listed.body
    dry = site.worker.invoke("replay", http_request("POST", "https://lab/api/replay", body=b'{"all": true}'))
    assert dry is not None
    assert not dry.json()["applied"]
    (failure,) = site.failures.all()
    site.failures.remove(failure.id)


def test_the_timer_repairs_what_somebody_took_away_by_hand(site: Site) -> None:
    """Drift in the cloud is found by reconciliation and cured through the same queue."""
    mailbox = site.tenant.add_mailbox("grace@corp.example")
    certificate = site.issue("grace")
    site.administrator.create_person(
        "grace", unit=site.people, mail="grace@corp.example", **{CERTIFICATE: [certificate.der]}
    )
    site.until(lambda: site.held("grace") == Values.of([certificate.der]))
    site.until(lambda: any(r.outcome and r.recipient == mailbox.id for r in site.ledger.records()))
    for values in mailbox.certificates.values():
        values.clear()
    site.worker.invoke("reconcile", timer())
    site.until(lambda: site.held("grace") == Values.of([certificate.der]))


def test_values_of_others_survive_every_change(site: Site) -> None:
    """Somebody published one by hand before the product came; and a synchronised person's tombstone has no anchor."""
    foreign, ours = site.issue("heidi", not_before=site.issuing.mill.now - 90 * DAY), site.issue("heidi")
    site.tenant.add_mailbox("heidi@corp.example", user_certificate=[foreign.der])
    heidi = site.administrator.create_person(
        "heidi",
        unit=site.people,
        mail="heidi@corp.example",
        **{CERTIFICATE: [ours.der], "mS-DS-ConsistencyGuid": b"sixteen bytes ok"},
    )
    site.until(lambda: site.held("heidi") == Values.of([foreign.der, ours.der]))
    site.administrator.delete(heidi)
    site.until(lambda: site.held("heidi") == Values.of([foreign.der]))


def test_a_person_with_very_many_values_arrives_by_way_of_a_blob(site: Site) -> None:
    """150 KiB of old values beside the good certificate; what the ledger keeps is the reference."""
    site.tenant.add_mailbox("quentin@corp.example")
    good = site.issue("quentin").der
    values = [good, *(bytes([number]) * 2500 for number in range(60))]
    quentin = site.administrator.create_person(
        "quentin", unit=site.people, mail="quentin@corp.example", **{CERTIFICATE: values}
    )
    site.until(lambda: site.held("quentin") == Values.of([good]))
    kept = [record.event for record in site.ledger.records() if record.event and "state.reference.v1" in record.event]
    assert len(kept) == 1
    assert len(kept[0]) < 1000
    site.administrator.delete(quentin)
    site.until(lambda: site.held("quentin") == Values())


def test_a_thief_of_the_queues_key_publishes_nothing(site: Site) -> None:
    """A perfect event for a real person with a good certificate, only not signed by the agent."""
    mailbox = site.tenant.add_mailbox("trent@corp.example")
    stolen = site.issue("trent")
    forged = Event(
        id="1",
        source="urn:smime-sync:agent:corp.example",
        time=datetime.now(UTC),
        watermark=Watermark(2**40, 1),
        person=replace(person("trent", stolen), mail="trent@corp.example"),
    )
    site.queue.send(envelope.render(forged))
    signed = replace(forged, signature=Signer.generate().sign(envelope.signed_part(forged)))
    site.queue.send(envelope.render(signed))
    wanted = {ErrorCode.EVENT_UNSIGNED, ErrorCode.EVENT_SIGNATURE}
    site.until(lambda: wanted <= {failure.reason for failure in site.failures.all()})
    assert site.held("trent") == Values()
    assert mailbox.writes == 0
    for failure in list(site.failures.all()):
        if failure.reason in wanted:
            site.failures.remove(failure.id)
