"""Faults by script: each is given to the next request that it is meant for, once."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field, replace

from tests.lab.tenant.refused import Reply, error


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong. `reply` answers in the cmdlet's place, or after it when `done` is set; `reset` breaks the line.

    `delay` in seconds comes before everything else. `cmdlet` keeps the fault for that one; "token" is the token
    endpoint.
    """

    reply: Reply | None = None
    reset: bool = False
    done: bool = False
    delay: float = 0.0
    cmdlet: str | None = None

    @classmethod
    def status(cls, status: int, *, body: bytes = b"", cmdlet: str | None = None, **headers: str) -> Fault:
        """This status; `Retry_After="7"` becomes the header Retry-After."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(reply=Reply(status=status, headers=named, body=body), cmdlet=cmdlet)

    def after(self) -> Fault:
        """The same, once the cmdlet has run."""
        return replace(self, done=True)

    @classmethod
    def exception(cls, status: int, kind: str, text: str, *, cmdlet: str | None = None) -> Fault:
        """An error body whose inner exception is of type `kind` and says `text`."""
        return cls(reply=error(status, "BadRequest", "Invalid Operation", kind=kind, text=text).reply, cmdlet=cmdlet)

    @classmethod
    def success_with_errors(cls, *errors: str, cmdlet: str | None = None) -> Fault:
        """200, and yet it failed."""
        body = json.dumps({"@adminapi.errors": list(errors), "@adminapi.warnings": [], "value": []}).encode("utf-8")
        return cls(reply=Reply(status=200, headers={"Content-Type": "application/json"}, body=body), cmdlet=cmdlet)

    @classmethod
    def redirect(cls, location: str, *, status: int = 302) -> Fault:
        """To another host."""
        return cls(reply=Reply(status=status, headers={"Location": location}))


@dataclass(slots=True)
class Faults:
    """The script."""

    waiting: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, *faults: Fault) -> None:
        """Have these happen to the next requests, in this order."""
        with self._lock:
            self.waiting.extend(faults)

    def take(self, name: str) -> Fault | None:
        """The fault for a request of cmdlet `name` (or "token"), if one waits."""
        with self._lock:
            for place, fault in enumerate(self.waiting):
                if fault.cmdlet == name or (fault.cmdlet is None and name not in {"token", ""}):
                    return self.waiting.pop(place)
        return None

    def clear(self) -> None:
        """Forget what has not happened."""
        with self._lock:
            self.waiting.clear()


STORMS: tuple[Fault, ...] = (
    Fault.status(429, Retry_After="1"),
    Fault.status(429),
    Fault.status(503),
    Fault.exception(400, "Microsoft.Exchange.Data.ServerBusyException", "The server is too busy."),
    Fault(reset=True),
    Fault(reset=True, done=True),
    Fault.status(504, body=b"the gateway did not wait").after(),
    Fault(delay=0.05),
)
"""What bad weather brings: before the cmdlet, after it, in its place, or only later."""
