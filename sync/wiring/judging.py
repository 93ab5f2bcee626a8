"""What certificates are judged by: trust store, policy, revocation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sync import settings
from sync.core.path import TrustStore
from sync.core.policy import POLICIES, Policy, Revocation
from sync.core.rule_settings import adjusted
from sync.errors import ErrorCode, PermanentError
from sync.wiring.machine import read_text, read_values

if TYPE_CHECKING:
    from sync.adapters.revocation_http import HttpFetcher
    from sync.ports import Cache
    from sync.revocation_sources import RevocationSources


def trust_store(anchors: Iterable[bytes], intermediates: Iterable[bytes] = ()) -> TrustStore:
    """Load a trust store. Raises PermanentError `trust-store-empty`, `trust-store-malformed`."""
    anchors = list(anchors)
    if not anchors:
        raise PermanentError(ErrorCode.TRUST_STORE_EMPTY, "no trust anchor is configured")
    try:
        return TrustStore.of(anchors, intermediates)
    except ValueError as error:
        raise PermanentError(ErrorCode.TRUST_STORE_MALFORMED, str(error)) from error


def read_trust_store(anchors: Iterable[Path], intermediates: Iterable[Path] = ()) -> TrustStore:
    """Load a trust store from files. Raises PermanentError, `file-unreadable` besides the above."""
    return trust_store(
        *([value for path in paths for value in read_values(path)] for paths in (anchors, intermediates))
    )


def judging_policy(config: settings.JudgingSettings) -> Policy:
    """The policy pack with what the settings change of it."""
    return replace(
        adjusted(POLICIES[config.policy], rules=config.rules, allow=config.allow),
        overlap=timedelta(days=config.overlap_days),
        expiry_grace=timedelta(hours=config.expiry_grace_hours),
        revocation=Revocation(config.revocation),
        crl_grace=timedelta(hours=config.revocation_grace_hours),
    )


def revocation_fetcher(config: settings.JudgingSettings, ca_file: Path | None) -> HttpFetcher:
    """What fetches lists and answers, within the limits that are set."""
    from sync.adapters.revocation_http import HttpFetcher

    return HttpFetcher(
        private=config.revocation_private,
        ca_file=str(ca_file) if ca_file else None,
        max_bytes=config.revocation_max_megabytes << 20,
    )


def revocation_sources(
    config: settings.JudgingSettings,
    trust: TrustStore,
    *,
    ca_file: Path | None = None,
    cache: Cache | None = None,
    clock: Callable[[], datetime],
) -> RevocationSources | None:
    """Where revocation is asked for, if anywhere. What was fetched is kept in `cache`, or else where the settings say.

    Raises PermanentError `file-unreadable`, `settings-invalid`.
    """
    if config.revocation_sources is None or config.revocation == "off":
        return None
    from sync.adapters.revocation_cache import SqliteCache
    from sync.revocation_sources import RevocationSources, read_sources

    return RevocationSources(
        read_sources(read_text(config.revocation_sources)),
        trust=trust,
        fetcher=revocation_fetcher(config, ca_file),
        cache=cache or SqliteCache(config.revocation_cache),
        now=clock,
        refresh=timedelta(hours=config.revocation_refresh_hours),
    )
