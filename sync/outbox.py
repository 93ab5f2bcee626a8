"""Sends what the agent's outbox holds, in order; whatever cannot go now stays there, on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from sync import envelope
from sync.core.event import Claim
from sync.core.identity import Watermark
from sync.errors import ErrorCode, TemporaryError
from sync.ports import AgentState, ClaimStore, EventQueue, Lease, Letter

_BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """Send, then clear: a crash in between sends twice, which is harmless, and never loses."""

    state: AgentState
    queue: EventQueue
    claims: ClaimStore | None = None
    lease: Lease | None = None

    def send(self, told: Callable[[], object] = lambda: None) -> int:
        """Send all that may go; return how many letters went. `told` is called after each.

        Raises what queue and claim store raise, and TemporaryError `lease-lost`; what went before is cleared.
        """
        count, after = 0, Watermark(0, 0)
        while letters := self.state.outbox(after, _BATCH):
            gone: list[Watermark] = []
            try:
                for letter in letters:
                    self._send(letter)
                    gone.append(letter.watermark)
                    told()
            finally:
                if gone:
                    self.state.clear(gone)
            count, after = count + len(gone), letters[-1].watermark
        return count

    def _send(self, letter: Letter) -> None:
        # Another agent may have taken over; then its later epoch would win anyway, and this only spares the effort.
        if self.lease is not None and not self.lease.held():
            raise TemporaryError(ErrorCode.LEASE_LOST, "the lease ran out: another agent may be active")
        body = letter.body
        if self.claims is not None and envelope.too_large(body):
            content = body.encode("utf-8")
            claim = Claim(hashlib.sha256(content).hexdigest(), len(content))
            self.claims.put(claim, content)
            body = envelope.referring(body, claim)
        self.queue.send(body)
