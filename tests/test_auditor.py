"""The audit log: one entry per decision, nothing personal, nothing lost when the log or the processor is away."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from sync import wiring
from sync.archive import entry_to_json
from sync.cli import app
from sync.core.audit import Entry
from sync.core.person import fingerprint
from sync.core.record import Status
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from tests.mill import NOW
from tests.office import Office, anchor, person

DAY = timedelta(days=1)


@pytest.fixture
def office() -> Office:
    return Office()


@dataclass
class Away:
    """An audit log that raises so often, then works."""

    office: Office
    error: SyncError
    times: int = 1

    def append(self, entry: Entry) -> None:
        self.times -= 1
        if self.times >= 0:
            raise self.error
        self.office.audit.append(entry)

    def between(self, since: datetime, until: datetime) -> Iterator[Entry]:
        return self.office.audit.between(since, until)

    def prune(self, before: datetime) -> int:
        return self.office.audit.prune(before)


def test_a_decision_is_told_with_who_what_and_why(office: Office) -> None:
    """The event, the pack, what was added, and each value that was refused with its codes."""
    good, expired = office.issue("alice"), office.issue("alice", not_after=NOW - DAY)
    office.mailbox("alice")
    office.process(person("alice", good, expired))

    (entry,) = office.auditor.entries()

    assert (entry.anchor, entry.status) == (anchor("alice").immutable_id, Status.WRITTEN)
    assert (entry.watermark, entry.cause) == (str(office.record("alice").watermark), "change")
    assert entry.policy is not None
    assert entry.policy.startswith("private-ca")
    assert entry.added == (fingerprint(good.der),)
    weighed = {each.value: each for each in entry.values}
    assert weighed[fingerprint(good.der)].published
    refused = weighed[fingerprint(expired.der)]
    assert not refused.published
    assert "expired" in refused.findings


def test_nothing_personal_is_in_it(office: Office) -> None:
    """Neither a name nor an address nor a certificate: an auditor finds the person by the anchor."""
    certificate = office.issue("alice")
    office.mailbox("alice")
    office.process(person("alice", certificate, office.issue("somebody-else")))
    office.process(person("ghost", office.issue("ghost")))
    office.receiver.process(replace(office.message(person("alice")), body='{"mail": "alice@corp.example"}'))

    text = b"".join(entry_to_json(entry) for entry in office.auditor.entries()).decode()

    assert "failed" in text
    assert "corp.example" not in text
    assert "alice" not in text


def test_what_decides_nothing_is_no_entry(office: Office) -> None:
    """Deferred and superseded events."""
    office.process(person("newcomer", office.issue("newcomer")))
    office.mailbox("alice")
    office.process(person("alice"), sequence=9)
    office.process(person("alice", office.issue("alice")), sequence=8)

    assert [entry.status for entry in office.auditor.entries()] == [Status.UNCHANGED]


def test_a_log_that_is_away_delays_the_event_and_the_state_is_told(office: Office) -> None:
    """The write is done; the entry of the next delivery tells the same published values."""
    certificate = office.issue("alice")
    office.mailbox("alice")
    log = Away(office, TemporaryError(ErrorCode.LEDGER_UNAVAILABLE, "away"))
    receiver = replace(office.receiver, audit=log)

    outcome = receiver.process(office.message(person("alice", certificate)))
    assert (outcome.status, outcome.reason) == (Status.DEFERRED, ErrorCode.LEDGER_UNAVAILABLE)
    assert list(office.auditor.entries()) == []
    office.pass_time(timedelta(hours=1))
    office.drain()

    (entry,) = office.auditor.entries()
    assert entry.status is Status.UNCHANGED
    assert [(each.value, each.published) for each in entry.values] == [(fingerprint(certificate.der), True)]


def test_a_log_that_is_away_hides_no_failure(office: Office) -> None:
    """A message that failed is kept with its own reason, and the log's trouble is a line for operators."""
    log = Away(office, PermanentError(ErrorCode.LEDGER_REFUSED, "no"), times=9)
    message = replace(office.message(person("alice")), body="not json")

    assert replace(office.receiver, audit=log).process(message).reason == ErrorCode.EVENT_NOT_JSON
    assert [failure.reason for failure in office.failures.all()] == [ErrorCode.EVENT_NOT_JSON]


def test_what_the_queue_gave_up_on_is_an_entry_too(office: Office) -> None:
    """Failed, with its reason."""
    office.receiver.bury(office.message(person("alice")))

    (entry,) = office.auditor.entries()
    assert (entry.status, entry.reason) == (Status.FAILED, ErrorCode.RETRIES_EXHAUSTED)


def test_old_entries_go_by_whole_days(office: Office) -> None:
    """And what is kept can be told, to its first day."""
    office.mailbox("alice")
    for _ in range(4):
        office.process(person("alice"))
        office.pass_time(DAY)
    auditor = replace(office.auditor, days=2)

    assert auditor.prune() == 2
    assert [entry.at for entry in auditor.entries()] == [NOW + 2 * DAY, NOW + 3 * DAY]


class TestExport:
    """`smime-sync audit export`."""

    @pytest.fixture
    def ran(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
        monkeypatch.setattr(wiring, "cloud", lambda: SimpleNamespace(auditor=office.auditor))
        for name in ("alice", "bob"):
            office.mailbox(name)
            office.process(person(name, office.issue(name), office.issue(name, not_after=NOW - DAY)))
            office.pass_time(DAY)
        return office

    def test_csv_to_a_file(self, ran: Office, tmp_path: Path) -> None:
        """A header, and a row for each decision."""
        file = tmp_path / "audit.csv"
        done = CliRunner().invoke(app, ["audit", "export", str(file)])
        assert done.exit_code == 0, done.output
        with file.open(newline="") as opened:
            rows = list(csv.DictReader(opened))
        assert [row["anchor"] for row in rows] == [anchor(name).immutable_id for name in ("alice", "bob")]
        assert rows[0]["published"] == rows[0]["added"] != ""
        assert rows[0]["refused"].endswith(":expired")

    def test_json_lines_of_one_person_by_address(self, ran: Office) -> None:
        """On standard output."""
        done = CliRunner().invoke(app, ["audit", "export", "--json", "--user", "bob@corp.example"])
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [line["anchor"] for line in lines] == [anchor("bob").immutable_id]

    def test_a_span(self, ran: Office) -> None:
        """Days are UTC."""
        until = (NOW + DAY).astimezone(UTC).strftime("%Y-%m-%d")
        done = CliRunner().invoke(app, ["audit", "export", "--json", "--until", until])
        assert len(done.stdout.splitlines()) == 1

    def test_a_file_that_cannot_be_written_is_an_error_of_ours(self, ran: Office, tmp_path: Path) -> None:
        """With its code, not a trace."""
        done = CliRunner().invoke(app, ["audit", "export", str(tmp_path)])
        assert isinstance(done.exception, PermanentError)
        assert done.exception.code is ErrorCode.FILE_UNREADABLE
