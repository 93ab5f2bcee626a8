"""The tenant: tokens, the admin API, and what asks it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sync import settings
from sync.own_certificate import as_pem
from sync.ports import BlobStore, Recipients
from sync.remembering import RememberedRecipients
from sync.wiring import own_certificates
from sync.wiring.judging import read_trust_store, revocation_fetcher
from sync.wiring.machine import now, read_text

if TYPE_CHECKING:
    import requests

    from sync.adapters import entra
    from sync.adapters.exchange_online import AdminApi, ExchangeOnline
    from sync.adapters.exchange_online.transcript import RecordingSession
    from sync.preflight import Preflight
    from sync.probe_report import Wire
    from sync.prober import Prober


_log = logging.getLogger("smime_sync.wiring")


def recipients(config: settings.CloudSettings, tenant: ExchangeOnline, blobs: BlobStore) -> Recipients:
    """The tenant's recipients; where it does not show what they hold, as we remember it."""
    return RememberedRecipients(tenant, blobs) if config.read_format == "counts" else tenant


def exchange_online(config: settings.CloudSettings) -> ExchangeOnline:
    """The tenant: one token source and one session per process."""
    from sync.adapters.exchange_online import Clearing, Codec, Encoding, ExchangeOnline

    codec = Codec(encoding=Encoding(config.write_encoding), clearing=Clearing(config.write_clearing))
    shows_bytes = config.read_format != "counts"
    answers = config.read_format if shows_bytes else "json"
    return ExchangeOnline(admin_api(config, tenant_tokens(config), answers), codec, shows_bytes=shows_bytes)


def tenant_tokens(config: settings.CloudSettings) -> entra.TokenSource:
    """Where bearer tokens for the tenant come from."""
    from sync.adapters import entra

    cloud = entra.CLOUDS[config.cloud]
    return entra.TokenSource(
        _tenant_credential(config),
        tenant=config.tenant_id,
        cloud=replace(cloud, login=config.login_url or cloud.login),
        ca_file=str(config.ca_file) if config.ca_file else None,
        instance_discovery=config.login_url is None,
    )


def admin_api(
    config: settings.CloudSettings, tokens: entra.TokenSource, answers: str, session: requests.Session | None = None
) -> AdminApi:
    """The tenant's admin API, asked for answers of one format."""
    from sync.adapters import entra
    from sync.adapters.exchange_online import AdminApi, AnswerFormat

    cloud = entra.CLOUDS[config.cloud]
    host = config.exchange_url or cloud.admin
    return AdminApi(
        tenant=config.tenant_id,
        tokens=tokens,
        session=session,
        host=host,
        suffixes=(str(urlsplit(host).hostname),) if config.exchange_url else cloud.suffixes,
        answers=AnswerFormat(answers),
        ca_file=str(config.ca_file) if config.ca_file else None,
    )


def prober(
    config: settings.CloudSettings,
    session: RecordingSession,
    folder: Path,
    *,
    shielded: Callable[[], AbstractContextManager[object]],
    told: Callable[[str], None],
) -> Prober:
    """A probe of the tenant through `session`; what it must not lose it keeps in `folder`."""
    from sync.adapters import probe_files
    from sync.adapters.exchange_online import AnswerFormat, Clearing, Codec, Encoding, ExchangeOnline
    from sync.prober import MANY, Prober

    tokens = tenant_tokens(config)

    def connect(wire: Wire) -> ExchangeOnline:
        codec = Codec(encoding=Encoding(wire.write_encoding), clearing=Clearing(wire.write_clearing))
        return ExchangeOnline(admin_api(config, tokens, wire.read_format, session), codec)

    return Prober(
        connect=connect,
        read_formats=tuple(AnswerFormat),
        encodings=tuple(Encoding),
        clearings=tuple(Clearing),
        throwaways=probe_files.throwaways(MANY),
        blob=probe_files.throwaway_blob(),
        kept=probe_files.KeptValues(folder),
        clock=time.monotonic,
        refusals=session.refusals,
        pause=lambda wait: time.sleep(wait.total_seconds()),
        shielded=shielded,
        told=told,
    )


def preflight(config: settings.CloudSettings, outside: str | None) -> Preflight:
    """What the tenant lets us do, and what surrounds it."""
    from sync.preflight import Preflight
    from sync.revocation_sources import read_sources

    lists: dict[str, tuple[str, ...]] = {}
    if config.revocation_sources is not None:
        sources = read_sources(read_text(config.revocation_sources))
        lists = {each.issuer: (*each.crl, *each.delta) for each in sources}
    tokens = tenant_tokens(config)
    trust = read_trust_store([config.trust_anchors], [config.intermediates] if config.intermediates else [])
    return Preflight(
        token=tokens.token,
        cmdlets=admin_api(config, tokens, "json" if config.read_format == "counts" else config.read_format),
        recipients=exchange_online(config),
        anchors=[each.certificate for each in trust.anchors],
        intermediates=[each.certificate for each in trust.intermediates],
        fetch=revocation_fetcher(config, config.ca_file).fetch,
        now=now,
        lists=lists,
        outside=outside,
        certificates=own_certificates.of_function(config, trust, now()),
    )


def _tenant_credential(config: settings.CloudSettings) -> entra.Credential:
    from sync.adapters import entra

    match config.credential:
        case "certificate":
            value = config.client_certificate_value
            pem = as_pem(value.get_secret_value()) if value else str(config.client_certificate)
            return entra.Certificate(client_id=str(config.client_id), pem=pem)
        case "workload-identity":
            token_file = config.assertion_file
            assert token_file is not None
            # Read for every token: the platform writes a new one before the old one expires.
            return entra.ClientAssertion(
                client_id=str(config.client_id), assertion=lambda: token_file.read_text("ascii").strip()
            )
        case "secret":
            _log.warning("the tenant is reached with a client secret: prefer a managed identity or a certificate")
            assert config.client_secret is not None
            return entra.ClientSecret(client_id=str(config.client_id), secret=config.client_secret.get_secret_value())
    return entra.ManagedIdentity(client_id=config.client_id)
