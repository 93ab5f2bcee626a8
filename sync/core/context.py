"""What a judgement depends on besides the value itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from sync.core.addresses import Mailbox, known_addresses
from sync.core.path import TrustStore
from sync.core.policy import PRIVATE_CA, Policy
from sync.core.revocation import NOTHING_KNOWN, Knowledge


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The moment (aware), whom we trust, by which policy we judge, and whose certificate it should be.

    `revocation` is what is known of it, looked at when the policy asks for it.

    `addresses` are the person's as the cloud knows them, the primary one first (rules.md, B12); None leaves the
    address rule out. `mailboxes` are those of them that are e-mail addresses, read once, and `places` where each stands
    first among them: looked up, not compared one by one, since a value of 32 KiB holds thousands of names, and a person
    may have hundreds.

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
    places: Mapping[tuple[str, str], int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        mailboxes = known_addresses(self.addresses or ())
        places: dict[tuple[str, str], int] = {}
        for place, mailbox in enumerate(mailboxes):
            places.setdefault(mailbox.key, place)
        object.__setattr__(self, "mailboxes", mailboxes)
        object.__setattr__(self, "places", MappingProxyType(places))
