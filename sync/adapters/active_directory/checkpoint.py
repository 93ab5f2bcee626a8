"""The checkpoint: where a read of the directory ended, and on which controller and configuration that holds.

A cookie is worth nothing on another controller, so a domain's checkpoint holds one mark for each controller that was
read: whoever comes back to one pays for what changed since, and not for everything.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

VERSION: Final = 2
KEPT: Final = 8
"""Controllers remembered; the one that was read longest ago is forgotten first."""
OLDEST: Final = timedelta(days=30)
"""Half of the shortest default tombstone lifetime (MS-ADTS 6.1.1.2.4.1.1: 60 days): what was deleted before a mark of
that age may have left no trace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A domain controller's own view of itself, from its rootDSE and its NTDS settings.

    `invocation_id` (hex) is the identity of its database: another controller, or this one restored properly, has
    another. `highest_usn` grows with every commit. `root` is the DN of its domain, `clock` its own time (UTC).
    """

    dns_name: str
    invocation_id: str
    highest_usn: int
    root: str
    clock: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where the last read of one controller ended. Without a `cookie` it was read by USN, up to `highest_usn`."""

    cookie: bytes | None
    dns_name: str
    invocation_id: str
    highest_usn: int
    configuration: str
    clock: datetime

    @classmethod
    def taken(cls, cookie: bytes | None, controller: Controller, configuration: str) -> Self:
        """A mark at `cookie`; `controller` as it was before the cookie was asked for."""
        return cls(
            cookie=cookie,
            dns_name=controller.dns_name,
            invocation_id=controller.invocation_id,
            highest_usn=controller.highest_usn,
            configuration=configuration,
            clock=controller.clock,
        )

    def members(self) -> dict[str, Any]:
        """As JSON's own types."""
        return {
            "cookie": None if self.cookie is None else base64.b64encode(self.cookie).decode("ascii"),
            "controller": self.dns_name,
            "invocationId": self.invocation_id,
            "highestUsn": self.highest_usn,
            "configuration": self.configuration,
            "clock": self.clock.isoformat(),
        }

    @classmethod
    def of(cls, members: Any) -> Self:
        """What `members` gave. Raises ValueError, KeyError or TypeError for anything else."""
        cookie = members["cookie"]
        return cls(
            cookie=None if cookie is None else base64.b64decode(cookie, validate=True),
            dns_name=str(members["controller"]),
            invocation_id=str(members["invocationId"]),
            highest_usn=int(members["highestUsn"]),
            configuration=str(members["configuration"]),
            clock=datetime.fromisoformat(members["clock"]).astimezone(UTC),
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The marks of one domain, the latest read controller last; and where a full import that is not at its end yet will
    have ended: whatever changed after its beginning is read from there."""

    marks: tuple[Mark, ...] = ()
    importing: Mark | None = None

    def of(self, controller: Controller) -> Mark | None:
        """Where the last read of this database ended."""
        return next((mark for mark in self.marks if mark.invocation_id == controller.invocation_id), None)

    def moved(self, mark: Mark) -> Checkpoint:
        """The same with this mark in the place of its controller's old one."""
        others = [other for other in self.marks if other.invocation_id != mark.invocation_id]
        return Checkpoint((*others, mark)[-KEPT:])

    def begun(self, mark: Mark) -> Checkpoint:
        """The same, with a full import on the way to this mark."""
        return replace(self, importing=mark)

    def dump(self) -> bytes:
        """As small versioned JSON."""
        members: dict[str, Any] = {"version": VERSION, "marks": [mark.members() for mark in self.marks]}
        if self.importing is not None:
            members["importing"] = self.importing.members()
        return json.dumps(members, separators=(",", ":")).encode("ascii")

    @classmethod
    def load(cls, saved: bytes | None) -> Self:
        """Read what `dump` wrote; empty for anything else, which costs a full import and never a change."""
        try:
            members = json.loads(saved or b"null")
            if members["version"] != VERSION:
                return cls()
            importing = members.get("importing")
            return cls(tuple(Mark.of(mark) for mark in members["marks"]), importing and Mark.of(importing))
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()


def holds(mark: Mark, controller: Controller, configuration: str) -> bool:
    """Whether a delta import from `mark` shows everything.

    Not on another database (invocationId), not on one that went back in time (a controller restored from a snapshot
    would silently show nothing until its USNs pass the old mark), not when filter, attributes or base changed (a
    cookie tells nothing of older objects that only now came into view), and not after so long that tombstones are gone.
    """
    return (
        mark.invocation_id == controller.invocation_id
        and mark.highest_usn <= controller.highest_usn
        and mark.configuration == configuration
        and controller.clock - mark.clock < OLDEST
    )


def configuration_hash(filter_: str, attributes: Sequence[str], base: str) -> str:
    """SHA-256 (hex) over whatever decides what a read shows."""
    return hashlib.sha256(json.dumps([filter_, sorted(attributes), base]).encode()).hexdigest()
