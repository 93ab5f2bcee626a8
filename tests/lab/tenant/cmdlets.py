"""The cmdlets, on the tenant's recipients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sync.core.person import Attribute
from tests.lab.tenant import refused
from tests.lab.tenant.behaviour import Behaviour
from tests.lab.tenant.objects import MAIL_CONTACTS, MAIL_USERS, MAILBOXES, Entry, Objects
from tests.lab.tenant.parameters import byte_arrays
from tests.lab.tenant.roles import Roles

Properties = dict[str, object]
Show = Callable[[Entry], Properties]

_KINDS: Mapping[str, frozenset[str] | None] = {
    "Recipient": None,
    "Mailbox": MAILBOXES,
    "MailUser": MAIL_USERS,
    "MailContact": MAIL_CONTACTS,
}
_ATTRIBUTES: Mapping[str, Attribute] = {
    "UserCertificate": Attribute.USER_CERTIFICATE,
    "UserSMimeCertificate": Attribute.USER_SMIME_CERTIFICATE,
}
_ORGANISATION = Entry(id="", details="", addresses=[""], name="Smime Configuration", user_principal_name=None)
_DEFAULT_SIZE = 1000
_MORE = (
    "There are more results available than are currently displayed. To view them, increase the value for the "
    "ResultSize parameter."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a cmdlet gives: the objects, each shown only when its page is written, and the warnings."""

    entries: Sequence[Entry] = ()
    show: Show = lambda entry: {"Identity": entry.name}
    warnings: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Cmdlets:
    """Runs cmdlets for one caller."""

    objects: Objects
    roles: Roles
    behaviour: Behaviour
    sst: bytes | None = None

    def run(self, cmdlet: str, parameters: Mapping[str, object]) -> Result:
        """Run one. Raises Refused."""
        allowed = self.roles.cmdlets.get(cmdlet)
        if allowed is None:
            raise refused.forbidden()
        names = [name for name in parameters if "@" not in name]
        if unknown := [name for name in names if name not in allowed]:
            raise refused.unknown_parameters(unknown)
        if cmdlet == "Get-SmimeConfig":
            return Result(entries=(_ORGANISATION,), show=self._smime_config)
        verb, _, noun = cmdlet.partition("-")
        return self._get(noun, parameters) if verb == "Get" else self._set(cmdlet, noun, parameters)

    def _smime_config(self, entry: Entry) -> Properties:
        """The tenant's SST: one byte[], shown as other bytes are (Set-SmimeConfig takes a Byte[])."""
        return {"Identity": "Smime Configuration", "SMIMECertificateIssuingCA": self.sst}

    def _get(self, noun: str, parameters: Mapping[str, object]) -> Result:
        kinds = _KINDS[noun]
        identity = parameters.get("Identity")
        if identity is not None:
            entries = self.objects.resolve(str(identity), kinds)
            if not entries and "*" not in str(identity):
                raise refused.not_found(str(identity))
        else:
            entries = self.objects.all(kinds)
        size = parameters.get("ResultSize", _DEFAULT_SIZE)
        limit = len(entries) if str(size).lower() == "unlimited" else int(str(size))
        return Result(
            entries=entries[:limit],
            show=_recipient if noun == "Recipient" else _whole,
            warnings=(_MORE,) if len(entries) > limit else (),
        )

    def _set(self, cmdlet: str, noun: str, parameters: Mapping[str, object]) -> Result:
        if parameters.get("Confirm") is not False:
            raise refused.unconfirmed(cmdlet)
        identity = str(parameters.get("Identity"))
        entries = self.objects.resolve(identity, _KINDS[noun])
        if not entries:
            raise refused.not_found(identity)
        if len(entries) > 1:
            raise refused.ambiguous(identity)
        entry = entries[0]
        given = [name for name in _ATTRIBUTES if name in parameters]
        if entry.outside_scope and self.roles.scoped:
            raise refused.out_of_scope(entry.name)
        if entry.directory_synchronised and not entry.cloud_managed:
            raise refused.synchronised(cmdlet, ",".join(given), entry.name)
        # All are bound before any is written: a cmdlet changes everything or nothing.
        values = {_ATTRIBUTES[name]: byte_arrays(parameters, name, self.behaviour) for name in given}
        longest = max((len(set(new)) for new in values.values()), default=0)
        if self.behaviour.most_values is not None and longest > self.behaviour.most_values:
            raise refused.too_many(longest, self.behaviour.most_values)
        if all(set(entry.certificates[attribute]) == set(new) for attribute, new in values.items()):
            return Result(
                warnings=(f"The command completed successfully but no settings of '{entry.name}' have been modified.",)
            )
        entry.before, entry.stale = dict(entry.certificates), self.behaviour.lag
        entry.certificates.update({attribute: list(dict.fromkeys(new)) for attribute, new in values.items()})
        entry.writes += 1
        return Result()


def _recipient(entry: Entry) -> Properties:
    """What Get-Recipient shows: not the certificates, and the sign-in name as WindowsLiveID."""
    mailbox = entry.details in MAILBOXES
    return {
        "Identity": entry.name,
        "Name": entry.name,
        "Alias": entry.addresses[0].partition("@")[0],
        "DisplayName": entry.name,
        "DistinguishedName": f"CN={entry.name},OU=contoso.onmicrosoft.com,DC=EURPR01A001,DC=PROD,DC=OUTLOOK,DC=COM",
        "ExternalDirectoryObjectId": entry.id,
        "RecipientType": "UserMailbox" if mailbox else entry.details.removeprefix("Guest"),
        "RecipientTypeDetails": entry.details,
        "PrimarySmtpAddress": entry.addresses[0],
        "EmailAddresses": [
            *(f"smtp:{address}" for address in entry.addresses[1:]),
            f"X500:/o=ExchangeLabs/ou=Exchange Administrative Group/cn=Recipients/cn={entry.id}",
            f"SIP:{entry.addresses[0]}",
            f"SMTP:{entry.addresses[0]}",
        ],
        "WindowsLiveID": entry.user_principal_name or "",
        "IsDirSynced": entry.directory_synchronised,
        "HiddenFromAddressListsEnabled": False,
        "WhenChangedUTC": "2026-01-01T00:00:00.0000000Z",
    }


def _whole(entry: Entry) -> Properties:
    """What Get-Mailbox, Get-MailUser and Get-MailContact show."""
    properties = _recipient(entry)
    if entry.user_principal_name:
        properties["UserPrincipalName"] = entry.user_principal_name
    if entry.details in MAILBOXES:
        properties["IsExchangeCloudManaged"] = entry.cloud_managed
        properties["ProhibitSendQuota"] = "99 GB (106,300,440,576 bytes)"
    shown = entry.shown()
    for name, attribute in _ATTRIBUTES.items():
        properties[name] = list(shown[attribute])
    return properties
