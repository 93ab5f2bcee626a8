"""What never arrived: the agent's list is held against the ledger, and the agent is asked."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from sync import census
from sync.adapters.embedded import Database, EmbeddedQueue
from sync.core.digest import place
from sync.core.guard import Guard
from sync.core.identity import Watermark
from sync.core.person import Person
from sync.reconciler import Reconciler
from sync.reconciling.censuses import Censuses
from sync.reconciling.limits import Limits
from sync.resend import Asking
from sync.signature import Signer, Verifier
from tests.office import Office, person

SOURCE = "urn:smime-sync:agent:corp.example"


@dataclass
class Listed:
    """An office with an agent that lists and is asked."""

    office: Office = field(default_factory=Office)
    people: dict[str, Person] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.requests = EmbeddedQueue(Database(None, lambda: self.office.now))

    def joins(self, *names: str, arrives: bool = True) -> None:
        """New people in the directory, with a mailbox; their events arrive or are lost."""
        for name in names:
            self.office.mailbox(name)
            self.changes(name, arrives=arrives)

    def changes(self, name: str, *, arrives: bool = True) -> None:
        """They have another certificate."""
        self.people[name] = person(name, self.office.issue(name, key="ec256"))
        self.office.sequence += 1
        if arrives:
            self.office.process(self.people[name], sequence=self.office.sequence)

    def lists(self, *, source: str = SOURCE, signer: Signer | None = None, until: int | None = None) -> census.Manifest:
        """The agent stores its list of everybody."""
        lines = [(each.anchor.immutable_id, each.state_hash) for each in self.people.values()]
        return census.publish(
            self.office.losses.blobs,
            sorted(lines, key=lambda line: place(line[0])),
            source=source,
            watermark=Watermark(1, self.office.sequence if until is None else until),
            created=self.office.now,
            sign=signer.sign if signer else None,
        )

    def reconciler(self, **changes: object) -> Reconciler:
        """It may ask."""
        return replace(self.office.reconciler, asking=Asking(self.requests), **changes)  # type: ignore[arg-type]

    def asked(self) -> list[tuple[str | None, str | None]]:
        """For whom the agent is asked: anchor and source."""
        messages = self.requests.receive(32, timedelta(hours=1))
        for message in messages:
            self.requests.delete(message)
        told = [json.loads(message.body) for message in messages]
        return [(each["anchor"], each["source"]) for each in told]


def anchors(*names: str) -> list[tuple[str, str]]:
    return [(person(name).anchor.immutable_id, SOURCE) for name in names]


@pytest.fixture
def listed() -> Listed:
    listed = Listed()
    listed.joins(*(f"person{number}" for number in range(30)))
    return listed


def test_nobody_was_lost(listed: Listed) -> None:
    """Whoever is listed as the ledger knows them is asked for by nobody."""
    listed.lists()
    found = listed.reconciler().reconcile(apply=True)
    assert (found.counts.lost, found.notes, listed.asked()) == (0, (), [])


def test_whoever_was_lost_is_asked_for(listed: Listed) -> None:
    """Unknown, different and gone; in a dry run it is only said."""
    listed.joins("newcomer", arrives=False)
    listed.changes("person3", arrives=False)
    del listed.people["person4"]
    listed.lists()

    dry = listed.reconciler().reconcile(apply=False)
    assert (dry.counts.unknown, dry.counts.different, dry.counts.gone, dry.losing) == (1, 1, 1, 1)
    assert listed.asked() == []

    found = listed.reconciler().reconcile(apply=True)
    assert found.counts.asked == 3
    assert sorted(listed.asked()) == sorted(anchors("newcomer", "person3", "person4"))
    assert listed.office.queue.count() == 0


def test_whoever_is_asked_for_is_not_examined_besides(listed: Listed) -> None:
    """They come with an event of their own, which looks at the recipient too."""
    listed.office.mailbox("person3")
    listed.changes("person3", arrives=False)
    listed.lists()
    found = listed.reconciler().reconcile(apply=True)
    assert (found.counts.different, found.counts.suspects, listed.asked()) == (1, 0, anchors("person3"))


def test_a_list_that_is_older_than_the_last_event_says_nothing(listed: Listed) -> None:
    """The agent lists once a day, and events go on."""
    before = listed.office.sequence
    del listed.people["person4"]
    listed.changes("person3")
    listed.people["person3"] = person("person3")
    listed.lists(until=before - 27)
    found = listed.reconciler().reconcile(apply=True)
    assert (found.counts.lost, listed.asked()) == (0, [])


def test_a_directory_that_shows_nobody_is_asked_about(listed: Listed) -> None:
    """A wrong base DN, a lost right: the run stops, and asks the agent for nobody."""
    listed.people.clear()
    listed.lists()
    found = listed.reconciler().reconcile(apply=True)
    assert found.guarded
    assert (found.counts.gone, found.losing, found.applied) == (30, 30, False)
    assert listed.asked() == []
    assert all(listed.office.held(f"person{number}") for number in range(30))


def test_what_was_guarded_for_a_directory_may_be_approved(listed: Listed) -> None:
    """Then the agent is asked, and the live guard lets these people go."""
    listed.people.clear()
    listed.lists()
    run = listed.reconciler().reconcile(apply=True).guarded
    found = listed.reconciler().reconcile(apply=True, approve=run)
    assert found.applied
    assert listed.office.losses.look(listed.office.now).approved == {
        anchor for anchor, _ in anchors(*(f"person{n}" for n in range(30)))
    }


def test_who_else_is_gone_was_not_approved(listed: Listed) -> None:
    """One person more is asked about again."""
    kept = {"person0": listed.people["person0"]}
    listed.people = dict(kept)
    listed.lists()
    run = listed.reconciler().reconcile(apply=True).guarded
    listed.people.clear()
    listed.lists()
    assert listed.reconciler().reconcile(apply=True, approve=run).guarded


def test_when_as_many_events_wait_the_agent_is_not_asked(listed: Listed) -> None:
    """They may be these very people's; nor does it count as a loss."""
    listed.people.clear()
    listed.lists()
    for number in range(30):
        listed.office.queue.send(listed.office.event(person(f"person{number}", deleted=True)))
    found = listed.reconciler().reconcile(apply=True)
    assert (found.guarded, found.losing, found.counts.gone) == (None, 0, 30)
    assert any("wait on the queue" in note for note in found.notes)
    assert listed.asked() == []


def test_many_are_asked_for_at_once() -> None:
    """Over a hundred, and over ten per cent: the agent reads its directory again."""
    listed = Listed()
    listed.joins(*(f"person{number}" for number in range(120)), arrives=False)
    listed.lists()
    found = listed.reconciler().reconcile(apply=True)
    assert (found.counts.unknown, found.counts.asked) == (120, 120)
    assert listed.asked() == [(None, SOURCE)]


def test_without_a_requests_queue_it_is_said(listed: Listed) -> None:
    """Nobody can be asked, and nobody is counted as lost for good."""
    listed.people.clear()
    listed.lists()
    found = replace(listed.reconciler(), asking=None).reconcile(apply=True)
    assert (found.guarded, found.counts.gone) == (None, 30)
    assert any("no requests queue" in note for note in found.notes)


def test_no_list_is_said(listed: Listed) -> None:
    """What was lost goes unseen; everything else is done."""
    found = listed.reconciler().reconcile(apply=True)
    assert found.applied
    assert any("events that were lost go unseen" in note for note in found.notes)


def test_an_old_list_is_said(listed: Listed) -> None:
    """Its agent may be dead."""
    listed.lists()
    listed.office.pass_time(timedelta(days=3))
    assert any("is 72 hours old" in note for note in listed.reconciler().reconcile(apply=False).notes)


def test_two_agents_have_a_list_each(listed: Listed) -> None:
    """Nobody is called gone because they are not on the other's."""
    listed.lists()
    listed.people.clear()
    listed.lists(source="urn:smime-sync:agent:other.example")
    found = listed.reconciler().reconcile(apply=True)
    assert (found.counts.lost, listed.asked()) == (0, [])


class TestTrust:
    """What lies in the container proves nothing."""

    @pytest.mark.parametrize("signed", [False, True])
    def test_a_list_that_no_agent_signed(self, listed: Listed, signed: bool) -> None:
        """Unsigned, or signed by a stranger: it is left out, and said."""
        listed.people.clear()
        listed.lists(signer=Signer.generate() if signed else None)
        censuses = self.trusting(listed, Signer.generate())
        found = listed.reconciler(censuses=censuses).reconcile(apply=True)
        assert (found.guarded, found.counts.lost) == (None, 0)
        assert any(("event-signature" if signed else "event-unsigned") in note for note in found.notes)

    def test_a_list_that_the_agent_signed(self, listed: Listed) -> None:
        """It counts."""
        key = Signer.generate()
        del listed.people["person4"]
        listed.lists(signer=key)
        assert listed.reconciler(censuses=self.trusting(listed, key)).reconcile(apply=True).counts.gone == 1

    def test_a_part_that_was_exchanged(self, listed: Listed) -> None:
        """Of that partition the list says nothing; of the others it does."""
        made = listed.lists()
        blobs = listed.office.losses.blobs
        hidden = place(anchors("person4")[0][0])[:2]
        gone = next(n for n in listed.people if place(anchors(n)[0][0])[:2] != hidden)
        del listed.people[gone]
        made = listed.lists()
        blobs.put(census.part_name(made, hidden), b"exchanged")
        found = listed.reconciler().reconcile(apply=True)
        assert listed.asked() == anchors(gone)
        assert any("a part is not the one" in note for note in found.notes)
        blobs.delete(census.part_name(made, hidden))
        assert any("not there any more" in note for note in listed.reconciler().reconcile(apply=True).notes)

    def test_a_list_under_another_agents_name(self, listed: Listed) -> None:
        """Whoever copies one agent's list over another's changes nothing."""
        blobs = listed.office.losses.blobs
        made = listed.lists()
        blobs.put(census.manifest_name("urn:smime-sync:agent:other.example"), made.to_json())
        found = listed.reconciler().reconcile(apply=True)
        assert any("census-malformed" in note for note in found.notes)
        assert found.counts.lost == 0

    @pytest.mark.parametrize("order", ["reversed", "twice", "elsewhere"])
    def test_a_part_that_is_not_in_order(self, listed: Listed, order: str) -> None:
        """It would call people gone who are there: nothing is believed of it."""
        everybody = sorted((f"a{number}" for number in range(2000)), key=place)
        part = [anchor for anchor in everybody if place(anchor).startswith("00")]
        altered = {"reversed": part[::-1], "twice": [part[0], part[0]], "elsewhere": [part[0], everybody[-1]]}[order]
        content = gzip.compress("".join(f"{anchor}\tstate\n" for anchor in altered).encode())
        made = replace(
            listed.lists(), parts={"00": census.Part(sha256=hashlib.sha256(content).hexdigest(), people=len(altered))}
        )
        listed.office.losses.blobs.put(census.part_name(made, "00"), content)
        listed.office.losses.blobs.put(census.manifest_name(SOURCE), made.to_json())
        censuses = Censuses(blobs=listed.office.losses.blobs, now=lambda: listed.office.now)
        partition = censuses.open().partition(0)
        assert (partition.told, partition.lists) == ([], {})
        assert "order of place" in partition.notes[0]

    def trusting(self, listed: Listed, key: Signer) -> Censuses:
        """Lists count when this key signed them."""
        return Censuses(
            blobs=listed.office.losses.blobs,
            now=lambda: listed.office.now,
            verifier=Verifier.load(key.public_pem()),
            required=True,
        )


def test_limits_count_whoever_is_gone(listed: Listed) -> None:
    """Beside those whom the judgement would take their last one."""
    for number in range(3):
        del listed.people[f"person{number}"]
    listed.lists()
    strict = Limits(losing=Guard(people=2, percent=100))
    assert listed.reconciler(limits=strict).reconcile(apply=True).guarded
    assert not listed.reconciler(limits=Limits(losing=Guard(people=3, percent=100))).reconcile(apply=True).guarded
