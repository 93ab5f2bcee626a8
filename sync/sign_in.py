"""Who may ask over HTTP: whoever has the key, or people by their role in Entra.

With `key` the host asks for it (the Functions host's function key, the key file of `smime-sync serve`) before anything
comes here. With `entra` App Service authentication stands before the app: it signs people in, and says who they are in
a header that it takes away from every request that comes from outside. That header is worth nothing where the platform
is not there, so nobody is believed unless it says that it is. Nothing heavy is imported, for the host waits for it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sync.errors import ErrorCode, PermanentError

KEY_HOLDER = "key"
"""Who asks where a key is all that is known."""
REQUESTED_WITH = "x-requested-with", "smime-sync"
"""No page of another site can send this header without being asked first, and nobody answers that question."""

_LARGEST = 65_536
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OBJECT_ID = frozenset({"oid", "http://schemas.microsoft.com/identity/claims/objectidentifier"})
_ROLE = frozenset({"roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"})


class Role(StrEnum):
    """An app role of the application in Entra, by its value; the second implies the first."""

    READ = "SmimeSync.Read"
    OPERATE = "SmimeSync.Operate"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """`entra` is whether people sign in, `guarded` whether App Service authentication says that it stands before us."""

    entra: bool = False
    guarded: bool = False

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> SignIn:
        """By `SMIME_SYNC_SIGN_IN`, and by what the platform sets itself. Any other word than `entra` leaves the key."""
        return cls(
            entra=environment.get("SMIME_SYNC_SIGN_IN") == "entra",
            guarded=environment.get("WEBSITE_AUTH_ENABLED", "").lower() == "true",
        )

    def admit(self, headers: Mapping[str, str], *, acts: bool) -> str:
        """Who asks: an object id of Entra, or `key`. `headers` have names in lower case.

        Raises PermanentError `request-unauthorised` when nobody is signed in, `request-forbidden` when the person has
        not the role, or when a request that acts may be another site's.
        """
        if not self.entra:
            return KEY_HOLDER
        if not self.guarded:
            raise PermanentError(
                ErrorCode.REQUEST_UNAUTHORISED, "App Service authentication is off, so nobody can be signed in"
            )
        who, roles = _principal(headers.get("x-ms-client-principal", ""))
        needed = {Role.OPERATE} if acts else {Role.READ, Role.OPERATE}
        if not needed & roles:
            role = Role.OPERATE if acts else Role.READ
            raise PermanentError(ErrorCode.REQUEST_FORBIDDEN, f"{who} has not the app role {role}")
        name, value = REQUESTED_WITH
        if acts and headers.get(name) != value:
            raise PermanentError(ErrorCode.REQUEST_FORBIDDEN, f"the header {name}: {value} is missing")
        return who


BY_KEY = SignIn()


def _principal(header: str) -> tuple[str, frozenset[str]]:
    """The object id and the roles. Whatever is not exactly as the platform writes it is nobody."""
    if not header or len(header) > _LARGEST:
        raise PermanentError(ErrorCode.REQUEST_UNAUTHORISED, "nobody is signed in")
    try:
        said = json.loads(base64.b64decode(header, validate=True).decode("utf-8"))
        if said["auth_typ"] != "aad":
            raise PermanentError(ErrorCode.REQUEST_UNAUTHORISED, "signed in elsewhere than with Entra")
        claims = [(str(claim["typ"]), str(claim["val"])) for claim in said["claims"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        told = f"the platform's account of who is signed in cannot be read: {type(error).__name__}"
        raise PermanentError(ErrorCode.REQUEST_UNAUTHORISED, told) from error
    ids = set(_of(claims, _OBJECT_ID))
    if len(ids) != 1 or not _GUID.fullmatch(who := ids.pop().lower()):
        raise PermanentError(ErrorCode.REQUEST_UNAUTHORISED, "whoever is signed in has no object id")
    return who, frozenset(_of(claims, _ROLE))


def _of(claims: list[tuple[str, str]], types: frozenset[str]) -> Iterator[str]:
    return (value for kind, value in claims if kind in types)
