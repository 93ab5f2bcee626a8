"""Certificate extensions as values, so that a test can leave one out, repeat it, or break it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from cryptography import x509

from tests.mill.der import boolean, explicit, implicit, integer, named_bits, octet_string, oid, sequence, utf8

Usage = Literal[
    "digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
    "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
]  # fmt: skip
_USAGES: tuple[str, ...] = (
    "digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
    "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
)  # fmt: skip

EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4"
CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"
SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
ANY_EKU = "2.5.29.37.0"
EFS = "1.3.6.1.4.1.311.10.3.4"
SMART_CARD_LOGON = "1.3.6.1.4.1.311.20.2.2"

SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
KEY_USAGE = "2.5.29.15"
SUBJECT_ALT_NAME = "2.5.29.17"
BASIC_CONSTRAINTS = "2.5.29.19"
NAME_CONSTRAINTS = "2.5.29.30"
CRL_DISTRIBUTION_POINTS = "2.5.29.31"
CERTIFICATE_POLICIES = "2.5.29.32"
AUTHORITY_KEY_IDENTIFIER = "2.5.29.35"
EXTENDED_KEY_USAGE = "2.5.29.37"

UPN = "1.3.6.1.4.1.311.20.2.3"
SMTP_UTF8_MAILBOX = "1.3.6.1.5.5.7.8.9"


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension: dotted OID, the DER inside its OCTET STRING, critical or not."""

    oid: str
    value: bytes
    critical: bool = False

    @property
    def der(self) -> bytes:
        """The Extension SEQUENCE (RFC 5280, 4.1); a FALSE `critical` is left out, as DER demands."""
        critical = [boolean(True)] if self.critical else []
        return sequence(oid(self.oid), *critical, octet_string(self.value))


def basic_constraints(*, ca: bool, path_length: int | None = None) -> Extension:
    """RFC 5280, 4.2.1.9."""
    elements = [boolean(True)] if ca else []
    if path_length is not None:
        elements.append(integer(path_length))
    return Extension(BASIC_CONSTRAINTS, sequence(*elements), critical=True)


def key_usage(usages: Iterable[Usage]) -> Extension:
    """RFC 5280, 4.2.1.3."""
    return Extension(KEY_USAGE, named_bits(*(_USAGES.index(usage) for usage in usages)), critical=True)


def extended_key_usage(purposes: Iterable[str], *, critical: bool = False) -> Extension:
    """RFC 5280, 4.2.1.12."""
    return Extension(EXTENDED_KEY_USAGE, sequence(*map(oid, purposes)), critical)


def rfc822_name(address: str | bytes) -> bytes:
    """A GeneralName; bytes are taken as they are, however little IA5String allows them."""
    return implicit(1, address.encode("ascii") if isinstance(address, str) else address)


def other_name(kind: str, value: bytes) -> bytes:
    """A GeneralName of the form otherName: the UPN of AD, or a SmtpUTF8Mailbox (RFC 9598)."""
    return explicit(0, oid(kind), explicit(0, value))


def upn(name: str) -> bytes:
    """The userPrincipalName that AD CS writes."""
    return other_name(UPN, utf8(name))


def smtp_utf8(address: str) -> bytes:
    """A SmtpUTF8Mailbox (RFC 9598, 3)."""
    return other_name(SMTP_UTF8_MAILBOX, utf8(address))


def dns_name(name: str) -> bytes:
    """A GeneralName of the form dNSName."""
    return implicit(2, name.encode("ascii"))


def directory_name(name: x509.Name) -> bytes:
    """A GeneralName of the form directoryName."""
    return explicit(4, name.public_bytes())


def subject_alt_name(names: Iterable[bytes], *, critical: bool = False) -> Extension:
    """RFC 5280, 4.2.1.6."""
    return Extension(SUBJECT_ALT_NAME, sequence(*names), critical)


def name_constraints(
    *, permitted: Iterable[bytes] = (), excluded: Iterable[bytes] = (), critical: bool = True
) -> Extension:
    """RFC 5280, 4.2.1.10; each name is a GeneralName, as the functions above make them."""
    trees = [explicit(n, *map(sequence, names)) for n, names in ((0, tuple(permitted)), (1, tuple(excluded))) if names]
    return Extension(NAME_CONSTRAINTS, sequence(*trees), critical)


def subject_key_identifier(identifier: bytes) -> Extension:
    """RFC 5280, 4.2.1.2."""
    return Extension(SUBJECT_KEY_IDENTIFIER, octet_string(identifier))


def authority_key_identifier(identifier: bytes) -> Extension:
    """RFC 5280, 4.2.1.1."""
    return Extension(AUTHORITY_KEY_IDENTIFIER, sequence(implicit(0, identifier)))


def certificate_policies(*policies: str, critical: bool = False) -> Extension:
    """RFC 5280, 4.2.1.4."""
    return Extension(CERTIFICATE_POLICIES, sequence(*(sequence(oid(policy)) for policy in policies)), critical)


def list_addresses(*addresses: str) -> Extension:
    """CRL distribution points, one for each address (RFC 5280, 4.2.1.13)."""
    uris = (implicit(6, address.encode("ascii")) for address in addresses)
    points = (sequence(explicit(0, explicit(0, uri))) for uri in uris)
    return Extension(CRL_DISTRIBUTION_POINTS, sequence(*points))
