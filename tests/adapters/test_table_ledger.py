"""Ledger and failures on Azure Tables, as Azurite speaks them."""

from __future__ import annotations

import gzip
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from azure.data.tables import TableClient, UpdateMode
from azure.storage.blob import ContainerClient

from sync.adapters.blob_store import BlobStore
from sync.adapters.table_ledger import MAX_BYTES, TableAudit, TableFailures, TableHistory, TableLedger, TablePace
from sync.archive import digest_from_json, record_from_json, record_to_json
from sync.core.digest import digest, place
from sync.core.person import Values
from sync.core.plan import Managed
from sync.core.record import Failure, Record, Snapshot
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.ports import SNAPSHOTS
from tests.adapters.audit_contract import AuditContract, at
from tests.adapters.failures_contract import FULL as FAILURE
from tests.adapters.failures_contract import FailuresContract
from tests.adapters.history_contract import HistoryContract
from tests.adapters.ledger_contract import ANCHOR, BEFORE, FULL, NOW, LedgerContract
from tests.adapters.pace_contract import ONE_BY_ONE, PaceContract
from tests.lab.azurite import Azurite, UnsignedToken

OLD = Path(__file__).parent / "golden" / "ledger"

pytestmark = pytest.mark.lab


def a_name() -> str:
    """A table's name that no other test has."""
    return f"t{uuid.uuid4().hex}"


TableT = TypeVar("TableT", TableAudit, TableLedger, TableFailures, TableHistory, TablePace)


@contextmanager
def a_table(kind: type[TableT], azurite: Azurite, large: BlobStore | None = None) -> Iterator[TableT]:
    """A new table of this kind until the block ends."""
    with closing(kind.from_connection_string(azurite.connection_string, a_name(), large=large)) as made:
        made.create()
        yield made


@pytest.fixture
def ledger(azurite: Azurite) -> Iterator[TableLedger]:
    """A new ledger."""
    with a_table(TableLedger, azurite) as made:
        yield made


@pytest.fixture
def large(azurite: Azurite) -> Iterator[BlobStore]:
    """A place for what is larger than an entity."""
    client = ContainerClient.from_connection_string(azurite.connection_string, a_name())
    with closing(BlobStore(client)) as store:
        store.create()
        yield store


@pytest.fixture
def failures(azurite: Azurite) -> Iterator[TableFailures]:
    """A new store of failures."""
    with a_table(TableFailures, azurite) as made:
        yield made


@pytest.fixture
def raw(azurite: Azurite, ledger: TableLedger) -> Iterator[TableClient]:
    """The ledger's table as any other client sees it."""
    with TableClient.from_connection_string(azurite.connection_string, ledger.name) as client:
        yield client


def people(raw: TableClient) -> list[Any]:
    """The entities of people."""
    return list(raw.query_entities("PartitionKey lt 'g' and RowKey lt 'g'"))


class TestLedgerContract(LedgerContract):
    """The ledger's contract on Azurite."""

    @pytest.fixture
    def ledger(self, azurite: Azurite, large: BlobStore) -> Iterator[TableLedger]:
        with a_table(TableLedger, azurite, large) as made:
            yield made


class TestHistoryContract(HistoryContract):
    """The history's contract on Azurite."""

    @pytest.fixture
    def history(self, azurite: Azurite, large: BlobStore) -> Iterator[TableHistory]:
        with a_table(TableHistory, azurite, large) as made:
            yield made


class TestPaceContract(PaceContract):
    """The rate's contract on Azurite."""

    @pytest.fixture
    def pace(self, azurite: Azurite) -> Iterator[TablePace]:
        with a_table(TablePace, azurite) as made:
            yield made

    def test_instances_share_one_line(self, azurite: Azurite, pace: TablePace) -> None:
        """What one remembers counts for nothing once another has booked, or the row is gone."""
        second = timedelta(seconds=1)
        with (
            closing(TablePace.from_connection_string(azurite.connection_string, pace.name)) as other,
            TableClient.from_connection_string(azurite.connection_string, pace.name) as raw,
        ):
            turns = [who.book(ONE_BY_ONE, NOW) for who in (pace, pace, other, other, pace, other)]
            assert turns == [NOW + number * second for number in range(6)]

            raw.delete_entity("pace", "pace")
            assert [who.book(ONE_BY_ONE, NOW) for who in (other, pace)] == [NOW, NOW + second]


class TestFailuresContract(FailuresContract):
    """The contract of failures on Azurite."""

    @pytest.fixture
    def failures(self, azurite: Azurite) -> Iterator[TableFailures]:
        with a_table(TableFailures, azurite) as made:
            yield made


class TestAuditContract(AuditContract):
    """The contract of the audit log on Azurite."""

    @pytest.fixture
    def log(self, azurite: Azurite) -> Iterator[TableAudit]:
        with a_table(TableAudit, azurite) as made:
            yield made

    def test_a_log_that_is_not_there_is_made(self, azurite: Azurite) -> None:
        """After an upgrade whose table nobody made: what was decided is not to be called failed for that."""
        with closing(TableAudit.from_connection_string(azurite.connection_string, a_name())) as log:
            for _ in range(2):
                log.append(at(NOW))
            assert list(log.between(NOW, NOW + timedelta(days=1))) == [at(NOW)]


def test_people_are_spread_over_partitions(ledger: TableLedger, raw: TableClient) -> None:
    """One partition is one server of Azure's, and takes no more than 2,000 entities a second."""
    for number in range(40):
        ledger.put(Record(anchor=f"person {number}"))

    partitions = {entity["PartitionKey"] for entity in people(raw)}

    # 40 people into 256 partitions, by chance about 37 different ones; these anchors are always the same.
    assert len(partitions) > 30
    assert all(len(partition) == 2 for partition in partitions)


def test_an_entity_names_its_person(ledger: TableLedger, raw: TableClient) -> None:
    """An administrator with a storage browser finds the ImmutableId, and reads what there is to know in short."""
    stored = ledger.put(replace(FULL, anchor="ab/+=="))

    [entity] = people(raw)
    assert entity["anchor"] == "ab/+=="
    assert digest_from_json(entity["digest"]) == digest(stored)


def test_a_record_may_fill_an_entity_and_not_more(ledger: TableLedger) -> None:
    """Azure takes 1 MiB, Azurite any size: the limit is ours to keep."""
    room = MAX_BYTES - len(record_to_json(Record(anchor=ANCHOR, event="")))
    full = ledger.put(Record(anchor=ANCHOR, event="x" * (room - len('"event":"",'))))

    assert ledger.get(ANCHOR) == full
    refused = code_of(PermanentError, lambda: ledger.put(replace(full, event="x" * MAX_BYTES)))
    assert refused is ErrorCode.EVENT_TOO_LARGE


def test_no_blob_is_left_that_no_entity_names(azurite: Azurite, large: BlobStore) -> None:
    """Not that of a record that was replaced, of a race that was lost, or of a snapshot that went."""
    big = "x" * (MAX_BYTES + 1)
    with a_table(TableLedger, azurite, large) as ledger:
        first = ledger.put(Record(anchor=ANCHOR, event=big))
        with pytest.raises(TemporaryError):
            ledger.put(Record(anchor=ANCHOR, event=big))
        second = ledger.put(replace(first, recipient="another"))
        assert len(list(large.names("large/"))) == 1
        ledger.put(replace(second, event=None))
        assert list(large.names("")) == []
    with a_table(TableHistory, azurite, large) as history:
        for number in range(SNAPSHOTS + 2):
            at = NOW + timedelta(seconds=number)
            values = Values.of([bytes(MAX_BYTES)])
            history.keep(ANCHOR, Snapshot(id=f"{at:%Y%m%dT%H%M%S%f}", at=at, values=values, managed=Managed()))
        assert len(list(large.names("large/"))) == SNAPSHOTS


def test_a_blob_that_is_gone_is_looked_for_again(azurite: Azurite, large: BlobStore) -> None:
    """Somebody replaced the record between the read of the entity and that of its blob."""
    with a_table(TableLedger, azurite, large) as ledger:
        ledger.put(Record(anchor=ANCHOR, event="x" * (MAX_BYTES + 1)))
        for name in list(large.names("")):
            large.delete(name)

        assert code_of(TemporaryError, lambda: ledger.get(ANCHOR)) is ErrorCode.LEDGER_CONFLICT


def test_a_record_that_somebody_deleted_is_a_lost_race(ledger: TableLedger, raw: TableClient) -> None:
    """Whoever read it looks again, and finds nobody."""
    stored = ledger.put(Record(anchor=ANCHOR))
    [entity] = people(raw)
    raw.delete_entity(entity)

    assert code_of(TemporaryError, lambda: ledger.put(stored)) is ErrorCode.LEDGER_CONFLICT
    assert ledger.get(ANCHOR) is None


def test_a_table_that_nobody_made_is_refused(azurite: Azurite) -> None:
    """On every way, and it never passes for nobody being known or for a lost race."""
    ledger = TableLedger.from_connection_string(azurite.connection_string, a_name())
    calls: list[Callable[[], object]] = [
        lambda: ledger.get(ANCHOR),
        lambda: ledger.put(Record(anchor=ANCHOR)),
        lambda: ledger.put(Record(anchor=ANCHOR, version='W/"1"')),
        lambda: list(ledger.records()),
    ]

    for call in calls:
        assert code_of(PermanentError, call) is ErrorCode.LEDGER_REFUSED
    ledger.close()


def test_a_table_is_created_once(ledger: TableLedger) -> None:
    """Creating what is there is success, and leaves its records."""
    ledger.put(Record(anchor=ANCHOR))

    ledger.create()

    assert [record.anchor for record in ledger.records()] == [ANCHOR]


@pytest.mark.parametrize(
    "broken", [{"schema": 3}, {"record0": b"{"}, {"record0": b'{"anchor": 1}'}, {"record0": "text"}, {"schema": None}]
)
def test_a_record_that_cannot_be_read_says_which(
    ledger: TableLedger, raw: TableClient, broken: dict[str, object]
) -> None:
    """Written by a newer version or by hand; one of a million must be findable."""
    ledger.put(Record(anchor=ANCHOR))
    [entity] = people(raw)
    raw.upsert_entity({**entity, **broken}, mode=UpdateMode.REPLACE)

    for read in (lambda: ledger.get(ANCHOR), lambda: list(ledger.records())):
        with pytest.raises(PermanentError) as malformed:
            read()
        assert malformed.value.code is ErrorCode.LEDGER_MALFORMED
        assert entity["RowKey"] in malformed.value.message


class TestFirstSchema:
    """Entities as the first release wrote them: under the anchor, without digest, moment or name."""

    @pytest.fixture
    def ledger(self, azurite: Azurite) -> Iterator[TableLedger]:
        """A table that was made by other means than ours, as Bicep makes it: nothing marks it."""
        with TableClient.from_connection_string(azurite.connection_string, a_name()) as client:
            client.create_table()
            with closing(TableLedger.from_connection_string(azurite.connection_string, client.table_name)) as made:
                yield made

    @pytest.fixture
    def older(self, raw: TableClient) -> list[Record]:
        """Those of a real state file of that time."""
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.deserialize(gzip.decompress((OLD / "state-v1.sqlite.gz").read_bytes()))
            rows = connection.execute("SELECT anchor, record FROM ledger").fetchall()
        for anchor, text in rows:
            key = anchor.replace("+", "-").replace("/", "_")
            raw.create_entity({"PartitionKey": place(anchor)[:2], "RowKey": key, "schema": 1, "record0": text})
        return [record_from_json(text, "") for _, text in rows]

    def test_they_are_read_and_renewed_one_by_one(
        self, ledger: TableLedger, raw: TableClient, older: list[Record]
    ) -> None:
        """Whoever is handled; what is not there yet can be made."""
        for record in older:
            found = ledger.get(record.anchor)
            assert found is not None
            assert replace(found, version="") == record
            assert ledger.get(record.anchor) == found
            ledger.put(replace(found, basis="now"))
        assert ledger.get("stranger") is None
        ledger.put(Record(anchor="stranger"))

        assert len(people(raw)) == len(older) + 1
        assert not list(raw.query_entities("schema eq 1"))

    @pytest.mark.parametrize(
        "walk",
        [
            lambda ledger: list(ledger.records()),
            lambda ledger: list(ledger.digests()),
            lambda ledger: ledger.named("alice@corp.example"),
            lambda ledger: ledger.due(NOW, 1, after=BEFORE),
        ],
    )
    def test_any_walk_renews_them_all(
        self, ledger: TableLedger, raw: TableClient, older: list[Record], walk: Callable[[TableLedger], object]
    ) -> None:
        """Else it would leave people out. The table is marked then, and asked no more."""
        found = walk(ledger)

        assert found or found == []
        assert not list(raw.query_entities("schema eq 1"))
        assert [place(record.anchor) for record in ledger.records()] == sorted(place(each.anchor) for each in older)
        assert [digest(record) for record in ledger.records()] == list(ledger.digests())
        [alice] = ledger.named("alice@corp.example")
        assert alice.anchor in {record.anchor for record in older}
        assert raw.get_entity("schema", "schema")["schema"] == 2

    def test_of_two_who_renew_at_once_one_looks_again(
        self, ledger: TableLedger, raw: TableClient, older: list[Record]
    ) -> None:
        """The entity of a person is there once, under one of the two keys, at every moment."""
        [entity] = raw.query_entities(
            "PartitionKey eq @partition and schema eq 1", parameters={"partition": place(older[0].anchor)[:2]}
        )
        ledger.get(older[0].anchor)

        with pytest.raises(TemporaryError) as lost:
            ledger._renew(entity)

        assert lost.value.code is ErrorCode.LEDGER_CONFLICT
        assert ledger.get(older[0].anchor) is not None


def test_a_table_of_a_later_release_is_refused(azurite: Azurite, ledger: TableLedger, raw: TableClient) -> None:
    """An older release would not find its people, take everybody for new, and never withdraw what was published."""
    ledger.put(Record(anchor=ANCHOR))
    raw.upsert_entity({"PartitionKey": "schema", "RowKey": "schema", "schema": 3})
    calls: list[Callable[[TableLedger], object]] = [
        lambda ledger: ledger.get(ANCHOR),
        lambda ledger: ledger.put(Record(anchor="another")),
        lambda ledger: list(ledger.records()),
        lambda ledger: list(ledger.digests()),
        lambda ledger: ledger.due(NOW, 1),
        lambda ledger: ledger.named("alice@corp.example"),
    ]

    for call in calls:
        with closing(TableLedger.from_connection_string(azurite.connection_string, ledger.name)) as older:
            with pytest.raises(PermanentError) as refused:
                call(older)
            assert refused.value.code is ErrorCode.LEDGER_MALFORMED


def test_a_failure_removed_during_a_walk_is_left_out(failures: TableFailures) -> None:
    """Another replay was faster."""
    failures.add(FAILURE)
    failures.add(replace(FAILURE, id="second"))

    walk = failures.all()
    first = next(walk)
    for failure in (FAILURE, replace(FAILURE, id="second")):
        failures.remove(failure.id)

    assert first.id in {FAILURE.id, "second"}
    assert list(walk) == []


def test_a_failure_of_an_earlier_release_is_chosen_too(azurite: Azurite, failures: TableFailures) -> None:
    """Its entity says neither reason nor person outside of the JSON."""
    failures.add(FAILURE)
    with TableClient.from_connection_string(azurite.connection_string, failures.name) as raw:
        [entity] = raw.list_entities()
        older = {name: entity[name] for name in entity if name not in {"reason", "anchor"}}
        raw.upsert_entity(older, mode=UpdateMode.REPLACE)

    assert list(failures.all(reason=FAILURE.reason, anchor=FAILURE.anchor)) == [FAILURE]
    assert list(failures.all(reason="tenant-role")) == []
    assert list(failures.all(anchor="another")) == []


def test_a_failure_over_an_entity_is_refused(failures: TableFailures) -> None:
    """No queue message is that long: a clear end all the same."""
    refused = code_of(PermanentError, lambda: failures.add(replace(FAILURE, body="x" * MAX_BYTES)))

    assert refused is ErrorCode.EVENT_TOO_LARGE


class TestIdentity:
    """The way of a managed identity: HTTPS and a bearer token."""

    def test_a_token_lets_in(self, secure_azurite: Azurite) -> None:
        """Ledger and failures work."""
        ledger = TableLedger.from_identity(
            secure_azurite.table_url, UnsignedToken(), a_name(), ca_file=str(secure_azurite.ca_file)
        )
        ledger.create()
        stored = ledger.put(Record(anchor=ANCHOR))

        assert ledger.get(ANCHOR) == stored
        ledger.close()

    def test_an_expired_token_is_refused(self, secure_azurite: Azurite) -> None:
        """As a role that is missing is."""
        ledger = TableLedger.from_identity(
            secure_azurite.table_url, UnsignedToken(expires_in=-60), a_name(), ca_file=str(secure_azurite.ca_file)
        )

        assert code_of(PermanentError, lambda: ledger.get(ANCHOR)) is ErrorCode.LEDGER_REFUSED
        ledger.close()


class TestTrouble:
    """Foreign errors end in ours."""

    def test_a_key_that_is_not_base64_is_a_wrong_setting(self, azurite: Azurite) -> None:
        """No request is ever signed with it."""
        ledger = TableLedger.from_connection_string(azurite.connection_string.replace("==;", "=;"), a_name())

        assert code_of(PermanentError, lambda: ledger.get(ANCHOR)) is ErrorCode.SETTINGS_INVALID
        ledger.close()

    def test_a_wrong_key_is_refused(self, azurite: Azurite) -> None:
        """It is a key, but another account's."""
        ledger = TableLedger.from_connection_string(
            azurite.connection_string.replace("AccountKey=", "AccountKey=AAAA"), a_name()
        )

        assert code_of(PermanentError, lambda: ledger.get(ANCHOR)) is ErrorCode.LEDGER_REFUSED
        ledger.close()

    @pytest.mark.parametrize("connection", ["", "rubbish", "AccountName=a", "AccountName=a;AccountKey=YQ==;x"])
    def test_a_connection_string_that_is_none_is_a_wrong_setting(self, connection: str) -> None:
        """Said when it is read."""
        refused = code_of(PermanentError, lambda: TableLedger.from_connection_string(connection, "ledger"))

        assert refused is ErrorCode.SETTINGS_INVALID

    def test_a_service_that_is_away_is_tried_again(self) -> None:
        """The message is delivered again."""
        failures = TableFailures.from_connection_string(
            "TableEndpoint=http://127.0.0.1:9/account;SharedAccessSignature=sv=2026-01-01&sig=U0VDUkVU", "failures"
        )
        calls: list[Callable[[], object]] = [
            lambda: failures.add(Failure(id="1", at=FAILURE.at, reason="r", detail="d", body="b")),
            lambda: list(failures.all()),
        ]

        for call in calls:
            with pytest.raises(TemporaryError) as away:
                call()
            assert away.value.code is ErrorCode.LEDGER_UNAVAILABLE
            assert "sig" not in str(away.value)
        failures.close()


def code_of(kind: type[SyncError], call: Callable[[], object]) -> ErrorCode:
    """The code with which `call` ends in an error of this kind."""
    with pytest.raises(kind) as raised:
        call()
    return raised.value.code
