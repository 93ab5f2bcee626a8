"""When a checkpoint holds, and when everything must be read again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sync.adapters.active_directory.checkpoint import KEPT, Checkpoint, Controller, Mark, configuration_hash, holds
from tests.mill import NOW

CONTROLLER = Controller(
    dns_name="dc1.corp.example", invocation_id="0f" * 16, highest_usn=4711, root="DC=corp,DC=example", clock=NOW
)
CONFIGURATION = configuration_hash("(objectClass=user)", ("mail", "userCertificate"), "DC=corp,DC=example")
MARK = Mark.taken(b"\x00cookie\xff", CONTROLLER, CONFIGURATION)
CHECKPOINT = Checkpoint((Mark.taken(None, replace(CONTROLLER, invocation_id="ab" * 16), CONFIGURATION), MARK))


def test_a_checkpoint_is_read_as_it_was_written() -> None:
    """The cookie is any bytes."""
    assert Checkpoint.load(CHECKPOINT.dump()) == CHECKPOINT


@pytest.mark.parametrize(
    "saved",
    [
        None,
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"7",
        b'{"version":2}',
        CHECKPOINT.dump().replace(b'"version":2', b'"version":3'),
        CHECKPOINT.dump().replace(b'"cookie":"', b'"cookie":"!'),
        CHECKPOINT.dump().replace(b"4711", b'"many"'),
        CHECKPOINT.dump().replace(b"2026-", b"year-"),
        CHECKPOINT.dump()[:-1],
    ],
)
def test_anything_else_is_no_checkpoint(saved: bytes | None) -> None:
    """It costs a full import and is no error."""
    assert Checkpoint.load(saved) == Checkpoint()


@pytest.mark.parametrize(
    ("controller", "configuration", "expected"),
    [
        (CONTROLLER, CONFIGURATION, True),
        (replace(CONTROLLER, highest_usn=5000), CONFIGURATION, True),
        (replace(CONTROLLER, dns_name="renamed.corp.example"), CONFIGURATION, True),
        (replace(CONTROLLER, highest_usn=4710), CONFIGURATION, False),
        (replace(CONTROLLER, invocation_id="f0" * 16), CONFIGURATION, False),
        (CONTROLLER, "another configuration", False),
        (replace(CONTROLLER, clock=NOW + timedelta(days=29)), CONFIGURATION, True),
        (replace(CONTROLLER, clock=NOW + timedelta(days=30)), CONFIGURATION, False),
    ],
    ids=[
        "same",
        "later",
        "renamed",
        "restored-from-a-snapshot",
        "another-database",
        "another-configuration",
        "after-four-weeks",
        "after-tombstones-may-be-gone",
    ],
)
def test_it_holds_only_on_the_same_history(controller: Controller, configuration: str, expected: bool) -> None:
    """The same database, not back in time, asked the same."""
    assert holds(MARK, controller, configuration) is expected


def test_the_configuration_is_filter_attributes_and_base() -> None:
    """Each changes the hash; the order of the attributes does not."""
    filter_, attributes, base = "(objectClass=user)", ("mail", "userCertificate"), "DC=corp,DC=example"
    assert configuration_hash(filter_, attributes[::-1], base) == CONFIGURATION
    others = {
        configuration_hash("(objectClass=contact)", attributes, base),
        configuration_hash(filter_, (*attributes, "cn"), base),
        configuration_hash(filter_, attributes, "OU=Staff,DC=corp,DC=example"),
    }
    assert len(others | {CONFIGURATION}) == 4


def test_each_controller_has_a_mark_of_its_own() -> None:
    """Coming back to one costs what changed since; the one read longest ago is forgotten first."""
    checkpoint = Checkpoint()
    for number in range(KEPT + 1):
        controller = replace(CONTROLLER, invocation_id=f"{number:032x}")
        checkpoint = checkpoint.moved(Mark.taken(b"%d" % number, controller, CONFIGURATION))
    assert checkpoint.of(replace(CONTROLLER, invocation_id=f"{0:032x}")) is None
    assert [mark.cookie for mark in checkpoint.marks] == [b"%d" % number for number in range(1, KEPT + 1)]
    second = replace(CONTROLLER, invocation_id=f"{1:032x}")
    checkpoint = checkpoint.moved(Mark.taken(b"newer", second, CONFIGURATION))
    assert (mark := checkpoint.of(second)) is not None
    assert mark.cookie == b"newer"
    assert len(checkpoint.marks) == KEPT
