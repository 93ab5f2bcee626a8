"""The LDAP controls of Active Directory that we use (MS-ADTS 3.1.1.3.4.1), as ldap3 sends them."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from asn1crypto import core
from ldap3.protocol.controls import build_control

DIRSYNC: Final = "1.2.840.113556.1.4.841"
NOTIFICATION: Final = "1.2.840.113556.1.4.528"
SHOW_DELETED: Final = "1.2.840.113556.1.4.417"
PAGED: Final = "1.2.840.113556.1.4.319"

OBJECT_SECURITY: Final = 0x1
"""LDAP_DIRSYNC_OBJECT_SECURITY: show what this account may read anyway, so that it needs no replication right."""

ANSWER_SIZE: Final = 4 * 1024 * 1024
"""Bytes that one DirSync answer may hold, so that a long absence is read in pieces. Samba does not look at it."""


class _DirSyncRequest(core.Sequence):  # type: ignore[misc]
    """MS-ADTS 3.1.1.3.4.1.3."""

    _fields: ClassVar = [("flags", core.Integer), ("max_bytes", core.Integer), ("cookie", core.OctetString)]


class _PagedRequest(core.Sequence):  # type: ignore[misc]
    """RFC 2696, 2."""

    _fields: ClassVar = [("size", core.Integer), ("cookie", core.OctetString)]


def dirsync(cookie: bytes, *, flags: int = OBJECT_SECURITY, max_bytes: int = ANSWER_SIZE) -> Any:
    """Ask for what changed since `cookie` (empty: since ever).

    `flags` is a set of 32 bits and the wire knows only signed integers, so bit 31 makes it negative: ldap3's own helper
    sends five bytes then, which domain controllers refuse.
    """
    signed = flags - (1 << 32) if flags & (1 << 31) else flags
    value = _DirSyncRequest({"flags": signed, "max_bytes": max_bytes, "cookie": cookie}).dump()
    return build_control(DIRSYNC, True, value, encode_control_value=False)


def paged(size: int, cookie: bytes) -> Any:
    """Ask for at most `size` entries, from where `cookie` ended (empty: from the beginning)."""
    value = _PagedRequest({"size": size, "cookie": cookie}).dump()
    return build_control(PAGED, True, value, encode_control_value=False)


def notification() -> Any:
    """Keep the search open and tell of each later change."""
    return build_control(NOTIFICATION, True, None)


def show_deleted() -> Any:
    """See tombstones too."""
    return build_control(SHOW_DELETED, True, None)
