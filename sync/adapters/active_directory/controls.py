"""The LDAP controls of Active Directory that we use (MS-ADTS 3.1.1.3.4.1)."""

from __future__ import annotations

from typing import Final

from sync.adapters.active_directory.messages import control, integer, numbers_and_cookie, octets, sequence

DIRSYNC: Final = "1.2.840.113556.1.4.841"
NOTIFICATION: Final = "1.2.840.113556.1.4.528"
SHOW_DELETED: Final = "1.2.840.113556.1.4.417"
PAGED: Final = "1.2.840.113556.1.4.319"

OBJECT_SECURITY: Final = 0x1
"""LDAP_DIRSYNC_OBJECT_SECURITY: show what this account may read anyway, so that it needs no replication right."""

ANSWER_SIZE: Final = 4 * 1024 * 1024
"""Bytes that one DirSync answer may hold, so that a long absence is read in pieces. Samba does not look at it."""


def dirsync(cookie: bytes, *, flags: int = OBJECT_SECURITY, max_bytes: int = ANSWER_SIZE) -> bytes:
    """Ask for what changed since `cookie` (empty: since ever).

    `flags` is a set of 32 bits and the wire knows only signed integers, so bit 31 makes it negative: domain controllers
    refuse a fifth byte.
    """
    signed = flags - (1 << 32) if flags & (1 << 31) else flags
    return control(DIRSYNC, sequence(integer(signed), integer(max_bytes), octets(cookie)))


def dirsync_said(value: bytes) -> tuple[bool, bytes]:
    """Whether there is more to read, and the cookie to go on with. Raises ValueError or IndexError."""
    more, cookie = numbers_and_cookie(value)
    return more != 0, cookie


def paged(size: int, cookie: bytes) -> bytes:
    """Ask for at most `size` entries, from where `cookie` ended (empty: from the beginning). RFC 2696."""
    return control(PAGED, sequence(integer(size), octets(cookie)))


def paged_said(value: bytes | None) -> bytes:
    """The cookie to go on with; empty at the end, and without the control. Raises ValueError or IndexError."""
    return numbers_and_cookie(value)[1] if value else b""


def notification() -> bytes:
    """Keep the search open and tell of each later change."""
    return control(NOTIFICATION)


def show_deleted() -> bytes:
    """See tombstones too."""
    return control(SHOW_DELETED)
