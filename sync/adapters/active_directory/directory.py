"""Directory: Active Directory over LDAPS, read by DirSync and woken by change notification."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import ldap3

from sync.adapters.active_directory import controls
from sync.adapters.active_directory.checkpoint import Checkpoint, Controller, Mark, configuration_hash, holds
from sync.adapters.active_directory.connection import NO_SUCH_OBJECT, Connection
from sync.adapters.active_directory.entries import ATTRIBUTES
from sync.adapters.active_directory.logon import Access, connect
from sync.adapters.active_directory.messages import matching
from sync.adapters.active_directory.notification import Notification
from sync.adapters.active_directory.reader import ANYTHING, PAGE_SIZE, Reader, RefusedError
from sync.adapters.active_directory.scope import Scope
from sync.core.person import Person
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import Page, Seen, nobody

logger = logging.getLogger("smime_sync.directory")

DELETED_OBJECTS: Final = "18E2EA80684F11D2B9AA00C04F79F805"  # its well-known GUID, MS-ADTS 6.1.1.4


class ActiveDirectory:
    """One domain. Connects when first used, and again after whatever broke; one thread at a time.

    Register first, then read: the first `wait` registers for notification and returns at once, so that the caller's
    next `changes` shows whatever happened before the registration, and everything later wakes.
    """

    def __init__(self, access: Access, scope: Scope | None = None, *, page_size: int = PAGE_SIZE) -> None:
        """`page_size` is people a page of a full import; a controller with a lower MaxPageSize gives fewer.

        Raises PermanentError `settings-invalid`, `directory-credentials`.
        """
        self._access = access
        self._scope = scope or Scope()
        self._page_size = page_size
        self._connection: Connection | None = None
        self._controller: Controller | None = None
        self._notification: Notification | None = None

    @property
    def name(self) -> str:
        """The domain's DNS name. Connects to learn it; raises what `changes` raises."""
        root = (self._controller or self._look()[1]).root
        return ".".join(part.partition("=")[2] for part in root.split(","))

    def changes(self, checkpoint: bytes | None, seen: Seen = nobody) -> Iterator[Page]:
        """Read all that changed since `checkpoint` to the end, or everything.

        A delta page carries the checkpoint of its own end. Of a full import only the last page carries a new mark;
        those before say that it has begun, and from where on what changed since is read. Interrupted, it goes on:
        whoever was seen is passed over by objectGUID alone, for a place in a paged search dies with its connection.
        Whoever leaves the scope without a change of their own (an OU was moved, a group changed) is seen by the next
        full import.
        Another controller than the last one costs a full import the first time, and after that a delta.
        Raises TemporaryError `directory-unavailable`; PermanentError `directory-credentials`, `directory-rights`,
        `directory-tls`, `directory-malformed`, `settings-invalid`, `file-unreadable`.
        """
        connection, controller = self._look()
        reader = self._reader(connection, controller)
        configuration = configuration_hash(f"{reader.tracked} {reader.filter_}", ATTRIBUTES, reader.base)
        known = Checkpoint.load(checkpoint)
        begun = known.importing
        if begun is not None and holds(begun, controller, configuration):
            yield from _rest(reader, self._page_size, seen, before=known, after=begun)
            return
        mark = known.of(controller)
        if mark is not None and holds(mark, controller, configuration):
            try:
                yield from _delta(reader, known, mark, controller)
            except RefusedError:
                pass  # too old, or of a history that is gone: everything, then
            else:
                return
        after = Mark.taken(_cookie(reader), controller, configuration)
        yield from _everything(reader, self._page_size, before=known.begun(after), after=after)

    def find(self, guids: Sequence[bytes]) -> tuple[Person, ...]:
        """These people as they are here now; whoever is not found or not in scope comes as deleted."""
        people, _ = self._reader(*self._look()).again(guids)
        return people

    def anchored(self, consistency_guids: Sequence[bytes]) -> tuple[Person, ...]:
        """Whoever lives here in scope under one of these mS-DS-ConsistencyGuids. Raises what `changes` raises."""
        return self._reader(*self._look()).anchored(consistency_guids)

    def wait(self, timeout: timedelta) -> bool:
        """Sleep until something in the domain changed, in scope or not, or until `timeout` passed.

        The first call, and one after the notification connection broke, returns True at once. Raises what `changes`
        raises.
        """
        if self._notification is None:
            connection, controller = self._look()
            # The controller that is read: another one's news may not have reached it yet.
            access = replace(self._access, hosts=(connection.host,))
            self._notification = Notification(connect(access), controller.root)
            return True
        try:
            return self._notification.wait(timeout)
        except ConnectionError:
            self._unregister()
            return True
        except TemporaryError:
            self._unregister()
            raise

    @property
    def news(self) -> Notification | None:
        """What `wait` waits for; None until it registered."""
        return self._notification

    def clock(self) -> datetime:
        """What time it is there (UTC). Raises what `changes` raises."""
        return self._look()[1].clock

    def close(self) -> None:
        """Let go of both connections; the next use connects again."""
        self._unregister()
        if self._connection is not None:
            self._connection.close()
        self._connection = self._controller = None

    def _unregister(self) -> None:
        notification, self._notification = self._notification, None
        if notification is not None:
            notification.close()

    def _reader(self, connection: Connection, controller: Controller) -> Reader:
        scope = self._scope
        base = scope.base or controller.root
        return Reader(
            connection=connection, root=controller.root, base=base, filter_=scope.people, tracked=scope.tracked
        )

    def _look(self) -> tuple[Connection, Controller]:
        """The connection that is there or a new one, and what its controller says of itself now."""
        if self._connection is not None and self._controller is not None and not self._connection.closed:
            try:
                usn, clock = _now(self._connection)
            except TemporaryError:
                pass  # closed while it was idle, or the controller was started again
            else:
                self._controller = replace(self._controller, highest_usn=usn, clock=clock)
                return self._connection, self._controller
        self.close()
        self._connection = connect(self._access)
        self._controller = _identify(self._connection, self._access.account, self._scope)
        return self._connection, self._controller


def _delta(reader: Reader, known: Checkpoint, mark: Mark, controller: Controller) -> Iterator[Page]:
    """Raises RefusedError when the cookie does not count any more."""
    read = _by_usn if mark.cookie is None else _by_cookie
    for guids, after in read(reader, mark, controller):
        people, changed_at = reader.again(guids)
        if people or mark.highest_usn < controller.highest_usn:
            yield Page(people=people, checkpoint=known.moved(after).dump(), changed_at=changed_at)


def _by_cookie(reader: Reader, mark: Mark, controller: Controller) -> Iterator[tuple[Sequence[bytes], Mark]]:
    cookie, more = mark.cookie or b"", True
    while more:
        changes = reader.changes(cookie)
        cookie, more = changes.cookie, changes.more
        yield changes.guids, Mark.taken(cookie, controller, mark.configuration)


def _by_usn(reader: Reader, mark: Mark, controller: Controller) -> Iterator[tuple[Sequence[bytes], Mark]]:
    """Pages come in no order of USN, so the old mark stands until the end."""
    for guids in reader.changes_by_usn(mark.highest_usn):
        yield guids, mark
    yield (), Mark.taken(None, controller, mark.configuration)


def _cookie(reader: Reader) -> bytes | None:
    """Where the directory stands now; None where DirSync is refused, so that USNs stand in."""
    try:
        return reader.cookie()
    except RefusedError as error:
        logger.warning(
            "polling host=%s detail=DirSync is refused (%s): read by uSNChanged", reader.connection.host, error
        )
        return None


def _everything(reader: Reader, page_size: int, *, before: Checkpoint, after: Mark) -> Iterator[Page]:
    """Everybody, in pages that hold memory down, where one DirSync answer would hold all.

    `after` was taken before the first page, so that whatever changes meanwhile comes after it.
    """
    for people, last in reader.pages(page_size):
        yield Page(people=people, checkpoint=_reached(before, after, last=last), full=True, complete=last)


def _rest(reader: Reader, page_size: int, seen: Seen, *, before: Checkpoint, after: Mark) -> Iterator[Page]:
    """Everybody whom the import that `before` tells of has not seen yet."""
    place, last = b"", False
    while not last:
        guids, place = reader.guids(place, page_size)
        last = not place
        passed = seen(guids)
        people, _ = reader.again([guid for guid in guids if guid not in passed])
        checkpoint = _reached(before, after, last=last)
        yield Page(people=people, checkpoint=checkpoint, full=True, complete=last, resumed=True)


def _reached(before: Checkpoint, after: Mark, *, last: bool) -> bytes:
    return (before.moved(after) if last else before).dump()


def _identify(connection: Connection, account: str, scope: Scope) -> Controller:
    """Who the controller is. Raises PermanentError `directory-rights` when it hides deletions from us, and
    `settings-invalid` when a group of the scope is not there: nobody would be excluded, without a word."""
    root = _one(connection, "", "defaultNamingContext").decode()
    container = connection.search(
        f"<WKGUID={DELETED_OBJECTS},{root}>",
        ANYTHING,
        scope=ldap3.BASE,
        attributes=["isDeleted"],
        controls=[controls.show_deleted()],
        tolerate={NO_SUCH_OBJECT},
    )
    if not any("isdeleted" in entry for entry in container.decoded()):
        raise PermanentError(
            ErrorCode.DIRECTORY_RIGHTS,
            f"{account} may not list and read CN=Deleted Objects,{root}: deletions would pass unseen",
        )
    for group in scope.excluded_groups:
        connection.search(group, matching("(objectClass=group)"), scope=ldap3.BASE, attributes=["1.1"])
    settings = _one(connection, "", "dsServiceName").decode()
    usn, clock = _now(connection)
    return Controller(
        dns_name=_one(connection, "", "dnsHostName").decode(),
        invocation_id=_one(connection, settings, "invocationId").hex(),
        highest_usn=usn,
        root=root,
        clock=clock,
    )


def _now(connection: Connection) -> tuple[int, datetime]:
    """The controller's highest USN and its clock."""
    said = connection.search(
        "", ANYTHING, scope=ldap3.BASE, attributes=["highestCommittedUSN", "currentTime"], small=True
    ).decoded()
    try:
        usn, clock = (said[0][name][0].decode("ascii") for name in ("highestcommittedusn", "currenttime"))
        return int(usn), datetime.strptime(clock, "%Y%m%d%H%M%S.0Z").replace(tzinfo=UTC)
    except (LookupError, ValueError) as error:
        raise PermanentError(
            ErrorCode.DIRECTORY_MALFORMED,
            f"{connection.host} shows no highestCommittedUSN or currentTime: is it a domain controller?",
        ) from error


def _one(connection: Connection, dn: str, attribute: str) -> bytes:
    """The single value of one attribute of one object; an empty `dn` is the rootDSE."""
    answer = connection.search(dn, ANYTHING, scope=ldap3.BASE, attributes=[attribute])
    values = [value for entry in answer.decoded() for value in entry.get(attribute.lower(), ())]
    if len(values) != 1:
        raise PermanentError(
            ErrorCode.DIRECTORY_MALFORMED,
            f"{connection.host} shows no {attribute} of {dn or 'its rootDSE'}: is it a domain controller?",
        )
    return values[0]
