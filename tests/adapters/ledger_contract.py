"""What every ledger keeps to. A test module subclasses `LedgerContract` and gives a ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sync.core.findings import Code, Finding, Level
from sync.core.identity import Watermark
from sync.core.person import Attribute
from sync.core.plan import Managed
from sync.core.record import Judged, Outcome, Record, Status
from sync.errors import ErrorCode, TemporaryError
from sync.ports import Ledger

NOW = datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)
ANCHOR = "/+q2cXz0Tk6mJX2vQf8B4A=="
FULL = Record(
    anchor=ANCHOR,
    watermark=Watermark(3, 14_159),
    recipient="5f0c1f0e-8c1a-4f6b-9a59-0e8a2d0c6c11",
    managed=Managed(frozenset({"aa" * 32, "bb" * 32}), frozenset({"cc" * 32})),
    claimed_until=NOW,
    outcome=Outcome(
        status=Status.WRITTEN,
        at=NOW,
        anchor=ANCHOR,
        watermark=Watermark(3, 14_159),
        cause="change",
        judged=(
            Judged(
                attribute=Attribute.USER_CERTIFICATE,
                fingerprint="aa" * 32,
                certificate="dd" * 32,
                published=(Attribute.USER_CERTIFICATE,),
                findings=(Finding(Code.EXPIRED, Level.WARN, "valid until 2026-06-01 – Ærø"),),
            ),
        ),
        added=("aa" * 32,),
        withdrawn=("cc" * 32,),
        foreign=2,
        seconds=0.25,
    ),
    event='{"specversion": "1.0", "data": "漢字 \\u0000"}',
)


class LedgerContract:
    """Compare-and-swap above all: two processors must never both believe that they hold a person's claim."""

    @pytest.fixture
    def ledger(self) -> Ledger:
        """An empty ledger."""
        raise NotImplementedError

    def test_nobody_is_known_at_first(self, ledger: Ledger) -> None:
        """Whatever is asked for, with characters that no key may hold too."""
        for anchor in (ANCHOR, "", "a?b#c\\d\x00é"):
            assert ledger.get(anchor) is None
        assert list(ledger.records()) == []

    def test_a_record_comes_back_whole(self, ledger: Ledger) -> None:
        """Every field, to the microsecond and the character."""
        stored = ledger.put(FULL)

        assert ledger.get(ANCHOR) == stored
        assert replace(stored, version=None) == FULL

    def test_an_empty_record_comes_back(self, ledger: Ledger) -> None:
        """Defaults stay defaults."""
        ledger.put(Record(anchor=ANCHOR))

        found = ledger.get(ANCHOR)

        assert found is not None
        assert replace(found, version=None) == Record(anchor=ANCHOR)

    def test_each_put_makes_a_new_version(self, ledger: Ledger) -> None:
        """With which the next put succeeds."""
        first = ledger.put(FULL)
        second = ledger.put(replace(first, recipient="another"))
        third = ledger.put(replace(second, event=None))

        assert len({first.version, second.version, third.version}) == 3
        assert ledger.get(ANCHOR) == third

    def test_of_two_writers_the_second_loses(self, ledger: Ledger) -> None:
        """Both read the same; the first one's record stands."""
        ledger.put(FULL)
        mine, theirs = ledger.get(ANCHOR), ledger.get(ANCHOR)
        assert mine is not None
        assert theirs is not None
        ledger.put(replace(mine, recipient="mine"))

        with pytest.raises(TemporaryError) as lost:
            ledger.put(replace(theirs, recipient="theirs"))

        assert lost.value.code is ErrorCode.LEDGER_CONFLICT
        kept = ledger.get(ANCHOR)
        assert kept is not None
        assert kept.recipient == "mine"

    def test_of_two_creators_the_second_loses(self, ledger: Ledger) -> None:
        """Both found nobody; the first one's record stands."""
        ledger.put(Record(anchor=ANCHOR, recipient="mine"))

        with pytest.raises(TemporaryError) as lost:
            ledger.put(Record(anchor=ANCHOR, recipient="theirs"))

        assert lost.value.code is ErrorCode.LEDGER_CONFLICT
        kept = ledger.get(ANCHOR)
        assert kept is not None
        assert kept.recipient == "mine"

    def test_a_loser_that_looks_again_succeeds(self, ledger: Ledger) -> None:
        """Nothing is locked by a lost race."""
        ledger.put(Record(anchor=ANCHOR))
        with pytest.raises(TemporaryError):
            ledger.put(Record(anchor=ANCHOR))
        found = ledger.get(ANCHOR)
        assert found is not None

        assert ledger.put(replace(found, recipient="again")).recipient == "again"

    def test_a_big_record_fits_and_shrinks_again(self, ledger: Ledger) -> None:
        """The largest event with hundreds of judged values, then a short one, of which nothing old is left."""
        judged = Judged(attribute=Attribute.USER_CERTIFICATE, fingerprint="ab" * 32, certificate="cd" * 32)
        outcome = Outcome(status=Status.UNCHANGED, at=NOW, judged=(judged,) * 2_000)
        big = ledger.put(Record(anchor=ANCHOR, event="\u0001" * 49_152, outcome=outcome))

        assert ledger.get(ANCHOR) == big
        small = ledger.put(Record(anchor=ANCHOR, event="short", version=big.version))
        assert ledger.get(ANCHOR) == small

    def test_anchors_that_look_alike_are_different_people(self, ledger: Ledger) -> None:
        """Base64 counts case, / and +, and none of what stands for them in a key."""
        anchors = ["ab/+", "AB/+", "ab+/", "ab_-", "ab/+=", "ab/+==", "ab.2f.+"]
        for anchor in anchors:
            ledger.put(Record(anchor=anchor, recipient=f"recipient of {anchor}"))

        for anchor in anchors:
            found = ledger.get(anchor)
            assert found is not None
            assert found.recipient == f"recipient of {anchor}"
        assert sorted(record.anchor for record in ledger.records()) == sorted(anchors)

    def test_every_record_is_walked_once(self, ledger: Ledger) -> None:
        """With its version, so that it can be put back."""
        stored = [ledger.put(Record(anchor=f"person-{number}", event="x" * number)) for number in range(30)]

        walked = sorted(ledger.records(), key=lambda record: record.anchor)

        assert walked == sorted(stored, key=lambda record: record.anchor)
        ledger.put(walked[0])
