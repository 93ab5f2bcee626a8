"""A directory that is an LDIF file (RFC 2849), as `ldapsearch` or `ldifde` prints it: the embedded default's Active
Directory. Each read is a full import, so a person who is no longer in the file has left.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sync.core.identity import SourceAnchor
from sync.core.person import Person, Values
from sync.core.units import units
from sync.errors import ErrorCode, PermanentError
from sync.ports import Page, Seen, nobody

_ACCOUNT_DISABLED = 0x2
"""ADS_UF_ACCOUNTDISABLE of userAccountControl (MS-ADTS 2.2.16)."""

Entry = dict[str, list[bytes]]
"""Attribute name in lower case, without options such as `;binary`, to its values."""


class LdifDirectory:
    """Directory: reads the whole file whenever it changed. Everybody with an objectGUID and class user is in scope."""

    def __init__(self, path: Path, *, name: str = "ldif", poll: timedelta = timedelta(milliseconds=200)) -> None:
        self._path = path
        self._name = name
        self._poll = poll
        self._seen: os.stat_result | None = None

    @property
    def name(self) -> str:
        return self._name

    def changes(self, checkpoint: bytes | None, seen: Seen = nobody) -> Iterator[Page]:  # noqa: ARG002 - one page is all
        # The state is taken before the content: a change in between is read again, never missed.
        self._seen = self._stat()
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise _unreadable(self._path, error) from error
        digest = hashlib.sha256(content).hexdigest().encode("ascii")
        if digest == checkpoint:
            return
        people = tuple(_person(entry, line) for entry, line in entries(content) if _in_scope(entry))
        # Whoever differs from the last read has changed with the file; the first read tells of no change.
        changed_at = datetime.fromtimestamp(self._seen.st_mtime, UTC) if checkpoint else None
        yield Page(people=people, checkpoint=digest, full=True, complete=True, changed_at=changed_at)

    def find(self, guids: Sequence[bytes]) -> Sequence[Person]:
        people = {person.anchor.object_guid: person for page in self.changes(None) for person in page.people}
        return [people.get(guid, Person(anchor=SourceAnchor(guid), deleted=True)) for guid in guids]

    def anchored(self, consistency_guids: Sequence[bytes]) -> Sequence[Person]:
        people = [person for page in self.changes(None) for person in page.people]
        return [each for each in people if each.anchor.consistency_guid in consistency_guids and not each.deleted]

    def clock(self) -> None:
        """A file has no clock of its own."""

    def wait(self, timeout: timedelta) -> bool:
        deadline = time.monotonic() + timeout.total_seconds()
        while self._seen and _version(self._stat()) == _version(self._seen):
            if (left := deadline - time.monotonic()) <= 0:
                return False
            time.sleep(min(left, self._poll.total_seconds()))
        return True

    def close(self) -> None:
        """Nothing is held open."""

    def _stat(self) -> os.stat_result:
        try:
            return self._path.stat()
        except OSError as error:
            raise _unreadable(self._path, error) from error


def _version(state: os.stat_result) -> tuple[int, int, int]:
    return state.st_mtime_ns, state.st_size, state.st_ino


def _unreadable(path: Path, error: OSError) -> PermanentError:
    return PermanentError(ErrorCode.FILE_UNREADABLE, f"{path}: {error.strerror}")


def entries(content: bytes) -> Iterator[tuple[Entry, int]]:
    """Split LDIF content records (RFC 2849, section 2) into entries, each with the number of its first line.

    Raises PermanentError `directory-malformed`, with the line. Change records are refused: a file says what is.
    """
    entry: Entry = {}
    start = 0
    for number, line in _unfold(content):
        if not line:
            if entry:
                yield entry, start
                entry = {}
            continue
        if line.startswith(b"#") or (not entry and line.lower().startswith(b"version:")):
            continue
        name, colon, value = line.partition(b":")
        if not colon or not name:
            # ldapsearch ends its output with "search: 2" and "result: 0 Success", which parse; this does not.
            raise _malformed(number, "not 'attribute: value'")
        start = start if entry else number
        key = name.split(b";")[0].decode("ascii", "replace").lower()
        if key == "changetype":
            raise _malformed(number, "a change record; export entries instead")
        entry.setdefault(key, []).append(_value(value, number))
    if entry:
        yield entry, start


def _unfold(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Join folded lines: a line that begins with one space continues the one before."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        # ldifde -u writes UTF-16; RFC 2849 is UTF-8.
        raise _malformed(1, "UTF-16; export without -u or convert it to UTF-8")
    number, whole = 0, bytearray()
    for count, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        line = line.removesuffix(b"\r")  # noqa: PLW2901 - ldifde ends its lines as Windows does
        if line.startswith(b" ") and number:
            whole += line[1:]
            continue
        if number:
            yield number, bytes(whole)
        number, whole = count, bytearray(line)
    yield number, bytes(whole)
    yield number + 1, b""


def _value(text: bytes, number: int) -> bytes:
    if text.startswith(b":"):
        try:
            return base64.b64decode(text[1:].strip(b" "), validate=True)
        except binascii.Error as error:
            raise _malformed(number, f"bad base64 ({error})") from error
    if text.startswith(b"<"):
        raise _malformed(number, "a value by URL; export the value itself")
    return text.lstrip(b" ")


def _in_scope(entry: Entry) -> bool:
    """Objects of class user that are no computers; an export without objectClass is taken to hold people only."""
    classes = {name.lower() for name in entry.get("objectclass", ())}
    return b"computer" not in classes and (b"user" in classes if classes else "objectguid" in entry)


def _person(entry: Entry, line: int) -> Person:
    if "objectguid" not in entry:
        raise _malformed(line, "a user without objectGUID; export that attribute too")
    guid = entry["objectguid"][0]
    consistency_guid = entry.get("ms-ds-consistencyguid", [None])[0]
    if len(guid) != 16 or (consistency_guid is not None and len(consistency_guid) != 16):
        raise _malformed(line, "objectGUID and mS-DS-ConsistencyGuid have 16 bytes")
    return Person(
        anchor=SourceAnchor(guid, consistency_guid),
        user_principal_name=_text(entry, "userprincipalname"),
        mail=_text(entry, "mail"),
        proxy_addresses=tuple(sorted(value.decode("utf-8", "replace") for value in entry.get("proxyaddresses", ()))),
        enabled=not _number(entry, "useraccountcontrol", line) & _ACCOUNT_DISABLED,
        deleted=(_text(entry, "isdeleted") or "").upper() == "TRUE",
        units=units(_text(entry, "dn") or ""),
        values=Values.of(entry.get("usercertificate", ()), entry.get("usersmimecertificate", ())),
    )


def _text(entry: Entry, name: str) -> str | None:
    return entry[name][0].decode("utf-8", "replace") or None if name in entry else None


def _number(entry: Entry, name: str, line: int) -> int:
    try:
        return int(entry.get(name, [b"0"])[0])
    except ValueError as error:
        raise _malformed(line, f"{name} is not a number") from error


def _malformed(line: int, problem: str) -> PermanentError:
    return PermanentError(ErrorCode.DIRECTORY_MALFORMED, f"LDIF, line {line}: {problem}")
