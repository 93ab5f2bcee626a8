"""Every port on one SQLite file (or `:memory:`): the embedded default.

It is held to the same contract tests as the cloud adapters, so the demo runs the product and not a picture of it.
"""

from __future__ import annotations

from sync.adapters.embedded.database import Database
from sync.adapters.embedded.ledger import EmbeddedLedger
from sync.adapters.embedded.queue import EmbeddedQueue
from sync.adapters.embedded.stores import EmbeddedAudit, EmbeddedBlobs, EmbeddedFailures, EmbeddedHistory, EmbeddedPace
from sync.adapters.embedded.tenant import EmbeddedRecipients

__all__ = [
    "Database",
    "EmbeddedAudit",
    "EmbeddedBlobs",
    "EmbeddedFailures",
    "EmbeddedHistory",
    "EmbeddedLedger",
    "EmbeddedPace",
    "EmbeddedQueue",
    "EmbeddedRecipients",
]
