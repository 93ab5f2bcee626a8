"""What every store of failed messages keeps to. A test module subclasses `FailuresContract` and gives one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from sync.core.record import Failure
from sync.ports import Failures

NOW = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)
FULL = Failure(
    id="20a5dd3a-e33b-49dd-9201-27e716f14905",
    at=NOW,
    reason="no-recipient",
    detail="Nobody answers to ærø@corp.example",
    body='{"specversion": "1.0"}',
    anchor="/+q2cXz0Tk6mJX2vQf8B4A==",
    dequeue_count=5,
)


class FailuresContract:
    """Nothing ends silently: what was added stays until somebody removes it."""

    @pytest.fixture
    def failures(self) -> Failures:
        """An empty store."""
        raise NotImplementedError

    def test_at_first_there_is_none(self, failures: Failures) -> None:
        """Neither by id nor in all."""
        assert failures.get("nothing") is None
        assert list(failures.all()) == []

    def test_a_failure_comes_back_whole(self, failures: Failures) -> None:
        """By id and in all."""
        failures.add(FULL)

        assert failures.get(FULL.id) == FULL
        assert list(failures.all()) == [FULL]

    @pytest.mark.parametrize("body", ["", "not json", "\x00\x01\ufffd", "漢字 🗝", "\x01" * 65_536])
    def test_any_body_is_kept(self, failures: Failures, body: str) -> None:
        """Above all the ones that could not be read, up to a whole queue message of them."""
        failures.add(replace(FULL, body=body))

        assert failures.get(FULL.id) == replace(FULL, body=body)

    def test_one_with_the_same_id_is_replaced(self, failures: Failures) -> None:
        """A message that fails again is one failure, with its last reason."""
        failures.add(replace(FULL, body="long" * 20_000))
        again = replace(FULL, at=NOW + timedelta(hours=1), reason="retries-exhausted")
        failures.add(again)

        assert list(failures.all()) == [again]

    def test_the_oldest_comes_first(self, failures: Failures) -> None:
        """By the moment, whatever the order of adding, the id or the zone in which it was said."""
        zone = timezone(timedelta(hours=5))
        late, early, middle = (
            replace(FULL, id="a", at=NOW),
            replace(FULL, id="b", at=(NOW - timedelta(hours=2)).astimezone(zone)),
            replace(FULL, id="c", at=NOW - timedelta(microseconds=1)),
        )
        for failure in (late, early, middle):
            failures.add(failure)

        assert [failure.id for failure in failures.all()] == ["b", "c", "a"]

    def test_a_removed_failure_is_gone(self, failures: Failures) -> None:
        """The others stay, and removing it again is no error."""
        other = replace(FULL, id="other")
        failures.add(FULL)
        failures.add(other)

        failures.remove(FULL.id)
        failures.remove(FULL.id)

        assert failures.get(FULL.id) is None
        assert list(failures.all()) == [other]

    def test_ids_that_look_alike_are_different_failures(self, failures: Failures) -> None:
        """An id is the queue's, and no key's business."""
        ids = ["a/b", "a_b", "A_b", "a?b", "a#b", "a\\b", "a b", "a.2f.b", "é"]
        for failure_id in ids:
            failures.add(replace(FULL, id=failure_id, detail=failure_id))

        for failure_id in ids:
            found = failures.get(failure_id)
            assert found is not None
            assert found.detail == failure_id

    def test_failures_may_be_removed_while_they_are_walked(self, failures: Failures) -> None:
        """As a replay does: each is seen once."""
        for number in range(10):
            failures.add(replace(FULL, id=str(number), at=NOW + timedelta(seconds=number)))

        seen = []
        for failure in failures.all():
            seen.append(failure.id)
            failures.remove(failure.id)

        assert seen == [str(number) for number in range(10)]
        assert list(failures.all()) == []

    def test_some_are_chosen_by_reason_person_and_time(self, failures: Failures) -> None:
        """Each alone and together; the moment itself counts."""
        hour = timedelta(hours=1)
        others = [
            replace(FULL, id="reason", reason="tenant-role"),
            replace(FULL, id="person", anchor="another"),
            replace(FULL, id="nobody", anchor=None),
            replace(FULL, id="early", at=NOW - hour),
        ]
        for failure in (*others, replace(FULL, id="full")):
            failures.add(failure)

        def ids(**choice: Any) -> set[str]:
            return {failure.id for failure in failures.all(**choice)}

        assert ids(reason="no-recipient") == {"person", "nobody", "early", "full"}
        assert ids(anchor=FULL.anchor) == {"reason", "early", "full"}
        assert ids(since=NOW) == {"reason", "person", "nobody", "full"}
        assert ids(reason="no-recipient", anchor=FULL.anchor, since=NOW.astimezone(timezone(hour))) == {"full"}
        assert ids(reason="no-such") == set()
