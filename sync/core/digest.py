"""What reconciliation compares of a person, without reading the whole record; and the order in which everybody stands.

A digest follows from its record: a ledger keeps it beside the record and never lets the two differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import TYPE_CHECKING

from sync.core.identity import Watermark
from sync.core.record import Record, Status

if TYPE_CHECKING:
    # The ports know digests, and must not load what judges certificates.
    from sync.core.context import Context
    from sync.core.policy import Policy


def place(anchor: str) -> str:
    """Where the person with this ImmutableId stands in every walk: SHA-256, lower-case hex.

    The first two digits are the partition, one of 256: a million people spread evenly over them.
    """
    return hashlib.sha256(anchor.encode("utf-8")).hexdigest()


PARTITIONS = 256


def bounds(partition: int) -> tuple[str, str | None]:
    """After which place a partition begins, and before which it ends; None at the end of all."""
    return f"{partition:02x}", f"{partition + 1:02x}" if partition + 1 < PARTITIONS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """One person in short; the fields are the record's (core.record.Record).

    `holding` is whether anything is published that we brought.
    """

    place: str
    anchor: str
    watermark: Watermark | None = None
    state_hash: str | None = None
    deleted: bool = False
    recipient: str | None = None
    status: Status | None = None
    desired: str | None = None
    holding: bool = False
    next_change: datetime | None = None
    basis: str | None = None
    certificates: tuple[str, ...] = ()
    expiries: tuple[date, ...] = ()
    awaits: tuple[str, ...] = ()
    source: str | None = None


def digest(record: Record) -> Digest:
    """The digest of a record."""
    return Digest(
        place=place(record.anchor),
        anchor=record.anchor,
        watermark=record.watermark,
        state_hash=record.state_hash,
        deleted=record.deleted,
        recipient=record.recipient,
        status=record.outcome.status if record.outcome else None,
        desired=record.desired,
        holding=bool(record.managed),
        next_change=record.next_change,
        basis=record.basis,
        certificates=record.certificates,
        expiries=record.expiries,
        awaits=record.awaits,
        source=record.source,
    )


def basis(context: Context, *, release: str, withdraw_disabled: bool = False, try_synchronised: bool = False) -> str:
    """SHA-256 over all that decides besides a person's state, the recipient, revocation lists and the time.

    Whoever was judged on another basis may have to be judged again. `release` is the version of this software.
    """
    told = [release, context.trust.fingerprint, _policy(context.policy), str(withdraw_disabled), str(try_synchronised)]
    return hashlib.sha256("\n".join(told).encode("utf-8")).hexdigest()


def _policy(policy: Policy) -> str:
    return repr([(each.name, _in_order(getattr(policy, each.name))) for each in fields(policy)])


def _in_order(setting: object) -> object:
    """Sets and mappings print in an order that differs from process to process."""
    if isinstance(setting, Mapping):
        return sorted((str(code), str(level)) for code, level in setting.items())
    return sorted(setting) if isinstance(setting, frozenset) else setting
