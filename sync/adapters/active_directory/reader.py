"""What is asked of the directory, and people made of what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

import ldap3

from sync.adapters.active_directory import controls
from sync.adapters.active_directory.connection import SUCCESS, Answer, Connection
from sync.adapters.active_directory.entries import (
    ATTRIBUTES,
    CONSISTENCY_GUID,
    OBJECT_GUID,
    Entry,
    changed_at,
    gone,
    object_guid,
    person,
)
from sync.adapters.active_directory.messages import Filter, all_of, any_of, at_least, equals, matching
from sync.core.person import Person
from sync.errors import ErrorCode, PermanentError, TemporaryError

T = TypeVar("T")
V = TypeVar("V")

PAGE_SIZE: Final = 1000  # MaxPageSize of every domain controller, unless an administrator changed it
AT_ONCE: Final = 50  # people read again in one search
ANYTHING: Final = matching("(objectClass=*)")
NOTHING: Final = matching("(!(objectClass=*))")
REFUSED: Final = (2, 12, 53)  # protocolError, unavailableCriticalExtension (Samba), unwillingToPerform


class RefusedError(Exception):
    """The controller does not take the DirSync control or its cookie; the message is the controller's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """One DirSync answer: whose objects changed, the cookie after it, and whether there is more to read from there."""

    guids: tuple[bytes, ...]
    cookie: bytes
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads one domain. `root` is its DN, `base` the part in scope, `filter_` who is in scope there, `tracked` whose
    changes are looked at.

    Every method raises what `Connection.search` raises, and PermanentError `directory-malformed`.
    """

    connection: Connection
    root: str
    base: str
    filter_: str
    tracked: str

    def cookie(self) -> bytes:
        """Where the directory stands now, from a DirSync that finds nobody. Raises RefusedError."""
        changes = self._dirsync(NOTHING, b"")
        while changes.more:
            changes = self._dirsync(NOTHING, changes.cookie)
        return changes.cookie

    def changes(self, cookie: bytes) -> Changes:
        """Who changed since `cookie`, as much as one answer holds. Raises RefusedError."""
        return self._dirsync(self._matching(self.tracked), cookie)

    def changes_by_usn(self, after: int) -> Iterator[tuple[bytes, ...]]:
        """The GUIDs of whoever's uSNChanged (MS-ADTS 3.1.1.3.2.20) is above `after`, page by page, tombstones too."""
        filter_ = all_of(self._matching(self.tracked), at_least("uSNChanged", after + 1))
        place, last = b"", False
        while not last:
            both = (controls.paged(PAGE_SIZE, place), controls.show_deleted())
            answer = self._search(self.root, filter_, [OBJECT_GUID], *both)
            yield tuple(object_guid(entry) for entry in answer.decoded())
            place = _place(answer)
            last = not place

    def pages(self, size: int) -> Iterator[tuple[tuple[Person, ...], bool]]:
        """Everybody in scope, up to `size` people at once, and whether these were the last.

        The controller gathers the next page while we make people of this one; it is read whole before anybody sees to
        this one, for a controller does not wait long with an answer that nobody takes.
        """
        filter_ = self._matching(self.filter_)

        def ask(place: bytes) -> int:
            return self.connection.ask(
                self.base, filter_, attributes=ATTRIBUTES, controls=[controls.paged(size, place)]
            )

        answer = self.connection.answer(ask(b""))
        while place := _place(answer):
            number = ask(place)
            try:
                people = self._people(answer)
                answer = self.connection.answer(number)
            finally:
                self.connection.forget(number)
            yield people, False
        yield self._people(answer), True

    def guids(self, place: bytes, size: int) -> tuple[tuple[bytes, ...], bytes]:
        """Up to `size` people in scope from `place` on (empty: the beginning) by objectGUID alone, which costs a
        hundredth; and the next place, empty at the end."""
        answer = self._search(self.base, self._matching(self.filter_), [OBJECT_GUID], controls.paged(size, place))
        return tuple(object_guid(entry) for entry in answer.decoded()), _place(answer)

    def again(self, guids: Sequence[bytes]) -> tuple[tuple[Person, ...], datetime | None]:
        """These people whole, since DirSync shows only what changed of them, and when the last of them changed.

        Whoever is not found, or is out of scope by now, comes as deleted.
        """
        people: list[Person] = []
        times: list[datetime] = []
        for start in range(0, len(guids), AT_ONCE):
            chunk = guids[start : start + AT_ONCE]
            # The GUIDs stand first: a server that takes the parts in order is done after them.
            only_them = all_of(any_of(equals(OBJECT_GUID, guid) for guid in chunk), self._matching(self.filter_))
            answer = self._search(self.base, only_them, (*ATTRIBUTES, "whenChanged"), controls.show_deleted())
            entries = {object_guid(entry): self._whole(entry) for entry in answer.decoded()}
            people += [person(entries[guid]) if guid in entries else gone(guid) for guid in chunk]
            times += [moment for entry in entries.values() if (moment := changed_at(entry))]
        return tuple(people), max(times, default=None)

    def anchored(self, consistency_guids: Sequence[bytes]) -> tuple[Person, ...]:
        """Whoever lives in scope under one of these mS-DS-ConsistencyGuids. Active Directory keeps no index of them."""
        people: list[Person] = []
        for start in range(0, len(consistency_guids), AT_ONCE):
            chunk = consistency_guids[start : start + AT_ONCE]
            anyone = any_of(equals(CONSISTENCY_GUID, guid) for guid in chunk)
            people += self._people(self._search(self.base, all_of(self._matching(self.filter_), anyone), ATTRIBUTES))
        return tuple(people)

    def _people(self, answer: Answer) -> tuple[Person, ...]:
        return tuple(person(self._whole(entry)) for entry in answer.decoded())

    def _dirsync(self, filter_: Filter, cookie: bytes) -> Changes:
        """One DirSync answer over the whole domain, the only base that the control takes.

        `name` is asked for besides: it is written on every rename and move.
        """
        answer = self.connection.search(
            self.root,
            filter_,
            attributes=[*ATTRIBUTES, "name"],
            controls=[controls.dirsync(cookie), controls.show_deleted()],
            tolerate=REFUSED,
        )
        if answer.code != SUCCESS:
            raise RefusedError(answer.message)
        control = answer.controls.get(controls.DIRSYNC)
        if not control:
            raise PermanentError(ErrorCode.DIRECTORY_MALFORMED, "a DirSync answer came without its control")
        more, following = _told(controls.dirsync_said, control)
        guids = dict.fromkeys(object_guid(entry) for entry in answer.decoded())
        return Changes(guids=tuple(guids), cookie=following, more=more)

    def _whole(self, entry: Entry) -> Entry:
        """Fetch the rest of attributes that came in part: those of more than 1,500 values, MS-ADTS 3.1.1.3.1.3.3."""
        partial = [name for name in entry if ";range=" in name]
        if not partial:
            return entry
        whole = {name: values for name, values in entry.items() if name not in partial}
        for ranged in partial:
            name, _, span = ranged.partition(";range=")
            whole[name] = [*entry[ranged], *self._rest(object_guid(entry), name, span)]
        return whole

    def _rest(self, guid: bytes, name: str, span: str) -> Iterator[bytes]:
        while not span.endswith("-*"):
            asked = f"{name};range={int(span.partition('-')[2]) + 1}-*"
            person_dn = f"<GUID={UUID(bytes_le=guid)}>"
            answer = self._search(person_dn, ANYTHING, [asked], controls.show_deleted(), scope=ldap3.BASE)
            parts = [
                (key, values)
                for entry in answer.decoded()
                for key, values in entry.items()
                if key.startswith(f"{name};")
            ]
            if len(parts) != 1:
                raise TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, f"{asked} of a person vanished while it was read")
            (key, values) = parts[0]
            yield from values
            span = key.partition(";range=")[2]

    def _search(
        self, base: str, filter_: Filter, attributes: Sequence[str], *wanted: bytes, scope: str = ldap3.SUBTREE
    ) -> Answer:
        return self.connection.search(base, filter_, scope=scope, attributes=attributes, controls=wanted)

    @staticmethod
    def _matching(filter_: str) -> Filter:
        try:
            return matching(filter_)
        except ValueError as error:
            raise PermanentError(ErrorCode.SETTINGS_INVALID, str(error)) from error


def _place(answer: Answer) -> bytes:
    """Where the next page begins; empty when there is none."""
    return _told(controls.paged_said, answer.controls.get(controls.PAGED))


def _told(read: Callable[[V], T], value: V) -> T:
    try:
        return read(value)
    except (ValueError, IndexError) as error:
        raise PermanentError(ErrorCode.DIRECTORY_MALFORMED, f"a control cannot be read: {error}") from error
