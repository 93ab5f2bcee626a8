"""What is asked of the directory, and people made of what it answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import ldap3

from sync.adapters.active_directory import controls
from sync.adapters.active_directory.connection import SUCCESS, Connection
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
from sync.core.person import Person
from sync.errors import ErrorCode, PermanentError, TemporaryError

PAGE_SIZE: Final = 1000  # MaxPageSize of every domain controller, unless an administrator changed it
AT_ONCE: Final = 50  # people read again in one search
ANYTHING: Final = "(objectClass=*)"
NOTHING: Final = "(!(objectClass=*))"
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
        return self._dirsync(self.tracked, cookie)

    def changes_by_usn(self, after: int) -> Iterator[tuple[bytes, ...]]:
        """The GUIDs of whoever's uSNChanged (MS-ADTS 3.1.1.3.2.20) is above `after`, page by page, tombstones too."""
        filter_ = f"(&{self.tracked}(uSNChanged>={after + 1}))"
        place, last = b"", False
        while not last:
            both = (controls.paged(PAGE_SIZE, place), controls.show_deleted())
            entries, answered = self._search(self.root, filter_, [OBJECT_GUID], *both)
            yield tuple(object_guid(entry) for entry in entries)
            place = answered.get(controls.PAGED, {}).get("cookie", b"")
            last = not place

    def page(self, place: bytes, size: int) -> tuple[tuple[Person, ...], bytes]:
        """Up to `size` people in scope from `place` on (empty: the beginning), and the next place; empty at the end."""
        entries, answered = self._search(self.base, self.filter_, ATTRIBUTES, controls.paged(size, place))
        following: bytes = answered.get(controls.PAGED, {}).get("cookie", b"")
        return tuple(person(self._whole(entry)) for entry in entries), following

    def guids(self, place: bytes, size: int) -> tuple[tuple[bytes, ...], bytes]:
        """The same by objectGUID alone, which costs a hundredth."""
        entries, answered = self._search(self.base, self.filter_, [OBJECT_GUID], controls.paged(size, place))
        following: bytes = answered.get(controls.PAGED, {}).get("cookie", b"")
        return tuple(object_guid(entry) for entry in entries), following

    def again(self, guids: Sequence[bytes]) -> tuple[tuple[Person, ...], datetime | None]:
        """These people whole, since DirSync shows only what changed of them, and when the last of them changed.

        Whoever is not found, or is out of scope by now, comes as deleted.
        """
        people: list[Person] = []
        times: list[datetime] = []
        for start in range(0, len(guids), AT_ONCE):
            chunk = guids[start : start + AT_ONCE]
            anyone = "".join(f"(objectGUID={_escaped(guid)})" for guid in chunk)
            # The GUIDs stand first: a server that takes the parts in order is done after them.
            only_them = f"(&(|{anyone}){self.filter_})"
            found, _ = self._search(self.base, only_them, (*ATTRIBUTES, "whenChanged"), controls.show_deleted())
            entries = {object_guid(entry): self._whole(entry) for entry in found}
            people += [person(entries[guid]) if guid in entries else gone(guid) for guid in chunk]
            times += [moment for entry in entries.values() if (moment := changed_at(entry))]
        return tuple(people), max(times, default=None)

    def anchored(self, consistency_guids: Sequence[bytes]) -> tuple[Person, ...]:
        """Whoever lives in scope under one of these mS-DS-ConsistencyGuids. Active Directory keeps no index of them."""
        people: list[Person] = []
        for start in range(0, len(consistency_guids), AT_ONCE):
            chunk = consistency_guids[start : start + AT_ONCE]
            anyone = "".join(f"({CONSISTENCY_GUID}={_escaped(guid)})" for guid in chunk)
            found, _ = self._search(self.base, f"(&{self.filter_}(|{anyone}))", ATTRIBUTES)
            people += [person(self._whole(entry)) for entry in found]
        return tuple(people)

    def _dirsync(self, filter_: str, cookie: bytes) -> Changes:
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
        guids = dict.fromkeys(object_guid(entry) for entry in answer.entries)
        return Changes(guids=tuple(guids), cookie=control["cookie"], more=control["more_results"])

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
            found, _ = self._search(person_dn, ANYTHING, [asked], controls.show_deleted(), scope=ldap3.BASE)
            parts = [(key, values) for entry in found for key, values in entry.items() if key.startswith(f"{name};")]
            if len(parts) != 1:
                raise TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, f"{asked} of a person vanished while it was read")
            (key, values) = parts[0]
            yield from values
            span = key.partition(";range=")[2]

    def _search(
        self, base: str, filter_: str, attributes: Sequence[str], *wanted: object, scope: str = ldap3.SUBTREE
    ) -> tuple[tuple[Entry, ...], dict[str, Any]]:
        answer = self.connection.search(base, filter_, scope=scope, attributes=attributes, controls=wanted)
        return answer.entries, dict(answer.controls)


def _escaped(value: bytes) -> str:
    """RFC 4515, 3."""
    return "".join(f"\\{byte:02x}" for byte in value)
