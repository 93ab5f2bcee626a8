"""Directory: Active Directory over LDAPS, read by DirSync and woken by change notification."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import ldap3

from sync.adapters.active_directory import controls
from sync.adapters.active_directory.checkpoint import Checkpoint, Controller, configuration_hash, holds
from sync.adapters.active_directory.connection import NO_SUCH_OBJECT, Connection
from sync.adapters.active_directory.entries import ATTRIBUTES
from sync.adapters.active_directory.logon import Access, connect
from sync.adapters.active_directory.notification import Notification
from sync.adapters.active_directory.reader import PAGE_SIZE, Reader, RefusedError
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import Page

USERS: Final = "(&(objectClass=user)(!(objectClass=computer)))"
"""Still matches a tombstone. A filter with objectCategory does not, and would lose every deletion."""

DELETED_OBJECTS: Final = "18E2EA80684F11D2B9AA00C04F79F805"  # its well-known GUID, MS-ADTS 6.1.1.4


class ActiveDirectory:
    """One domain. Connects when first used, and again after whatever broke; one thread at a time.

    Register first, then read: the first `wait` registers for notification and returns at once, so that the caller's
    next `changes` shows whatever happened before the registration, and everything later wakes.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        user: str,
        password: str,
        ca_file: Path | None = None,
        server_name: str | None = None,
        port: int | None = None,
        start_tls: bool = False,
        base: str | None = None,
        filter_: str = USERS,
        page_size: int = PAGE_SIZE,
        answer_timeout: int = 60,
    ) -> None:
        """Name the domain controllers in the order in which they are tried, and one account of the domain.

        `user` is a UPN, a DN or DOMAIN\\user. `base` limits who is in scope to one part of the domain (None: all of
        it). `filter_` must match tombstones too. `page_size` is people a page of a full import; a controller with a
        lower MaxPageSize gives as many as it likes. The rest is as in `Access`.
        Raises PermanentError `settings-invalid`, `directory-credentials`.
        """
        self._access = Access(
            hosts=tuple(hosts),
            user=user,
            password=password,
            ca_file=ca_file,
            server_name=server_name,
            port=port,
            start_tls=start_tls,
            answer_timeout=answer_timeout,
        )
        self._base = base
        self._filter = filter_
        self._page_size = page_size
        self._connection: Connection | None = None
        self._controller: Controller | None = None
        self._notification: Notification | None = None

    @property
    def name(self) -> str:
        """The domain's DNS name. Connects to learn it; raises what `changes` raises."""
        root = (self._controller or self._look()[1]).root
        return ".".join(part.partition("=")[2] for part in root.split(","))

    def changes(self, checkpoint: bytes | None) -> Iterator[Page]:
        """Read all that changed since `checkpoint` to the end, or everything.

        A delta page carries the checkpoint of its own end. Of a full import only the last page carries a new one; those
        before carry what the caller came with, so that an interrupted full import begins again. Whoever leaves
        `base` or `filter_` without a change of their own (an OU was moved) is seen by the next full import.
        Raises TemporaryError `directory-unavailable`; PermanentError `directory-credentials`, `directory-rights`,
        `directory-tls`, `directory-malformed`, `settings-invalid`, `file-unreadable`.
        """
        connection, controller = self._look()
        reader = Reader(
            connection=connection, root=controller.root, base=self._base or controller.root, filter_=self._filter
        )
        configuration = configuration_hash(self._filter, ATTRIBUTES, reader.base)
        saved = Checkpoint.load(checkpoint)
        if saved is not None and holds(saved, controller, configuration):
            try:
                yield from _delta(reader, saved, controller)
            except RefusedError:
                pass  # too old, or of a history that is gone: everything, then
            else:
                return
        after = Checkpoint.taken(_cookie(reader), controller, configuration)
        yield from _everything(reader, self._page_size, before=checkpoint or b"", after=after.dump())

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

    def _look(self) -> tuple[Connection, Controller]:
        """The connection that is there or a new one, and what its controller says of itself now."""
        if self._connection is not None and self._controller is not None and not self._connection.closed:
            try:
                usn = _one(self._connection, "", "highestCommittedUSN")
            except TemporaryError:
                pass  # closed while it was idle, or the controller was started again
            else:
                self._controller = replace(self._controller, highest_usn=int(usn))
                return self._connection, self._controller
        self.close()
        self._connection = connect(self._access)
        self._controller = _identify(self._connection, self._access.user)
        return self._connection, self._controller


def _delta(reader: Reader, saved: Checkpoint, controller: Controller) -> Iterator[Page]:
    """Raises RefusedError when the cookie does not count any more."""
    cookie, more = saved.cookie, True
    while more:
        changes = reader.changes(cookie)
        cookie, more = changes.cookie, changes.more
        people, changed_at = reader.again(changes.guids)
        if people or saved.highest_usn < controller.highest_usn:
            checkpoint = Checkpoint.taken(cookie, controller, saved.configuration)
            yield Page(people=people, checkpoint=checkpoint.dump(), changed_at=changed_at)


def _cookie(reader: Reader) -> bytes:
    try:
        return reader.cookie()
    except RefusedError as error:
        told = f"{reader.connection.host} refuses DirSync: {error}"
        raise PermanentError(ErrorCode.DIRECTORY_RIGHTS, told) from error


def _everything(reader: Reader, page_size: int, *, before: bytes, after: bytes) -> Iterator[Page]:
    """Everybody, in pages that hold memory down, where one DirSync answer would hold all.

    `after` was taken before the first page, so that whatever changes meanwhile comes after it.
    """
    place, last = b"", False
    while not last:
        people, place = reader.page(place, page_size)
        last = not place
        yield Page(people=people, checkpoint=after if last else before, full=True, complete=last)


def _identify(connection: Connection, user: str) -> Controller:
    """Who the controller is. Raises PermanentError `directory-rights` when it hides deletions from us."""
    root = _one(connection, "", "defaultNamingContext").decode()
    container = connection.search(
        f"<WKGUID={DELETED_OBJECTS},{root}>",
        "(objectClass=*)",
        scope=ldap3.BASE,
        attributes=["isDeleted"],
        controls=[controls.show_deleted()],
        tolerate={NO_SUCH_OBJECT},
    )
    if not any("isdeleted" in entry for entry in container.entries):
        raise PermanentError(
            ErrorCode.DIRECTORY_RIGHTS,
            f"{user} may not list and read CN=Deleted Objects,{root}: deletions would pass unseen",
        )
    settings = _one(connection, "", "dsServiceName").decode()
    return Controller(
        dns_name=_one(connection, "", "dnsHostName").decode(),
        invocation_id=_one(connection, settings, "invocationId").hex(),
        highest_usn=int(_one(connection, "", "highestCommittedUSN")),
        root=root,
    )


def _one(connection: Connection, dn: str, attribute: str) -> bytes:
    """The single value of one attribute of one object; an empty `dn` is the rootDSE."""
    answer = connection.search(dn, "(objectClass=*)", scope=ldap3.BASE, attributes=[attribute])
    values = [value for entry in answer.entries for value in entry.get(attribute.lower(), ())]
    if len(values) != 1:
        raise PermanentError(
            ErrorCode.DIRECTORY_MALFORMED,
            f"{connection.host} shows no {attribute} of {dn or 'its rootDSE'}: is it a domain controller?",
        )
    return values[0]
