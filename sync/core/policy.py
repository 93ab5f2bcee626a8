"""Policy packs: named, dated sets of the thresholds and levels by which certificates are judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from sync.core.certificate import Signature
from sync.core.codes import Code
from sync.core.findings import Finding, Level

_WARNINGS = frozenset(
    {
        Code.CMS_TRAILING_DATA,
        Code.CMS_SIGNATURE_INVALID,
        Code.CMS_AMBIGUOUS_LEAF,
        Code.SMIME_BARE_CERTIFICATE,
        Code.SERIAL_INVALID,
        Code.EXPIRY_GRACE,
        Code.EXPIRES_SOON,
        Code.KU_ABSENT,
        Code.EKU_ANY,
        Code.MAILBOX_MALFORMED,
        Code.MAILBOX_CASE,
        Code.MAILBOX_SECONDARY,
        Code.MAILBOX_FOREIGN,
        Code.OVER_LIMIT,
        Code.SHADOWING,
    }
)
_NOTES = frozenset(
    {
        Code.CRL_LDAP_ONLY,
        Code.DUPLICATE,
        Code.SUPERSEDED_SAME_KEY,
        Code.SUPERSEDED,
        Code.NONE_PUBLISHABLE,
        Code.OVERLAP,
    }
)
# What revocation leaves open: refused when revocation is `hard`, a warning when it is `soft`.
OPEN = frozenset({Code.REVOCATION_UNKNOWN, Code.CRL_STALE, Code.CRL_SIGNATURE})
_Day = date  # within Policy, `date` is the pack's
_NEVER = frozenset({"md2", "md4", "md5"})
_SCHEMES = frozenset({"rsa", "rsa-pss", "ecdsa"})


class Revocation(StrEnum):
    """Whether revocation is looked at, and what it means that it cannot be found out."""

    OFF = "off"
    SOFT = "soft"
    HARD = "hard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a rule asks before it speaks. A verdict names the pack and its date.

    `levels` overrides the level that the decision table gives a code. Sizes are in bits for keys and in bytes for
    values; `curves` and `hashes` bear the names that `cryptography` gives them, with `x25519` and `x448` among the
    curves. SHA-1 is allowed by adding `sha1` to `hashes`; MD5 and MD2 are refused whatever `hashes` says.
    `subject_email` takes emailAddress of the subject for an address where the certificate has no other. A revocation
    list counts until `crl_grace` past its next update. `validity` are the days that a certificate may be valid, by the
    first day of issue from which that counts, the oldest first. For `overlap` after the begin of a new certificate its
    predecessor stays published beside it. What is published when it expires stays for `expiry_grace`. `label` names
    pack and date, as a verdict does.
    """

    name: str
    date: date
    levels: Mapping[Code, Level] = field(default_factory=lambda: MappingProxyType({}))
    clock_skew: timedelta = timedelta(minutes=5)
    expires_soon: timedelta = timedelta(days=30)
    min_rsa_bits: int = 2048
    max_rsa_bits: int = 8192
    usual_rsa_exponent: int = 65537
    curves: frozenset[str] = frozenset({"secp256r1", "secp384r1", "secp521r1"})
    hashes: frozenset[str] = frozenset({"sha256", "sha384", "sha512"})
    subject_email: bool = True
    revocation: Revocation = Revocation.OFF
    crl_grace: timedelta = timedelta(0)
    validity: tuple[tuple[_Day, int], ...] = ()
    overlap: timedelta = timedelta(0)
    expiry_grace: timedelta = timedelta(hours=24)
    max_value_bytes: int = 32_768
    max_certificates: int = 64
    max_depth: int = 8
    max_paths: int = 32
    max_signatures: int = 128
    max_per_address: int = 1
    max_values: int = 15
    label: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", f"{self.name} {self.date}")

    def longest_validity(self, issued: datetime) -> int | None:
        """The days that a certificate of this day may be valid; None where nothing limits them."""
        return next((days for since, days in reversed(self.validity) if issued.date() >= since), None)

    def level(self, code: Code) -> Level:
        """How much a code weighs."""
        if code in self.levels:
            return self.levels[code]
        if code in _NOTES:
            return Level.NOTE
        if code in OPEN and self.revocation is not Revocation.HARD:
            return Level.WARN
        return Level.WARN if code in _WARNINGS else Level.REFUSE

    def finding(self, code: Code, detail: str) -> Finding:
        """Make a finding at the level that this policy gives its code."""
        return Finding(code, self.level(code), detail)

    def objection_to(self, signature: Signature) -> Code | None:
        """Say what is wrong with how a CA signed, if anything (S/MIME BR 7.1.3.2; RFC 8550, 4.3)."""
        if signature.hash in _NEVER:
            return Code.SIG_WEAK_HASH
        if signature.scheme == "eddsa" or (signature.scheme in _SCHEMES and signature.hash in self.hashes):
            return None
        return Code.SIG_WEAK_HASH if signature.hash == "sha1" else Code.SIG_UNSUPPORTED


PRIVATE_CA = Policy(name="private-ca", date=date(2026, 1, 1))
"""An AD CS and its habits."""

PUBLIC_SBR = Policy(
    name="public-sbr",
    date=date(2025, 7, 16),
    levels=MappingProxyType(
        dict.fromkeys((Code.SERIAL_INVALID, Code.KU_ABSENT, Code.EKU_ANY, Code.MAILBOX_MALFORMED), Level.REFUSE)
    ),
    subject_email=False,
    # The legacy generation's 1185 days ended on 2025-07-15; before 2023-09-01 the requirements were not in force.
    validity=((date(2023, 9, 1), 1185), (date(2025, 7, 16), 825)),
)
"""The CA/Browser Forum's S/MIME Baseline Requirements (6.1.5, 6.3.2, 7.1.2.3, 7.1.4.2.1)."""

POLICIES: Mapping[str, Policy] = MappingProxyType({each.name: each for each in (PRIVATE_CA, PUBLIC_SBR)})
