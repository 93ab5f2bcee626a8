"""What every ledger keeps to. A test module subclasses `LedgerContract` and gives a ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain, pairwise

import pytest

from sync.core.digest import digest, place
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
    hold="20260601T120000000000",
    state_hash="ee" * 32,
    names=("alice@corp.example", "ærø@corp.example"),
    desired="ff" * 32,
    next_change=NOW,
    basis="12" * 32,
)
DAY = timedelta(days=1)
# By their places, in the last two of 256 partitions: only those are looked into.
BEFORE, LAST = "person-104", "person-816"


def anchors(ledger: Ledger, **span: str) -> list[str]:
    """Whom a walk of the digests shows."""
    return [each.anchor for each in ledger.digests(**span)]


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

    def test_a_record_beyond_any_entity_fits_and_shrinks_again(self, ledger: Ledger) -> None:
        """A person with a thousand values and all that is wrong with them: over 2 MiB, replaced, and short again."""
        finding = Finding(Code.EXPIRED, Level.REFUSE, "漢字" * 200)
        judged = Judged(attribute=Attribute.USER_CERTIFICATE, fingerprint="ab" * 32, findings=(finding,) * 2)
        outcome = Outcome(status=Status.UNCHANGED, at=NOW, judged=(judged,) * 1_000)
        first = ledger.put(replace(FULL, outcome=outcome))
        assert ledger.get(ANCHOR) == first

        second = ledger.put(replace(first, event="another"))
        with pytest.raises(TemporaryError):
            ledger.put(replace(first, event="too late"))

        assert ledger.get(ANCHOR) == second
        assert list(ledger.records()) == [second]
        assert list(ledger.digests()) == [digest(second)]
        short = ledger.put(Record(anchor=ANCHOR, event="short", version=second.version))
        assert ledger.get(ANCHOR) == short

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
        assert [place(record.anchor) for record in ledger.records()] == sorted(place(each.anchor) for each in stored)

    def test_a_digest_is_its_records(self, ledger: Ledger) -> None:
        """Always that of the last put: nothing else keeps the two together."""
        stored = ledger.put(FULL)
        assert list(ledger.digests()) == [digest(stored)]

        changed = ledger.put(replace(stored, next_change=None, desired=None, deleted=True, managed=Managed()))
        assert list(ledger.digests()) == [digest(changed)]

    def test_digests_come_in_order_of_place_and_in_spans(self, ledger: Ledger) -> None:
        """Past the one place and before the other: pieces that together are everybody, once."""
        everybody = sorted((f"person-{number}" for number in range(40)), key=place)
        for anchor in reversed(everybody):
            ledger.put(Record(anchor=anchor, next_change=NOW))

        assert anchors(ledger) == everybody
        assert anchors(ledger, after=place(everybody[9])) == everybody[10:]
        assert anchors(ledger, until=place(everybody[9])) == everybody[:9]
        assert anchors(ledger, after=place(everybody[4]), until=place(everybody[9])) == everybody[5:9]
        cuts = ["", "40", "80", "c0", None]
        pieces = [anchors(ledger, after=low or "", until=high) for low, high in pairwise(cuts)]  # type: ignore[arg-type]
        assert list(chain(*pieces)) == everybody

    def test_whoever_is_due_is_found_in_order(self, ledger: Ledger) -> None:
        """To the microsecond, a few at a time, and nobody whose time is to come or does not matter."""
        moments = {f"person-{number}": NOW - DAY + timedelta(hours=number) for number in range(24)}
        for anchor, moment in moments.items():
            ledger.put(Record(anchor=anchor, next_change=moment))
        ledger.put(Record(anchor="later", next_change=NOW + timedelta(microseconds=1)))
        ledger.put(Record(anchor="now", next_change=NOW))
        ledger.put(Record(anchor="never"))
        everybody = sorted([*moments, "now"], key=place)

        first = ledger.due(NOW, 10)
        rest = ledger.due(NOW, 100, after=first[-1])

        assert [*first, *rest] == everybody

    def test_whoever_was_handled_is_due_at_another_time(self, ledger: Ledger) -> None:
        """The old moment is forgotten, and the same one may come back."""
        first = ledger.put(replace(FULL, anchor=LAST, next_change=NOW))
        second = ledger.put(replace(first, next_change=NOW + DAY))
        assert list(ledger.due(NOW, 10, after=BEFORE)) == []
        assert list(ledger.due(NOW + DAY, 10, after=BEFORE)) == [LAST]

        third = ledger.put(replace(second, next_change=NOW))
        assert list(ledger.due(NOW, 10, after=BEFORE)) == [LAST]

        ledger.put(replace(third, next_change=None))
        assert list(ledger.due(NOW + DAY, 10, after=BEFORE)) == []

    def test_people_are_found_by_name(self, ledger: Ledger) -> None:
        """Case aside; two may have the same one, and nobody is found by a part of it."""
        ledger.put(Record(anchor="alice", names=("alice@corp.example", "a.ærø@corp.example")))
        ledger.put(Record(anchor="another", names=("alice@corp.example",)))

        assert known(ledger, "ALICE@corp.example") == ["alice", "another"]
        assert known(ledger, "A.ÆRØ@corp.example") == ["alice"]
        for stranger in ("bob@corp.example", "alice@corp.exampl", "", "alice"):
            assert known(ledger, stranger) == []

    def test_people_are_found_by_recipient(self, ledger: Ledger) -> None:
        """Everybody whose it is, as long as it is theirs."""
        first = ledger.put(Record(anchor="alice", recipient="ABC"))
        ledger.put(Record(anchor="another", recipient="abc", names=("another@corp.example",)))
        assert known(ledger, "abc") == ["alice", "another"]

        ledger.put(replace(first, recipient=None))
        assert known(ledger, "ABC") == ["another"]

    def test_one_may_be_left_out_of_the_search(self, ledger: Ledger) -> None:
        """Whoever looks for those who share their recipient knows their own record. The others come as they are."""
        ledger.put(Record(anchor="alice", recipient="ABC"))
        another = ledger.put(Record(anchor="another", recipient="abc"))

        assert ledger.named("abc", besides="alice") == [another]

    def test_who_was_renamed_is_found_by_the_new_name_only(self, ledger: Ledger) -> None:
        """Whoever has the old one now must not be taken for them."""
        stored = ledger.put(Record(anchor="alice", names=("alice@corp.example", "smith@corp.example")))
        ledger.put(replace(stored, names=("alice@corp.example", "jones@corp.example")))

        assert known(ledger, "smith@corp.example") == []
        assert known(ledger, "jones@corp.example") == ["alice"]
        assert known(ledger, "alice@corp.example") == ["alice"]

    def test_a_lost_race_leaves_time_and_names_as_they_are(self, ledger: Ledger) -> None:
        """Both belong to the record that stands."""
        stored = ledger.put(replace(FULL, anchor=LAST, next_change=NOW))
        ledger.put(replace(stored, names=("mine@corp.example",)))

        with pytest.raises(TemporaryError):
            ledger.put(replace(stored, next_change=NOW - DAY, names=("theirs@corp.example",)))

        assert list(ledger.due(NOW - DAY, 10, after=BEFORE)) == []
        assert list(ledger.due(NOW, 10, after=BEFORE)) == [LAST]
        assert known(ledger, "theirs@corp.example") == []
        assert known(ledger, "mine@corp.example") == [LAST]


def known(ledger: Ledger, name: str) -> list[str]:
    """The anchors of whoever is found by this name."""
    return [record.anchor for record in ledger.named(name)]
