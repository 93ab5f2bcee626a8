"""Who a person is, and how old what we know of them is."""

from __future__ import annotations

import base64
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceAnchor:
    """The directory's immutable name of a person, both candidates raw (16 bytes each, as AD stores them).

    Entra Connect derives the ImmutableId from mS-DS-ConsistencyGuid when it is set, else from objectGUID.
    """

    object_guid: bytes
    consistency_guid: bytes | None = None

    @property
    def immutable_id(self) -> str:
        """Base64 of the effective anchor: the ImmutableId that Entra shows, and the key of the ledger."""
        return base64.b64encode(self.consistency_guid or self.object_guid).decode("ascii")

    def __str__(self) -> str:
        return self.immutable_id


@dataclass(frozen=True, slots=True, order=True)
class Watermark:
    """Orders the events of one person: a newer agent's epoch wins, then the agent's sequence."""

    epoch: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.sequence}"
