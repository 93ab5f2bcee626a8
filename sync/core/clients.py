"""What mail clients would encrypt to, by what a recipient holds: as far as their makers publish it, and no further.

Of Outlook the order is documented: userSMIMECertificate first; only where that holds nothing it takes, from
userCertificate, an unexpired certificate for Secure Email whose key may encrypt. It judges nothing else there: whoever
put the value there decided. Of the others it is not, so what is told of them is whatever they could take: where that is
one certificate, the order does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from sync.core.certificate import Certificate, MalformedCertificateError
from sync.core.person import Attribute, Values
from sync.core.values import open_value

_SECURE_EMAIL = "1.3.6.1.5.5.7.3.4"


@dataclass(frozen=True, slots=True)
class Taken:
    """Certificates that a client takes, the newest first; it takes one. `shadowed` are those that it never looks at."""

    attribute: Attribute
    certificates: tuple[Certificate, ...]
    shadowed: tuple[Certificate, ...] = ()


def outlook_takes(values: Values, now: datetime) -> Taken:
    """What Outlook takes from these values at `now` (UTC); no certificates when nobody can encrypt to the recipient."""
    usual = _newest(each for each in _read(values, Attribute.USER_CERTIFICATE) if encrypts(each, now))
    if not values.user_smime_certificate:
        return Taken(Attribute.USER_CERTIFICATE, usual)
    first = _newest(_read(values, Attribute.USER_SMIME_CERTIFICATE))
    shadowed = tuple(each for each in usual if each.fingerprint not in {one.fingerprint for one in first})
    return Taken(Attribute.USER_SMIME_CERTIFICATE, first, shadowed)


class Sureness(StrEnum):
    """How sure we are of what a client takes."""

    ONLY_ONE = "only-one"
    DOCUMENTED = "documented"
    UNKNOWN = "unknown"

    @property
    def words(self) -> str:
        """For a person who reads."""
        return _SURENESS[self]


_SURENESS: Mapping[Sureness, str] = MappingProxyType(
    {
        Sureness.ONLY_ONE: "there is nothing else to take",
        Sureness.DOCUMENTED: "documented: userSMIMECertificate first",
        Sureness.UNKNOWN: "which of them is not documented",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One kind of client: where it looks as far as that is known, what it needs besides, and who says so.

    `ordered` says that its order of the two attributes is documented.
    """

    key: str
    name: str
    looks: str
    source: str
    needs: str = ""
    ordered: bool = False


_TRUSTED: Final = "the tenant's SST holds the path and its CRLs can be had from the internet: `smime-sync preflight`"

CLIENTS: Final = (
    Client(
        key="outlook",
        name="Outlook, classic",
        looks="userSMIMECertificate, and only where that is empty userCertificate",
        source="https://support.microsoft.com/kb/2840546",
        ordered=True,
    ),
    Client(
        key="new-outlook",
        name="Outlook, new",
        looks="either attribute, in an order that is not documented",
        needs=_TRUSTED,
        source="https://learn.microsoft.com/exchange/security-and-compliance/smime-exo/configure-smime-exo",
    ),
    Client(
        key="outlook-web",
        name="Outlook on the web",
        looks="either attribute, in an order that is not documented",
        needs=_TRUSTED,
        source="https://support.microsoft.com/kb/2840546",
    ),
    Client(
        key="outlook-mobile",
        name="Outlook for iOS and Android",
        looks="the address list before the device's own store; in which attribute is not documented",
        needs=_TRUSTED,
        source="https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/"
        "outlook-for-ios-and-android/smime-outlook-for-ios-and-android",
    ),
    Client(
        key="activesync",
        name="iOS Mail and other phones (ActiveSync)",
        looks="what Exchange gives as the recipient's valid certificates; from which attribute is not documented",
        needs=_TRUSTED,
        source="MS-ASCMD 2.2.1.15, ResolveRecipients",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a client would take: one of `candidates`, the newest first. With none, nobody there can encrypt."""

    client: Client
    candidates: tuple[Certificate, ...]
    sure: Sureness


def choices(values: Values, now: datetime) -> tuple[Choice, ...]:
    """What each client would take from these values at `now` (UTC)."""
    outlook = outlook_takes(values, now)
    every = _distinct((*outlook.certificates, *outlook.shadowed))
    return tuple(_choice(client, _distinct(outlook.certificates) if client.ordered else every) for client in CLIENTS)


def _choice(client: Client, candidates: tuple[Certificate, ...]) -> Choice:
    known = Sureness.DOCUMENTED if client.ordered else Sureness.ONLY_ONE
    sure = known if len(candidates) < 2 else Sureness.UNKNOWN
    return Choice(client=client, candidates=candidates, sure=sure)


def _distinct(certificates: Iterable[Certificate]) -> tuple[Certificate, ...]:
    return tuple({each.fingerprint: each for each in certificates}.values())


def _read(values: Values, attribute: Attribute) -> Iterator[Certificate]:
    for value in values[attribute]:
        leaf = open_value(attribute, value).leaf
        if leaf is not None:
            try:
                yield Certificate.parse(leaf)
            except MalformedCertificateError:
                continue


def encrypts(certificate: Certificate, now: datetime) -> bool:
    """Whether Outlook would encrypt to it at `now` (UTC)."""
    usage = certificate.key_usage
    may = usage is None or usage.key_encipherment or usage.key_agreement
    purposes = certificate.purposes
    return certificate.not_before <= now <= certificate.not_after and may and _SECURE_EMAIL in (purposes or ())


def _newest(certificates: Iterator[Certificate]) -> tuple[Certificate, ...]:
    return tuple(sorted(certificates, key=lambda each: (-each.not_before.timestamp(), each.fingerprint)))
