"""What a mail client would encrypt to, by what a recipient holds (facts of Outlook, published by Microsoft).

Outlook looks at userSMIMECertificate first. Only where that holds nothing it takes, from userCertificate, an unexpired
certificate for Secure Email whose key may encrypt. It judges nothing else there: whoever put the value there decided.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

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
