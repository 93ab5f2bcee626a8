"""A certificate revocation list, full or delta, of a million entries if need be (RFC 5280, 5).

`cryptography` reads a list as a whole and searches it from its beginning each time, and asked for the signed bytes it
writes them anew. So the list is cut at its entries: what is left is a small list that `cryptography` reads, the digest
of the signed part is taken once, and an index of the serial numbers (8 bytes an entry) finds an entry, which alone
with the rest makes a small list again.
"""

from __future__ import annotations

import warnings
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from zlib import crc32

from asn1crypto import parser
from cryptography import x509

from sync.core.certificate import Signature
from sync.core.der import SEQUENCE, content, elements, wrap
from sync.core.signatures import Seal

_INTEGER = 0x02
_TIMES = (0x17, 0x18)
_CRITICAL = b"\x01\x01\xff"  # BOOLEAN TRUE, which in an entry can only be the mark of a critical extension, or chance
_KNOWN_EXTENSIONS = frozenset({"2.5.29.18", "2.5.29.20", "2.5.29.27", "2.5.29.28", "2.5.29.35", "2.5.29.46"})
_KNOWN_ENTRY_EXTENSIONS = frozenset({"2.5.29.21", "2.5.29.24"})  # reason, invalidity date
_MAX_LOOKS = 10_000  # at entries that may hold a critical extension; a CA marks none of them, or one of a kind


class MalformedListError(ValueError):
    """The bytes are no revocation list that can be read; the message says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One revoked certificate: when (UTC) and the CRLReason, where they can be read."""

    at: datetime | None
    reason: str | None

    @property
    def removed(self) -> bool:
        """Whether a delta takes it from the list again (RFC 5280, 5.3.1)."""
        return self.reason == x509.ReasonFlags.remove_from_crl.value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RevocationList:
    """One list. `number` and `base` are the CRL number and, in a delta, the base's; `scope` is the DER of what it is
    limited to (its issuing distribution point), empty where it is for all; `unusable` says why it cannot be used."""

    issuer: bytes
    this_update: datetime
    next_update: datetime | None
    number: int | None
    base: int | None
    point: x509.IssuingDistributionPoint | None
    scope: bytes
    unusable: str
    seal: Seal
    count: int
    _entries: bytes = field(repr=False)
    _index: array[int] = field(repr=False)
    _around: tuple[tuple[bytes, ...], tuple[bytes, ...], bytes] = field(repr=False)

    @property
    def signature(self) -> Signature:
        """How it is signed."""
        return self.seal.algorithm

    @property
    def is_delta(self) -> bool:
        """Whether it only tells what changed since a base (RFC 5280, 5.2.4)."""
        return self.base is not None

    @classmethod
    def parse(cls, der: bytes) -> RevocationList:
        """Read DER. Raises MalformedListError, and nothing else, whatever the bytes."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return _parse(der)
            except (ValueError, TypeError, LookupError, StopIteration, x509.DuplicateExtension) as error:
                raise MalformedListError((str(error).splitlines() or [type(error).__name__])[0][:200]) from error

    def find(self, serial: int) -> Entry | None:
        """The entry of a serial number, if there is one: about a microsecond where there is none."""
        wanted = wrap(_INTEGER, serial.to_bytes(serial.bit_length() // 8 + 1, "big", signed=True))
        mark = crc32(wanted)
        place = bisect_left(self._index, mark << 32)
        while place < len(self._index) and self._index[place] >> 32 == mark:
            start = self._index[place] & 0xFFFFFFFF
            entry = self._entries[start : _end(self._entries, start)]
            if content(entry).startswith(wanted):
                return _read(entry, self._around)
            place += 1
        return None


def _parse(der: bytes) -> RevocationList:
    """1 cut, 2 read what is left, 3 index the entries, 4 look for what makes the list unusable."""
    # 1
    tbs, algorithm, signature = elements(content(der))
    pieces = elements(content(tbs))
    first = next(place for place, piece in enumerate(pieces) if piece[0] in _TIMES)
    following = first + 2 if pieces[first + 1 :] and pieces[first + 1][0] in _TIMES else first + 1
    revoked = pieces.pop(following) if pieces[following:] and pieces[following][0] == SEQUENCE else b""
    before, after = tuple(pieces[:following]), tuple(pieces[following:])
    around = (before, after, algorithm + signature)
    # 2
    rest = _alone(None, around)
    extensions = {each.oid.dotted_string: each for each in rest.extensions}
    number = extensions.get("2.5.29.20")
    delta = extensions.get("2.5.29.27")
    point = extensions.get("2.5.29.28")
    # 3
    entries = content(revoked) if revoked else b""
    starts, index = _indexed(entries)
    # 4
    critical = sorted(oid for oid, each in extensions.items() if each.critical and oid not in _KNOWN_EXTENSIONS)
    unknown = [f"the critical extension {oid}" for oid in critical]
    unknown += _unknown_in_entries(entries, starts, around)
    return RevocationList(
        issuer=before[first - 1],
        this_update=rest.last_update_utc,
        next_update=rest.next_update_utc,
        number=number.value.crl_number if number and isinstance(number.value, x509.CRLNumber) else None,
        base=delta.value.crl_number if delta and isinstance(delta.value, x509.DeltaCRLIndicator) else None,
        point=point.value if point and isinstance(point.value, x509.IssuingDistributionPoint) else None,
        scope=point.value.public_bytes() if point else b"",
        unusable=f"it has {unknown[0]}, which is not known here" if unknown else "",
        seal=Seal.of(rest, tbs),
        count=len(index),
        _entries=entries,
        _index=index,
        _around=around,
    )


def _alone(
    entry: bytes | None, around: tuple[tuple[bytes, ...], tuple[bytes, ...], bytes]
) -> x509.CertificateRevocationList:
    """The list with one entry, or none: small enough for `cryptography` to read. Raises ValueError."""
    before, after, sealed = around
    entries = () if entry is None else (wrap(SEQUENCE, entry),)
    try:
        return x509.load_der_x509_crl(wrap(SEQUENCE, wrap(SEQUENCE, *before, *entries, *after), sealed))
    except x509.InvalidVersion as error:
        # The one refusal of a list that is no ValueError there.
        raise ValueError(str(error)) from error


def _read(entry: bytes, around: tuple[tuple[bytes, ...], tuple[bytes, ...], bytes]) -> Entry:
    try:
        revoked = next(iter(_alone(entry, around)))
    except ValueError:
        return Entry(at=None, reason=None)  # revoked all the same: its serial number stands there
    try:
        reason: str | None = revoked.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        reason = None
    return Entry(at=revoked.revocation_date_utc, reason=reason)


def _indexed(entries: bytes) -> tuple[array[int], array[int]]:
    """Where each entry starts, and for each, sorted, the CRC of its serial number beside that place.

    The one loop that passes a million times: it reads an entry of less than 128 bytes by itself and asks asn1crypto
    where a longer one ends. Raises ValueError, IndexError.
    """
    starts, marks = array("Q"), []
    start, total = 0, len(entries)
    while start < total:
        serial = start + 2
        end = serial + entries[start + 1]
        if entries[start + 1] >= 0x80:
            end = _end(entries, start)
            serial = end - len(content(entries[start:end]))
        after = serial + 2 + entries[serial + 1]
        if entries[start] != SEQUENCE or entries[serial] != _INTEGER or after > end or end > total:
            raise MalformedListError(f"the entry at byte {start} of the entries cannot be read")
        starts.append(start)
        marks.append(crc32(entries[serial:after]) << 32 | start)
        start = end
    marks.sort()
    return starts, array("Q", marks)


def _end(entries: bytes, start: int) -> int:
    """Where the entry at `start` ends. Raises ValueError."""
    for most in (256, 65_536):
        try:
            return int(start + parser.peek(entries[start : start + most]))
        except ValueError:
            continue  # longer than that
    return int(start + parser.peek(entries[start:]))


def _unknown_in_entries(
    entries: bytes, starts: array[int], around: tuple[tuple[bytes, ...], tuple[bytes, ...], bytes]
) -> list[str]:
    """Critical extensions of entries that nobody here knows: with one, no entry may be relied upon (RFC 5280, 5.3)."""
    for looks, start in enumerate(_suspects(entries, starts)):
        if looks == _MAX_LOOKS:
            return [f"critical extensions in more than {_MAX_LOOKS} entries"]
        entry = entries[start : _end(entries, start)]
        for extension in next(iter(_alone(entry, around))).extensions:
            if extension.critical and extension.oid.dotted_string not in _KNOWN_ENTRY_EXTENSIONS:
                return [f"the critical entry extension {extension.oid.dotted_string}"]
    return []


def _suspects(entries: bytes, starts: array[int]) -> Iterator[int]:
    found = entries.find(_CRITICAL)
    while found >= 0:
        place = bisect_right(starts, found)
        yield starts[place - 1]
        found = entries.find(_CRITICAL, starts[place] if place < len(starts) else len(entries))
