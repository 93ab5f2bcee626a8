"""Recipients in Exchange Online: finds one, reads its certificates, replaces them."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence

from sync.adapters.exchange_online.admin_api import AdminApi, Cookie, Place
from sync.adapters.exchange_online.answers import Row
from sync.adapters.exchange_online.batch import Call
from sync.adapters.exchange_online.codecs import Codec
from sync.core.person import Attribute, Values, fingerprint
from sync.core.recipient import Recipient, RecipientKind
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.ports import RecipientPage

_NOUNS: Mapping[RecipientKind, str] = {
    RecipientKind.MAILBOX: "Mailbox",
    RecipientKind.MAIL_USER: "MailUser",
    RecipientKind.MAIL_CONTACT: "MailContact",
}
"""Only Set-Mailbox, Set-MailUser and Set-MailContact take the two parameters (facts.md, section 1)."""

_KINDS: Mapping[str, RecipientKind] = {
    **dict.fromkeys(
        (
            "UserMailbox",
            "SharedMailbox",
            "RoomMailbox",
            "EquipmentMailbox",
            "SchedulingMailbox",
            "TeamMailbox",
            "LinkedMailbox",
            "LinkedRoomMailbox",
            "LegacyMailbox",
        ),
        RecipientKind.MAILBOX,
    ),
    **dict.fromkeys(("MailUser", "GuestMailUser", "SharedWithMailUser"), RecipientKind.MAIL_USER),
    "MailContact": RecipientKind.MAIL_CONTACT,
}
"""By RecipientTypeDetails. A Microsoft 365 group is a GroupMailbox and no mailbox to Set-Mailbox."""

_PARAMETERS: Mapping[Attribute, str] = {
    Attribute.USER_CERTIFICATE: "UserCertificate",
    Attribute.USER_SMIME_CERTIFICATE: "UserSMimeCertificate",
}

_ADDRESS = re.compile(r"[^\s@*\"<>()\[\]\\,;:\x00-\x1f\x7f]+@[^\s@*'\"<>()\[\]{}\\,;:|\x00-\x1f\x7f]+")
"""Narrower than RFC 5321, 4.1.2: no quoted local part, no address literal, and no asterisk, which is a wildcard."""
_THUMBPRINT = re.compile(r"[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}")


class ExchangeOnline:
    """Recipients (ports.py) of one tenant through its admin API."""

    def __init__(self, api: AdminApi, codec: Codec = Codec(), *, shows_bytes: bool = True) -> None:  # noqa: B008  frozen
        """`shows_bytes` False: only how many values there are is read (`Recipient.hidden`)."""
        self._api = api
        self._codec = codec
        self._shows_bytes = shows_bytes

    def find(self, *, pinned: str | None, addresses: Sequence[str]) -> Recipient | None:
        """See ports.py. What is not written like an address is answered by nobody: it never reaches a cmdlet."""
        if pinned is not None:
            rows = [row for row in self._look_up(pinned) if _same(row.get("ExternalDirectoryObjectId"), pinned)]
            if rows:
                return self._recipient(_only(rows))
        for address in addresses:
            if not _ADDRESS.fullmatch(address):
                continue
            # Identity matches names, aliases and DNs too, and anybody may be called like somebody's address.
            rows = [row for row in self._look_up(address) if _answers_to(row, address)]
            if rows:
                return self._recipient(_only(rows))
        return None

    def write(self, recipient: Recipient, changes: Mapping[Attribute, tuple[bytes, ...]]) -> None:
        """See ports.py: one Set cmdlet with only the changed attributes, whole lists."""
        if not changes:
            return
        parameters: dict[str, object] = {"Identity": recipient.id, "Confirm": False}
        for attribute in Attribute:
            if attribute in changes:
                parameters.update(self._codec.parameters(_PARAMETERS[attribute], changes[attribute]))
        try:
            self._api.invoke(f"Set-{_NOUNS[recipient.kind]}", parameters)
        except PermanentError as error:
            if error.code is not ErrorCode.TENANT_VALUE:
                raise
            sent = ", ".join(fingerprint(value)[:16] for values in changes.values() for value in values) or "none"
            raise PermanentError(error.code, f"{error.message} (values sent: {sent})") from error

    def read(self, recipient: Recipient) -> Values:
        """See ports.py. Raises PermanentError `read-back-unreadable` when the tenant does not return the bytes."""
        return _values(self._get(recipient.kind, recipient.id))

    def page(self, cursor: str | None) -> RecipientPage:
        """See ports.py: every mailbox, then mail user, then mail contact, a thousand in a request.

        A next page lives for half an hour (facts.md, section 1), and only where the cookies of the page before lead.
        """
        kinds = list(_NOUNS)
        kind, place = _read_cursor(cursor) if cursor else (kinds[0], None)
        page = self._api.page(f"Get-{_NOUNS[kind]}", {"ResultSize": "Unlimited"}, place)
        # Discovery and other system mailboxes are nobody's; one that is not linked to Entra yet comes later.
        rows = [
            row
            for row in page.answer.rows
            if _KINDS.get(str(row.get("RecipientTypeDetails"))) is kind and row.get("ExternalDirectoryObjectId")
        ]
        following = kind if page.following else next(iter(kinds[kinds.index(kind) + 1 :]), None)
        return RecipientPage(
            recipients=[self._whole(kind, row) for row in rows],
            cursor=_write_cursor(following, page.following) if following else None,
        )

    def read_many(self, recipients: Sequence[Recipient]) -> list[Recipient | SyncError]:
        """Each of them as it is now, ten in a request, in their order; the error that one alone met in its place.

        Raises what a whole request met: TemporaryError, PermanentError.
        """
        calls = [Call(cmdlet=f"Get-{_NOUNS[each.kind]}", parameters={"Identity": each.id}) for each in recipients]
        found: list[Recipient | SyncError] = []
        for recipient, call, answer in zip(recipients, calls, self._api.batch(calls), strict=True):
            if isinstance(answer, SyncError):
                found.append(answer)
                continue
            try:
                found.append(self._whole(recipient.kind, _one(call.cmdlet, recipient.id, answer.rows)))
            except SyncError as error:
                found.append(error)
        return found

    def _look_up(self, identity: str) -> Sequence[Row]:
        try:
            return self._api.invoke("Get-Recipient", {"Identity": identity}).rows
        except TemporaryError as error:
            if error.code is ErrorCode.NO_RECIPIENT:
                return ()
            raise

    def _recipient(self, row: Row) -> Recipient:
        details = str(row.get("RecipientTypeDetails"))
        kind = _KINDS.get(details)
        if kind is None:
            raise PermanentError(ErrorCode.RECIPIENT_KIND, f"the address belongs to a {details}")
        identity = row.get("ExternalDirectoryObjectId")
        if not isinstance(identity, str) or not identity:
            raise TemporaryError(ErrorCode.NO_RECIPIENT, f"a {details} that has no ExternalDirectoryObjectId (yet)")
        return self._whole(kind, self._get(kind, identity))

    def _whole(self, kind: RecipientKind, row: Row) -> Recipient:
        return Recipient(
            id=str(row["ExternalDirectoryObjectId"]),
            kind=kind,
            addresses=_addresses(row),
            directory_synchronised=_flag(row, "IsDirSynced"),
            cloud_managed="IsExchangeCloudManaged" in row and _flag(row, "IsExchangeCloudManaged"),
            values=_values(row) if self._shows_bytes else Values(),
            hidden=None if self._shows_bytes else tuple(len(_entries(row, _PARAMETERS[each])) for each in Attribute),
        )

    def _get(self, kind: RecipientKind, identity: str) -> Row:
        cmdlet = f"Get-{_NOUNS[kind]}"
        return _one(cmdlet, identity, self._api.invoke(cmdlet, {"Identity": identity}).rows)


def _write_cursor(kind: RecipientKind, place: Place | None) -> str:
    told = {"url": place.url, "cookies": [list(each) for each in place.cookies]} if place else None
    return json.dumps({"kind": kind, "place": told}, separators=(",", ":"))


def _read_cursor(cursor: str) -> tuple[RecipientKind, Place | None]:
    """A cursor that cannot be read is as good as an expired one: the list begins again."""
    try:
        told = json.loads(cursor)
        kind, place = RecipientKind(told["kind"]), told["place"]
        if place is None:
            return kind, None
        return kind, Place(str(place["url"]), tuple(Cookie(*map(str, each)) for each in place["cookies"]))
    except (ValueError, TypeError, KeyError) as error:
        raise TemporaryError(ErrorCode.PAGE_EXPIRED, f"the place in the list: {type(error).__name__}") from error


def _one(cmdlet: str, identity: str, rows: Sequence[Row]) -> Row:
    """The object that was asked for, and no other."""
    if not rows:
        raise TemporaryError(ErrorCode.NO_RECIPIENT, f"{cmdlet} finds no {identity}")
    row = _only(rows)
    if not _same(row.get("ExternalDirectoryObjectId"), identity):
        raise PermanentError(ErrorCode.TENANT_ANSWER, f"{cmdlet} answered with another object than {identity}")
    return row


def _only(rows: Sequence[Row]) -> Row:
    if len(rows) > 1:
        names = ", ".join(str(row.get("ExternalDirectoryObjectId")) for row in rows)
        raise PermanentError(ErrorCode.RECIPIENT_AMBIGUOUS, f"{len(rows)} recipients answer: {names}")
    return rows[0]


def _answers_to(row: Row, address: str) -> bool:
    """Whether the recipient has `address` as an SMTP address or as its sign-in name."""
    names = [*_addresses(row), row.get("PrimarySmtpAddress"), row.get("WindowsLiveID"), row.get("UserPrincipalName")]
    return any(_same(name, address) for name in names)


def _same(name: object, other: str) -> bool:
    return isinstance(name, str) and name.casefold() == other.casefold()


def _addresses(row: Row) -> tuple[str, ...]:
    """The SMTP ones of EmailAddresses without their prefix, the primary one (upper-case prefix) first."""
    entries = row.get("EmailAddresses")
    pairs = [str(entry).partition(":") for entry in (entries if isinstance(entries, list) else [])]
    return (*(a for kind, _, a in pairs if kind == "SMTP"), *(a for kind, _, a in pairs if kind == "smtp"))


def _flag(row: Row, name: str) -> bool:
    """A Boolean, which may come as text. Guessing one that is missing could overwrite what somebody else owns."""
    value = row.get(name)
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise PermanentError(ErrorCode.TENANT_ANSWER, f"the recipient comes without a readable {name}")


def _values(row: Row) -> Values:
    return Values.of(*(_octets(row, _PARAMETERS[attribute]) for attribute in Attribute))


def _octets(row: Row, name: str) -> list[bytes]:
    """The byte values of one attribute, exactly, or PermanentError `read-back-unreadable`."""
    return [_bytes(entry, name) for entry in _entries(row, name)]


def _entries(row: Row, name: str) -> list[object]:
    """An attribute that is not there is not empty: whoever took it for empty would erase what it holds."""
    if name not in row:
        raise PermanentError(ErrorCode.READ_BACK_UNREADABLE, f"the recipient comes without {name}")
    value = row[name]
    return value if isinstance(value, list) else [] if value is None else [value]


def _bytes(entry: object, name: str) -> bytes:
    if isinstance(entry, bytes):
        return entry
    # A thumbprint would pass for base64.
    if isinstance(entry, str) and entry and not _THUMBPRINT.fullmatch(entry):
        try:
            return base64.b64decode(entry, validate=True)
        except (binascii.Error, ValueError):
            pass
    shown = entry if entry == "System.Byte[]" else type(entry).__name__
    raise PermanentError(ErrorCode.READ_BACK_UNREADABLE, f"{name} comes as {shown}, not as bytes")
