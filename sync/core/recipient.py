"""The Office 365 object that holds the certificates, as Exchange Online shows it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from sync.core.person import Values, fingerprint


class RecipientKind(StrEnum):
    """Decides the cmdlet that writes: Set-Mailbox, Set-MailUser or Set-MailContact."""

    MAILBOX = "mailbox"
    MAIL_USER = "mail-user"
    MAIL_CONTACT = "mail-contact"


class Owner(StrEnum):
    """Who owns the two attributes of a recipient (facts.md, section 2)."""

    CLOUD = "cloud"
    CLOUD_MANAGED = "cloud-managed"
    ON_PREMISES = "on-premises"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One recipient and what it holds now.

    `id` is the ExternalDirectoryObjectId; `addresses` are its SMTP addresses without prefix, the primary one first.
    `hidden` is how many values each attribute holds, in the order of `Attribute`, where the tenant does not show them:
    `values` then say nothing. `unverified` says that they are remembered and were not seen.
    """

    id: str
    kind: RecipientKind
    addresses: tuple[str, ...]
    directory_synchronised: bool = False
    cloud_managed: bool = False
    values: Values = Values()
    hidden: tuple[int, ...] | None = None
    unverified: bool = False

    @property
    def owner(self) -> Owner:
        """A directory-synchronised recipient belongs to Entra Connect unless it was moved to the cloud."""
        if not self.directory_synchronised:
            return Owner.CLOUD
        return Owner.CLOUD_MANAGED if self.cloud_managed else Owner.ON_PREMISES


def appearance(recipient: Recipient) -> str:
    """SHA-256 over all of a recipient that decides: addresses, kind, owner and what it holds.

    Which address is the primary one counts; in which order the others come does not.
    """
    told = [
        recipient.id.casefold(),
        recipient.kind,
        recipient.owner,
        *recipient.addresses[:1],
        *sorted(recipient.addresses[1:]),
        "",
        *map(fingerprint, recipient.values.user_certificate),
        "",
        *map(fingerprint, recipient.values.user_smime_certificate),
    ]
    return hashlib.sha256("\n".join(told).encode("utf-8")).hexdigest()
