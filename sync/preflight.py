"""Tries, before the first event, whether the tenant lets us do what we must and nothing else: `smime-sync preflight`.

1. Token. 2. Role: each cmdlet and parameter, on nobody's identity, so that nothing is written; and that it holds no
more. 3. Scope: a write outside it is refused. 4. The tenant's own trust store (SST), which Outlook on the web goes by.
5. The revocation lists of our CAs, from here. 6. Our own certificates, and when they end.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from urllib.parse import urlsplit

from sync.core import certificate_store
from sync.core.certificate import Certificate, MalformedCertificateError
from sync.core.list_scope import addresses_of
from sync.core.person import Attribute
from sync.core.revocation_list import MalformedListError, RevocationList
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.own_certificate import EARLY, Expiry
from sync.ports import Recipients

APPLICATION_ROLE = "Exchange.ManageAsApp"
NOBODY = "5afe0000-0000-4000-8000-000000000000"
"""No recipient has this id: a Set that gets as far as looking for it was let through by the role."""
READS = ("Get-Recipient", "Get-Mailbox", "Get-MailUser", "Get-MailContact")
WRITES = ("Set-Mailbox", "Set-MailUser", "Set-MailContact")
PARAMETERS = ("UserCertificate", "UserSMimeCertificate")
TOO_MUCH = ("Set-Mailbox", "ForwardingSmtpAddress")
"""What a role copied from Mail Recipients and not trimmed holds: with it our application could read anybody's mail."""


class Level(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One check; `hint` says what to do when it did not end well."""

    check: str
    level: Level
    detail: str
    hint: str = ""

    def to_json(self) -> dict[str, str]:
        """For machines."""
        return {"check": self.check, "level": self.level, "detail": self.detail, "hint": self.hint}


class CmdletAnswer(Protocol):
    """What a cmdlet answered."""

    @property
    def rows(self) -> Sequence[Mapping[str, object]]:
        """The objects."""


class Cmdlets(Protocol):
    """The tenant's cmdlets, one at a time."""

    def invoke(self, cmdlet: str, parameters: Mapping[str, object]) -> CmdletAnswer:
        """Run one. Raises TemporaryError, PermanentError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """`anchors` and `intermediates` are our trust store; `lists` are revocation addresses by the CA's subject or
    SHA-256, beside those that our CAs' certificates name; `fetch` gets one. `outside` is a mailbox that the role
    must not reach. `certificates` are our own and the CAs', and when they end."""

    token: Callable[[], str]
    cmdlets: Cmdlets
    recipients: Recipients
    anchors: Sequence[Certificate]
    intermediates: Sequence[Certificate]
    fetch: Callable[[str], bytes]
    now: Callable[[], datetime]
    lists: Mapping[str, Sequence[str]]
    outside: str | None = None
    certificates: Sequence[Expiry] = ()

    def lines(self) -> Iterator[Line]:
        """Every check, each as soon as it is known. What one of them meets never keeps the others from being tried."""
        # 1. Token.
        line = self._token()
        yield line
        if line.level is not Level.FAIL:
            # 2. Role.
            yield from map(self._read, READS)
            yield from map(self._write, WRITES)
            yield self._too_much()
            # 3. Scope.
            yield self._scope()
            # 4. The tenant's trust store.
            yield from self._store()
        # 5. Revocation lists.
        for authority in (*self.anchors, *self.intermediates):
            yield from self._revocation(authority)
        # 6. Our own certificates.
        yield from map(self._good, self.certificates)

    def _good(self, certificate: Expiry) -> Line:
        left, detail = certificate.at - self.now(), f"is good until {certificate.at:%Y-%m-%d %H:%M} UTC"
        level = Level.FAIL if left < timedelta(0) else Level.WARN if left < certificate.notice else Level.OK
        hint = "" if level is Level.OK else "Renew it: docs/upgrade.md, Our own keys."
        return Line(check=certificate.name, level=level, detail=detail, hint=hint)

    def _token(self) -> Line:
        try:
            token = self.token()
        except SyncError as error:
            return _failed("token", error)
        roles = _roles(token)
        if roles is not None and APPLICATION_ROLE not in roles:
            detail = f"the token does not carry {APPLICATION_ROLE}"
            return Line(check="token", level=Level.FAIL, detail=detail, hint=_hint(ErrorCode.TENANT_UNAUTHORISED))
        return Line(
            check="token", level=Level.OK, detail=f"given{'' if roles is None else f', with {APPLICATION_ROLE}'}"
        )

    def _read(self, cmdlet: str) -> Line:
        try:
            self.cmdlets.invoke(cmdlet, {"ResultSize": "1"})
        except SyncError as error:
            return _failed(cmdlet, error)
        return Line(check=cmdlet, level=Level.OK, detail="allowed")

    def _write(self, cmdlet: str) -> Line:
        error = self._tried(cmdlet, dict.fromkeys(PARAMETERS))
        if error is None:
            return Line(check=cmdlet, level=Level.OK, detail=f"allowed, with {' and '.join(PARAMETERS)}")
        if error.code is not ErrorCode.TENANT_PARAMETER:
            return _failed(cmdlet, error)
        missing = [name for name in PARAMETERS if self._tried(cmdlet, {name: None}) is not None]
        detail = f"the role lacks the parameters {', '.join(missing) or 'Identity or Confirm'}"
        return Line(check=cmdlet, level=Level.FAIL, detail=detail, hint=_hint(ErrorCode.TENANT_ROLE))

    def _too_much(self) -> Line:
        cmdlet, parameter = TOO_MUCH
        check = "nothing else"
        error = self._tried(cmdlet, {parameter: None})
        if error is None:
            detail = f"{cmdlet} takes {parameter} too: the role is not trimmed to what is needed"
            return Line(check=check, level=Level.WARN, detail=detail, hint="Trim the role: infra/exchange.")
        if error.code in {ErrorCode.TENANT_PARAMETER, ErrorCode.TENANT_ROLE}:
            return Line(check=check, level=Level.OK, detail=f"{cmdlet} {parameter} is refused")
        return _failed(check, error, Level.WARN)

    def _tried(self, cmdlet: str, parameters: Mapping[str, object]) -> SyncError | None:
        """None when the role let it through: then nobody was found, and nothing written."""
        try:
            self.cmdlets.invoke(cmdlet, {"Identity": NOBODY, "Confirm": False, **parameters})
        except SyncError as error:
            return None if error.code is ErrorCode.NO_RECIPIENT else error
        return None

    def _scope(self) -> Line:
        check = "a write outside the scope"
        if self.outside is None:
            detail = "not tried: name a mailbox that the role must not reach with --outside"
            return Line(check=check, level=Level.WARN, detail=detail)
        try:
            found = self.recipients.find(pinned=None, addresses=[self.outside])
            if found is None:
                return Line(check=check, level=Level.WARN, detail="not tried: nobody answers to the address given")
            # What is there already: if it is not refused, nothing changed.
            self.recipients.write(found, {each: found.values[each] for each in Attribute})
        except PermanentError as error:
            if error.code is ErrorCode.TENANT_SCOPE:
                return Line(check=check, level=Level.OK, detail="is refused")
            return _failed(check, error, Level.WARN)
        except TemporaryError as error:
            return _failed(check, error, Level.WARN)
        detail = "was not refused (it changed nothing; a tenant may look at the scope only when something changes)"
        return Line(check=check, level=Level.FAIL, detail=detail, hint="Give the role assignment a write scope.")

    def _store(self) -> Iterator[Line]:
        """Exchange Online has no built-in roots: Outlook on the web trusts only this store (facts.md, section 3)."""
        check = "trust store of Outlook on the web"
        try:
            rows = self.cmdlets.invoke("Get-SmimeConfig", {}).rows
        except SyncError as error:
            yield _failed(check, error, Level.WARN)
            return
        try:
            octets = _octets(rows[0].get("SMIMECertificateIssuingCA") if rows else None)
            held = [Certificate.parse(der) for der in certificate_store.read(octets)] if octets else []
        except (certificate_store.StoreError, MalformedCertificateError) as error:
            yield Line(check=check, level=Level.WARN, detail=f"cannot be read: {error}")
            return
        known = {each.fingerprint for each in held}
        for ours in (*self.anchors, *self.intermediates):
            if ours.fingerprint not in known:
                detail = f"lacks {ours.subject_text}"
                yield Line(
                    check=check, level=Level.WARN, detail=detail, hint="Set-SmimeConfig -SMIMECertificateIssuingCA."
                )
        yield from (self._age(each, check) for each in held if each.not_after - self.now() < EARLY)
        yield Line(check=check, level=Level.OK if held else Level.WARN, detail=f"{len(held)} certificates")

    def _age(self, certificate: Certificate, check: str) -> Line:
        expired = certificate.not_after < self.now()
        detail = f"{certificate.subject_text} {'expired' if expired else 'expires'} on {certificate.not_after:%Y-%m-%d}"
        # Set-SmimeConfig refuses a store that holds an expired certificate: nothing can be added until it is out.
        return Line(check=check, level=Level.FAIL if expired else Level.WARN, detail=detail, hint="Renew the store.")

    def _revocation(self, authority: Certificate) -> Iterator[Line]:
        """The list that this CA issues, from each address where one of its certificates, or the settings, says so."""
        check = f"revocation list of {authority.subject_text}"
        names = {authority.subject_text, authority.fingerprint}
        listed = {name.replace(":", "").lower(): urls for name, urls in self.lists.items()} | dict(self.lists)
        addresses = dict.fromkeys(url for name in sorted(names) for url in listed.get(name, ()))
        for each in (*self.anchors, *self.intermediates):
            if each.issuer == authority.subject and each.fingerprint != authority.fingerprint:
                # Those of a CA that we configured ourselves, never a leaf's (facts.md, section 4).
                addresses |= dict.fromkeys(addresses_of(each))
        if not addresses:
            yield Line(check=check, level=Level.WARN, detail="no address is known here: only its certificates name it")
        for address in addresses:
            if urlsplit(address).scheme not in {"http", "https"}:
                detail = f"{urlsplit(address).scheme}: addresses cannot be reached from the cloud"
                yield Line(check=check, level=Level.WARN, detail=detail, hint="Publish the list over HTTP.")
                continue
            yield self._fetched(check, address, authority)

    def _fetched(self, check: str, address: str, authority: Certificate) -> Line:
        try:
            found = RevocationList.parse(self.fetch(address))
        except SyncError as error:
            return _failed(check, error)
        except MalformedListError as error:
            return Line(check=check, level=Level.FAIL, detail=f"{address} holds no revocation list: {error}")
        if found.issuer != authority.subject:
            return Line(check=check, level=Level.FAIL, detail=f"{address} holds the list of another CA")
        if found.next_update is not None and found.next_update < self.now():
            detail = f"{address} is stale since {found.next_update:%Y-%m-%d %H:%M}"
            return Line(check=check, level=Level.FAIL, detail=detail, hint="The CA must publish a new list.")
        return Line(check=check, level=Level.OK, detail=f"{address}: {found.count} entries")


def _failed(check: str, error: SyncError, level: Level = Level.FAIL) -> Line:
    return Line(check=check, level=level, detail=f"{error.code}: {error.message}", hint=error.hint)


def _hint(code: ErrorCode) -> str:
    return PermanentError(code, "").hint


def _roles(token: str) -> Sequence[object] | None:
    """The roles in a JWT, unverified: they only explain. None for a token that is none, which Entra may give out."""
    try:
        part = token.split(".")[1]
        roles = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))).get("roles", [])
    except (IndexError, ValueError, AttributeError):
        return None
    return roles if isinstance(roles, list) else None


def _octets(value: object) -> bytes:
    """One byte[], in the forms in which answers hold it. Raises StoreError."""
    try:
        if isinstance(value, bytes):
            return value
        if isinstance(value, str) and value != "System.Byte[]":
            return base64.b64decode(value, validate=True)
        if isinstance(value, list):
            return bytes(int(str(each)) for each in value)
    except (binascii.Error, ValueError) as error:
        raise certificate_store.StoreError("not bytes") from error
    if value is None:
        return b""
    raise certificate_store.StoreError("the tenant does not show its bytes: set read_format to clixml")
