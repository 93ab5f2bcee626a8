"""Active Directory, against a real (Samba) domain controller: the contract, and what only Active Directory does."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sync import envelope
from sync.adapters.active_directory import Access, ActiveDirectory, Scope
from sync.adapters.agent_state import StateFile
from sync.adapters.embedded import Database, EmbeddedQueue
from sync.agent import Agent, Round
from sync.core.person import Values
from sync.core.units import unit
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from tests.adapters.directory_contract import BLOB, FIRST, LONG, SECOND, DirectoryContract, Follower
from tests.lab import require
from tests.lab.administrator import Account, Administrator
from tests.lab.samba import DomainController
from tests.lab.setup import samba

pytestmark = pytest.mark.lab

PASSWORD = "Agent-Passw0rd!1"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
_names = itertools.count(1)


@dataclass(slots=True)
class SambaStage:
    """People in a unit of this test's own, changed over LDAPS; read with the agent's least-privilege account."""

    controller: DomainController
    administrator: Administrator
    agent: str
    unit: str
    accounts: dict[bytes, Account] = field(default_factory=dict)

    def open(self, **options: Any) -> ActiveDirectory:
        given: dict[str, Any] = {"user": self.agent, "password": PASSWORD, "ca_file": self.controller.ca_file}
        scope = {name: options.pop(name) for name in Scope.__slots__ if name in options}
        pages = {"page_size": options.pop("page_size")} if "page_size" in options else {}
        access = Access(hosts=(self.controller.address,), **(given | options))
        return ActiveDirectory(access, Scope(**scope), **pages)

    def add(self, name: str, **attributes: Sequence[bytes | str]) -> bytes:
        account = self.administrator.create_person(f"{name}{next(_names)}", unit=self.unit, **attributes)
        self.accounts[account.guid] = account
        return account.guid

    def replace(self, guid: bytes, attribute: str, values: Sequence[bytes | str]) -> None:
        self.administrator.replace(self.accounts[guid], {attribute: values})

    def delete(self, guid: bytes) -> None:
        self.administrator.delete(self.accounts.pop(guid))


@pytest.fixture(scope="session")
def agent(administrator: Administrator) -> str:
    """The UPN of an ordinary user that may list and read CN=Deleted Objects, and nothing else."""
    return administrator.create_agent("agent", PASSWORD, unit=administrator.create_unit("Service accounts"))


@pytest.fixture
def stage(domain_controller: DomainController, administrator: Administrator, agent: str) -> SambaStage:
    unit = administrator.create_unit(f"Unit {next(_names)}")
    return SambaStage(domain_controller, administrator, agent, unit)


@pytest.fixture
def directory(stage: SambaStage) -> Iterator[ActiveDirectory]:
    with contextlib.closing(stage.open()) as directory:
        yield directory


@pytest.fixture
def own_stage(tmp_path: Path) -> Iterator[SambaStage]:
    """A controller that the test may kill; the administrator is opened anew when it was."""
    require("samba", samba.missing())
    with DomainController.start(tmp_path / "dc") as controller, Administrator.of(controller) as administrator:
        unit = administrator.create_unit("Staff")
        yield SambaStage(controller, administrator, administrator.create_agent("agent", PASSWORD, unit=unit), unit)


def refused(attempt: Callable[[], object], kind: type[SyncError], code: ErrorCode) -> SyncError:
    """The attempt must end in this error, with something to do about it and no password in it."""
    with pytest.raises(kind) as caught:
        attempt()
    assert caught.value.code is code
    assert caught.value.hint
    assert PASSWORD not in str(caught.value)
    return caught.value


def read(directory: ActiveDirectory) -> None:
    """Read everything, for the sake of the error."""
    with contextlib.closing(directory):
        list(directory.changes(None))


class TestActiveDirectoryContract(DirectoryContract):
    """Every case of the contract."""

    @pytest.fixture
    def stage(self, domain_controller: DomainController, administrator: Administrator, agent: str) -> SambaStage:
        unit = administrator.create_unit(f"Unit {next(_names)}")
        return SambaStage(domain_controller, administrator, agent, unit)


class TestChanges:
    """What an administrator does to people, and how it arrives."""

    def test_a_change_arrives_alone_and_says_when(self, stage: SambaStage, directory: ActiveDirectory) -> None:
        """A delta holds the person who changed, nobody else, and the second in which it happened."""
        guid = stage.add("anna", userCertificate=[FIRST])
        stage.add("bystander", userCertificate=[FIRST])
        follower = Follower()
        follower.until_quiet(directory)
        before = datetime.now(UTC) - timedelta(seconds=1)
        stage.replace(guid, "userCertificate", [FIRST, SECOND])
        assert directory.wait(LONG)
        (page,) = follower.follow(directory)
        assert not page.full
        assert [person.anchor.object_guid for person in page.people] == [guid]
        assert page.people[0].values == Values.of([FIRST, SECOND])
        assert page.changed_at is not None
        assert before <= page.changed_at <= datetime.now(UTC)

    def test_one_value_of_several_is_removed(self, stage: SambaStage, directory: ActiveDirectory) -> None:
        """What remains comes, not what went."""
        guid = stage.add("otto", userCertificate=[FIRST, SECOND])
        follower = Follower()
        follower.follow(directory)
        stage.administrator.remove_value(stage.accounts[guid], "userCertificate", FIRST)
        follower.follow(directory)
        assert follower.people[guid].values == Values.of([SECOND])

    @pytest.mark.parametrize("change", ["rename", "move"])
    def test_another_dn_is_the_same_person(
        self, stage: SambaStage, directory: ActiveDirectory, administrator: Administrator, change: str
    ) -> None:
        """A renamed or moved person keeps the objectGUID, and comes with a whole state."""
        guid = stage.add("paula", mail=["paula@example.com"], userCertificate=[FIRST])
        follower = Follower()
        follower.follow(directory)
        before, where = follower.people[guid].state_hash, stage.unit
        if change == "rename":
            administrator.rename(stage.accounts[guid], "Paula Neumann, geb. Alt")
        else:
            where = administrator.create_unit(f"Elsewhere, {next(_names)}")
            administrator.move(stage.accounts[guid], where)
        follower.people.clear()
        follower.follow(directory)
        paula = follower.here(guid)
        assert paula is not None
        assert (paula.mail, paula.values) == ("paula@example.com", Values.of([FIRST]))
        assert paula.units[0] == unit(where)
        assert (paula.state_hash == before) == (change == "rename")

    def test_a_new_upn_arrives(self, stage: SambaStage, directory: ActiveDirectory) -> None:
        """The tenant may find the recipient by it."""
        guid = stage.add("quirin", userCertificate=[FIRST])
        follower = Follower()
        follower.follow(directory)
        stage.replace(guid, "userPrincipalName", ["quirin.new@corp.example"])
        follower.follow(directory)
        assert follower.people[guid].user_principal_name == "quirin.new@corp.example"

    def test_a_disabled_person_arrives_with_certificates(self, stage: SambaStage, directory: ActiveDirectory) -> None:
        """Disabled is a state and not a leaver."""
        guid = stage.add("rosa", userCertificate=[FIRST])
        follower = Follower()
        follower.follow(directory)
        stage.administrator.disable(stage.accounts[guid])
        follower.follow(directory)
        rosa = follower.here(guid)
        assert rosa is not None
        assert not rosa.enabled
        assert rosa.values == Values.of([FIRST])

    def test_a_tombstone_says_deleted_by_guid(self, stage: SambaStage, directory: ActiveDirectory) -> None:
        """In the delta itself, not only by absence from a full import; the tombstone has lost mS-DS-ConsistencyGuid."""
        guid = stage.add("silke", userCertificate=[FIRST], **{"mS-DS-ConsistencyGuid": [bytes(range(16))]})
        follower = Follower()
        follower.follow(directory)
        stage.delete(guid)
        (page,) = follower.follow(directory)
        assert [(p.anchor.object_guid, p.deleted, p.values) for p in page.people] == [(guid, True, Values())]

    def test_created_and_deleted_between_two_reads(self, stage: SambaStage, directory: ActiveDirectory) -> None:
        """Somebody never seen may come as deleted; nobody comes alive."""
        follower = Follower()
        follower.follow(directory)
        guid = stage.add("thea", userCertificate=[FIRST])
        stage.delete(guid)
        follower.follow(directory)
        assert follower.here(guid) is None

    def test_an_unrelated_change_moves_the_checkpoint_and_shows_nobody(
        self, stage: SambaStage, directory: ActiveDirectory
    ) -> None:
        """A title is none of our attributes."""
        guid = stage.add("ulla", userCertificate=[FIRST])
        follower = Follower()
        follower.until_quiet(directory)
        stage.replace(guid, "title", ["Director"])
        assert directory.wait(LONG)
        (page,) = follower.follow(directory)
        assert page.people == ()

    def test_a_burst_wakes_at_most_every_20_ms(self, stage: SambaStage, directory: ActiveDirectory) -> None:
        """Changes that come faster than they can be read are read in pieces, and the last state is there."""
        guid = stage.add("viktor", userCertificate=[FIRST])
        follower = Follower()
        follower.until_quiet(directory)

        def change_often() -> None:
            for number in range(200):
                stage.replace(guid, "userCertificate", [b"\x30\x04%04d" % number])

        changing = threading.Thread(target=change_often)
        began = time.monotonic()
        changing.start()
        wakes = 0
        while directory.wait(timedelta(milliseconds=150)):
            wakes += 1
            follower.follow(directory)
        changing.join()
        assert 1 <= wakes <= (time.monotonic() - began) / 0.02 + 1
        assert follower.people[guid].values == Values.of([b"\x30\x040199"])

    def test_computers_and_groups_are_no_people(self, stage: SambaStage, directory: ActiveDirectory) -> None:
        """The controller's own account is a computer, which is a kind of user in the schema."""
        (follower := Follower()).follow(directory)
        names = {person.user_principal_name for person in follower.people.values()}
        assert stage.agent in names
        domain_controllers = stage.open(base=f"OU=Domain Controllers,{stage.controller.base}")
        with contextlib.closing(domain_controllers):
            assert [person for page in domain_controllers.changes(None) for person in page.people] == []


class TestScope:
    """Base and filter."""

    def test_a_base_limits_who_is_in_scope(self, stage: SambaStage, administrator: Administrator) -> None:
        """Whoever moves out comes as deleted, whoever moves in comes whole."""
        outside = administrator.create_unit(f"Outside {next(_names)}")
        guid = stage.add("wanda", userCertificate=[FIRST])
        with contextlib.closing(stage.open(base=stage.unit)) as directory:
            (follower := Follower()).follow(directory)
            assert set(follower.people) == {guid}
            moved = administrator.move(stage.accounts[guid], outside)
            follower.follow(directory)
            assert follower.people[guid].deleted
            administrator.move(moved, stage.unit)
            follower.follow(directory)
            assert follower.people[guid].values == Values.of([FIRST])

    @pytest.mark.parametrize("part", ["base", "filter_"])
    def test_another_configuration_costs_a_full_import(
        self, stage: SambaStage, directory: ActiveDirectory, part: str
    ) -> None:
        """The old cookie would tell nothing of older objects that only now came into view."""
        stage.add("xaver", userCertificate=[FIRST])
        follower = Follower()
        follower.follow(directory)
        other = {"base": stage.unit, "filter_": "(&(objectClass=user)(!(objectClass=computer))(!(cn=Guest)))"}
        with contextlib.closing(stage.open(**{part: other[part]})) as configured:
            assert follower.follow(configured)[-1].complete
            assert not any(page.full for page in follower.follow(configured))

    def test_a_full_import_in_pages_goes_on_where_it_was_interrupted(self, stage: SambaStage) -> None:
        """Whoever was seen before does not come again, and what changed of them meanwhile comes after it."""
        guids = {stage.add(f"many{number}", userCertificate=[FIRST]) for number in range(7)}
        with contextlib.closing(stage.open(base=stage.unit, page_size=3)) as directory:
            first = next(directory.changes(None))
            seen = {person.anchor.object_guid for person in first.people}
            assert (len(seen), first.full, first.complete, first.resumed) == (3, True, False, False)
            changed = min(seen)
            stage.replace(changed, "userCertificate", [SECOND])
        with contextlib.closing(stage.open(base=stage.unit, page_size=3)) as directory:
            pages = list(directory.changes(first.checkpoint, lambda guids: seen & set(guids)))
            assert [page.complete for page in pages] == [False, False, True]
            assert all(page.full and page.resumed for page in pages)
            assert {person.anchor.object_guid for page in pages for person in page.people} == guids - seen
            assert {page.checkpoint for page in pages[:-1]} == {first.checkpoint}
            follower = Follower(checkpoint=pages[-1].checkpoint)
            follower.follow(directory)
            assert set(follower.people) == {changed}

    def test_an_interrupted_import_of_another_configuration_begins_anew(self, stage: SambaStage) -> None:
        """What was seen by another filter says nothing of who is in scope now."""
        guid = stage.add("yvette", userCertificate=[FIRST])
        with contextlib.closing(stage.open(base=stage.unit, page_size=1)) as directory:
            begun = next(directory.changes(None)).checkpoint
        with contextlib.closing(stage.open(base=stage.unit, filter_="(cn=yvette*)")) as directory:
            (page,) = directory.changes(begun, frozenset)
            assert (page.full, page.resumed, page.complete) == (True, False, True)
            assert [person.anchor.object_guid for person in page.people] == [guid]

    def test_an_agent_that_is_killed_in_a_full_import_reads_the_rest(self, stage: SambaStage, tmp_path: Path) -> None:
        """With its real memory: nobody is told twice, nobody is missed, and whoever left meanwhile is told gone."""
        guids = [stage.add(f"crowd{number}", userCertificate=[FIRST]) for number in range(8)]
        queue = EmbeddedQueue(Database(None, lambda: NOW))

        def agent(directory: ActiveDirectory) -> Agent:
            return Agent(
                directory=directory,
                state=StateFile(tmp_path / "agent.sqlite", lambda: NOW),
                queue=queue,
                now=lambda: NOW,
            )

        def killed(done: Round) -> None:
            if done.read >= 4:
                raise KeyboardInterrupt

        with (
            contextlib.closing(stage.open(base=stage.unit, page_size=2)) as directory,
            pytest.raises(KeyboardInterrupt),
        ):
            agent(directory).once(killed)
        told = agent(directory).state
        leaver = next(guid for guid in guids if told.seen([guid]))
        stage.delete(leaver)
        with contextlib.closing(stage.open(base=stage.unit, page_size=2)) as directory:
            rest = agent(directory).once()
            assert rest.read == len(guids) - 4
            after = agent(directory).once()
        events = [envelope.parse(message.body) for message in queue.receive(32, timedelta(minutes=1))]
        assert after.written == 1
        assert [each.person.deleted for each in events if each.person.anchor.object_guid == leaver] == [False, True]
        assert sorted(each.person.anchor.object_guid for each in events if not each.person.deleted) == sorted(guids)

    def test_a_change_during_a_full_import_comes_after_it(self, stage: SambaStage) -> None:
        """The cookie is older than the first page."""
        guids = [stage.add(f"during{number}", userCertificate=[FIRST]) for number in range(4)]
        with contextlib.closing(stage.open(base=stage.unit, page_size=2)) as directory:
            pages = directory.changes(None)
            first = next(pages)
            changed = first.people[0].anchor.object_guid
            stage.replace(changed, "userCertificate", [SECOND])
            *_, last = pages
            follower = Follower(checkpoint=last.checkpoint)
            follower.follow(directory)
            assert set(follower.people) == {changed} < set(guids)
            assert follower.people[changed].values == Values.of([SECOND])

    def test_a_base_that_is_not_there_is_a_wrong_setting(self, stage: SambaStage) -> None:
        """With its name in the message."""
        error = refused(
            lambda: read(stage.open(base="OU=Nowhere,DC=corp,DC=example")),
            PermanentError,
            ErrorCode.SETTINGS_INVALID,
        )
        assert "OU=Nowhere" in error.message

    def test_a_deletion_is_seen_whatever_the_filter_says(self, stage: SambaStage) -> None:
        """A tombstone has lost department: DirSync is not asked by it, only who is in scope is."""
        guid = stage.add("yolanda", department=["Sales"], userCertificate=[FIRST])
        other = stage.add("zacharias", userCertificate=[FIRST])
        with contextlib.closing(stage.open(filter_="(department=Sales)")) as directory:
            (follower := Follower()).follow(directory)
            assert guid in follower.people
            assert other not in follower.people
            stage.delete(guid)
            follower.follow(directory)
            assert follower.people[guid].deleted

    def test_members_of_an_excluded_group_are_out_of_scope(self, stage: SambaStage) -> None:
        """Nested ones too; whoever joins is out with the next change of theirs."""
        inside = stage.add("adele", userCertificate=[FIRST])
        joining = stage.add("benno", userCertificate=[FIRST])
        inner = stage.administrator.create_group(f"inner{next(_names)}", stage.unit, stage.accounts[inside].dn)
        outer = stage.administrator.create_group(f"outer{next(_names)}", stage.unit, inner.dn)
        with contextlib.closing(stage.open(excluded_groups=(outer.dn,))) as directory:
            (follower := Follower()).follow(directory)
            assert inside not in follower.people
            assert follower.here(joining)
            stage.administrator.add_value(outer, "member", stage.accounts[joining].dn)
            stage.replace(joining, "mail", ["benno@example.com"])
            follower.follow(directory)
            assert follower.people[joining].deleted

    def test_an_excluded_group_that_is_not_there_is_a_wrong_setting(self, stage: SambaStage) -> None:
        """Else nobody would be excluded, without a word."""
        group = f"CN=Nobody,{stage.controller.base}"
        error = refused(lambda: read(stage.open(excluded_groups=(group,))), PermanentError, ErrorCode.SETTINGS_INVALID)
        assert group in error.message

    def test_contacts_come_by_setting(self, stage: SambaStage) -> None:
        """With their certificates; without an account there is nothing that could be disabled."""
        guid = stage.administrator.create_contact(f"partner{next(_names)}", stage.unit, userCertificate=[FIRST]).guid
        with contextlib.closing(stage.open()) as directory:
            (follower := Follower()).follow(directory)
            assert guid not in follower.people
        with contextlib.closing(stage.open(contacts=True)) as directory:
            (follower := Follower()).follow(directory)
            contact = follower.here(guid)
            assert contact is not None
            assert contact.enabled
            assert contact.values == Values.of([FIRST])

    def test_a_filter_that_is_none_is_a_wrong_setting(self, stage: SambaStage) -> None:
        """ldap3's own complaint is not let through."""
        refused(lambda: read(stage.open(filter_="(objectClass=user")), PermanentError, ErrorCode.SETTINGS_INVALID)


class TestHistory:
    """When a checkpoint does not count any more."""

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ("cookie", "bm8gY29va2ll"),
            ("invocationId", "00" * 16),
            ("highestUsn", 2**40),
            ("version", 3),
            ("clock", "2020-01-01T00:00:00+00:00"),
        ],
        ids=["refused-cookie", "another-database", "gone-back-in-time", "newer-format", "tombstones-gone"],
    )
    def test_everything_is_read_again(
        self, stage: SambaStage, directory: ActiveDirectory, member: str, value: object
    ) -> None:
        """And the full import ends in a checkpoint that counts."""
        guid = stage.add("yvonne", userCertificate=[FIRST])
        follower = Follower()
        follower.follow(directory)
        assert follower.checkpoint is not None
        saved = json.loads(follower.checkpoint)
        (saved if member == "version" else saved["marks"][0])[member] = value
        follower.checkpoint = json.dumps(saved).encode()
        follower.people.clear()
        assert follower.follow(directory)[-1].complete
        assert follower.here(guid)
        assert not any(page.full for page in follower.follow(directory))

    def test_a_controller_restored_from_a_snapshot_is_noticed(self, own_stage: SambaStage, tmp_path: Path) -> None:
        """Its USNs went back, so that its DirSync would show nothing of what was lost with them."""
        stage, saved = own_stage, tmp_path / "saved"
        guid = stage.add("zeno", userCertificate=[FIRST])
        with contextlib.closing(stage.open()) as directory:
            follower = Follower()
            follower.until_quiet(directory)
            stage.controller.stop()
            shutil.copytree(stage.controller.directory / "private", saved, ignore=_sockets)
            stage.controller.run()
            with Administrator.of(stage.controller) as administrator:
                for number in range(5):
                    administrator.replace(stage.accounts[guid], {"userCertificate": [SECOND, bytes([number])]})
            follower.follow(directory)
            assert SECOND in follower.people[guid].values.user_certificate
            stage.controller.stop()
            shutil.copytree(saved, stage.controller.directory / "private", dirs_exist_ok=True)
            stage.controller.run()
            assert follower.follow(directory)[-1].complete
            assert follower.people[guid].values == Values.of([FIRST])


class TestTrouble:
    """What goes wrong, and what is said then."""

    def test_a_killed_controller_is_a_passing_trouble(self, own_stage: SambaStage) -> None:
        """Temporary while it is away, whole afterwards, and what changed meanwhile is not missed."""
        stage = own_stage
        guid = stage.add("anton", userCertificate=[FIRST])
        with contextlib.closing(stage.open()) as directory:
            follower = Follower()
            follower.until_quiet(directory)
            stage.controller.kill()
            assert directory.wait(LONG)
            refused(lambda: follower.follow(directory), TemporaryError, ErrorCode.DIRECTORY_UNAVAILABLE)
            refused(lambda: directory.wait(LONG), TemporaryError, ErrorCode.DIRECTORY_UNAVAILABLE)
            stage.controller.run()
            with Administrator.of(stage.controller) as administrator:
                administrator.replace(stage.accounts[guid], {"userCertificate": [SECOND]})
                assert not any(page.full for page in follower.follow(directory))
                assert follower.people[guid].values == Values.of([SECOND])
                follower.until_quiet(directory)
                administrator.replace(stage.accounts[guid], {"userSMIMECertificate": [BLOB]})
                assert directory.wait(LONG)
                follower.follow(directory)
                assert follower.people[guid].values == Values.of([SECOND], [BLOB])

    def test_a_controller_started_again_unnoticed_is_no_trouble(self, own_stage: SambaStage) -> None:
        """A connection that broke while idle is made anew within the same read."""
        with contextlib.closing(own_stage.open()) as directory:
            follower = Follower()
            follower.follow(directory)
            own_stage.controller.stop()
            own_stage.controller.run()
            assert not any(page.full for page in follower.follow(directory))

    def test_the_next_controller_is_tried(self, stage: SambaStage) -> None:
        """An address where nobody listens comes first."""
        access: dict[str, Any] = {"user": stage.agent, "password": PASSWORD, "ca_file": stage.controller.ca_file}
        directory = ActiveDirectory(Access(hosts=("127.0.0.2", stage.controller.address), **access))
        with contextlib.closing(directory):
            assert list(directory.changes(None))[-1].complete

    def test_no_controller_at_all_names_each(self, stage: SambaStage) -> None:
        """So that the administrator sees what was tried."""
        directory = ActiveDirectory(Access(hosts=("127.0.0.2", "127.0.0.3"), user=stage.agent, password=PASSWORD))
        error = refused(lambda: read(directory), TemporaryError, ErrorCode.DIRECTORY_UNAVAILABLE)
        assert "127.0.0.2:636" in error.message
        assert "127.0.0.3:636" in error.message

    def test_a_wrong_password_is_told_at_once(self, stage: SambaStage) -> None:
        """And only once: trying on would lock the account. The password itself is not told."""
        wrong = "Wrong-Passw0rd!2"
        access: dict[str, Any] = {"user": stage.agent, "password": wrong, "ca_file": stage.controller.ca_file}
        directory = ActiveDirectory(Access(hosts=(stage.controller.address, "127.0.0.2"), **access))
        error = refused(lambda: read(directory), PermanentError, ErrorCode.DIRECTORY_CREDENTIALS)
        assert stage.agent in error.message
        assert "127.0.0.2" not in error.message
        assert wrong not in f"{error} {error.__cause__} {error.__context__} {vars(directory)}"

    def test_an_unknown_user_is_refused_alike(self, stage: SambaStage) -> None:
        """Credentials, not rights and not a missing person."""
        refused(lambda: read(stage.open(user="nobody@corp.example")), PermanentError, ErrorCode.DIRECTORY_CREDENTIALS)

    def test_a_disabled_agent_is_told_so(self, stage: SambaStage, administrator: Administrator) -> None:
        """The controller's own reason in words."""
        user = administrator.create_agent("retired", PASSWORD, unit=stage.unit)
        administrator.disable(Account(dn=f"CN=retired,{stage.unit}", guid=b""))
        error = refused(lambda: read(stage.open(user=user)), PermanentError, ErrorCode.DIRECTORY_CREDENTIALS)
        assert "disabled" in error.message

    def test_an_account_that_cannot_see_tombstones_is_refused(
        self, stage: SambaStage, administrator: Administrator
    ) -> None:
        """Else every deletion would pass unseen, without a word."""
        blind = administrator.create_agent("blind", PASSWORD, unit=stage.unit, sees_deleted=False)
        error = refused(lambda: read(stage.open(user=blind)), PermanentError, ErrorCode.DIRECTORY_RIGHTS)
        assert "CN=Deleted Objects" in error.message

    def test_an_empty_password_is_no_anonymous_bind(self, stage: SambaStage) -> None:
        """A simple bind without one succeeds and sees nothing (RFC 4513, 5.1.2)."""
        refused(lambda: stage.open(password=""), PermanentError, ErrorCode.DIRECTORY_CREDENTIALS)


class TestTls:
    """Encrypted and verified, or not at all."""

    def test_start_tls_is_as_good(self, stage: SambaStage) -> None:
        """On the plain port, before the first word."""
        with contextlib.closing(stage.open(start_tls=True)) as directory:
            (follower := Follower()).until_quiet(directory)
            assert follower.people

    def test_the_name_is_verified_by_default(self, stage: SambaStage) -> None:
        """A certificate of the right CA for another name is refused."""
        error = refused(
            lambda: read(stage.open(server_name="dc9.corp.example")), PermanentError, ErrorCode.DIRECTORY_TLS
        )
        assert "dc9.corp.example" in error.message

    def test_the_name_of_the_controller_may_be_given(self, stage: SambaStage) -> None:
        """For addresses and aliases that the certificate does not name."""
        read(stage.open(server_name=stage.controller.fqdn))

    @pytest.mark.parametrize("start_tls", [False, True])
    def test_another_ca_is_refused(self, stage: SambaStage, tmp_path: Path, start_tls: bool) -> None:
        """Whoever signed it must be in the CA file."""
        import trustme

        stranger = tmp_path / "stranger.pem"
        trustme.CA().cert_pem.write_to_path(stranger)
        error = refused(
            lambda: read(stage.open(ca_file=stranger, start_tls=start_tls)), PermanentError, ErrorCode.DIRECTORY_TLS
        )
        assert "certificate" in error.message

    def test_an_expired_certificate_is_told_so(self, own_stage: SambaStage) -> None:
        """In OpenSSL's own word, and the password stays unsaid."""
        controller = own_stage.controller
        controller.stop()
        controller.issue_certificate(expired=True)
        controller.run(verify=False)
        error = refused(lambda: read(own_stage.open()), PermanentError, ErrorCode.DIRECTORY_TLS)
        assert "expired" in error.message

    def test_the_system_roots_stand_in_for_a_ca_file(self, stage: SambaStage) -> None:
        """They do not know the test CA."""
        refused(lambda: read(stage.open(ca_file=None)), PermanentError, ErrorCode.DIRECTORY_TLS)

    def test_a_missing_ca_file_is_told_by_name(self, stage: SambaStage, tmp_path: Path) -> None:
        """Not as a trouble of the controller's."""
        error = refused(
            lambda: read(stage.open(ca_file=tmp_path / "none.pem")), PermanentError, ErrorCode.FILE_UNREADABLE
        )
        assert "none.pem" in error.message

    def test_an_empty_ca_file_is_refused(self, stage: SambaStage, tmp_path: Path) -> None:
        """It trusts nobody."""
        (tmp_path / "empty.pem").write_text("no certificate here\n")
        refused(lambda: read(stage.open(ca_file=tmp_path / "empty.pem")), PermanentError, ErrorCode.DIRECTORY_TLS)

    def test_a_plain_port_hears_no_password(self, stage: SambaStage) -> None:
        """LDAPS spoken to port 389 ends before the bind."""
        directory = stage.open(port=389)
        with pytest.raises(SyncError) as caught:
            read(directory)
        assert caught.value.code in {ErrorCode.DIRECTORY_TLS, ErrorCode.DIRECTORY_UNAVAILABLE}

    @pytest.mark.parametrize("host", ["ldap://dc1.corp.example", "", "dc1 dc2", "dc1/x"])
    def test_a_host_is_a_name(self, host: str) -> None:
        """ldap://… would make ldap3 speak plain text."""
        refused(
            lambda: Access(hosts=(host,), user="agent@corp.example", password=PASSWORD),
            PermanentError,
            ErrorCode.SETTINGS_INVALID,
        )

    def test_a_listener_that_says_nothing_does_not_hold_us_for_ever(self, stage: SambaStage) -> None:
        """The handshake has a time limit of its own."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            access = Access(hosts=("127.0.0.1",), user=stage.agent, password=PASSWORD, port=port, connect_timeout=1)
            directory = ActiveDirectory(access)
            began = time.monotonic()
            refused(lambda: read(directory), TemporaryError, ErrorCode.DIRECTORY_UNAVAILABLE)
            assert time.monotonic() - began < 10

    def test_a_controller_that_hangs_is_passed_over(self, stage: SambaStage) -> None:
        """It takes connections and answers none: the next one is asked, long before a large answer is given up."""
        with socket.create_server(("127.0.0.250", 636)) as silent:
            hosts = (silent.getsockname()[0], stage.controller.address)
            access = Access(
                hosts=hosts,
                user=stage.agent,
                password=PASSWORD,
                ca_file=stage.controller.ca_file,
                server_name=stage.controller.fqdn,
                connect_timeout=1,
                answer_timeout=3600,
            )
            with contextlib.closing(ActiveDirectory(access)) as directory:
                assert stage.controller.fqdn.endswith(directory.name)


def _sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_socket()]
