"""The product on the embedded ports with a clock of its own, watched at every port and at the tenant's side.

What must never be is noted at the moment when it is (`violations`), because the product keeps going after any error
that a port raises. `settle` lets everything come to rest; `wrong` then says whose recipient is not as it should be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, cast

from sync import envelope
from sync.adapters.embedded import EmbeddedBlobs, EmbeddedPace
from sync.core.event import Cause, Event
from sync.core.identity import Watermark
from sync.core.judgement import Context
from sync.core.person import Attribute, Person, Values, fingerprint
from sync.core.rate import Rate
from sync.core.recipient import Recipient
from sync.core.record import Outcome, Record, Snapshot, Status
from sync.drain import MAX_DEQUEUE_COUNT, drain
from sync.errors import SyncError
from sync.loss_guard import LossGuard
from sync.ports import BlobStore, EventQueue, Failures, History, Ledger, Message, MessageSource, Pace, Recipients
from sync.processor import Processor
from sync.receiver import Receiver
from sync.reconciler import Reconciler
from sync.reconciling.found import Reconciliation
from sync.replayer import Choice, Replayer
from sync.restorer import Restorer
from tests.convergence.catalogue import NAMES, State, selected, shelves, trust, values
from tests.convergence.interleaving import Steps
from tests.convergence.watching import Few, Plant, Tenant, Watched, WatchedHistory, WatchedLedger
from tests.office import Office, anchor

TICK: Final = timedelta(milliseconds=1)
_ENDS: Final = frozenset(Status) - {Status.DEFERRED}
_MAX_ROUNDS: Final = 12
_AT_REST_WITHIN: Final = timedelta(days=3)
"""Longer than any pause that is left when all trouble is over, a hidden message's and a verification's included."""
_DECIDED_BEFORE: Final = timedelta(minutes=2)
"""A value may have been judged good so long before it is written: a claim and what comes before it."""


class World:
    """Everything there is. `states` is the directory, `theirs` what others put into each mailbox and we must keep."""

    def __init__(self, plant: Plant) -> None:
        """With a planted fault, or with `Plant()`, which is none."""
        self.office = Office()
        self.steps = Steps(lambda: self.office.pass_time(TICK))
        self.violations: list[str] = []
        self.states = dict.fromkeys(NAMES, State())
        self.theirs: dict[str, Values] = dict.fromkeys(NAMES, Values())
        self.kept: dict[tuple[str, str], tuple[Values, Values]] = {}
        self.slowness: list[timedelta] = []
        self.bag: list[str] = []
        self.sent: dict[int, str] = {}
        self.garbage: set[str] = set()
        self.ended: dict[int, set[Status]] = defaultdict(set)
        self._ids = {self._mailbox(name): name for name in NAMES}
        self.tenant = Tenant(self.office.recipients, self)
        self._build(plant)

    def _build(self, plant: Plant) -> None:
        office, steps = self.office, self.steps

        def clock() -> datetime:
            return office.now

        ledger = plant.ledger(cast(Ledger, Watched(WatchedLedger(office.ledger, self), steps)), self)
        failures = cast(Failures, Watched(office.failures, steps))
        history = cast(History, Watched(WatchedHistory(office.history, self), steps))
        blobs = cast(BlobStore, Watched(EmbeddedBlobs(office.database), steps))
        self.losses = LossGuard(blobs=blobs)
        self.queue = Watched(office.queue, steps)
        queue = cast(EventQueue, self.queue)
        processor = Processor(
            recipients=plant.recipients(cast(Recipients, Watched(self.tenant, steps)), self),
            ledger=ledger,
            history=history,
            judging=lambda moment: Context(now=plant.moment(moment), trust=trust()),
            now=clock,
            pace=cast(Pace, Watched(EmbeddedPace(office.database), steps)),
            rate=Rate(per_second=2, at_once=6),
            withdraw_disabled=True,
            admits=self.losses.admits,
        )
        self.receiver = Receiver(
            processor=processor,
            ledger=ledger,
            failures=failures,
            audit=self.office.audit,
            queue=plant.queue(queue),
            now=clock,
            jitter=lambda: 0.0,
        )
        self.reconciler = Reconciler(
            ledger=ledger,
            queue=queue,
            processor=processor,
            blobs=blobs,
            now=clock,
            losses=self.losses,
            recipients=office.recipients,
            waiting=office.queue.count,
        )
        self.replayer = Replayer(failures=failures, queue=queue, ledger=ledger, now=clock)
        self.restorer = Restorer(ledger=ledger, history=history, queue=queue)

    def _mailbox(self, name: str) -> str:
        owner = {"carol": (True, True), "dave": (True, False)}.get(name, (False, False))
        recipient = self.office.mailbox(name, directory_synchronised=owner[0], cloud_managed=owner[1])
        if name == "erin":
            self.office.recipients.remove(recipient.id)
        return recipient.id

    # --- what happens ------------------------------------------------------------------------------------------------

    def change(self, name: str, state: State) -> None:
        """The directory changes, and an event of it goes into the bag."""
        self.states[name] = state
        self._write(name, state)

    def rebirth(self, name: str, state: State) -> None:
        """The object is deleted, and another one made with the same address: two events of two anchors."""
        self._write(name, replace(self.states[name], deleted=True))
        self.change(name, replace(state, born=self.states[name].born + 1))

    def _write(self, name: str, state: State) -> None:
        sequence = len(self.sent) + 1
        event = Event(
            id=str(sequence),
            source="urn:smime-sync:agent:corp.example",
            time=self.office.now,
            watermark=Watermark(1, sequence),
            person=Person(
                anchor=anchor(f"{name}.{state.born}"),
                mail=f"{name}@corp.example",
                enabled=state.enabled,
                deleted=state.deleted,
                values=values(shelves()[name], state.certificates, state.blobs),
            ),
            cause=Cause.CHANGE,
        )
        self.sent[sequence] = envelope.render(event)
        self.bag.append(self.sent[sequence])

    def carry(self, number: int, *, again: bool) -> None:
        """One event of the bag reaches the queue, whichever it is; with `again` it will come another time."""
        if self.bag:
            place = number % len(self.bag)
            self.office.queue.send(self.bag[place] if again else self.bag.pop(place))

    def litter(self) -> None:
        """Something that is no event lies on the queue."""
        text = f"litter {len(self.garbage)}"
        self.garbage.add(text)
        self.office.queue.send(text)

    def consume(self, limit: int) -> Callable[[], None]:
        """A consumer's work: up to so many messages."""
        source = Few(cast(MessageSource, self.queue), [None] * limit)

        def work() -> None:
            self._drain(source)

        return work

    def _drain(self, source: MessageSource) -> int:
        return drain(source, self.receiver, done=self._done)

    def provision(self) -> None:
        """Erin gets her mailbox."""
        if self.office.recipients.find(pinned=None, addresses=["erin@corp.example"]) is None:
            self.office.mailbox("erin")

    def hand(self, name: str, attribute: Attribute, put: bytes | None, number: int) -> None:
        """Somebody edits a mailbox: puts a value there, or takes one away.

        What we have claimed for ourselves nobody can put there as theirs: nothing tells the two apart.
        """
        recipient = self._recipient(name)
        if recipient is None:
            return
        here = recipient.values[attribute]
        if put is None:
            if here:
                gone = here[number % len(here)]
                self._edit(recipient, attribute, set(here) - {gone})
                self._theirs(name, attribute, set(self.theirs[name][attribute]) - {gone})
        elif put not in here and not any(fingerprint(put) in each.managed[attribute] for each in self._records(name)):
            self._edit(recipient, attribute, {*here, put})
            self._theirs(name, attribute, {*self.theirs[name][attribute], put})

    def _edit(self, recipient: Recipient, attribute: Attribute, to: Iterable[bytes]) -> None:
        self.office.recipients.write(recipient, {attribute: tuple(to)})

    def _theirs(self, name: str, attribute: Attribute, to: Iterable[bytes]) -> None:
        both = {each: self.theirs[name][each] for each in Attribute} | {attribute: tuple(to)}
        self.theirs[name] = Values.of(*(both[each] for each in Attribute))

    def reconcile(self) -> Reconciliation:
        """A run of the reconciler; an administrator approves it where it stops and asks. A dead one is waited for."""
        current = self.reconciler.runs.current()
        if current is not None and not current.phase.over and current.alive_until > self.office.now:
            self.office.pass_time(current.alive_until - self.office.now)
        found = self.reconciler.reconcile(apply=True)
        return self.reconciler.reconcile(apply=True, approve=found.guarded) if found.guarded else found

    def restore(self, name: str, number: int | None) -> None:
        """An administrator holds an earlier state, or with None lifts the hold. One who is refused sees why."""
        try:
            self.restorer.restore(self._anchor(name), number=number, lift=number is None, apply=True)
        except SyncError:
            return

    # --- what is watched ---------------------------------------------------------------------------------------------

    def together(self, recipient: str) -> None:
        """Two write one recipient at once."""
        if not self._two_accounts(self._ids[recipient]):
            self.violations.append("two writers wrote one recipient at once")

    def _two_accounts(self, name: str) -> bool:
        """Whether two accounts of one mailbox may be handled at this moment: there is one writer of each account, and
        of two that only add, one's value may be overwritten until it is reconciled (decision 14)."""
        return self.states[name].born > 0 and self.steps.interleaved

    def witness(self, recipient: str, before: Values, after: Values) -> None:
        """A write took effect: was anything refused published, or anything taken away that is not ours?"""
        name = self._ids[recipient]
        if name == "dave":
            self.violations.append("a recipient was written that belongs to Entra Connect")
        # The object before may be held still, until the event of its deletion has come.
        held = next(filter(None, (self._held(record.anchor) for record in self._records(name))), None)
        now = self.office.now
        for attribute in Attribute:
            made = {each.value: each for each in shelves()[name][attribute].values()}
            brought = set(after[attribute]) - set(before[attribute])
            lost = set(before[attribute]) - set(after[attribute])
            for value in brought - set(held[0][attribute] if held else ()):
                if value not in made or not (made[value].good(now) or made[value].good(now - _DECIDED_BEFORE)):
                    leaf = made[value].leaf if value in made else "something unknown"
                    self.violations.append(f"{leaf} was published for {name} in {attribute}, which is refused")
            theirs = set(self.theirs[name][attribute])
            if held is None and lost & theirs:
                self.violations.append(f"{len(lost & theirs)} foreign values of {name} were taken away ({attribute})")
            if held is not None:
                back = brought & set(held[1][attribute])
                self._theirs(name, attribute, theirs & set(after[attribute]) | back)

    def stored(self, record: Record, before: Record | None) -> None:
        """The ledger took a record: what it now says was done, is it there?"""
        outcome = record.outcome
        name = self._name(record.anchor)
        recipient = self._recipient(name)
        if outcome is None or recipient is None or (before is not None and before.outcome == outcome):
            return
        here = {fingerprint(value) for attribute in Attribute for value in recipient.values[attribute]}
        lies = set(outcome.added) - here or set(outcome.withdrawn) & here
        if outcome.status is Status.WRITTEN and lies and not self._two_accounts(name):
            self.violations.append(f"recorded as written for {name}, and the mailbox does not show it")
        if outcome.status in {Status.WRITTEN, Status.UNCHANGED} and (held := self._held(record.anchor)):
            self.theirs[name] = held[1]

    def snapshot(self, who: str, snapshot: Snapshot) -> None:
        """A state was kept before a write: is it the one that is there?"""
        name = self._name(who)
        recipient = self._recipient(name)
        if (recipient is None or recipient.values != snapshot.values) and not self._two_accounts(name):
            self.violations.append(f"a state of {name} was kept that is not there")
        self.kept[who, snapshot.id] = (snapshot.values, self.theirs[name])

    def _done(self, message: Message, outcome: Outcome | None) -> None:
        if outcome is None and message.dequeue_count <= MAX_DEQUEUE_COUNT:
            return
        if (outcome is None or outcome.status is Status.FAILED) and self.office.failures.get(message.id) is None:
            self.violations.append("a message failed and was not kept")
        if message.body not in self.garbage:
            sequence = envelope.parse(message.body).watermark.sequence
            self.ended[sequence].add(outcome.status if outcome else Status.FAILED)

    # --- rest --------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Let everything be delivered, replayed and reconciled, with no more trouble, until nothing is left to do."""
        self.tenant.troubles.clear()
        self.slowness.clear()
        self.provision()
        while self.bag:
            self.carry(0, again=False)
        begun = self.office.now
        self.losses.open(begun + 2 * _AT_REST_WITHIN)
        failed, found = [], None
        for _ in range(_MAX_ROUNDS):
            self._work_off(begun + _AT_REST_WITHIN)
            self._lift_what_is_not_kept()
            failed = [failure for failure in self.office.failures.all() if failure.anchor is not None]
            for failure in failed:
                self.replayer.replay(Choice(message=failure.id), apply=True)
            found = self.reconcile()
            if not failed and not found.differing and not found.unreadable and not self.office.queue.count():
                return
        waiting = self.office.queue.count()
        self.violations.append(f"it does not come to rest: {len(failed)} failed, {waiting} wait, {found}")

    def _work_off(self, until: datetime) -> None:
        pause = timedelta(seconds=1)
        while self.office.queue.count() and self.office.now < until:
            if self._drain(self.office.queue):
                pause = timedelta(seconds=1)
            self.office.pass_time(pause)
            pause = min(pause * 2, timedelta(hours=1))

    def _lift_what_is_not_kept(self) -> None:
        """A held state that later writes pushed out of the history is an error by design; an administrator lifts it."""
        for record in list(self.office.ledger.records()):
            if record.hold and record.hold not in {each.id for each in self.office.history.all(record.anchor)}:
                self.restorer.restore(record.anchor, lift=True, apply=True)

    def wrong(self) -> list[str]:
        """After `settle`: whose recipient does not hold exactly what it should, and which events came to no end."""
        problems = list(self.violations)
        for name, state in self.states.items():
            recipient = self._recipient(name)
            assert recipient is not None
            should = self._should(name, state)
            if surplus := self._words(name, recipient.values, should):
                problems.append(f"{name} holds {surplus} too many")
            if missing := self._words(name, should, recipient.values):
                problems.append(f"{name} lacks {missing}")
        problems += [f"event {each} came to no end" for each in self.sent if not self.ended[each] & _ENDS]
        kept = {failure.body for failure in self.office.failures.all()}
        problems += [f"{text!r} was lost" for text in self.garbage - kept]
        return problems

    def _should(self, name: str, state: State) -> Values:
        theirs = self.theirs[name]
        if name == "dave":
            return theirs
        if held := self._held(self._anchor(name)):
            return held[0]
        ours = selected(shelves()[name], state, self.office.now)
        return Values.of(*({*theirs[each], *ours[each]} for each in Attribute))

    def _anchor(self, name: str) -> str:
        return anchor(f"{name}.{self.states[name].born}").immutable_id

    def _held(self, who: str) -> tuple[Values, Values] | None:
        """What an administrator restored, and which of it is not ours; a leaver's hold counts for nothing."""
        record = self.office.ledger.get(who)
        if record is None or record.hold is None or record.event is None:
            return None
        person = envelope.parse(record.event).person
        return None if person.deleted or not person.enabled else self.kept[who, record.hold]

    def _records(self, name: str) -> Iterable[Record]:
        born = range(self.states[name].born + 1)
        found = (self.office.ledger.get(anchor(f"{name}.{each}").immutable_id) for each in born)
        return [record for record in found if record is not None]

    def _recipient(self, name: str) -> Recipient | None:
        return self.office.recipients.find(pinned=None, addresses=[f"{name}@corp.example"])

    def _name(self, who: str) -> str:
        return next(
            name
            for name in NAMES
            if any(anchor(f"{name}.{n}").immutable_id == who for n in range(self.states[name].born + 1))
        )

    @staticmethod
    def _words(name: str, these: Values, without: Values) -> str:
        shelf = shelves()[name]
        return ", ".join(
            f"{attribute}:{next((n for n, made in shelf[attribute].items() if made.value == value), 'foreign')}"
            for attribute in Attribute
            for value in these[attribute]
            if value not in without[attribute]
        )
