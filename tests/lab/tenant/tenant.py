"""The tenant as a test sees it: add recipients, look at them, script faults, read what was asked."""

from __future__ import annotations

import contextlib
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
from werkzeug import Request
from werkzeug.http import HTTP_STATUS_CODES as _PHRASES

from sync.adapters.entra import Cloud
from sync.core.person import Attribute
from tests.lab.tenant.admin_api import AdminApi
from tests.lab.tenant.behaviour import Behaviour, Budget, Weather
from tests.lab.tenant.cmdlets import Cmdlets
from tests.lab.tenant.entra import APP_SERVICE_PATH, Entra
from tests.lab.tenant.faults import STORMS, Fault, Faults
from tests.lab.tenant.objects import Entry, Objects, new_id
from tests.lab.tenant.refused import Refused, Reply
from tests.lab.tenant.roles import Roles
from tests.lab.tenant.server import SOCKET, certificate, reset, serve
from tests.lab.tenant.tokens import RESOURCE, Tokens

_NOWHERE = Reply(status=404)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it arrived, and the status that it got (0 when the line was broken)."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def cmdlet(self) -> str:
        """The cmdlet, by its header; empty for a token request."""
        return self.headers.get("X-Cmdletname", "")


@dataclass(slots=True, kw_only=True)
class Tenant:
    """A running tenant. `url` is its front door, `region_url` the same behind another port: a regional host.

    `ca_file` is the authority of both, `resource` the audience of its tokens. Everything else is what it
    holds and how it behaves.
    """

    id: str
    url: str = ""
    region_url: str = ""
    ca_file: str = ""
    resource: str = RESOURCE
    objects: Objects = field(default_factory=Objects)
    faults: Faults = field(default_factory=Faults)
    roles: Roles = field(default_factory=Roles)
    behaviour: Behaviour = field(default_factory=Behaviour)
    weather: Weather = field(default_factory=Weather)
    budget: Budget = field(default_factory=Budget)
    tokens: Tokens = field(init=False)
    calls: list[Call] = field(default_factory=list)
    _cmdlets: Cmdlets = field(init=False)
    _api: AdminApi = field(init=False)

    def __post_init__(self) -> None:
        self.reset()

    @classmethod
    @contextlib.contextmanager
    def start(
        cls, *, port: int = 0, tenant_id: str | None = None, resource: str = RESOURCE, names: Iterable[str] = ()
    ) -> Iterator[Tenant]:
        """Run an empty one until the block ends. Its certificate is also for these `names`."""
        tenant = cls(id=tenant_id or str(uuid.uuid4()), resource=resource)
        authority = trustme.CA()
        with tempfile.TemporaryDirectory(prefix="tenant-") as name, contextlib.ExitStack() as running:
            folder = Path(name)
            tenant.ca_file = str(folder / "ca.pem")
            authority.cert_pem.write_to_path(tenant.ca_file)
            pem = certificate(authority, folder, *names)
            tenant.url = running.enter_context(serve(tenant.application, pem, port))
            tenant.region_url = running.enter_context(serve(tenant.application, pem))
            yield tenant

    def reset(self) -> None:
        """Forget everything: recipients, tokens, roles, faults, what was asked."""
        self.objects, self.faults, self.roles, self.behaviour = Objects(), Faults(), Roles(), Behaviour()
        self.weather, self.budget = Weather(), Budget()
        self.tokens = Tokens(tenant=self.id, roles=self.roles, resource=self.resource)
        self._cmdlets = Cmdlets(objects=self.objects, roles=self.roles, behaviour=self.behaviour)
        self._api = AdminApi(
            tenant=self.id, tokens=self.tokens, cmdlets=self._cmdlets, faults=self.faults, budget=self.budget
        )
        self.calls = []

    @property
    def cloud(self) -> Cloud:
        """This tenant as a national cloud, for the adapters."""
        return Cloud(name="lab", login=self.url, resource=self.resource, admin=self.url, suffixes=("localhost",))

    @property
    def identity_environment(self) -> dict[str, str]:
        """What App Service puts into the environment of a program with a managed identity."""
        return {
            "IDENTITY_ENDPOINT": f"{self.url}{APP_SERVICE_PATH}",
            "IDENTITY_HEADER": self.tokens.identity_header,
        }

    def add_mailbox(self, address: str, *secondary: str, details: str = "UserMailbox", **state: Any) -> Entry:
        """A mailbox with this primary address; see `add` for `state`."""
        return self.add(details, address, *secondary, **state)

    def add_mail_user(self, address: str, *secondary: str, details: str = "MailUser", **state: Any) -> Entry:
        """A mail user; with details="GuestMailUser" a guest."""
        return self.add(details, address, *secondary, **state)

    def add_contact(self, address: str, *secondary: str, **state: Any) -> Entry:
        """A mail contact, which has no sign-in name."""
        return self.add("MailContact", address, *secondary, **{"user_principal_name": None, **state})

    def add_group(self, address: str, *, details: str = "MailUniversalDistributionGroup") -> Entry:
        """A group, which cannot hold certificates."""
        return self.add(details, address, user_principal_name=None)

    def add(
        self,
        details: str,
        *addresses: str,
        id: str | None = None,  # noqa: A002
        name: str | None = None,
        user_principal_name: str | None = "",
        directory_synchronised: bool = False,
        cloud_managed: bool = False,
        outside_scope: bool = False,
        user_certificate: Iterable[bytes] = (),
        user_smime_certificate: Iterable[bytes] = (),
    ) -> Entry:
        """A recipient of any RecipientTypeDetails; its sign-in name is its primary address unless given."""
        return self.objects.add(
            Entry(
                id=id or new_id(),
                details=details,
                addresses=list(addresses),
                name=name or addresses[0].partition("@")[0],
                user_principal_name=addresses[0] if user_principal_name == "" else user_principal_name,
                directory_synchronised=directory_synchronised,
                cloud_managed=cloud_managed,
                outside_scope=outside_scope,
                hidden=self.behaviour.provisioning,
                certificates={
                    Attribute.USER_CERTIFICATE: list(user_certificate),
                    Attribute.USER_SMIME_CERTIFICATE: list(user_smime_certificate),
                },
            )
        )

    def recipient(self, address: str) -> Entry:
        """The one that this address, id or name means. Raises LookupError unless it is exactly one."""
        found = self.objects.resolve(address, None)
        if len(found) != 1:
            raise LookupError(f"{len(found)} recipients answer to {address}")
        return found[0]

    def trust(self, sst: bytes | None) -> None:
        """Set-SmimeConfig: these are the CAs that Outlook on the web trusts (None: never set)."""
        self._cmdlets.sst = sst

    def cmdlets(self) -> list[str]:
        """The cmdlets that were asked for, in order."""
        return [call.cmdlet for call in self.calls if call.cmdlet]

    def expire_pages(self) -> None:
        """Half an hour passes for every next page."""
        self._api.pages.clear()

    def _weather(self, name: str) -> Fault | None:
        number = self.weather.draw(len(STORMS)) if name not in {"token", ""} else None
        return None if number is None else STORMS[number]

    def application(self, environ: dict[str, Any], start_response: Any) -> Any:
        """The WSGI application: one request through its fault, if there is one, to its answer."""
        request = Request(environ)
        # A slow request may end after a reset: it belongs to the tenant that it came to, not to the next test's.
        calls, entra, api = self.calls, Entra(tenant=self.id, tokens=self.tokens), self._api
        name = "token" if request.path.endswith("/token") else request.headers.get("X-CmdletName", "")
        name = "$batch" if request.path.endswith("/$batch") else name
        fault = self.faults.take(name) or self._weather(name) or Fault()
        time.sleep(fault.delay)
        body = request.get_data()
        reply = fault.reply
        if fault.done or not (fault.reply or fault.reset):
            answered = _answer(request, entra, api)
            reply = fault.reply or answered
        if fault.reset or reply is None:
            calls.append(_call(request, body, 0))
            reset(environ[SOCKET])
        calls.append(_call(request, body, reply.status))
        # Without werkzeug's Response, which would correct what a fault means to send.
        length = {} if reply.status == 204 else {"Content-Length": str(len(reply.body))}
        start_response(f"{reply.status} {_PHRASES.get(reply.status, 'Odd')}", [*{**reply.headers, **length}.items()])
        return [reply.body]


def _answer(request: Request, entra: Entra, api: AdminApi) -> Reply:
    try:
        return entra.answer(request) or api.answer(request) or _NOWHERE
    except Refused as refused:
        return refused.reply


def _call(request: Request, body: bytes, status: int) -> Call:
    path = request.full_path.rstrip("?")
    return Call(method=request.method, path=path, headers=dict(request.headers), body=body, status=status)
