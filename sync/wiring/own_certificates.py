"""The certificates by which function and agent show who they are, and those of the CAs: until when they are good."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from sync import settings
from sync.core.path import TrustStore
from sync.errors import SyncError
from sync.own_certificate import EARLY, Expiry, as_pem, good_until
from sync.wiring.machine import read_text


def of_storage(config: settings.StorageSettings) -> Sequence[Expiry]:
    """What the storage account is shown, where that is a certificate; read anew each time, since a file is renewed."""
    path = config.storage__clientcertificate
    if config.storage__credential != "certificate" or path is None:
        return ()
    return tuple(_read("the certificate for the storage account", lambda: read_text(path)))


def of_function(config: settings.CloudSettings, trust: TrustStore, now: datetime) -> Sequence[Expiry]:
    """What the storage account and the tenant are shown, and the CAs of the trust store that have not ended yet."""
    return (*of_storage(config), *of_tenant(config), *_authorities(trust, now))


def of_tenant(config: settings.CloudSettings) -> Sequence[Expiry]:
    """What the tenant is shown, where that is a certificate."""
    path, value = config.client_certificate, config.client_certificate_value
    if config.credential != "certificate":
        return ()
    return tuple(
        _read(
            "the certificate for Exchange Online",
            lambda: as_pem(value.get_secret_value()) if value else read_text(path) if path else "",
        )
    )


def _authorities(trust: TrustStore, now: datetime) -> Iterator[Expiry]:
    for each in (*trust.anchors, *trust.intermediates):
        if each.certificate.not_after > now:
            name = f"the CA {each.certificate.subject_text}"
            yield Expiry(name=name, at=each.certificate.not_after, notice=EARLY)


def _read(name: str, pem: Callable[[], str]) -> Iterator[Expiry]:
    """One that cannot be read is none: whoever asks for a token with it says so."""
    try:
        yield Expiry(name=name, at=good_until(pem()))
    except SyncError:
        return
