"""What the directory says of one person at one moment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sync.core.identity import SourceAnchor


class Attribute(StrEnum):
    """The two attributes that carry S/MIME certificates, by their LDAP names."""

    USER_CERTIFICATE = "userCertificate"
    USER_SMIME_CERTIFICATE = "userSMIMECertificate"


def fingerprint(value: bytes) -> str:
    """SHA-256 of a whole attribute value, lower-case hex: how a value is named everywhere, logs included."""
    return hashlib.sha256(value).hexdigest()


@dataclass(frozen=True, slots=True)
class Values:
    """The values of both attributes. Each is a set kept in one canonical order, so equal means same values.

    Build it with `Values.of`, which drops repeats and sorts; the constructor trusts its caller.
    """

    user_certificate: tuple[bytes, ...] = ()
    user_smime_certificate: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, user_certificate: Iterable[bytes] = (), user_smime_certificate: Iterable[bytes] = ()) -> Values:
        """Make canonical values from any iterables of attribute values."""
        return cls(tuple(sorted(set(user_certificate))), tuple(sorted(set(user_smime_certificate))))

    def __getitem__(self, attribute: Attribute) -> tuple[bytes, ...]:
        return self.user_certificate if attribute is Attribute.USER_CERTIFICATE else self.user_smime_certificate

    def __bool__(self) -> bool:
        return bool(self.user_certificate or self.user_smime_certificate)

    def __len__(self) -> int:
        return len(self.user_certificate) + len(self.user_smime_certificate)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """How each value is named, those of userCertificate first."""
        return tuple(fingerprint(value) for attribute in Attribute for value in self[attribute])


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person's whole certificate state in the directory, and who that person is there.

    The addresses are the directory's claim; whether a certificate matches is judged against the addresses
    that the cloud knows (rules.md B12), never against these. `units` marks the containers above the person, the nearest
    first (core.units); whoever is deleted is in none.
    """

    anchor: SourceAnchor
    user_principal_name: str | None = None
    mail: str | None = None
    proxy_addresses: tuple[str, ...] = ()
    enabled: bool = True
    deleted: bool = False
    units: tuple[str, ...] = ()
    values: Values = Values()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses under which the recipient is looked for, best first: primary, mail, UPN, secondary ones."""
        smtp = [(kind, address) for kind, _, address in (entry.partition(":") for entry in self.proxy_addresses)]
        primary = [address for kind, address in smtp if kind == "SMTP"]
        secondary = [address for kind, address in smtp if kind == "smtp"]
        ordered = [*primary, self.mail, self.user_principal_name, *secondary]
        unique = {address.casefold(): address for address in reversed(ordered) if address}
        return tuple(reversed(unique.values()))

    @property
    def state_hash(self) -> str:
        """SHA-256 over everything above: two reads with the same hash need no second event."""
        canonical = [
            self.anchor.object_guid.hex(),
            self.anchor.consistency_guid.hex() if self.anchor.consistency_guid else None,
            self.user_principal_name,
            self.mail,
            sorted(self.proxy_addresses),
            self.enabled,
            self.deleted,
            [[fingerprint(value) for value in self.values[attribute]] for attribute in Attribute],
            # Only where there are any: an agent of an earlier release tells none, and its hash is still the same.
            *([self.units] if self.units else []),
        ]
        return hashlib.sha256(json.dumps(canonical, ensure_ascii=True).encode("ascii")).hexdigest()
