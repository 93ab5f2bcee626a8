"""What Samba never does and Active Directory may: answers in pieces, attributes in part, refusals, goodbyes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sync.adapters.active_directory import Access, ActiveDirectory
from sync.core.person import Values
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from tests.lab.scripted_controller import (
    DIRSYNC,
    NOTIFICATION,
    PAGED,
    SHOW_DELETED,
    Reply,
    Script,
    ScriptedController,
    Search,
    dirsync_reply,
    identity,
    paged_reply,
)

ANNA, BERND = b"A" * 16, b"B" * 16
SOON = timedelta(milliseconds=100)
LONG = timedelta(seconds=20)


def anna(*values: bytes) -> dict[str, list[bytes]]:
    return {"objectGUID": [ANNA], "mail": [b"anna@example.com"], "userCertificate": list(values)}


def access(controller: ScriptedController) -> Access:
    return Access(
        hosts=(controller.host,), port=controller.port, ca_file=controller.ca_file, user="agent", password="secret"
    )


@contextlib.contextmanager
def directory(folder: Path, script: Script) -> Iterator[tuple[ActiveDirectory, ScriptedController]]:
    """An adapter on a scripted controller."""

    def whole(search: Search) -> Reply | None:
        return identity(search) or script(search)

    with ScriptedController.start(folder, whole) as controller:
        reader = ActiveDirectory(access(controller))
        with contextlib.closing(reader):
            yield reader, controller


def checkpoint_of(reader: ActiveDirectory) -> bytes:
    return list(reader.changes(None))[-1].checkpoint


def test_dirsync_is_read_until_it_says_there_is_no_more(tmp_path: Path) -> None:
    """A long absence comes in several answers; each becomes a page with the cookie of its own end."""
    answers = {
        b"start": dirsync_reply({"objectGUID": [ANNA]}, cookie=b"middle", more=True),
        b"middle": dirsync_reply({"objectGUID": [BERND]}, cookie=b"end", more=False),
    }

    def script(search: Search) -> Reply | None:
        if DIRSYNC in search.controls:
            return answers.get(search.cookie, dirsync_reply(cookie=b"start", more=False))
        if PAGED in search.controls:
            return paged_reply()
        return Reply(entries=[anna(b"one"), {"objectGUID": [BERND]}])

    with directory(tmp_path, script) as (reader, controller):
        first, second = reader.changes(checkpoint_of(reader))
        assert [[person.anchor.object_guid for person in page.people] for page in (first, second)] == [[ANNA], [BERND]]
        (last,) = reader.changes(first.checkpoint)
        assert last.people == second.people
        assert [search.cookie for search in controller.searches if DIRSYNC in search.controls] == [
            b"",
            b"start",
            b"middle",
            b"middle",
        ]


def test_a_controller_that_hangs_after_logging_us_on_is_left_soon(tmp_path: Path) -> None:
    """It is asked a small question before each read, and the connection is made anew when that stays open."""
    hangs = False

    def script(search: Search) -> Reply | None:
        nonlocal hangs
        if "highestCommittedUSN" in search.attributes and hangs:
            hangs = False
            return Reply(ends=False)
        return identity(search) or (
            dirsync_reply(cookie=b"now", more=False) if DIRSYNC in search.controls else paged_reply()
        )

    with ScriptedController.start(tmp_path, script) as controller:
        patient = replace(access(controller), connect_timeout=1, answer_timeout=3600)
        with contextlib.closing(ActiveDirectory(patient)) as reader:
            checkpoint = checkpoint_of(reader)
            hangs = True
            list(reader.changes(checkpoint))
            assert not hangs


def test_the_cookie_of_a_full_import_is_read_to_its_end(tmp_path: Path) -> None:
    """A cookie from half-way would bring everybody once more."""

    def script(search: Search) -> Reply | None:
        if DIRSYNC in search.controls:
            return dirsync_reply(cookie=search.cookie + b"+", more=len(search.cookie) < 2)
        return paged_reply()

    with directory(tmp_path, script) as (reader, controller):
        checkpoint_of(reader)
        assert [search.cookie for search in controller.searches if DIRSYNC in search.controls] == [b"", b"+", b"++"]


def test_a_cookie_refused_half_way_turns_into_a_full_import(tmp_path: Path) -> None:
    """What was read until then stands; the rest comes with everything."""
    answers = {
        b"start": dirsync_reply({"objectGUID": [ANNA]}, cookie=b"middle", more=True),
        b"middle": Reply(code=53, message="the cookie is of no use"),
    }

    def script(search: Search) -> Reply | None:
        if DIRSYNC in search.controls:
            return answers.get(search.cookie, dirsync_reply(cookie=b"start", more=False))
        return paged_reply(anna(b"two")) if PAGED in search.controls else Reply(entries=[anna(b"one")])

    with directory(tmp_path, script) as (reader, _):
        delta, full = reader.changes(checkpoint_of(reader))
        assert (delta.full, delta.people[0].values) == (False, Values.of([b"one"]))
        assert (full.full, full.complete, full.people[0].values) == (True, True, Values.of([b"two"]))


def test_dirsync_refused_altogether_is_read_by_usn(tmp_path: Path) -> None:
    """Tombstones and all, page by page, from the highest USN that was seen; the old mark stands until the end."""

    def script(search: Search) -> Reply | None:
        if DIRSYNC in search.controls:
            return Reply(code=12, message="no such control")
        if PAGED in search.controls and SHOW_DELETED in search.controls:
            assert b"1001" in search.filter
            first = search.cookie == b""
            return paged_reply({"objectGUID": [ANNA if first else BERND]}, cookie=b"more" if first else b"")
        return paged_reply(anna(b"one")) if PAGED in search.controls else Reply(entries=[anna(b"two")])

    with directory(tmp_path, script) as (reader, controller):
        start = checkpoint_of(reader)
        controller.usn = 1010
        changed, gone, end = reader.changes(start)
        assert [(person.anchor.object_guid, person.values) for person in changed.people] == [
            (ANNA, Values.of([b"two"]))
        ]
        assert [(person.anchor.object_guid, person.deleted) for person in gone.people] == [(BERND, True)]
        assert changed.checkpoint == gone.checkpoint == start != end.checkpoint
        assert end.people == ()


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        (50, PermanentError, ErrorCode.DIRECTORY_RIGHTS),
        (51, TemporaryError, ErrorCode.DIRECTORY_UNAVAILABLE),
        (52, TemporaryError, ErrorCode.DIRECTORY_UNAVAILABLE),
        (64, PermanentError, ErrorCode.DIRECTORY_MALFORMED),
    ],
    ids=["insufficient-rights", "busy", "unavailable", "a-code-that-makes-no-sense"],
)
def test_a_result_code_decides_whether_to_try_again(
    tmp_path: Path, code: int, kind: type[SyncError], told: ErrorCode
) -> None:
    """And the controller's own words are passed on."""
    with directory(tmp_path, lambda _: Reply(code=code, message="in its own words")) as (reader, _):
        assert "in its own words" in refused(reader, kind, told).message


def test_more_values_than_one_answer_holds_are_fetched(tmp_path: Path) -> None:
    """Attribute range retrieval, MS-ADTS 3.1.1.3.1.3.3: 1,500 values an answer."""
    parts = {
        "usercertificate;range=2-*": {"userCertificate;range=2-3": [b"three", b"four"]},
        "usercertificate;range=4-*": {"userCertificate;range=4-*": [b"five"]},
    }

    def script(search: Search) -> Reply | None:
        if DIRSYNC in search.controls:
            return dirsync_reply(cookie=b"start", more=False)
        if PAGED in search.controls:
            first = {"userCertificate": [], "userCertificate;range=0-1": [b"one", b"two"]}
            return paged_reply(anna() | first)
        assert search.base == b"<GUID=41414141-4141-4141-4141-414141414141>"
        return Reply(entries=[parts[search.attributes[0]]])

    with directory(tmp_path, script) as (reader, _):
        (page,) = reader.changes(None)
        assert page.people[0].values == Values.of([b"one", b"two", b"three", b"four", b"five"])


def test_a_person_who_vanishes_between_two_parts_is_tried_again(tmp_path: Path) -> None:
    """Half a set of values must not pass for the whole."""

    def script(search: Search) -> Reply | None:
        if DIRSYNC in search.controls:
            return dirsync_reply(cookie=b"start", more=False)
        return paged_reply(anna() | {"userCertificate;range=0-1": [b"one"]}) if PAGED in search.controls else Reply()

    with directory(tmp_path, script) as (reader, _):
        refused(reader, TemporaryError, ErrorCode.DIRECTORY_UNAVAILABLE)


def test_the_next_page_is_asked_for_before_this_one_is_seen_to(tmp_path: Path) -> None:
    """And is whole by then: a controller waits for nobody. Another question in between is answered."""
    guids = [bytes([number]) * 16 for number in range(5)]

    def script(search: Search) -> Reply | None:
        if DIRSYNC in search.controls:
            return dirsync_reply(cookie=b"now", more=False)
        if PAGED in search.controls:
            number = int(search.cookie or b"0")
            following = b"%d" % (number + 1) if number < 4 else b""
            return paged_reply({"objectGUID": [guids[number]]}, cookie=following)
        return Reply(entries=[])

    with directory(tmp_path, script) as (reader, controller):
        asked, seen = [], []
        for page in reader.changes(None):
            asked.append(sum(PAGED in search.controls for search in controller.searches))
            seen += [person.anchor.object_guid for person in page.people]
            assert reader.clock() is not None
            assert not page.complete or seen == guids
        assert asked == [2, 3, 4, 5, 5]


def test_a_full_import_that_is_given_up_leaves_its_connection_in_order(tmp_path: Path) -> None:
    """What was asked for already comes, and is nobody's."""

    def script(search: Search) -> Reply | None:
        if DIRSYNC in search.controls:
            return dirsync_reply(cookie=b"now", more=False)
        if PAGED in search.controls:
            return paged_reply(anna(b"one"), cookie=b"more" if not search.cookie else b"")
        return Reply(entries=[anna(b"two")])

    with directory(tmp_path, script) as (reader, controller):
        next(reader.changes(None))
        (found,) = reader.find([ANNA])
        assert found.values == Values.of([b"two"])
        assert sum("dnsHostName" in search.attributes for search in controller.searches) == 1


def test_somebody_found_no_more_comes_as_deleted(tmp_path: Path) -> None:
    """DirSync named them, and the read after it does not: out of scope or gone for good."""

    def script(search: Search) -> Reply | None:
        if DIRSYNC in search.controls:
            changed = [{"objectGUID": [ANNA]}] if search.cookie else []
            return dirsync_reply(*changed, cookie=b"start", more=False)
        return paged_reply(anna(b"one")) if PAGED in search.controls else Reply()

    with directory(tmp_path, script) as (reader, _):
        (page,) = reader.changes(checkpoint_of(reader))
        assert [(person.anchor.object_guid, person.deleted) for person in page.people] == [(ANNA, True)]


def test_an_object_without_a_guid_is_malformed(tmp_path: Path) -> None:
    """Nobody can be told by it."""

    def script(search: Search) -> Reply | None:
        if DIRSYNC in search.controls:
            return dirsync_reply(cookie=b"start", more=False)
        return paged_reply({"mail": [b"anna@example.com"]})

    with directory(tmp_path, script) as (reader, _):
        refused(reader, PermanentError, ErrorCode.DIRECTORY_MALFORMED)


def test_a_server_that_is_no_domain_controller_is_told_so(tmp_path: Path) -> None:
    """Any other LDAP server has a rootDSE too."""
    with ScriptedController.start(tmp_path, lambda _: Reply(entries=[{}])) as controller:
        reader = ActiveDirectory(access(controller))
        with contextlib.closing(reader):
            error = refused(reader, PermanentError, ErrorCode.DIRECTORY_MALFORMED)
            assert "defaultNamingContext" in error.message


def test_a_goodbye_in_the_middle_is_a_passing_trouble(tmp_path: Path) -> None:
    """And the next read connects again."""
    goodbyes = iter([True])

    def script(search: Search) -> Reply | None:
        if DIRSYNC in search.controls:
            return dirsync_reply(cookie=b"start", more=False)
        return None if next(goodbyes, False) else paged_reply(anna(b"one"))

    with directory(tmp_path, script) as (reader, _):
        refused(reader, TemporaryError, ErrorCode.DIRECTORY_UNAVAILABLE)
        (page,) = reader.changes(None)
        assert page.people[0].values == Values.of([b"one"])


def test_a_refused_notification_is_no_wake(tmp_path: Path) -> None:
    """Registering again at once would end the same way, so the agent must hear of it and slow down."""

    def script(search: Search) -> Reply | None:
        assert NOTIFICATION in search.controls
        return Reply(code=11, message="too many notifications")

    with directory(tmp_path, script) as (reader, _):
        assert reader.wait(LONG)  # registered
        with pytest.raises(TemporaryError, match="adminLimitExceeded") as caught:
            reader.wait(LONG)
        assert caught.value.code is ErrorCode.DIRECTORY_UNAVAILABLE


def test_a_broken_notification_wakes_and_is_registered_again(tmp_path: Path) -> None:
    """Whatever happened in between is read, so that nothing is missed."""
    registered: list[Search] = []

    def script(search: Search) -> Reply | None:
        registered.append(search)
        return None if len(registered) == 1 else Reply(ends=False)

    with directory(tmp_path, script) as (reader, _):
        assert reader.wait(LONG)  # registered
        assert reader.wait(LONG)  # broken
        assert reader.wait(LONG)  # registered again
        assert not reader.wait(SOON)
        assert len(registered) == 2


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400", bytes.fromhex("3003 020501"), bytes.fromhex("3084 ffffffff")])
def test_a_notification_that_nobody_can_read_is_a_broken_one(tmp_path: Path, garbage: bytes) -> None:
    """It ends no service: not a message, one that is longer than it says, and one that is longer than any."""
    registered: list[Search] = []

    def script(search: Search) -> Reply | None:
        registered.append(search)
        return Reply(ends=False, garbage=garbage if len(registered) == 1 else b"")

    with directory(tmp_path, script) as (reader, _):
        assert reader.wait(LONG)  # registered
        assert reader.wait(LONG)  # broken
        assert reader.wait(LONG)  # registered again
        assert not reader.wait(SOON)
        assert len(registered) == 2


def test_the_notification_search_is_as_active_directory_wants_it(tmp_path: Path) -> None:
    """On the domain root: Active Directory takes no other filter than objectClass=*, and no page."""
    with directory(tmp_path, lambda _: Reply(ends=False)) as (reader, controller):
        reader.wait(LONG)
        reader.wait(SOON)
        search = controller.searches[-1]
        assert search.base == b"DC=corp,DC=example"
        assert set(search.controls) == {NOTIFICATION, "1.2.840.113556.1.4.417"}


def refused(reader: ActiveDirectory, kind: type[SyncError], code: ErrorCode) -> SyncError:
    with pytest.raises(kind) as caught:
        list(reader.changes(None))
    assert caught.value.code is code
    return caught.value
