"""The probe, on tenants that behave differently: it finds out how, and leaves everything as it was."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sync.adapters import probe_files
from sync.adapters.exchange_online import AnswerFormat, Clearing, Codec, Encoding, ExchangeOnline
from sync.adapters.exchange_online.transcript import RecordingSession
from sync.core.person import Values
from sync.errors import ErrorCode, PermanentError
from sync.probe_report import Probed, Wire
from sync.prober import MANY, Prober
from sync.throttle_trial import REST
from tests.adapters.exchange_online.connection import Connection
from tests.lab.tenant import Fault, Tenant

pytestmark = pytest.mark.lab

ADDRESS = "probe.mailbox@corp.example"
HELD = Values.of([bytes([0x30, 3, 2, 1, 5]), bytes([0x30, 3, 2, 1, 6])], [bytes([0x30, 3, 2, 1, 7])])
THROWAWAYS = probe_files.throwaways(MANY)
BLOB = probe_files.throwaway_blob()


@dataclass
class Bench:
    """A prober on a tenant, with a clock that nobody waits for."""

    tenant: Tenant
    session: RecordingSession
    kept: probe_files.KeptValues
    pauses: list[timedelta] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    recovers: bool = True
    interrupt_at: str = ""
    guarded: int = 0

    def connect(self, wire: Wire) -> ExchangeOnline:
        codec = Codec(encoding=Encoding(wire.write_encoding), clearing=Clearing(wire.write_clearing))
        connection = Connection(tenant=self.tenant, session=self.session, answers=AnswerFormat(wire.read_format))
        return ExchangeOnline(connection.api, codec)

    def told(self, words: str) -> None:
        self.said.append(words)
        if self.interrupt_at and words.startswith(self.interrupt_at):
            self.interrupt_at = ""
            raise KeyboardInterrupt

    def shielded(self) -> AbstractContextManager[None]:
        self.guarded += 1
        return nullcontext()

    def pause(self, wait: timedelta) -> None:
        """No time passes. After a pause a budget has room for one more, if it `recovers`; after a rest it is whole."""
        self.pauses.append(wait)
        if wait == REST:
            self.tenant.budget.forget()
        elif self.recovers and self.tenant.budget.cmdlets is not None:
            self.tenant.budget.cmdlets += 1

    def probe(self, *, apply: bool = True, throttle: int = 0) -> Probed:
        prober = Prober(
            connect=self.connect,
            read_formats=tuple(AnswerFormat),
            encodings=tuple(Encoding),
            clearings=tuple(Clearing),
            throwaways=THROWAWAYS,
            blob=BLOB,
            kept=self.kept,
            pause=self.pause,
            clock=lambda: sum(self.pauses, timedelta()).total_seconds(),
            refusals=self.session.refusals,
            shielded=self.shielded,
            told=self.told,
        )
        return prober.probe(ADDRESS, apply=apply, throttle=throttle)

    @property
    def writes(self) -> list[str]:
        return [name for name in self.tenant.cmdlets() if name.startswith("Set-")]

    @property
    def held(self) -> Values:
        return self.tenant.recipient(ADDRESS).values


@pytest.fixture
def bench(tenant: Tenant, tmp_path: Path) -> Iterator[Bench]:
    """On an empty tenant."""
    with RecordingSession(ADDRESS) as session:
        yield Bench(tenant, session, probe_files.KeptValues(tmp_path))


def mailbox(bench: Bench, values: Values = HELD, **state: Any) -> None:
    """The test mailbox."""
    bench.tenant.add_mailbox(
        ADDRESS,
        name="Probe Mailbox",
        user_certificate=values.user_certificate,
        user_smime_certificate=values.user_smime_certificate,
        **state,
    )


def answer(found: Probed, question: str) -> str:
    """What the report says to a question."""
    (said,) = [each.answer for each in found.observations if each.question == question]
    return said


def test_dry_only_reads(bench: Bench) -> None:
    """Who owns it and how it reads; nothing is written, nothing kept."""
    mailbox(bench)

    found = bench.probe(apply=False)

    assert bench.writes == []
    assert answer(found, "existing values as json") == "3 read"
    assert answer(found, "owner of the attributes") == "cloud"
    assert found.settings == {}
    assert found.good


@pytest.mark.parametrize("encoding", list(Encoding))
def test_the_codec_that_binds(bench: Bench, encoding: Encoding) -> None:
    """The only one that this tenant takes; and everything is as before."""
    mailbox(bench)
    bench.tenant.behaviour.binds = {encoding}

    found = bench.probe()

    assert found.settings["SMIME_SYNC_WRITE_ENCODING"] == encoding
    assert [o.question for o in found.observations if o.answer.startswith("accepted; reads back: json exact")] == [
        f"write as {encoding}"
    ]
    assert (found.good, found.restored) == (True, True)
    assert bench.held == HELD


@pytest.mark.parametrize("clearing", list(Clearing))
def test_how_clearing_works(bench: Bench, clearing: Clearing) -> None:
    """One of the two, on an empty mailbox, which is then empty again."""
    mailbox(bench, Values())
    bench.tenant.behaviour.clears = {clearing}

    found = bench.probe()

    assert found.settings["SMIME_SYNC_WRITE_CLEARING"] == clearing
    assert bench.held == Values()


@pytest.mark.parametrize("bare", [False, True])
def test_bytes_only_in_clixml(bench: Bench, bare: bool) -> None:
    """JSON says `System.Byte[]`: the setting names CLIXML."""
    mailbox(bench)
    bench.tenant.behaviour.bytes_in_json = False
    bench.tenant.behaviour.clixml_bare = bare

    found = bench.probe()

    assert found.settings["SMIME_SYNC_READ_FORMAT"] == "clixml"
    assert answer(found, "existing values as json") == "not as bytes"
    assert bench.held == HELD


@pytest.mark.parametrize(("most", "said"), [(None, "accepted"), (15, "refused (tenant-answer)")])
def test_more_than_fifteen(bench: Bench, most: int | None, said: str) -> None:
    """Whether sixteen pass; either answer is fine."""
    mailbox(bench)
    bench.tenant.behaviour.most_values = most

    found = bench.probe()

    assert answer(found, "16 values") == said
    assert found.good
    assert bench.held == HELD


@pytest.mark.parametrize(
    ("state", "owner", "code"),
    [
        ({"directory_synchronised": True}, "on-premises", "on-premises-mastered"),
        ({"directory_synchronised": True, "cloud_managed": True}, "cloud-managed", None),
        ({"outside_scope": True}, "cloud", "tenant-scope"),
    ],
)
def test_who_may_write(bench: Bench, state: dict[str, Any], owner: str, code: str | None) -> None:
    """A refusal that is not about the value ends the writing and is the answer."""
    mailbox(bench, **state)

    found = bench.probe()

    assert answer(found, "owner of the attributes") == owner
    assert found.good == (code is None)
    if code:
        assert code in answer(found, "does this mailbox accept writes")
    assert bench.held == HELD


def test_nothing_binds(bench: Bench) -> None:
    """No settings, and a report that says so."""
    mailbox(bench)
    bench.tenant.behaviour.binds = set()

    found = bench.probe()

    assert answer(found, "a way to write") == "none binds"
    assert not found.good
    assert found.settings == {}
    assert bench.held == HELD


def test_what_429_carries(bench: Bench) -> None:
    """With and without a time; the probe waits as it was asked."""
    mailbox(bench)
    bench.tenant.faults.next(
        Fault.status(429, cmdlet="Set-Mailbox", Retry_After="37"), Fault.status(429, cmdlet="Get-Mailbox")
    )

    found = bench.probe()

    assert answer(found, "throttled") == "Retry-After 37 s, no Retry-After"
    assert timedelta(seconds=37) in bench.pauses
    assert bench.held == HELD


def spendthrift(bench: Bench, most: int) -> None:
    """A tenant that takes so many cmdlets, and says more than it must when it throttles."""
    mailbox(bench)
    bench.tenant.budget.cmdlets, bench.tenant.budget.seconds, bench.tenant.budget.retry_after = most, 3600.0, 41
    bench.tenant.budget.headers = {"X-Limit-Of": f"user {bench.tenant.id} {ADDRESS}", "X-Other": "no limit's name"}


@pytest.mark.parametrize(
    ("batch_is_one", "said"),
    [
        (False, "ten (4 batches, then throttled; 44 single reads)"),
        (True, "one (44 batches, none throttled; 44 single reads)"),
    ],
)
def test_throttling_provoked(bench: Bench, batch_is_one: bool, said: str) -> None:
    """When it comes, what it carries, when it ends, and whether a batch counts as one or as ten; dry, so unwritten."""
    spendthrift(bench, 48)
    bench.tenant.budget.batch_is_one = batch_is_one

    found = bench.probe(apply=False, throttle=100)

    # Looking took four: Get-Recipient and Get-Mailbox in each format.
    assert answer(found, "reads until it throttles") == "44 in 0.0 s"
    assert answer(found, "what a 429 carries") == "Retry-After: 41, X-Limit-Of: user <guid> <address>"
    assert answer(found, "it answers again") == "after 41.0 s"
    assert answer(found, "a batch of 10 counts as") == said
    assert bench.writes == []
    assert ADDRESS not in bench.session.text()
    assert '"times": 44' in bench.session.text()


def test_throttling_that_never_comes(bench: Bench) -> None:
    """So many reads and no more."""
    mailbox(bench)

    found = bench.probe(apply=False, throttle=30)

    assert answer(found, "reads until it throttles") == "never in 30, one at a time, in 0.0 s"
    assert bench.tenant.cmdlets()[4:] == ["Get-Mailbox"] * 30


def test_throttling_that_does_not_end(bench: Bench) -> None:
    """It gives up after a while, and says so."""
    spendthrift(bench, 10)
    bench.recovers = False

    found = bench.probe(apply=False, throttle=30)

    assert answer(found, "it answers again") == "not after 2460.0 s"
    assert bench.pauses == [timedelta(seconds=41)] * 60


def test_something_else_ends_the_reads(bench: Bench) -> None:
    """What it was is said, and not taken for throttling."""
    mailbox(bench)
    fine = [Fault(cmdlet="Get-Mailbox") for _ in range(5)]
    bench.tenant.faults.next(*fine, Fault.status(503, cmdlet="Get-Mailbox"))

    found = bench.probe(apply=False, throttle=30)

    assert answer(found, "reads until it throttles") == "ended by tenant-unavailable after 3"


def test_throttling_after_writing(bench: Bench) -> None:
    """Comes last, when everything is restored."""
    mailbox(bench)

    found = bench.probe(throttle=3)

    assert answer(found, "reads until it throttles").startswith("never in 3")
    assert bench.tenant.cmdlets()[-3:] == ["Get-Mailbox"] * 3
    assert bench.held == HELD


def test_reads_that_lag(bench: Bench) -> None:
    """A replica that shows the old values for a while is waited for, not taken for a tenant that mangles."""
    mailbox(bench)
    bench.tenant.behaviour.lag = 3

    found = bench.probe()

    assert found.good
    assert bench.pauses
    assert bench.held == HELD


@pytest.mark.parametrize("moment", ["writing as tagged", "writing as base64", "clearing", "writing 16", "writing user"])
def test_an_interruption(bench: Bench, moment: str) -> None:
    """Ctrl-C at any step ends through the restoration."""
    mailbox(bench)
    bench.interrupt_at = moment

    with pytest.raises(KeyboardInterrupt):
        bench.probe()

    assert bench.held == HELD
    assert bench.guarded == 1


def test_an_interruption_where_reads_lag(bench: Bench) -> None:
    """A replica that still shows the old values is no proof that nothing has to be restored."""
    mailbox(bench)
    bench.tenant.behaviour.lag = 2
    bench.interrupt_at = "writing as base64"
    bench.tenant.behaviour.binds = {Encoding.ELEMENT_BASE64}
    connect = bench.connect

    def read_once(wire: Wire) -> ExchangeOnline:
        # The write's own read-back does not use the lag up: it is taken for stale for ever.
        bench.tenant.recipient(ADDRESS).stale += 2 if bench.writes else 0
        return connect(wire)

    bench.connect = read_once  # type: ignore[method-assign]
    with pytest.raises((KeyboardInterrupt, PermanentError)):
        bench.probe()

    assert bench.held == HELD


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_an_error_in_the_middle(bench: Bench, number: int) -> None:
    """An answer that nobody understands, at whatever write: restored."""
    mailbox(bench)
    bench.tenant.behaviour.binds = set(Encoding)
    fine = [Fault(cmdlet="Set-Mailbox") for _ in range(number)]
    bench.tenant.faults.next(*fine, Fault.status(401, cmdlet="Set-Mailbox"))

    bench.probe()

    assert bench.held == HELD


def test_killed_and_run_again(bench: Bench) -> None:
    """What the killed probe kept is the truth, not what it left behind."""
    mailbox(bench, Values.of([THROWAWAYS[3]]))
    bench.kept.save(bench.tenant.recipient(ADDRESS).id, HELD)

    found = bench.probe()

    assert found.restored
    assert bench.held == HELD
    assert bench.kept.load(bench.tenant.recipient(ADDRESS).id) is None


def test_killed_when_it_held_nothing(bench: Bench) -> None:
    """Nothing is a state to restore, too."""
    mailbox(bench, Values.of([THROWAWAYS[3]]))
    bench.kept.save(bench.tenant.recipient(ADDRESS).id, Values())

    bench.probe()

    assert bench.held == Values()


def test_it_cannot_be_restored(bench: Bench) -> None:
    """The tenant turns away in the middle: an error with a code, and the kept file stays for the next probe."""
    mailbox(bench)
    bench.interrupt_at = "clearing"

    def turn_away() -> AbstractContextManager[None]:
        bench.tenant.behaviour.binds = set()
        return nullcontext()

    bench.shielded = turn_away  # type: ignore[method-assign]
    with pytest.raises(PermanentError) as caught:
        bench.probe()

    assert caught.value.code is ErrorCode.PROBE_NOT_RESTORED
    assert bench.kept.load(bench.tenant.recipient(ADDRESS).id) == HELD
    bench.tenant.behaviour.binds = set(Encoding)
    del bench.shielded
    bench.probe()
    assert bench.held == HELD


def test_values_that_nobody_can_read(bench: Bench) -> None:
    """They could not be restored: refused before anything is written."""
    mailbox(bench)
    bench.tenant.behaviour.bytes_in_json = False
    row = {"UserCertificate": ["System.Byte[]"], "UserSMimeCertificate": [], "IsDirSynced": False}
    entry = bench.tenant.recipient(ADDRESS)
    body = json.dumps({"value": [{**row, "ExternalDirectoryObjectId": entry.id, "EmailAddresses": []}]}).encode()
    bench.tenant.faults.next(*(Fault.status(200, body=body, cmdlet="Get-Mailbox") for _ in range(2)))

    with pytest.raises(PermanentError) as caught:
        bench.probe()

    assert caught.value.code is ErrorCode.PROBE_UNREADABLE
    assert bench.writes == []


def test_nobody_there(bench: Bench) -> None:
    """The test mailbox must exist."""
    with pytest.raises(PermanentError) as caught:
        bench.probe()

    assert caught.value.code is ErrorCode.NO_RECIPIENT


@pytest.mark.parametrize("json_bytes", [True, False])
def test_the_transcript_tells_nothing_personal(bench: Bench, json_bytes: bool) -> None:
    """No token, address, name, id or certificate; the questions and answers are all there."""
    mailbox(bench)
    bench.tenant.behaviour.bytes_in_json = json_bytes
    bench.tenant.faults.next(Fault.status(429, cmdlet="Set-Mailbox", Retry_After="3"))
    bench.tenant.faults.next(
        Fault.exception(
            400, "System.X", "'Probe Mailbox' of probe.mailbox@corp.example, boss@corp.example", cmdlet="Set-Mailbox"
        )
    )
    bench.probe()

    text = bench.session.text()

    entry = bench.tenant.recipient(ADDRESS)
    for secret in ("probe.mailbox", "Probe Mailbox", "corp.example", entry.id, bench.tenant.id, "Bearer", "eyJ"):
        assert secret.lower() not in text.lower()

    for value in (*THROWAWAYS, BLOB):
        assert base64.b64encode(value).decode()[:80] not in text
        assert ", ".join(str(each) for each in value[:20]) not in text
    exchanges = json.loads(text)["exchanges"]
    assert sum(each.get("times", 1) for each in exchanges) == len(bench.tenant.calls)
    assert {each["status"] for each in exchanges} >= {200, 400, 429}
    assert '"Retry-After": "3"' in text
    assert "#Collection(Exchange.ByteArrayType)" in text
    assert "sha256" in text
