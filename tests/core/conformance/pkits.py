"""NIST's PKITS 1.0.1 as values: each case with its number, its name, its certificate and what the suite says of it.

The files bear the names of the cases and of no sections, so the sections are told from the names. The suite is run with
its default settings (any policy will do, none is asked for), with every CA certificate of the suite at hand at once:
that is what a directory is like, and harder than the suite's own ready-made paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cryptography_vectors

_FOLDER = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data"
_FILE = re.compile(r"(?P<name>.+)Test(?P<number>\d+)EE\.crt")
# The first pattern that fits gives the section.
_SECTIONS = (
    (1, r"ValidCertificatePath|Invalid(CA|EE)Signature|DSA"),
    (2, r"not(Before|After)Date"),
    (3, r"NameChaining|NameUIDs|RFC3280|UTF8String"),
    (5, r"BasicSelfIssued"),
    (11, r"inhibitPolicyMapping"),
    (9, r"requireExplicitPolicy"),
    (10, r"PolicyMapping|MappingFrom|MappingTo"),
    (12, r"inhibitAnyPolicy"),
    (6, r"[bB]asicConstraints|InvalidcAFalse|pathLenConstraint"),
    (7, r"keyUsage"),
    (8, r"Polic|Qualifier"),
    (13, r"nameConstraints"),
    (15, r"deltaCRL"),
    (14, r"istributionPoint|onlyContains|onlySomeReasons|indirectCRL|cRLIssuer"),
    (16, r"CertificateExtension"),
    (4, r"CRL|Revoked|SerialNumber"),
)
# Cases of 4.8 and 4.12 whose names do not say: paths without a policy in common, below a CA that asks for one.
_NO_COMMON_POLICY = frozenset({"4.8.4", "4.8.5", "4.8.7", "4.8.8", "4.8.9", "4.8.12"})
_CASES_OF = {1: 6, 2: 8, 3: 11, 4: 21, 5: 8, 6: 17, 7: 5, 8: 20, 9: 8, 10: 14, 11: 11, 12: 10, 13: 38, 14: 35, 15: 10}
CASES_OF = {**_CASES_OF, 16: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case; `good` is what PKITS says of it."""

    section: int
    place: int
    name: str
    good: bool
    der: bytes

    @property
    def number(self) -> str:
        """As PKITS numbers it, for example 4.13.7."""
        return f"4.{self.section}.{self.place}"


@cache
def cases() -> tuple[Case, ...]:
    """All of them, in the order of their numbers; 4.8.1 is the certificate of 4.1.1 once more."""
    found = [*_read()]
    first = next(case for case in found if case.number == "4.1.1")
    found.append(Case(section=8, place=1, name=first.name, good=True, der=first.der))
    return tuple(sorted(found, key=lambda case: (case.section, case.place)))


@cache
def authorities() -> tuple[bytes, ...]:
    """The certificates of all CAs, but for the trust anchor and those with DSA keys, which belong to no case we run."""
    return tuple(file.read_bytes() for file in sorted((_FOLDER / "certs").glob("*Cert.crt")) if "DSA" not in file.name)


@cache
def anchor() -> bytes:
    """The one trust anchor."""
    return (_FOLDER / "certs" / "TrustAnchorRootCertificate.crt").read_bytes()


@cache
def lists() -> dict[str, bytes]:
    """All revocation lists, by the name of their file."""
    return {file.stem: file.read_bytes() for file in sorted((_FOLDER / "crls").glob("*.crl"))}


def _read() -> Iterator[Case]:
    for file in sorted((_FOLDER / "certs").iterdir()):
        match = _FILE.fullmatch(file.name)
        if match is None:
            continue
        name, place = match["name"], int(match["number"])
        section = next(section for section, pattern in _SECTIONS if re.search(pattern, name))
        good = not name.startswith("Invalid") and f"4.{section}.{place}" not in _NO_COMMON_POLICY
        yield Case(section=section, place=place, name=name, good=good, der=file.read_bytes())
