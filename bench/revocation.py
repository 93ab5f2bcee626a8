"""A revocation list of a million entries."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from cryptography import x509

from bench.figure import Section, microseconds
from sync.core.certificate import Certificate
from sync.core.path import TrustStore
from sync.core.policy import PRIVATE_CA
from sync.core.revocation import Inquiry, Knowledge
from sync.core.revocation_list import RevocationList
from tests.mill import NOW, Mill, der, keys

ENTRIES = 1_000_000
_LOOKS = 2_000
_T = TypeVar("_T")


def measure() -> Section:
    """First and later look-ups, beside `cryptography`'s own reading of the same list."""
    mill = Mill()
    root = mill.root(key="rsa2048")
    leaf = root.issue("alice@corp.example", key="ec256")
    encoded = _million(root.name, root.key)
    parsed_leaf, issuer = Certificate.parse(leaf.der), Certificate.parse(root.der)

    loading, listed = _seconds(lambda: RevocationList.parse(encoded))
    inquiry = Inquiry(
        anchor=issuer,
        knowledge=Knowledge.of([listed]),
        trust=TrustStore.of([root.der]),
        policy=PRIVATE_CA,
        now=NOW,
    )
    assert inquiry.status(parsed_leaf, issuer).standing == "good"
    absent = itertools.count(1)
    find_absent = _each(lambda: listed.find(next(absent)))
    find_present = _each(lambda: listed.find(_serial(next(absent))))
    assert listed.find(_serial(ENTRIES - 1)) is not None
    verdict = _each(lambda: inquiry.status(parsed_leaf, issuer))

    theirs, library = _seconds(lambda: x509.load_der_x509_crl(encoded))
    verifying, valid = _seconds(lambda: library.is_signature_valid(root.certificate.public_key()))  # type: ignore[arg-type]
    assert valid
    searching, _ = _seconds(lambda: library.get_revoked_certificate_by_serial_number(1))

    def row(what: str, ours: float, theirs: float, peer: str) -> tuple[str, ...]:
        return what, _shown(ours), _shown(theirs), f"{theirs / ours:,.1f}", peer

    size = f"{len(encoded) / 1e6:.0f} MB"
    return Section(
        title="Revocation",
        head=("work", "ours", "cryptography", "times faster", "cryptography does"),
        rows=(
            row(f"load a list of {ENTRIES:,} entries ({size})", loading, theirs + verifying, "load, verify"),
            row("first answer: load, verify, look up", loading + verdict, theirs + verifying + searching, "the same"),
            row("later: verify, scope, times, look up", verdict, searching, "get_revoked_certificate_by_serial_number"),
            row("later: look up one that is not there", find_absent, searching, "the same"),
            row("later: look up one that is there", find_present, searching, "the same (for one not there)"),
        ),
        note="One load, medians of seven rounds for look-ups; a verdict verifies the list's signature each time.",
    )


def _serial(number: int) -> int:
    return (1 << 110) + number * 7_919


def _million(name: x509.Name, key: keys.PrivateKey) -> bytes:
    """A list with serial numbers of 14 octets and a reason each, as a public CA's; about 49 bytes an entry."""
    reason = der.sequence(der.sequence(der.oid("2.5.29.21"), der.octet_string(b"\x0a\x01\x04")))
    tail = der.time(NOW) + reason
    entries = b"".join(der.sequence(der.integer(_serial(number)), tail) for number in range(ENTRIES))
    algorithm = keys.signature_algorithm(key, "sha256")
    tbs = der.sequence(
        der.integer(1),
        algorithm,
        name.public_bytes(),
        der.time(NOW - timedelta(days=1)),
        der.time(NOW + timedelta(days=6)),
        der.sequence(entries),
    )
    return der.sequence(tbs, algorithm, der.bit_string(keys.sign(key, tbs, "sha256")))


def _seconds(work: Callable[[], _T]) -> tuple[float, _T]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def _each(work: Callable[[], object]) -> float:
    """Seconds of one call: the median over rounds."""
    return microseconds(work, _LOOKS) / 1e6


def _shown(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:,.1f} ms"
