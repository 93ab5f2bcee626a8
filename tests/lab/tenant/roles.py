"""What the application may do: the Entra application role, and the Exchange role with its cmdlets and parameters."""

from __future__ import annotations

from dataclasses import dataclass, field

APPLICATION_ROLE = "Exchange.ManageAsApp"

CMDLETS: dict[str, frozenset[str]] = {
    "Get-Recipient": frozenset({"Identity", "ResultSize"}),
    "Get-SmimeConfig": frozenset({"Identity"}),
    **{f"Get-{noun}": frozenset({"Identity", "ResultSize"}) for noun in ("Mailbox", "MailUser", "MailContact")},
    **{
        f"Set-{noun}": frozenset({"Identity", "Confirm", "UserCertificate", "UserSMimeCertificate"})
        for noun in ("Mailbox", "MailUser", "MailContact")
    },
}
"""Every cmdlet and parameter that this tenant knows; what is not here does not exist in it."""


@dataclass(slots=True, kw_only=True)
class Roles:
    """`application_role` says whether tokens carry Exchange.ManageAsApp; `cmdlets` is the trimmed Exchange role.

    `scoped` says whether the role's write scope keeps it from recipients outside.
    Without the application role every call gets 401, without the Exchange role 403 (seen).
    """

    scoped: bool = True
    application_role: bool = True
    cmdlets: dict[str, frozenset[str]] = field(default_factory=lambda: dict(CMDLETS))
