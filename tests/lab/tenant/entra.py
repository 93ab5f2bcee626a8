"""The HTTP side of the simulated Entra: discovery, token endpoint, managed-identity endpoints."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from werkzeug import Request

from tests.lab.tenant.refused import Refused, Reply
from tests.lab.tenant.tokens import LIFETIME, Tokens, entra_error

APP_SERVICE_PATH = "/msi/token"
IMDS_PATH = "/metadata/identity/oauth2/token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entra:
    """Answers for one tenant."""

    tenant: str
    tokens: Tokens

    def answer(self, request: Request) -> Reply | None:
        """The answer, or None for a path that is not Entra's. Raises Refused."""
        base = request.host_url.rstrip("/")
        if request.path == APP_SERVICE_PATH:
            return self._app_service(request)
        if request.path == IMDS_PATH:
            return self._metadata_service(request)
        if request.path == "/common/discovery/instance":
            # msal asks for the host's other names when it was given no token.
            names = {"preferred_network": request.host, "preferred_cache": request.host, "aliases": [request.host]}
            return _json({"metadata": [names]})
        tenant, _, rest = request.path.removeprefix("/").partition("/")
        if rest == "v2.0/.well-known/openid-configuration":
            if tenant != self.tenant:
                raise entra_error(400, "invalid_tenant", 90002, f"Tenant '{tenant}' not found.")
            root = f"{base}/{tenant}"
            return _json(
                {
                    "issuer": f"{root}/v2.0",
                    "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                    "token_endpoint": f"{root}/oauth2/v2.0/token",
                    "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
                }
            )
        if rest == "oauth2/v2.0/token" and tenant == self.tenant and request.method == "POST":
            token = self.tokens.grant(request.form.to_dict(), request.base_url)
            return _json(
                {"token_type": "Bearer", "expires_in": LIFETIME, "ext_expires_in": LIFETIME, "access_token": token}
            )
        return None

    def _app_service(self, request: Request) -> Reply:
        """App Service and Functions: the secret of the environment stands in a header."""
        if request.headers.get("X-IDENTITY-HEADER") != self.tokens.identity_header:
            raise Refused(Reply(status=401, body=b'{"statusCode": 401, "message": "Unauthorized"}'))
        if request.args.get("api-version") != "2019-08-01":
            raise Refused(Reply(status=400, body=b'{"statusCode": 400, "message": "Unsupported API version"}'))
        return self._identity(request.args, {"expires_on": str(int(time.time()) + LIFETIME)})

    def _metadata_service(self, request: Request) -> Reply:
        """A virtual machine: the header keeps a confused proxy out."""
        if request.headers.get("Metadata") != "true":
            content = {"error": "invalid_request", "error_description": "Required metadata header not specified"}
            raise Refused(Reply(status=400, body=json.dumps(content).encode()))
        return self._identity(request.args, {"expires_in": str(LIFETIME)})

    def _identity(self, arguments: Mapping[str, str], expiry: dict[str, str]) -> Reply:
        resource = arguments.get("resource", "")
        token = self.tokens.identity(resource, arguments.get("client_id"))
        return _json({"access_token": token, "resource": resource, "token_type": "Bearer", **expiry})


def _json(content: Mapping[str, object]) -> Reply:
    body = json.dumps(content).encode("utf-8")
    return Reply(status=200, headers={"Content-Type": "application/json"}, body=body)
