"""What every audit log keeps to. A test module subclasses `AuditContract` and gives one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sync.core.audit import Entry, Weighed, moment
from sync.core.record import Status
from sync.ports import AuditLog

NOW = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)
DAY = timedelta(days=1)


def at(time: datetime, message: str = "m") -> Entry:
    """An entry with every field."""
    return Entry(
        id=f"{moment(time)}-{message}",
        at=time,
        status=Status.WRITTEN,
        anchor="/+q2cXz0Tk6mJX2vQf8B4A==",
        watermark="1.2",
        cause="change",
        reason="no-recipient",
        policy="private-ca 2026-01-01",
        owner="cloud",
        added=("a" * 64,),
        withdrawn=("b" * 64, "c" * 64),
        values=(
            Weighed(value="a" * 64, published=True),
            Weighed(value="d" * 64, published=False, findings=("expired",)),
        ),
        findings=("none-publishable",),
        unverified=True,
        seconds=1.25,
    )


class AuditContract:
    """What was decided stays told, as it was told."""

    @pytest.fixture
    def log(self) -> AuditLog:
        """An empty log."""
        raise NotImplementedError

    def test_an_entry_comes_back_whole(self, log: AuditLog) -> None:
        """Field by field."""
        log.append(at(NOW))

        assert list(log.between(NOW - DAY, NOW + DAY)) == [at(NOW)]

    def test_the_first_telling_stays(self, log: AuditLog) -> None:
        """Append-only: a repeated insert is no error, and changes nothing."""
        log.append(at(NOW))
        log.append(replace(at(NOW), status=Status.FAILED))

        assert list(log.between(NOW - DAY, NOW + DAY)) == [at(NOW)]

    def test_entries_come_in_order_of_time(self, log: AuditLog) -> None:
        """Over days, whatever the order of writing."""
        times = [NOW + each * timedelta(hours=7) for each in range(8)]
        for time in reversed(times):
            log.append(at(time))

        assert [entry.at for entry in log.between(NOW, NOW + 3 * DAY)] == times

    def test_a_span_holds_its_beginning_and_not_its_end(self, log: AuditLog) -> None:
        """To the microsecond, also within one day."""
        times = [NOW + each * timedelta(microseconds=1) for each in range(4)]
        for time in times:
            log.append(at(time))

        assert [entry.at for entry in log.between(times[1], times[3])] == times[1:3]

    def test_two_messages_of_one_moment_are_two_entries(self, log: AuditLog) -> None:
        """Also when the ids look alike as keys."""
        for message in ("a/b", "a_b", "A_b", "a?b", "é"):
            log.append(at(NOW, message))

        assert len(list(log.between(NOW, NOW + DAY))) == 5

    def test_days_that_are_over_are_pruned(self, log: AuditLog) -> None:
        """The day in which the moment lies stays whole; a second time there is nothing left to do."""
        for days in range(4):
            log.append(at(NOW - days * DAY))
        for number in range(101):  # more than one transaction takes
            log.append(at(NOW - 3 * DAY, f"m{number}"))

        assert log.prune(NOW - DAY) == 103
        assert log.prune(NOW - DAY) == 0
        assert [entry.at for entry in log.between(NOW - 9 * DAY, NOW + DAY)] == [NOW - DAY, NOW]
