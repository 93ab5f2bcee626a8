"""The checkpoint: where a read of the directory ended, and on which controller and configuration that holds."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A domain controller's own view of itself, from its rootDSE and its NTDS settings.

    `invocation_id` (hex) is the identity of its database: another controller, or this one restored properly, has
    another. `highest_usn` grows with every commit. `root` is the DN of its domain.
    """

    dns_name: str
    invocation_id: str
    highest_usn: int
    root: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A DirSync cookie and what it is worth only together with."""

    cookie: bytes
    dns_name: str
    invocation_id: str
    highest_usn: int
    configuration: str

    @classmethod
    def taken(cls, cookie: bytes, controller: Controller, configuration: str) -> Self:
        """A checkpoint at `cookie`; `controller` as it was before the cookie was asked for."""
        return cls(
            cookie=cookie,
            dns_name=controller.dns_name,
            invocation_id=controller.invocation_id,
            highest_usn=controller.highest_usn,
            configuration=configuration,
        )

    def dump(self) -> bytes:
        """As small versioned JSON."""
        members = {
            "version": VERSION,
            "cookie": base64.b64encode(self.cookie).decode("ascii"),
            "controller": self.dns_name,
            "invocationId": self.invocation_id,
            "highestUsn": self.highest_usn,
            "configuration": self.configuration,
        }
        return json.dumps(members, separators=(",", ":")).encode("ascii")

    @classmethod
    def load(cls, saved: bytes | None) -> Self | None:
        """Read what `dump` wrote; None for anything else, which costs a full import and never a change."""
        try:
            members = json.loads(saved or b"null")
            if members["version"] != VERSION:
                return None
            return cls(
                cookie=base64.b64decode(members["cookie"], validate=True),
                dns_name=str(members["controller"]),
                invocation_id=str(members["invocationId"]),
                highest_usn=int(members["highestUsn"]),
                configuration=str(members["configuration"]),
            )
        except (ValueError, KeyError, TypeError):
            return None


def holds(checkpoint: Checkpoint, controller: Controller, configuration: str) -> bool:
    """Whether a delta import from `checkpoint` shows everything.

    Not on another database (invocationId), not on one that went back in time (a controller restored from a snapshot
    would silently show nothing until its USNs pass the old mark), and not when filter, attributes or base changed (a
    cookie tells nothing of older objects that only now came into view).
    """
    return (
        checkpoint.invocation_id == controller.invocation_id
        and checkpoint.highest_usn <= controller.highest_usn
        and checkpoint.configuration == configuration
    )


def configuration_hash(filter_: str, attributes: Sequence[str], base: str) -> str:
    """SHA-256 (hex) over whatever decides what a read shows."""
    return hashlib.sha256(json.dumps([filter_, sorted(attributes), base]).encode()).hexdigest()
