"""The use cases of the cloud side, joined: what the triggers and the commands call."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from sync import __version__, envelope
from sync.auditor import Auditor
from sync.core.event import Event
from sync.core.path import TrustStore
from sync.core.record import Failure, Outcome
from sync.core.run import Kind, Run
from sync.core.summary import issuer_names
from sync.errors import ErrorCode, PermanentError
from sync.explainer import Explainer
from sync.loss_guard import LossGuard
from sync.overseer import Overseer
from sync.overview import Health
from sync.ports import AuditLog, Failures, Ledger, Message
from sync.processor import Processor
from sync.receiver import Receiver
from sync.reconciler import Reconciler
from sync.reconciling.found import Reconciliation
from sync.replayer import Replayer
from sync.restorer import Restorer
from sync.throttle_watch import ThrottleWatch
from sync.watcher import Watcher
from sync.wiring.machine import now

if TYPE_CHECKING:
    from sync.adapters.embedded import EmbeddedQueue
    from sync.adapters.storage_queue import StorageQueue
    from sync.preflight import Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The audit log, and for how many days an entry stays."""

    log: AuditLog
    days: int = 400


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

    @classmethod
    def joined(  # noqa: PLR0917 - what every use case needs
        cls,
        processor: Processor,
        reconciler: Reconciler,
        ledger: Ledger,
        failures: Failures,
        queue: StorageQueue | EmbeddedQueue,
        clock: Callable[[], datetime],
        losses: LossGuard,
        kept: Kept,
        opening: Callable[[str], Event] = envelope.parse,
        /,
        **more: Any,
    ) -> Self:
        """Join what deployed and embedded product have alike; `more` is what only one of them has."""
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
        return cls(
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
            **more,
        )

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


def _issuers(trust: TrustStore) -> dict[str, str]:
    return issuer_names(each.certificate for each in (*trust.anchors, *trust.intermediates))
