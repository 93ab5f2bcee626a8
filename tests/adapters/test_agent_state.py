"""The agent's state file: durable, bounded, brought up to date, and clear when it cannot be used."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sync.adapters.agent_state import StateFile
from sync.core.identity import Watermark
from sync.core.person import Person
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import Letter
from tests.office import person

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ALICE, BOB = person("alice", b"a1"), person("bob", b"b1")


def opened(path: Path, **options: int) -> StateFile:
    return StateFile(path, lambda: NOW, **options)


def letters(state: StateFile, *people: Person, body: str = "event") -> list[Letter]:
    next_ = state.next_watermark()
    return [
        Letter(person=each, watermark=Watermark(next_.epoch, next_.sequence + place), body=body)
        for place, each in enumerate(people)
    ]


def test_all_of_it_survives_a_restart(tmp_path: Path) -> None:
    """Checkpoint, people, outbox and sequence."""
    first = opened(tmp_path / "agent.sqlite")
    first.record(letters(first, ALICE, BOB), expected=first.next_watermark(), checkpoint=b"checkpoint")
    first.close()
    again = opened(tmp_path / "agent.sqlite")
    assert again.checkpoint() == b"checkpoint"
    assert again.next_watermark() == Watermark(int(NOW.timestamp()), 3)
    assert again.known([ALICE.anchor.object_guid])[ALICE.anchor.object_guid].state_hash == ALICE.state_hash
    assert [letter.watermark.sequence for letter in again.outbox(Watermark(0, 0), 10)] == [1, 2]


def test_a_second_process_cannot_take_the_same_number(tmp_path: Path) -> None:
    """Two events with one watermark would be one event to the cloud; nothing of the second is kept."""
    one, other = opened(tmp_path / "agent.sqlite"), opened(tmp_path / "agent.sqlite")
    expected = other.next_watermark()
    one.record(letters(one, ALICE), expected=expected)
    with pytest.raises(TemporaryError) as busy:
        other.record(
            [Letter(person=BOB, watermark=expected, body="event")], expected=expected, checkpoint=b"checkpoint"
        )
    assert busy.value.code is ErrorCode.STATE_BUSY
    assert other.checkpoint() is None
    assert other.known([BOB.anchor.object_guid]) == {}


def test_a_full_disk_is_a_clear_error_and_nothing_is_half_done(tmp_path: Path) -> None:
    """What was recorded stays and may go; room made by sending is room to read on."""
    state = opened(tmp_path / "agent.sqlite", limit_mb=1)
    told = 0
    with pytest.raises(TemporaryError) as full:
        for number in range(200):
            batch = letters(state, person(f"person{number}", b"x"), body="x" * 20_000)
            state.record(batch, expected=state.next_watermark(), checkpoint=str(number).encode())
            told += 1
    assert full.value.code is ErrorCode.STATE_FULL
    assert 10 < told < 60
    assert state.checkpoint() == str(told - 1).encode()
    waiting = state.outbox(Watermark(0, 0), 500)
    assert len(waiting) == told
    state.clear([letter.watermark for letter in waiting])
    batch = letters(state, BOB, body="x" * 20_000)
    state.record(batch, expected=state.next_watermark(), checkpoint=b"on")
    assert state.checkpoint() == b"on"


def test_a_state_file_of_version_1_is_brought_up_to_date(tmp_path: Path) -> None:
    """Nobody is sent again for an upgrade, and the epoch and sequence go on."""
    path = tmp_path / "agent.sqlite"
    identity: dict[str, object] = {
        "object_guid": ALICE.anchor.object_guid.hex(),
        "consistency_guid": None,
        "user_principal_name": None,
        "mail": ALICE.mail,
        "proxy_addresses": [],
    }
    with sqlite3.connect(path) as old:
        old.execute("CREATE TABLE queue (id TEXT PRIMARY KEY)")
        old.execute("CREATE TABLE agent (epoch INTEGER NOT NULL, next_sequence INTEGER NOT NULL, checkpoint BLOB)")
        old.execute("CREATE TABLE sent (guid TEXT PRIMARY KEY, state_hash TEXT, deleted INTEGER, identity TEXT)")
        old.execute("INSERT INTO agent VALUES (1000, 42, ?)", (b"cookie",))
        row = (ALICE.anchor.object_guid.hex(), ALICE.state_hash, 0, json.dumps(identity))
        old.execute("INSERT INTO sent VALUES (?, ?, ?, ?)", row)
        old.execute("PRAGMA user_version = 1")
    old.close()
    for _ in range(2):
        state = opened(path)
        assert state.next_watermark() == Watermark(1000, 42)
        assert state.checkpoint() == b"cookie"
        told = state.known([ALICE.anchor.object_guid])[ALICE.anchor.object_guid]
        assert (told.person.mail, told.state_hash, told.holds) == (ALICE.mail, ALICE.state_hash, True)
        state.close()


@pytest.mark.parametrize(
    ("statement", "told"), [("PRAGMA user_version = 99", "99"), ("CREATE TABLE notes (text)", "not 3")]
)
def test_a_file_that_is_not_ours_is_refused_and_stays(tmp_path: Path, statement: str, told: str) -> None:
    """A downgrade must not misread it, nor a wrong path lose somebody's file."""
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute(statement)
        other.execute("CREATE TABLE kept (text)")
    other.close()
    with pytest.raises(PermanentError, match=told) as refused:
        opened(path)
    assert refused.value.code is ErrorCode.FILE_UNREADABLE
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    other.close()


def test_a_lost_file_starts_a_later_epoch(tmp_path: Path) -> None:
    """Else every event of the new memory would be superseded by the old one's."""
    assert opened(tmp_path / "new.sqlite").next_watermark().epoch == int(NOW.timestamp())


def test_a_file_of_version_2_gets_what_it_lacks_and_keeps_all(tmp_path: Path) -> None:
    """An index by which the living are counted."""
    path = tmp_path / "agent.sqlite"
    first = opened(path)
    first.record(letters(first, ALICE, BOB), expected=first.next_watermark(), checkpoint=b"checkpoint")
    first.close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP INDEX people_living")
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    again = opened(path)
    assert (again.checkpoint(), again.condition().people, again.condition().waiting) == (b"checkpoint", 2, 2)
    (plan,) = again._rows("EXPLAIN QUERY PLAN SELECT count(*) FROM people WHERE NOT deleted")
    assert "people_living" in plan[3]


def test_an_epoch_never_goes_back() -> None:
    """A lease that was made anew may give an older one."""
    state = StateFile(None, lambda: NOW)
    state.adopt(5, doubt=True)
    assert state.next_watermark().epoch == int(NOW.timestamp())
    assert state.doubt()
