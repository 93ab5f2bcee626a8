"""What can happen, in any order, as a hypothesis state machine over the real use cases.

People change, leave, come back and are born anew; events come late, twice and out of order; consumers die between any
two calls, two of them work at once, the tenant throttles, loses answers and drops writes; somebody edits mailboxes by
hand; time passes and certificates with it; administrators reconcile, replay, restore and lift.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sync.core.person import Attribute
from tests.convergence.catalogue import BLOBS, CERTIFICATES, NAMES, State, shelves
from tests.convergence.interleaving import Life
from tests.convergence.watching import TROUBLES, Plant
from tests.convergence.world import World

# What happens to one person again and again finds more than what happens to each of five once.
names = st.sampled_from(("alice", "alice", "alice", *NAMES))
states = st.builds(
    State,
    certificates=st.frozensets(st.sampled_from(("current", "renewed", "short", *CERTIFICATES)), min_size=1, max_size=3),
    blobs=st.frozensets(st.sampled_from(BLOBS), max_size=1),
    enabled=st.sampled_from((True, True, True, False)),
)
numbers = st.integers(0, 7)
deaths = st.one_of(st.none(), st.integers(0, 14))
# Runs of steps of one consumer: both at a time is rare when each step is drawn for itself.
runs = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 14)), min_size=2, max_size=8)
schedules = runs.map(lambda drawn: [consumer for consumer, steps in drawn for _ in range(steps)])
# In seconds, of the storage that keeps what was there: longer than a claim lasts, too.
delays = st.sampled_from((0, 0, 20, 100))
pauses = st.sampled_from([timedelta(seconds=30), timedelta(minutes=11), timedelta(hours=2), timedelta(days=3)])


class Machine(RuleBasedStateMachine):
    """One world; `plant` is what a subclass plants in it."""

    plant = Plant()

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.plant)

    @rule(name=names, state=states, at_once=st.booleans())
    def the_directory_changes(self, name: str, state: State, at_once: bool) -> None:
        self.world.change(name, replace(state, born=self.world.states[name].born))
        if at_once:
            self.world.carry(-1, again=False)

    @rule(name=names, state=states, calls=st.integers(2, 14))
    def a_change_kills_its_consumer(self, name: str, state: State, calls: int) -> None:
        self.the_directory_changes(name, state, True)
        self.a_consumer_works(4, calls)

    @rule(name=names, state=states, trouble=st.sampled_from(sorted(TROUBLES)))
    def a_change_meets_trouble(self, name: str, state: State, trouble: str) -> None:
        self.the_tenant_has_trouble([trouble])
        self.the_directory_changes(name, state, True)
        self.a_consumer_works(4, None)

    @rule(name=names, first=states, then=states, twice=st.booleans(), schedule=schedules, slow=delays)
    def changes_meet_two_consumers(
        self, *, name: str, first: State, then: State, twice: bool, schedule: list[int], slow: int
    ) -> None:
        self._without_waiting()
        self.the_directory_changes(name, first, False)
        self.world.carry(-1, again=twice)
        if not twice:
            self.the_directory_changes(name, then, False)
        self.world.carry(-1, again=False)
        self.two_consumers_work(schedule, None, slow)

    @rule(name=names, first=states, then=states, leaves=st.booleans(), schedule=schedules, slow=delays)
    def two_accounts_of_a_mailbox_meet_two_consumers(
        self, *, name: str, first: State, then: State, leaves: bool, schedule: list[int], slow: int
    ) -> None:
        self._without_waiting()
        self.the_directory_changes(name, first, True)
        self.world.consume(9)()
        self.somebody_is_born_anew(name, then if leaves else first)
        self.world.carry(-1, again=False)  # the new account comes before the old one's deletion
        self.world.consume(9)()
        if leaves:
            self.somebody_leaves(name)
        else:
            self.the_directory_changes(name, then, False)
        self.world.carry(-1, again=False)
        self.world.carry(-1, again=False)
        self.two_consumers_work(schedule, None, slow)

    @rule(name=names, state=states)
    def somebody_is_born_anew(self, name: str, state: State) -> None:
        self.world.rebirth(name, state)

    @rule(name=names)
    def somebody_leaves(self, name: str) -> None:
        self.world.change(name, replace(self.world.states[name], deleted=True))

    @precondition(lambda self: self.world.bag)
    @rule(number=numbers, again=st.booleans())
    def an_event_arrives(self, number: int, again: bool) -> None:
        self.world.carry(number, again=again)

    @precondition(lambda self: not self.world.garbage)
    @rule()
    def litter_arrives(self) -> None:
        self.world.litter()

    @precondition(lambda self: self.world.office.queue.count())
    @rule(limit=st.integers(1, 4), calls=deaths)
    def a_consumer_works(self, limit: int, calls: int | None) -> None:
        self.world.steps.alone(self.world.consume(limit), Life(calls))

    @precondition(lambda self: self.world.office.queue.count() > 1)
    @rule(schedule=schedules, calls=deaths, slow=delays)
    def two_consumers_work(self, schedule: list[int], calls: int | None, slow: int) -> None:
        self.world.slowness[:] = [timedelta(seconds=slow)]
        jobs = [(self.world.consume(2), Life(calls)), (self.world.consume(2), Life())]
        self.world.steps.interleave(jobs, schedule)

    @rule(pause=pauses)
    def time_passes(self, pause: timedelta) -> None:
        self.world.office.pass_time(pause)

    @rule(trouble=st.lists(st.sampled_from(sorted(TROUBLES)), min_size=1, max_size=3))
    def the_tenant_has_trouble(self, trouble: list[str]) -> None:
        self.world.tenant.troubles[:] = trouble

    @rule(name=names, attribute=st.sampled_from(Attribute), number=numbers, strange=st.booleans())
    def a_hand_adds(self, name: str, attribute: Attribute, number: int, strange: bool) -> None:
        shelf = shelves()[name]
        values = shelf.strange[attribute] if strange else [each.value for each in shelf[attribute].values()]
        self.world.hand(name, attribute, values[number % len(values)], 0)

    @rule(name=names, attribute=st.sampled_from(Attribute), number=numbers)
    def a_hand_removes(self, name: str, attribute: Attribute, number: int) -> None:
        self.world.hand(name, attribute, None, number)

    @rule()
    def a_mailbox_is_made(self) -> None:
        self.world.provision()

    @rule(calls=deaths)
    def it_is_reconciled(self, calls: int | None) -> None:
        self.world.steps.alone(lambda: _ignore(self.world.reconcile()), Life(calls))

    @precondition(lambda self: any(True for _ in self.world.office.failures.all()))
    @rule(calls=deaths)
    def what_failed_is_replayed(self, calls: int | None) -> None:
        self.world.steps.alone(lambda: _ignore(self.world.replayer.replay(apply=True)), Life(calls))

    @rule(name=names, number=st.one_of(st.none(), st.integers(1, 3)), calls=deaths)
    def a_state_is_restored_or_lifted(self, name: str, number: int | None, calls: int | None) -> None:
        self.world.steps.alone(lambda: self.world.restore(name, number), Life(calls))

    @rule()
    def all_is_quiet(self) -> None:
        self.world.settle()
        self._insist_on_none(self.world.wrong())

    @invariant()
    def nothing_happened_that_must_never_be(self) -> None:
        self._insist_on_none(self.world.violations)

    def _insist_on_none(self, problems: list[str]) -> None:
        if shown := [problem for problem in problems if re.search(self.plant.shows, problem)]:
            raise AssertionError("; ".join(shown))

    def _without_waiting(self) -> None:
        """Work off what would come first, and let turns of the tenant's rate be free again."""
        self.world.consume(9)()
        self.world.office.pass_time(timedelta(seconds=30))

    def teardown(self) -> None:
        """Every example ends in quiet, unless it has failed already."""
        if not self.world.violations or self.plant.shows:
            self.world.settle()
            self._insist_on_none(self.world.wrong())
        self.world.office.database.close()


def _ignore(_: object) -> None:
    """What an administrator reads and goes on."""
