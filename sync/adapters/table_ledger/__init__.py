"""Ledger, history, pace, failures and audit log on Azure Tables."""

from __future__ import annotations

from sync.adapters.table_ledger.audit import TableAudit
from sync.adapters.table_ledger.ledger import TableLedger
from sync.adapters.table_ledger.stores import TableFailures, TableHistory, TablePace
from sync.adapters.table_ledger.table import MAX_BYTES

__all__ = ["MAX_BYTES", "TableAudit", "TableFailures", "TableHistory", "TableLedger", "TablePace"]
