"""Several domains as one directory. Two units of one real domain stand for two domains: each has its own checkpoint."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Iterator
from datetime import timedelta

import pytest

from sync.adapters.active_directory import Access, ActiveDirectory, Forest, Scope
from sync.core.person import Values
from sync.errors import ErrorCode, TemporaryError
from tests.adapters.directory_contract import FIRST, LONG, SECOND, Follower
from tests.lab.administrator import Account, Administrator
from tests.lab.samba import DomainController

pytestmark = pytest.mark.lab

SOON = timedelta(milliseconds=150)
_numbers = itertools.count(1)


class Stage:
    """Units `berlin` and `munich`, read as two domains."""

    def __init__(self, controller: DomainController, administrator: Administrator) -> None:
        self.controller, self.administrator = controller, administrator
        self.number = next(_numbers)
        self.berlin, self.munich = (administrator.create_unit(f"{name} {self.number}") for name in ("Berlin", "Munich"))

    def add(self, unit: str) -> Account:
        return self.administrator.create_person(f"forest{next(_numbers)}x", unit=unit, userCertificate=[FIRST])

    def domain(self, unit: str, *, port: int | None = None) -> ActiveDirectory:
        access = Access(
            hosts=(self.controller.address,),
            user=self.controller.administrator,
            password=self.controller.password,
            ca_file=self.controller.ca_file,
            port=port,
        )
        return ActiveDirectory(access, Scope(base=unit))


@pytest.fixture
def stage(domain_controller: DomainController, administrator: Administrator) -> Stage:
    return Stage(domain_controller, administrator)


@pytest.fixture
def forest(stage: Stage) -> Iterator[Forest]:
    domains = {"berlin.example": stage.domain(stage.berlin), "munich.example": stage.domain(stage.munich)}
    with contextlib.closing(Forest("corp.example", domains)) as forest:
        yield forest


def test_each_domain_is_read_from_its_own_checkpoint(stage: Stage, forest: Forest) -> None:
    """Everybody once, by domain; then only what changed, in whichever domain."""
    anna, bert = stage.add(stage.berlin), stage.add(stage.munich)
    follower = Follower()
    pages = list(forest.changes(None))
    assert [(page.scope, page.complete) for page in pages] == [("berlin.example", True), ("munich.example", True)]
    follower.checkpoint = pages[-1].checkpoint
    stage.administrator.replace(bert, {"userCertificate": [SECOND]})
    changed = {person.anchor.object_guid: person.values for page in follower.follow(forest) for person in page.people}
    assert changed == {bert.guid: Values.of([SECOND])}
    assert not [person for page in follower.follow(forest) for person in page.people]
    assert anna.guid not in follower.people


def test_whoever_moves_to_another_domain_stays(stage: Stage, forest: Forest) -> None:
    """Deleted in one and alive in the other, told in whichever order: nothing is withdrawn."""
    anna = stage.add(stage.munich)
    checkpoint = list(forest.changes(None))[-1].checkpoint
    moved = stage.administrator.move(anna, stage.berlin)
    told = [person for page in forest.changes(checkpoint) for person in page.people]
    assert {(person.anchor.object_guid, person.deleted) for person in told} == {(anna.guid, False)}
    stage.administrator.delete(moved)
    told = [person for page in forest.changes(checkpoint) for person in page.people]
    assert {(person.anchor.object_guid, person.deleted) for person in told} == {(anna.guid, True)}


def test_a_domain_in_trouble_holds_up_no_other(stage: Stage) -> None:
    """The others' pages come, then its error; once it is back, nothing of it was skipped."""
    anna, bert = stage.add(stage.berlin), stage.add(stage.munich)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    broken = Forest("corp.example", {"a": stage.domain(stage.berlin, port=port), "b": stage.domain(stage.munich)})
    pages = []
    with contextlib.closing(broken), pytest.raises(TemporaryError) as caught:
        for page in broken.changes(None):
            pages.append(page)  # noqa: PERF402 - what came before the error must stay
    assert caught.value.code is ErrorCode.DIRECTORY_UNAVAILABLE
    assert [person.anchor.object_guid for page in pages for person in page.people] == [bert.guid]
    whole = Forest("corp.example", {"a": stage.domain(stage.berlin), "b": stage.domain(stage.munich)})
    with contextlib.closing(whole):
        told = [person for page in whole.changes(pages[-1].checkpoint) for person in page.people]
        assert [person.anchor.object_guid for person in told] == [anna.guid]


def test_a_change_in_any_domain_wakes(stage: Stage, forest: Forest) -> None:
    """Both notifications are waited for at once."""
    anna = stage.add(stage.munich)
    (follower := Follower()).until_quiet(forest)
    assert not forest.wait(SOON)
    stage.administrator.replace(anna, {"userCertificate": [SECOND]})
    assert forest.wait(LONG)
    follower.follow(forest)
    assert follower.people[anna.guid].values == Values.of([SECOND])


def test_people_are_found_in_whichever_domain(stage: Stage, forest: Forest) -> None:
    """In the order asked for; an unknown one is gone."""
    anna, bert = stage.add(stage.berlin), stage.add(stage.munich)
    found = forest.find([bert.guid, bytes(16), anna.guid])
    assert [(person.anchor.object_guid, person.deleted) for person in found] == [
        (bert.guid, False),
        (bytes(16), True),
        (anna.guid, False),
    ]


@pytest.mark.parametrize(
    "saved", [b"", b"[]", b"{}", b'{"version":9,"domains":{}}', b"\xff", b'{"version":1,"domains":[]}']
)
def test_a_checkpoint_of_unknown_origin_costs_a_full_import(stage: Stage, forest: Forest, saved: bytes) -> None:
    """Never an error."""
    assert all(page.complete for page in forest.changes(saved))
