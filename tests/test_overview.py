"""status: what needs somebody's eye is said, and what is counted is right."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from sync import heartbeat, overseer, wiring
from sync.adapters.embedded import EmbeddedPace
from sync.cli import app
from sync.commands.status import picture
from sync.core.audit import entry
from sync.core.certificate import Certificate
from sync.core.digest import Digest
from sync.core.rate import Rate
from sync.core.record import Outcome, Status
from sync.core.revoked import mark
from sync.core.run import Kind, Phase
from sync.core.summary import OTHERS, WEEKS, summarise
from sync.errors import ErrorCode, PermanentError
from sync.overseer import SUMMARY
from sync.overview import Health, Worry
from sync.own_certificate import Expiry
from sync.throttle_watch import PLACE, ThrottleWatch
from tests.mill import NOW
from tests.office import Office, person

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
TODAY = NOW.date()


@pytest.fixture
def office() -> Office:
    """One where all is well: an agent that beats, and a count of today."""
    office = Office()
    beat(office)
    office.overseer.count()
    return office


def beat(office: Office, **told: object) -> None:
    """The agent's heartbeat of this moment."""
    content = {"type": "smime-sync.heartbeat.v1", "source": "corp.example", "at": office.now.isoformat(), **told}
    office.losses.blobs.put("heartbeat/corp.example.json", json.dumps(content).encode())


def concerns(office: Office) -> list[tuple[Health, str]]:
    return [(each.health, each.text) for each in office.overseer.look().concerns]


def test_where_all_is_well_there_is_nothing_to_say(office: Office) -> None:
    """Exit code 0."""
    assert concerns(office) == []
    assert office.overseer.look().health is Health.OK


def test_an_agent_that_stopped_is_seen(office: Office) -> None:
    """Critical after five minutes without a heartbeat, and not before."""
    office.pass_time(5 * MINUTE)
    assert concerns(office) == []
    office.pass_time(MINUTE)
    assert concerns(office) == [(Health.CRITICAL, "the agent of corp.example is silent for 0:06:00")]


def test_an_agent_that_beats_faster_is_missed_sooner(office: Office) -> None:
    """Five of its own beats; one of an older release says nothing of them, and one that says nonsense neither."""
    beat(office, everySeconds=2)
    office.pass_time(timedelta(seconds=11))
    assert concerns(office) == [(Health.CRITICAL, "the agent of corp.example is silent for 0:00:11")]
    for nonsense in ("never", -1, 1e9, float("nan")):
        beat(office, everySeconds=nonsense)
        office.pass_time(timedelta(minutes=4))
        assert concerns(office) == []
        office.pass_time(timedelta(minutes=2))
        assert len(concerns(office)) == 1


def test_an_agent_bears_the_name_that_its_events_have(office: Office) -> None:
    """Which is percent-encoded where its heartbeat lies."""
    beaten = json.dumps({"at": office.now.isoformat()}).encode()
    office.losses.blobs.put(heartbeat.name("urn:smime-sync:agent:corp"), beaten)
    assert "urn:smime-sync:agent:corp" in office.overseer.look().agents


def test_an_agent_that_says_so_is_in_trouble(office: Office) -> None:
    """Held events and the last error, each by itself."""
    beat(office, held=True, lastError="directory-unavailable")
    told = concerns(office)
    assert [health for health, _ in told] == [Health.WARNING] * 2
    assert "directory-unavailable" in told[1][1]


@pytest.mark.parametrize(
    ("left", "health"),
    [
        (30 * DAY, None),
        (30 * DAY - MINUTE, Health.WARNING),
        (7 * DAY - MINUTE, Health.CRITICAL),
        (-DAY, Health.CRITICAL),
    ],
)
@pytest.mark.parametrize("whose", ["agent", "function"])
def test_our_own_certificates_are_told_before_they_end(
    office: Office, left: timedelta, health: Health | None, whose: str
) -> None:
    """The agent's by its heartbeat; a month before, and urgently a week before."""
    ends: list[Expiry] = []
    if whose == "agent":
        beat(office, certificates={"the certificate": (office.now + left).isoformat()})
    else:
        ends.append(Expiry(name="the certificate", at=office.now + left))
    found = replace(office.overseer, ends=lambda: ends).look()
    told = [(each.worry, each.health) for each in found.concerns]
    assert told == ([] if health is None else [(Worry.CERTIFICATE_EXPIRES, health)])
    assert all(each.text.startswith("the certificate") for each in found.concerns)


def test_a_ca_is_told_earlier(office: Office) -> None:
    """Its successor has to reach everybody."""
    ends = [Expiry(name="the CA", at=office.now + 60 * DAY, notice=90 * DAY)]
    (concern,) = replace(office.overseer, ends=lambda: ends).look().concerns
    assert concern.health is Health.WARNING


def test_no_agent_at_all_is_said() -> None:
    """And that nothing was counted: a new deployment."""
    assert [health for health, _ in concerns(Office())] == [Health.WARNING] * 2


def test_a_queue_that_is_not_worked_off_is_seen(office: Office) -> None:
    """A warning after a quarter of an hour, critical after an hour."""
    office.queue.send("waits")
    office.pass_time(16 * MINUTE)
    beat(office)
    assert [health for health, _ in concerns(office)] == [Health.WARNING]
    office.pass_time(60 * MINUTE)
    beat(office)
    assert [health for health, _ in concerns(office)] == [Health.CRITICAL]
    assert office.overseer.look().queued == 1


def test_writes_that_wait_for_their_turn_are_seen(office: Office) -> None:
    """A hundred at one in ten seconds are a quarter of an hour and more."""
    pace = EmbeddedPace(office.database)
    for _ in range(100):
        pace.book(Rate(per_second=0.1, at_once=1), office.now)
    assert [health for health, _ in concerns(office)] == [Health.WARNING]
    assert office.overseer.look().booked == pace.booked()


def test_failures_are_counted_by_reason(office: Office) -> None:
    """A warning while there are any."""
    for body in ("not json", "{}", "not json either"):
        office.receiver.process(replace(office.message(person("alice")), body=body))
    found = office.overseer.look()
    assert sum(found.failed.values()) == 3
    assert found.failed[ErrorCode.EVENT_NOT_JSON] == 2
    assert found.health is Health.WARNING


def ended(office: Office, kind: Kind, phase: Phase, *, apply: bool = True) -> str:
    """A run of this kind that ended so; its id."""
    office.pass_time(timedelta(seconds=1))
    runs = office.reconciler.runs
    taken = runs.take(runs.begin(kind, apply=apply).id)
    assert taken is not None
    runs.store(replace(taken, run=taken.run.enters(phase)))
    return taken.run.id


def test_a_guarded_run_is_critical_until_a_full_one_came_to_its_end(office: Office) -> None:
    """Nothing of it goes on without an administrator; the hourly runs after it do not hide it."""
    run = ended(office, Kind.FULL, Phase.GUARDED)
    ended(office, Kind.DUE, Phase.DONE)
    ((health, text),) = concerns(office)
    assert (health, run in text) == (Health.CRITICAL, True)
    ended(office, Kind.FULL, Phase.DONE)
    assert concerns(office) == []


def test_a_dry_run_that_would_be_guarded_is_no_concern(office: Office) -> None:
    """As in report mode every night, until the mode is changed."""
    ended(office, Kind.FULL, Phase.GUARDED, apply=False)
    assert concerns(office) == []


def test_a_run_that_failed_is_a_warning(office: Office) -> None:
    """Until the next one."""
    ended(office, Kind.FULL, Phase.FAILED)
    assert [health for health, _ in concerns(office)] == [Health.WARNING]
    ended(office, Kind.DUE, Phase.DONE)
    assert concerns(office) == []


def test_two_days_without_a_whole_reconciliation_are_seen(office: Office) -> None:
    """Whatever the hourly ones do, and also where there was never one of everybody that came to its end."""
    ended(office, Kind.FULL, Phase.DONE)
    found = office.overseer.look()
    assert found.reconciled is not None
    assert found.reconciled["kind"] == "full"
    office.pass_time(2 * DAY + MINUTE)
    ended(office, Kind.DUE, Phase.DONE)
    beat(office)
    office.overseer.count()
    assert [each.worry for each in office.overseer.look().concerns] == [Worry.NOT_RECONCILED]
    ended(office, Kind.FULL, Phase.DONE)
    assert concerns(office) == []


def test_where_none_of_everybody_ever_came_to_its_end_that_is_seen_too(office: Office) -> None:
    """After two days of hourly runs, and not at the first."""
    ended(office, Kind.DUE, Phase.DONE)
    assert concerns(office) == []
    office.pass_time(2 * DAY + MINUTE)
    ended(office, Kind.FULL, Phase.GUARDED, apply=False)
    beat(office)
    office.overseer.count()
    found = office.overseer.look()
    assert (found.reconciled, [each.worry for each in found.concerns]) == (None, [Worry.NOT_RECONCILED])


def test_how_far_behind_the_directory_an_agent_reads_is_told(office: Office) -> None:
    """By its own clock; a concern after an hour and more, unless it reads everybody, which takes what it takes."""
    last = (office.now - 80 * MINUTE).isoformat()
    beat(office, lastRound=last, waiting=7)
    found = office.overseer.look()
    assert found.to_json()["cursors"] == {"corp.example": {"lagSeconds": 4800.0, "waiting": 7}}
    assert [each.worry for each in found.concerns] == [Worry.AGENT_BEHIND]
    beat(office, lastRound=last, importing=True)
    assert concerns(office) == []
    for told in (None, "nonsense", office.now.replace(tzinfo=None).isoformat()):
        beat(office, lastRound=told)
        assert concerns(office) == []


def test_when_the_tenant_throttled_last_is_told(office: Office) -> None:
    """Once a minute at most; a blob that nobody can read is none, and one that cannot be stored fails nobody."""
    watch = ThrottleWatch(office.losses.blobs)
    assert watch.last() is None
    throttled = Outcome(status=Status.DEFERRED, at=office.now, reason=ErrorCode.TENANT_THROTTLED)
    watch.hear(replace(throttled, reason=ErrorCode.PACED))
    assert watch.last() is None
    for seconds, noted in ((0, 0), (59, 0), (60, 60)):
        watch.hear(replace(throttled, at=office.now + timedelta(seconds=seconds)))
        assert watch.last() == office.now + timedelta(seconds=noted)
    found = replace(office.overseer, throttled=watch.last).look()
    assert found.to_json()["throttledLast"] == watch.last().isoformat()  # type: ignore[union-attr]
    for content in (b"no json", b"{}", b"[]"):
        office.losses.blobs.put(PLACE, content)
        assert watch.last() is None


def test_the_product_as_it_is_joined_hears_of_throttling(office: Office, tmp_path: Path) -> None:
    """Receiver and overseer share what is noted."""
    app = wiring.embedded(None, tmp_path / "directory.ldif", office.trust)
    for hear in app.receiver.hearing:
        hear(Outcome(status=Status.DEFERRED, at=office.now, reason=ErrorCode.TENANT_THROTTLED))
    assert app.overseer.look().throttled == office.now


def test_the_latency_is_of_the_writes_of_the_last_day(office: Office) -> None:
    """By nearest rank, of changes alone."""
    for number in range(1, 101):
        office.mailbox(f"p{number}")
        message = office.message(person(f"p{number}", office.issue(f"p{number}", key="ec256")))
        office.pass_time(timedelta(seconds=number))
        office.receiver.process(message)
    brought = entry(
        Outcome(status=Status.WRITTEN, at=office.now, cause="reconciliation", seconds=5000.0, anchor="a"), "brought"
    )
    assert brought is not None
    office.audit.append(brought)
    latency = office.overseer.look().latency
    assert latency is not None
    assert (latency.writes, latency.p50, latency.p99) == (100, 50.0, 99.0)
    office.pass_time(2 * DAY)
    assert office.overseer.look().latency is None


def test_of_a_day_with_too_many_decisions_the_latest_hours_count(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole hours, and it is said since when; of one hour that is too much by itself, how it began."""
    for hour in range(4):
        for number in range(3):
            outcome = Outcome(
                status=Status.WRITTEN, at=office.now, cause="change", seconds=float(10 * hour + number), anchor="a"
            )
            kept = entry(outcome, f"{hour}.{number}")
            assert kept is not None
            office.audit.append(kept)
            office.pass_time(20 * MINUTE)
    begin = office.now - timedelta(hours=4)
    for most, writes, since in ((100, 12, office.now - DAY), (7, 6, begin + timedelta(hours=2))):
        monkeypatch.setattr(overseer, "_ENTRIES", most)
        latency = office.overseer.look().latency
        assert latency is not None
        assert (latency.writes, latency.since) == (writes, since)
    monkeypatch.setattr(overseer, "_ENTRIES", 2)
    latency = office.overseer.look().latency
    assert latency is not None
    assert latency.since == begin + timedelta(hours=3)
    assert latency.p99 == 32.0


def test_coverage_and_forecast_follow_from_what_was_published(office: Office) -> None:
    """By the week's Monday and the issuer's name; who left, and who has nothing, is not covered."""
    certificate = office.issue("alice", not_after=NOW + 10 * DAY)
    for name, given in (("alice", [certificate]), ("bob", [office.issue("bob", not_after=NOW - DAY)]), ("carol", [])):
        office.mailbox(name)
        office.process(person(name, *given))
    office.process(person("carol", deleted=True))

    summary = office.overseer.count()

    assert (summary.people, summary.covered, summary.unknown) == (2, 1, 0)
    week = (TODAY + 10 * DAY - timedelta(days=(TODAY + 10 * DAY).weekday())).isoformat()
    found = office.overseer.look()
    assert found.summary == summary
    assert {each: found.issuer(issuer) for each, counts in summary.expiring.items() for issuer in counts} == {
        week: Certificate.parse(certificate.der).issuer_text
    }


def test_what_expired_or_lies_far_ahead_is_not_in_the_forecast() -> None:
    """Yesterday and beyond half a year are out; today counts and still covers."""
    ends = [TODAY - DAY, TODAY, TODAY + timedelta(weeks=WEEKS) - DAY, TODAY + timedelta(weeks=WEEKS)]
    people = [
        Digest(place=str(n), anchor=str(n), holding=True, certificates=("a" * 16 + "1",), expiries=(end,))
        for n, end in enumerate(ends)
    ]
    summary = summarise(people, NOW)
    assert summary.covered == 3
    assert sum(number for counts in summary.expiring.values() for number in counts.values()) == 2


def test_whoever_an_older_release_judged_is_unknown() -> None:
    """Not taken for uncovered."""
    summary = summarise([Digest(place="1", anchor="1", holding=True, certificates=("a" * 17,))], NOW)
    assert (summary.people, summary.covered, summary.unknown) == (1, 0, 1)


def test_thousands_of_issuers_are_a_few_and_the_others() -> None:
    """The blob stays small, whatever the directory holds."""
    people = (
        Digest(place=str(n), anchor=str(n), holding=True, certificates=(f"{n:016x}1",), expiries=(TODAY,))
        for n in range(5000)
    )
    (counts,) = summarise(people, NOW).expiring.values()
    assert sum(counts.values()) == 5000
    assert counts[OTHERS] == 4800


def test_a_blob_that_is_broken_is_an_error_with_a_code(office: Office) -> None:
    """A heartbeat is the agent's; a summary of another release is counted again."""
    office.losses.blobs.put(SUMMARY, b"{}")
    assert office.overseer.look().summary is None
    office.losses.blobs.put("heartbeat/corp.example.json", b"no json")
    with pytest.raises(PermanentError) as raised:
        office.overseer.look()
    assert raised.value.code is ErrorCode.LEDGER_MALFORMED
    for certificates in (["one"], {"one": "tomorrow"}, {"one": 7}):
        beat(office, certificates=certificates)
        with pytest.raises(PermanentError) as raised:
            _ = office.overseer.look().concerns
        assert raised.value.code is ErrorCode.LEDGER_MALFORMED


def test_the_command_ends_with_the_worst(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """0, 1, 2 as monitoring plug-ins have it; `--json` says the same."""
    monkeypatch.setattr(wiring, "cloud", lambda: SimpleNamespace(overseer=office.overseer))
    assert CliRunner().invoke(app, ["status"]).exit_code == 0
    office.pass_time(3 * DAY)
    beat(office)
    done = CliRunner().invoke(app, ["status", "--json"])
    assert (done.exit_code, json.loads(done.stdout)["health"]) == (1, "warning")
    assert CliRunner().invoke(app, ["status", "--count"]).exit_code == 0
    office.pass_time(DAY)
    assert CliRunner().invoke(app, ["status", "--json"]).exit_code == 2


def test_the_picture_shows_it_all(office: Office) -> None:
    """Agent, queue, coverage and the bar of the week."""
    office.mailbox("alice")
    certificate = office.issue("alice", not_after=NOW + 10 * DAY)
    office.process(person("alice", certificate))
    assert office.record("alice").certificates == (mark(Certificate.parse(certificate.der)),)
    office.overseer.count()
    console = Console(width=160, record=True, file=io.StringIO())
    ends = [Expiry(name="the CA", at=NOW + 400 * DAY), Expiry(name="another", at=NOW + 500 * DAY)]
    console.print(picture(replace(office.overseer, ends=lambda: ends).look()))
    text = console.export_text()
    assert "1 of 1 people, 100.0 %" in text
    assert "agent corp.example" in text
    assert "the CA good until 2027-" in text
    assert f"1 {Certificate.parse(certificate.der).issuer_text}" in text
