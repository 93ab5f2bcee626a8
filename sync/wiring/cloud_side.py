"""The cloud side, deployed or embedded."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from sync import __version__, envelope, settings
from sync.agent import Agent
from sync.auditor import Auditor
from sync.canary_watch import CanaryWatch
from sync.core.event import Event
from sync.core.guard import Guard
from sync.core.judgement import Context
from sync.core.path import TrustStore
from sync.core.rate import Rate
from sync.core.record import Failure, Outcome
from sync.core.revoked import NOTHING_REVOKED
from sync.core.run import Kind, Run
from sync.core.summary import issuer_names
from sync.errors import ErrorCode, PermanentError
from sync.explainer import Explainer
from sync.loss_guard import LossGuard
from sync.overseer import Overseer
from sync.overview import Health
from sync.ports import AuditLog, BlobStore, Directory, Failures, Ledger, Message
from sync.processor import Processor
from sync.receiver import Receiver
from sync.reconciler import Reconciler
from sync.reconciling.censuses import Censuses
from sync.reconciling.found import Reconciliation
from sync.reconciling.limits import Limits
from sync.replayer import Replayer
from sync.reporting import Reporting
from sync.resend import Asking
from sync.restorer import Restorer
from sync.throttle_watch import ThrottleWatch
from sync.watcher import Watcher
from sync.wiring import own_certificates
from sync.wiring.judging import judging_policy, read_trust_store, revocation_sources
from sync.wiring.machine import now, read_secret
from sync.wiring.storage import blob_store, claim_store, shared_cache, storage_credential, storage_queue
from sync.wiring.telemetry import telemetry
from sync.wiring.tenant import exchange_online, preflight, recipients

if TYPE_CHECKING:
    from sync.adapters.embedded import EmbeddedQueue, EmbeddedRecipients
    from sync.adapters.storage_queue import StorageQueue
    from sync.opening import Opener
    from sync.preflight import Line


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The use cases, joined: what the triggers and the commands call."""

    receiver: Receiver
    reconciler: Reconciler
    replayer: Replayer
    restorer: Restorer
    explainer: Explainer
    auditor: Auditor
    overseer: Overseer
    losses: LossGuard
    failures: Failures
    trial: Callable[[str | None], Iterable[Line]] | None = None
    """What tries the tenant, where there is one."""

    def process(self, message: Message) -> Outcome:
        """Handle one message of the change queue. Raises TemporaryError when it must be delivered again."""
        return self.receiver.process(message)

    def bury(self, message: Message) -> Failure:
        """Record one message of the poison queue."""
        return self.receiver.bury(message)

    def reconcile(
        self,
        *,
        apply: bool = True,
        scope: str | None = None,
        approve: str | None = None,
        progress: Callable[[Run], None] | None = None,
    ) -> Reconciliation:
        """Compare everybody, and send again whoever differs; in report mode only compare. See Reconciler."""
        apply = apply and not self.receiver.processor.report_only
        return self.reconciler.reconcile(apply=apply, scope=scope, approve=approve, progress=progress)

    def begin(self, kind: str) -> Run | None:
        """Begin a run, "full" or "due", whose pieces come over the runs queue; None while another one is at work."""
        return self.reconciler.start(Kind(kind), apply=not self.receiver.processor.report_only)

    def approve(self, run_id: str, *, by: str) -> Run:
        """Begin a run that may do what this guarded one would have done, as `begin` does. `by` is who lets it."""
        return self.reconciler.approve(run_id, apply=not self.receiver.processor.report_only, by=by)

    def now(self) -> datetime:
        """The moment, by the product's clock."""
        return self.reconciler.now()

    def advance(self, body: str) -> Run | None:
        """Do the piece of a run that a message of the runs queue asks for."""
        return self.reconciler.advance(body)

    def prune(self) -> int:
        """Once a day: delete the audit log's oldest entries, return how many; count coverage and what expires."""
        self.overseer.count()
        return self.auditor.prune()

    def watch(self) -> Health:
        """Every five minutes: say in the log what somebody should look at."""
        return Watcher(overseer=self.overseer).watch()

    def preflight(self, outside: str | None) -> Iterable[Line]:
        """Try what the tenant lets us do. Raises PermanentError `request-malformed` where there is no tenant."""
        if self.trial is None:
            raise PermanentError(ErrorCode.REQUEST_MALFORMED, "this product has no tenant to try")
        return self.trial(outside)

    def health(self) -> dict[str, object]:
        """What may be said to whoever asks: that the settings are whole and the trust store is loaded."""
        context = self.receiver.processor.judging(now())
        return {"status": "ok", "version": __version__, "trustAnchors": len(context.trust.anchors)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded(App):
    """The whole product on one machine: agent and tenant too."""

    agent: Agent
    queue: EmbeddedQueue
    recipients: EmbeddedRecipients


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
    cases = _use_cases(processor, reconciler, ledger, failures, queue, now, losses, kept, opening)
    canary = _canary(config, blobs)
    if canary is not None:
        cases["receiver"] = replace(cases["receiver"], hearing=(*cases["receiver"].hearing, canary.hear))
    cases["overseer"] = replace(
        cases["overseer"],
        canary=canary,
        docs=config.docs_url or "",
        ends=lambda: own_certificates.of_function(config, trust, now()),
    )
    return App(**cases, trial=lambda outside: preflight(config, outside).lines())


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


def embedded(
    state: Path | None, directory: Path, trust: TrustStore, *, clock: Callable[[], datetime] = now
) -> Embedded:
    """The whole product on one machine: `state` is its SQLite file (None: in memory), `directory` an LDIF file."""
    from sync.adapters.agent_state import StateFile
    from sync.adapters.embedded import (
        Database,
        EmbeddedAudit,
        EmbeddedBlobs,
        EmbeddedFailures,
        EmbeddedHistory,
        EmbeddedLedger,
        EmbeddedQueue,
        EmbeddedRecipients,
    )
    from sync.adapters.ldif import LdifDirectory

    database = Database(state, clock)
    ledger, failures = EmbeddedLedger(database), EmbeddedFailures(database)
    queue, recipients, history = EmbeddedQueue(database), EmbeddedRecipients(database), EmbeddedHistory(database)
    losses = LossGuard(blobs=EmbeddedBlobs(database))
    processor = Processor(
        recipients=recipients,
        ledger=ledger,
        history=history,
        judging=lambda moment: Context(now=moment, trust=trust),
        now=clock,
        admits=losses.admits,
    )
    memory = StateFile(state.with_name(f"{state.stem}-agent.sqlite") if state else None, clock)
    reconciler = Reconciler(
        ledger=ledger,
        queue=queue,
        processor=processor,
        blobs=losses.blobs,
        now=clock,
        losses=losses,
        recipients=recipients,
        waiting=queue.count,
    )
    kept = Kept(log=EmbeddedAudit(database))
    return Embedded(
        **_use_cases(processor, reconciler, ledger, failures, queue, clock, losses, kept),
        agent=Agent(
            directory=LdifDirectory(directory),
            state=memory,
            queue=queue,
            now=clock,
            reporting=Reporting(memory, EmbeddedBlobs(database), clock, version=__version__),
        ),
        queue=queue,
        recipients=recipients,
    )


class _UseCases(TypedDict):
    """The cloud side's use cases, which deployed and embedded product have alike."""

    receiver: Receiver
    reconciler: Reconciler
    replayer: Replayer
    restorer: Restorer
    explainer: Explainer
    auditor: Auditor
    overseer: Overseer
    losses: LossGuard
    failures: Failures


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The audit log, and for how many days an entry stays."""

    log: AuditLog
    days: int = 400


def _use_cases(  # noqa: PLR0917 - what every use case needs
    processor: Processor,
    reconciler: Reconciler,
    ledger: Ledger,
    failures: Failures,
    queue: StorageQueue | EmbeddedQueue,
    clock: Callable[[], datetime],
    losses: LossGuard,
    kept: Kept,
    opening: Callable[[str], Event] = envelope.parse,
) -> _UseCases:
    # SystemRandom: instances that were started from one image must not draw the same pauses.
    jitter = random.SystemRandom().random
    throttled = ThrottleWatch(losses.blobs)
    receiver = Receiver(
        processor=processor,
        ledger=ledger,
        failures=failures,
        audit=kept.log,
        queue=queue,
        now=clock,
        jitter=jitter,
        opening=opening,
        hearing=(throttled.hear,),
    )
    return _UseCases(
        receiver=receiver,
        reconciler=reconciler,
        explainer=Explainer(ledger=ledger, failures=failures, processor=processor, now=clock, opening=opening),
        overseer=Overseer(
            ledger=ledger,
            failures=failures,
            backlog=queue,
            blobs=losses.blobs,
            audit=kept.log,
            pace=processor.pace,
            throttled=throttled.last,
            issuers=lambda: _issuers(processor.judging(clock()).trust),
            now=clock,
        ),
        auditor=Auditor(log=kept.log, ledger=ledger, now=clock, days=kept.days),
        losses=losses,
        replayer=Replayer(failures=failures, queue=queue, ledger=ledger, now=clock),
        restorer=Restorer(ledger=ledger, history=processor.history, queue=queue, opening=opening),
        failures=failures,
    )


def _issuers(trust: TrustStore) -> dict[str, str]:
    return issuer_names(each.certificate for each in (*trust.anchors, *trust.intermediates))


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
