"""From a directory entry to a person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from sync.adapters.active_directory.messages import Attributes
from sync.core.identity import SourceAnchor
from sync.core.person import Attribute, Person, Values
from sync.core.units import units
from sync.errors import ErrorCode, PermanentError

Entry = Attributes
"""As it came from the wire."""

OBJECT_GUID: Final = "objectGUID"
CONSISTENCY_GUID: Final = "mS-DS-ConsistencyGuid"
ATTRIBUTES: Final = (
    OBJECT_GUID,
    CONSISTENCY_GUID,
    *(str(attribute) for attribute in Attribute),
    "userPrincipalName",
    "mail",
    "proxyAddresses",
    "userAccountControl",
    "isDeleted",
    "distinguishedName",
)
"""What makes a person. DirSync is asked for `name` besides, which changes on a rename or move."""

ACCOUNT_DISABLED: Final = 0x2
"""ADS_UF_ACCOUNTDISABLE of userAccountControl (MS-ADTS 2.2.16)."""


def person(entry: Entry) -> Person:
    """Read one person. Raises PermanentError `directory-malformed` when nobody can be told by it.

    A tombstone keeps its objectGUID and, without the recycle bin, neither addresses nor mS-DS-ConsistencyGuid: whoever
    remembers people must know them by objectGUID too.
    """
    deleted = _first(entry, "isDeleted") == b"TRUE"
    return Person(
        anchor=SourceAnchor(object_guid(entry), _first(entry, CONSISTENCY_GUID) or None),
        user_principal_name=_text(entry, "userPrincipalName"),
        mail=_text(entry, "mail"),
        proxy_addresses=tuple(sorted(map(_decode, _all(entry, "proxyAddresses")))),
        enabled=not _number(entry, "userAccountControl") & ACCOUNT_DISABLED,
        deleted=deleted,
        units=() if deleted else units(_text(entry, "distinguishedName") or ""),
        values=Values() if deleted else Values.of(*(_all(entry, attribute) for attribute in Attribute)),
    )


def gone(guid: bytes) -> Person:
    """Somebody who changed and cannot be found any more: deleted, or out of base, filter or sight."""
    return Person(anchor=SourceAnchor(guid), deleted=True)


def object_guid(entry: Entry) -> bytes:
    """The entry's objectGUID, 16 bytes. Raises PermanentError `directory-malformed`."""
    guid = _first(entry, OBJECT_GUID)
    if len(guid) != 16:
        raise PermanentError(
            ErrorCode.DIRECTORY_MALFORMED, f"an entry has an objectGUID of {len(guid)} bytes instead of 16"
        )
    return guid


def changed_at(entry: Entry) -> datetime | None:
    """whenChanged in UTC, cut to the second as Active Directory keeps it; None when it is absent or not a time."""
    try:
        return datetime.strptime(_first(entry, "whenChanged").decode("ascii"), "%Y%m%d%H%M%S.0Z").replace(tzinfo=UTC)
    except ValueError:
        return None


def _all(entry: Entry, name: str) -> Sequence[bytes]:
    return entry.get(name.lower(), ())


def _first(entry: Entry, name: str) -> bytes:
    return next(iter(_all(entry, name)), b"")


def _text(entry: Entry, name: str) -> str | None:
    return _decode(_first(entry, name)) or None


def _decode(value: bytes) -> str:
    # Active Directory promises UTF-8. A broken value must not hold up everybody: as it is, it names no mailbox.
    return value.decode("utf-8", errors="replace")


def _number(entry: Entry, name: str) -> int:
    try:
        return int(_first(entry, name) or 0)
    except ValueError as error:
        raise PermanentError(ErrorCode.DIRECTORY_MALFORMED, f"{name} of an entry is not a number") from error
