"""The cloud side, deployed: built from the environment's settings."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING

from sync import settings
from sync.canary_watch import CanaryWatch
from sync.core.guard import Guard
from sync.core.judgement import Context
from sync.core.rate import Rate
from sync.core.revoked import NOTHING_REVOKED
from sync.errors import ErrorCode, PermanentError
from sync.loss_guard import LossGuard
from sync.ports import BlobStore, Directory
from sync.processor import Processor
from sync.reconciler import Reconciler
from sync.reconciling.censuses import Censuses
from sync.reconciling.limits import Limits
from sync.resend import Asking
from sync.wiring import own_certificates
from sync.wiring.app import App, Kept
from sync.wiring.judging import judging_policy, read_trust_store, revocation_sources
from sync.wiring.machine import now, read_secret
from sync.wiring.storage import blob_store, claim_store, shared_cache, storage_credential, storage_queue
from sync.wiring.telemetry import telemetry
from sync.wiring.tenant import exchange_online, preflight, recipients

if TYPE_CHECKING:
    from sync.opening import Opener


def cloud() -> App:
    """The function's side, built once per process from the environment. Raises PermanentError `settings-invalid`."""
    with _building:  # two first messages at once must not make two token caches
        return _cloud()


_building = threading.Lock()


@cache
def _cloud() -> App:
    config = settings.load(settings.CloudSettings, os.environ)
    telemetry(config, "function")
    return cloud_from(config)


def cloud_from(config: settings.CloudSettings) -> App:
    """The function's side from given settings."""
    from sync.adapters.table_ledger import TableAudit, TableFailures, TableHistory, TableLedger, TablePace

    trust = read_trust_store([config.trust_anchors], [config.intermediates] if config.intermediates else [])
    policy = judging_policy(config)
    cache = None if config.revocation_cache else shared_cache(config)
    revocation = revocation_sources(config, trust, ca_file=config.ca_file, cache=cache, clock=now)
    blobs = blob_store(config)
    if config.storage is not None:
        connection = config.storage.get_secret_value()
        ledger = TableLedger.from_connection_string(connection, config.ledger_table, large=blobs)
        failures = TableFailures.from_connection_string(connection, config.failures_table)
        history = TableHistory.from_connection_string(connection, config.history_table, large=blobs)
        pace = TablePace.from_connection_string(connection, config.pace_table)
        audit = TableAudit.from_connection_string(connection, config.audit_table)
    else:
        url, credential = str(config.storage__tableserviceuri), storage_credential(config)
        ca_file = str(config.ca_file) if config.ca_file else None
        ledger = TableLedger.from_identity(url, credential, config.ledger_table, ca_file=ca_file, large=blobs)
        failures = TableFailures.from_identity(url, credential, config.failures_table, ca_file=ca_file)
        history = TableHistory.from_identity(url, credential, config.history_table, ca_file=ca_file, large=blobs)
        pace = TablePace.from_identity(url, credential, config.pace_table, ca_file=ca_file)
        audit = TableAudit.from_identity(url, credential, config.audit_table, ca_file=ca_file)
    losses = LossGuard(blobs=blobs, limit=config.loss_guard_people, canary=config.canary)
    tenant = exchange_online(config)
    processor = Processor(
        recipients=recipients(config, tenant, blobs),
        ledger=ledger,
        history=history,
        judging=lambda moment: Context(now=moment, trust=trust, policy=policy),
        consult=revocation.consult if revocation else None,
        now=now,
        pace=pace,
        rate=Rate(per_second=config.writes_per_second, at_once=config.writes_at_once),
        report_only=config.mode == "report",
        withdraw_disabled=config.withdraw_disabled,
        try_synchronised=config.try_synchronised,
        admits=losses.admits,
    )
    queue, opening = storage_queue(config), opener(config)
    kept = Kept(log=audit, days=config.audit_days)
    reconciler = Reconciler(
        ledger=ledger,
        queue=queue,
        processor=processor,
        blobs=blobs,
        now=now,
        limits=Limits(
            losing=Guard(people=config.loss_guard_people, percent=config.loss_guard_percent),
            changing_percent=config.change_guard_percent,
        ),
        losses=losses,
        opening=opening,
        recipients=tenant if config.read_format != "counts" else None,
        censuses=Censuses(blobs=blobs, now=now, verifier=opening.verifier, required=opening.required),
        directory=_directory(config),
        asking=Asking(storage_queue(config, config.requests_queue)) if config.requests_queue else None,
        continuing=storage_queue(config, config.runs_queue),
        waiting=queue.count,
        revoked=revocation.revoked if revocation else lambda: NOTHING_REVOKED,
        piece=timedelta(seconds=config.run_piece_seconds),
    )
    app = App.joined(
        processor,
        reconciler,
        ledger,
        failures,
        queue,
        now,
        losses,
        kept,
        opening,
        trial=lambda outside: preflight(config, outside).lines(),
    )
    canary = _canary(config, blobs)
    hearing = (*app.receiver.hearing, canary.hear) if canary is not None else app.receiver.hearing
    overseer = replace(
        app.overseer,
        canary=canary,
        docs=config.docs_url or "",
        ends=lambda: own_certificates.of_function(config, trust, now()),
    )
    return replace(app, receiver=replace(app.receiver, hearing=hearing), overseer=overseer)


def _canary(config: settings.CloudSettings, blobs: BlobStore) -> CanaryWatch | None:
    if config.canary is None:
        return None
    every = timedelta(minutes=config.canary_minutes)
    return CanaryWatch(blobs=blobs, anchor=config.canary, limit=config.canary_seconds, every=every)


def _directory(config: settings.CloudSettings) -> Callable[[], Directory] | None:
    """What connects to the directory, where the function reads it itself: only then is ldap3 loaded. Raises
    PermanentError `settings-invalid`."""
    if config.directory == "census":
        return None
    try:
        for name in ("ldap3", "dns"):
            import_module(name)
    except ImportError as error:
        told = "SMIME_SYNC_DIRECTORY=ldap needs the extra `ldap`, which is not installed here"
        raise PermanentError(ErrorCode.SETTINGS_INVALID, told) from error
    from sync.wiring.agent_side import active_directory

    return partial(active_directory, config)


def opener(config: settings.CloudSettings) -> Opener:
    """What makes a message an event. Raises PermanentError `key-malformed`, `file-unreadable`."""
    from sync.opening import Opener
    from sync.signature import Verifier

    keys = config.event_keys_file
    return Opener(
        claims=claim_store(config),
        verifier=Verifier.load(read_secret(keys).encode("utf-8")) if keys else None,
        required=config.require_signed_events,
    )
