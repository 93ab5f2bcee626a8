"""CanaryPerson: the one object that the agent changes. Nothing else in this package writes.

Each turn has a connection of its own: it is needed every quarter of an hour, and a controller that takes no writes must
not disturb the reading.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final
from uuid import UUID

import ldap3

from sync.adapters.active_directory.connection import INSUFFICIENT_RIGHTS, NO_SUCH_OBJECT, SUCCESS, Connection
from sync.adapters.active_directory.entries import CONSISTENCY_GUID, OBJECT_GUID, Entry, object_guid
from sync.adapters.active_directory.logon import Access, connect
from sync.adapters.active_directory.messages import Filter, all_of, any_of, equals, matching
from sync.adapters.active_directory.scope import USERS_AND_CONTACTS
from sync.core.identity import SourceAnchor
from sync.core.person import Attribute
from sync.errors import ErrorCode, PermanentError
from sync.ports import Sighting

CERTIFICATE: Final = str(Attribute.USER_CERTIFICATE)
WRITABLE: Final = "allowedAttributesEffective"
"""What whoever asks may write of an object, which the controller makes up (MS-ADTS 3.1.1.4.5.17)."""
REFERRAL: Final = 10
NO_SUCH_VALUE: Final = 16
VALUE_EXISTS: Final = 20
NO_DN: Final = 34
_IMMUTABLE_ID: Final = re.compile(r"[A-Za-z0-9+/]{22}==")


class ActiveDirectoryCanary:
    """`domains` are asked one after the other until one has the person that `who` names: by ImmutableId, UPN or DN."""

    def __init__(self, domains: Sequence[Access], who: str | None) -> None:
        """With None nobody is found, and what was taken before can still be put back."""
        self._domains = domains
        self._who = who

    def look(self) -> Sighting:
        """See ports.CanaryPerson."""
        if self._who is None:
            raise PermanentError(ErrorCode.CANARY_UNKNOWN, "no canary is set")
        found = [entry for connection in self._connected() for entry in _found(connection, self._who)]
        if len(found) != 1:
            raise PermanentError(
                ErrorCode.CANARY_UNKNOWN,
                f"the canary {self._who} is {'nobody' if not found else 'more than one person'}",
            )
        (entry,) = found
        names = {name.decode("ascii", "replace").lower() for name in entry.get(WRITABLE.lower(), ())}
        consistency_guid = next(iter(entry.get(CONSISTENCY_GUID.lower(), ())), None)
        return Sighting(
            anchor=SourceAnchor(object_guid(entry), consistency_guid),
            certificates=tuple(entry.get(CERTIFICATE.lower(), ())),
            writable=CERTIFICATE.lower() in names,
        )

    def take(self, guid: bytes, certificate: bytes) -> None:
        """See ports.CanaryPerson."""
        self._change(guid, delete=certificate, tolerate=NO_SUCH_VALUE)

    def put_back(self, guid: bytes, certificate: bytes) -> None:
        """See ports.CanaryPerson."""
        self._change(guid, add=certificate, tolerate=VALUE_EXISTS)

    def _change(self, guid: bytes, *, tolerate: int, add: bytes | None = None, delete: bytes | None = None) -> None:
        for connection in self._connected():
            code = connection.modify(
                f"<GUID={UUID(bytes_le=guid)}>",
                CERTIFICATE,
                add=add,
                delete=delete,
                tolerate={tolerate, INSUFFICIENT_RIGHTS, NO_SUCH_OBJECT, REFERRAL},
            )
            if code == INSUFFICIENT_RIGHTS:
                raise PermanentError(
                    ErrorCode.CANARY_RIGHTS, f"{connection.host} does not let us write {CERTIFICATE} of the canary"
                )
            if code in {SUCCESS, tolerate}:
                return
        raise PermanentError(ErrorCode.CANARY_UNKNOWN, f"there is no object with objectGUID {UUID(bytes_le=guid)}")

    def _connected(self) -> Iterator[Connection]:
        for access in self._domains:
            with closing(connect(access)) as connection:
                yield connection


def _found(connection: Connection, who: str) -> Iterator[Entry]:
    base, scope, filter_ = _question(who)
    if base is None:
        root = connection.search("", matching("(objectClass=*)"), scope=ldap3.BASE, attributes=["defaultNamingContext"])
        base = root.decoded()[0]["defaultnamingcontext"][0].decode("utf-8")
    answer = connection.search(
        base,
        all_of(filter_, matching(USERS_AND_CONTACTS)),
        scope=scope,
        attributes=[OBJECT_GUID, CONSISTENCY_GUID, CERTIFICATE, WRITABLE],
        tolerate={NO_SUCH_OBJECT, REFERRAL, NO_DN},
    )
    yield from answer.decoded()


def _question(who: str) -> tuple[str | None, str, Filter]:
    """Where to search and for what; None is the whole domain. Raises PermanentError `settings-invalid`."""
    if _IMMUTABLE_ID.fullmatch(who):
        guid = base64.b64decode(who)
        return None, ldap3.SUBTREE, any_of((equals(OBJECT_GUID, guid), equals(CONSISTENCY_GUID, guid)))
    if "@" in who and "," not in who:
        return None, ldap3.SUBTREE, equals("userPrincipalName", who.encode("utf-8"))
    if re.match(r"[A-Za-z]+=[^,]", who):
        return who, ldap3.BASE, matching("(objectClass=*)")
    raise PermanentError(ErrorCode.SETTINGS_INVALID, f"SMIME_SYNC_CANARY={who} is neither ImmutableId, UPN nor DN")
