"""What a judgement depends on besides the value itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sync.core.addresses import Mailbox, known_addresses
from sync.core.path import TrustStore
from sync.core.policy import PRIVATE_CA, Policy
from sync.core.revocation import NOTHING_KNOWN, Knowledge


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The moment (aware), whom we trust, by which policy we judge, and whose certificate it should be.

    `revocation` is what is known of it, looked at when the policy asks for it.

    `addresses` are the person's as the cloud knows them, the primary one first (rules.md, B12); None leaves the
    address rule out. `mailboxes` are those of them that are e-mail addresses, read once.

    `published` are the fingerprints of the certificates that the recipient holds from us: what is merely in doubt, or
    has just expired, is not withdrawn at once (C5).
    """

    now: datetime
    trust: TrustStore
    policy: Policy = PRIVATE_CA
    addresses: tuple[str, ...] | None = None
    revocation: Knowledge = field(default=NOTHING_KNOWN, repr=False)
    published: frozenset[str] = frozenset()
    mailboxes: tuple[Mailbox, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mailboxes", known_addresses(self.addresses or ()))
