"""Opens a message: fetches what it refers to, verifies the signature, and parses. The one way to an event.

A reference to a large event is followed only into our own container, by the digest of what lies there; a signature is
verified over what decides (envelope.signed_part), whichever way the event came.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sync import envelope
from sync.core.event import Event
from sync.errors import ErrorCode, PermanentError
from sync.ports import ClaimStore
from sync.signature import Verifier
from sync.wire import MAX_CLAIM_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Opener:
    """`verifier` None takes events as they are; `required` refuses those without a signature."""

    claims: ClaimStore | None = None
    verifier: Verifier | None = None
    required: bool = False

    def __call__(self, body: str) -> Event:
        """Raises what envelope.parse and ClaimStore.get raise, and PermanentError `claim-altered`, `event-unsigned`,
        `event-signature`."""
        event = self._event(body)
        if event.signature is None:
            if self.required:
                raise PermanentError(ErrorCode.EVENT_UNSIGNED, f"the event of {event.person.anchor} has no signature")
        elif self.verifier is not None:
            self.verifier.verify(envelope.signed_part(event), event.signature)
        elif self.required:
            raise PermanentError(ErrorCode.EVENT_SIGNATURE, "no key to verify signatures is set")
        return event

    def _event(self, body: str) -> Event:
        reference = envelope.reference(body)
        if reference is None:
            return envelope.parse(body)
        if self.claims is None:
            raise PermanentError(ErrorCode.CLAIM_MISSING, "no container for large events is set")
        content = self.claims.get(reference.claim)
        found = hashlib.sha256(content).hexdigest()
        if len(content) != reference.claim.length or found != reference.claim.sha256:
            raise PermanentError(
                ErrorCode.CLAIM_ALTERED,
                f"{reference.claim.sha256[:16]}… of {reference.claim.length} bytes is {found[:16]}… of {len(content)}",
            )
        event = envelope.parse(content.decode("utf-8", "replace"), limit=MAX_CLAIM_BYTES)
        return reference.delivered(event)
