"""The whole product on one machine: SQLite for queue, ledger and tenant, an LDIF file for the directory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sync import __version__
from sync.agent import Agent
from sync.core.judgement import Context
from sync.core.path import TrustStore
from sync.loss_guard import LossGuard
from sync.processor import Processor
from sync.reconciler import Reconciler
from sync.reporting import Reporting
from sync.wiring.app import App, Kept
from sync.wiring.machine import now

if TYPE_CHECKING:
    from sync.adapters.embedded import EmbeddedQueue, EmbeddedRecipients


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded(App):
    """The whole product on one machine: agent and tenant too."""

    agent: Agent
    queue: EmbeddedQueue
    recipients: EmbeddedRecipients


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
    return Embedded.joined(
        processor,
        reconciler,
        ledger,
        failures,
        queue,
        clock,
        losses,
        kept,
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
