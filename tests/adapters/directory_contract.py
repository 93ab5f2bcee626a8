"""What every Directory promises, whatever stands behind it. Each adapter's tests subclass `DirectoryContract`.

The tests look at a directory as the agent does: they fold page after page into what is known of whom.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

import pytest

from sync.core.identity import SourceAnchor
from sync.core.person import Person, Values
from sync.ports import Directory, Page

FIRST = b"\x30\x05first"
SECOND = b"\x30\x06second"
BLOB = b"\x30\x80a signed blob"
SOON = timedelta(milliseconds=150)
LONG = timedelta(seconds=20)
"""Only a failing test waits so long."""


class Stage(Protocol):
    """A directory that the test may change with an administrator's means. GUIDs are objectGUIDs."""

    def open(self) -> Directory:
        """A new adapter on it, as after a restart of the agent."""

    def add(self, name: str, **attributes: Sequence[bytes | str]) -> bytes:
        """Create a person; `attributes` are LDAP attributes besides the naming ones. Returns the GUID."""

    def replace(self, guid: bytes, attribute: str, values: Sequence[bytes | str]) -> None:
        """Replace one attribute's values; none removes it."""

    def delete(self, guid: bytes) -> None:
        """Delete the person."""


@dataclass(slots=True)
class Follower:
    """Knows what the agent would know after the same reads."""

    people: dict[bytes, Person] = field(default_factory=dict)
    checkpoint: bytes | None = None

    def follow(self, directory: Directory) -> list[Page]:
        """Read to the end; whoever a complete full import does not show is gone."""
        pages, seen = [], set()
        for page in directory.changes(self.checkpoint):
            pages.append(page)
            self.people |= {person.anchor.object_guid: person for person in page.people}
            seen |= {person.anchor.object_guid for person in page.people}
            if page.complete:
                self.people = {guid: person for guid, person in self.people.items() if guid in seen}
            self.checkpoint = page.checkpoint
        return pages

    def here(self, guid: bytes) -> Person | None:
        """The person, unless they are gone."""
        person = self.people.get(guid)
        return None if person is None or person.deleted else person

    def until_quiet(self, directory: Directory) -> None:
        """Read after every wake until none comes: waking for nothing is allowed, and so is waking late for old news."""
        self.follow(directory)
        while directory.wait(SOON):
            self.follow(directory)


class DirectoryContract:
    """Subclasses give the fixture `stage`."""

    @pytest.fixture
    def stage(self) -> Stage:
        raise NotImplementedError

    @pytest.fixture
    def directory(self, stage: Stage) -> Iterator[Directory]:
        """An adapter that is closed afterwards."""
        with contextlib.closing(stage.open()) as directory:
            yield directory

    def test_the_first_read_is_everybody_whole(self, stage: Stage, directory: Directory) -> None:
        """Identity, addresses, state and every value of both attributes; the last page, and no other, is complete."""
        guid = stage.add(
            "anna",
            mail=["anna@example.com"],
            userPrincipalName=["anna@corp.example"],
            proxyAddresses=["SMTP:anna@example.com", "smtp:a.b@example.com"],
            userCertificate=[SECOND, FIRST],
            userSMIMECertificate=[BLOB],
            userAccountControl=["512"],
        )
        pages = (follower := Follower()).follow(directory)
        assert all(page.full for page in pages)
        assert [page.complete for page in pages] == [False] * (len(pages) - 1) + [True]
        anna = follower.people[guid]
        assert anna.anchor == SourceAnchor(guid)
        assert (anna.mail, anna.user_principal_name) == ("anna@example.com", "anna@corp.example")
        assert set(anna.proxy_addresses) == {"SMTP:anna@example.com", "smtp:a.b@example.com"}
        assert anna.values == Values.of([FIRST, SECOND], [BLOB])
        assert anna.enabled
        assert not anna.deleted

    def test_a_person_without_certificates_comes_too(self, stage: Stage, directory: Directory) -> None:
        """Whether that is worth an event is the agent's business."""
        guid = stage.add("bare")
        (follower := Follower()).follow(directory)
        assert follower.people[guid].values == Values()

    def test_the_consistency_guid_is_read_when_set(self, stage: Stage, directory: Directory) -> None:
        """It is the ImmutableId then (Entra Connect), and both are told."""
        guid = stage.add("anchored", **{"mS-DS-ConsistencyGuid": [bytes(range(16))]})
        (follower := Follower()).follow(directory)
        assert follower.people[guid].anchor == SourceAnchor(guid, bytes(range(16)))

    def test_whoever_bears_a_consistency_guid_is_found_by_it(self, stage: Stage, directory: Directory) -> None:
        """Only the living, whole; an objectGUID is none."""
        bearer, gone = bytes(range(100, 116)), bytes(range(120, 136))
        guid = stage.add("bearer", userCertificate=[FIRST], **{"mS-DS-ConsistencyGuid": [bearer]})
        stage.delete(stage.add("gone bearer", userCertificate=[FIRST], **{"mS-DS-ConsistencyGuid": [gone]}))
        (found,) = directory.anchored([bearer, gone, guid, bytes(16)])
        assert found.anchor == SourceAnchor(guid, bearer)
        assert found.values == Values.of([FIRST])
        assert not directory.anchored([])

    def test_a_disabled_account_is_told_and_not_gone(self, stage: Stage, directory: Directory) -> None:
        """Shared and linked mailboxes sit on disabled accounts."""
        guid = stage.add("shared", userCertificate=[FIRST], userAccountControl=["514"])
        (follower := Follower()).follow(directory)
        shared = follower.here(guid)
        assert shared is not None
        assert not shared.enabled
        assert shared.values == Values.of([FIRST])

    def test_nothing_changed_shows_nobody(self, stage: Stage, directory: Directory) -> None:
        """After the first read the checkpoint holds everything back."""
        stage.add("still", userCertificate=[FIRST])
        follower = Follower()
        follower.follow(directory)
        assert [person for page in follower.follow(directory) for person in page.people] == []

    @pytest.mark.parametrize("attribute", ["userCertificate", "userSMIMECertificate"])
    def test_one_changed_attribute_brings_the_whole_person(
        self, stage: Stage, directory: Directory, attribute: str
    ) -> None:
        """An event is state, so the attributes that did not change are there as well."""
        guid = stage.add("carl", mail=["carl@example.com"], userCertificate=[FIRST], userSMIMECertificate=[BLOB])
        follower = Follower()
        follower.follow(directory)
        before = follower.people.pop(guid)
        stage.replace(guid, attribute, [SECOND])
        follower.follow(directory)
        after = follower.people[guid]
        other = "user_smime_certificate" if attribute == "userCertificate" else "user_certificate"
        assert after.mail == "carl@example.com"
        assert getattr(after.values, other) == getattr(before.values, other)
        assert after.values != before.values
        assert SECOND in (*after.values.user_certificate, *after.values.user_smime_certificate)

    def test_a_changed_address_brings_the_person(self, stage: Stage, directory: Directory) -> None:
        """The certificates are the same, and yet they may belong to another recipient now."""
        guid = stage.add("dora", mail=["dora@example.com"], userCertificate=[FIRST])
        follower = Follower()
        follower.follow(directory)
        stage.replace(guid, "mail", ["dora.new@example.com"])
        follower.follow(directory)
        assert follower.people[guid].mail == "dora.new@example.com"

    def test_a_removed_attribute_is_an_empty_set(self, stage: Stage, directory: Directory) -> None:
        """No value left is a state like any other, and not the same as unchanged."""
        guid = stage.add("emil", userCertificate=[FIRST], userSMIMECertificate=[BLOB])
        follower = Follower()
        follower.follow(directory)
        stage.replace(guid, "userCertificate", [])
        follower.follow(directory)
        assert follower.people[guid].values == Values.of([], [BLOB])

    def test_a_deleted_person_is_gone(self, stage: Stage, directory: Directory) -> None:
        """Told as deleted, or missing from a complete full import."""
        guid = stage.add("frieda", userCertificate=[FIRST])
        follower = Follower()
        follower.follow(directory)
        assert follower.here(guid)
        stage.delete(guid)
        follower.follow(directory)
        assert follower.here(guid) is None

    def test_the_checkpoint_outlives_the_adapter(self, stage: Stage, directory: Directory) -> None:
        """The agent was away: what changed meanwhile comes, once."""
        guid = stage.add("gustav", userCertificate=[FIRST])
        follower = Follower()
        follower.follow(directory)
        directory.close()
        stage.replace(guid, "userCertificate", [SECOND])
        with contextlib.closing(stage.open()) as restarted:
            follower.follow(restarted)
            assert follower.people[guid].values == Values.of([SECOND])
            assert [person for page in follower.follow(restarted) for person in page.people] == []

    @pytest.mark.parametrize("checkpoint", [b"", b"no checkpoint of ours", b"{}", b'{"version":99}', b"\x00\xff"])
    def test_a_checkpoint_of_unknown_origin_costs_a_full_import(
        self, stage: Stage, directory: Directory, checkpoint: bytes
    ) -> None:
        """Never an error and never a change missed."""
        guid = stage.add("hanna", userCertificate=[FIRST])
        pages = (follower := Follower(checkpoint=checkpoint)).follow(directory)
        assert pages[-1].full
        assert pages[-1].complete
        assert follower.people[guid].values == Values.of([FIRST])

    def test_a_change_wakes(self, stage: Stage, directory: Directory) -> None:
        """Within the time that was given, and the next read shows it."""
        guid = stage.add("ida", userCertificate=[FIRST])
        follower = Follower()
        follower.until_quiet(directory)
        stage.replace(guid, "userCertificate", [SECOND])
        assert directory.wait(LONG)
        follower.follow(directory)
        assert follower.people[guid].values == Values.of([SECOND])

    def test_a_change_between_reading_and_waiting_wakes(self, stage: Stage, directory: Directory) -> None:
        """From the very first wait on."""
        guid = stage.add("jonas", userCertificate=[FIRST])
        follower = Follower()
        follower.follow(directory)
        stage.replace(guid, "userCertificate", [SECOND])
        assert directory.wait(LONG)
        follower.until_quiet(directory)
        assert follower.people[guid].values == Values.of([SECOND])

    def test_a_deletion_wakes(self, stage: Stage, directory: Directory) -> None:
        """A leaver's certificate is withdrawn at once too."""
        guid = stage.add("karla", userCertificate=[FIRST])
        follower = Follower()
        follower.until_quiet(directory)
        stage.delete(guid)
        assert directory.wait(LONG)
        follower.follow(directory)
        assert follower.here(guid) is None

    def test_quiet_lasts_the_whole_time_out(self, stage: Stage, directory: Directory) -> None:
        """Nothing changed: False, and not before the time was up (or else the agent would spin)."""
        stage.add("lukas")
        Follower().until_quiet(directory)
        began = time.monotonic()
        assert not directory.wait(SOON)
        assert time.monotonic() - began >= SOON.total_seconds() * 0.9

    def test_closing_twice_is_no_error_and_not_the_end(self, stage: Stage, directory: Directory) -> None:
        """The next use opens again."""
        guid = stage.add("maria", userCertificate=[FIRST])
        Follower().follow(directory)
        directory.close()
        directory.close()
        (follower := Follower()).follow(directory)
        assert follower.here(guid)

    def test_the_name_is_stable(self, stage: Stage, directory: Directory) -> None:
        """It names the source of events."""
        with contextlib.closing(stage.open()) as another:
            assert directory.name == another.name != ""
