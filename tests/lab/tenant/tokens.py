"""Tokens of the simulated Entra: who may have one, and what the admin API thinks of it."""

from __future__ import annotations

import base64
import json
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.lab.tenant.refused import Refused, Reply
from tests.lab.tenant.roles import APPLICATION_ROLE, Roles

RESOURCE = "https://outlook.office365.com"
STORAGE = "https://storage.azure.com"
"""Azure Storage, of every cloud: its tokens are read by Azurite, which wants an issuer and a beginning."""
LIFETIME = 3600
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def entra_error(status: int, name: str, number: int, text: str) -> Refused:
    """An error of the token endpoint, shaped as Entra's, trace ids and all."""
    trace = str(uuid.uuid4())
    content = {
        "error": name,
        "error_description": f"AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {trace}",
        "error_codes": [number],
        "trace_id": trace,
        "correlation_id": trace,
    }
    body = json.dumps(content).encode("utf-8")
    return Refused(Reply(status=status, headers={"Content-Type": "application/json"}, body=body))


@dataclass(slots=True, kw_only=True)
class Tokens:
    """One application, with a secret and any number of registered certificates, and two managed identities.

    `resource` is the audience of every token: Exchange Online of this cloud.
    `federated` is the issuer key of workload identity: a client assertion signed with it (HS256) is taken too.
    """

    tenant: str
    roles: Roles
    resource: str = RESOURCE
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(30))
    federated: str = field(default_factory=lambda: secrets.token_hex(32))
    user_assigned: str = field(default_factory=lambda: str(uuid.uuid4()))
    identity_header: str = field(default_factory=lambda: secrets.token_hex(16))
    certificates: dict[str, x509.Certificate] = field(default_factory=dict)
    issued: int = 0
    _signing: str = field(default_factory=lambda: secrets.token_hex(32))
    _refused_before: int = 0

    def mint(self, *, audience: str | None = None, lifetime: float = LIFETIME) -> str:
        """Make a token, whoever asks; with a negative `lifetime` (seconds) one that has expired."""
        self.issued += 1
        now = time.time()
        content = {
            "aud": audience or self.resource,
            "tid": self.tenant,
            "appid": self.client_id,
            "iss": f"https://sts.windows.net/{self.tenant}/",
            "iat": int(now),
            "nbf": int(now),
            "exp": int(now + lifetime),
            "uti": str(self.issued),
            "roles": [APPLICATION_ROLE] if self.roles.application_role else [],
        }
        return jwt.encode(content, self._signing, algorithm="HS256")

    def revoke(self) -> None:
        """Everything issued so far is challenged from now on (continuous access evaluation)."""
        self._refused_before = self.issued + 1

    def check(self, authorization: str) -> None:
        """The admin API's judgement of an Authorization header. Raises Refused with 401."""
        scheme, _, token = authorization.partition(" ")
        try:
            content = jwt.decode(token, self._signing, algorithms=["HS256"], audience=self.resource)
        except jwt.InvalidTokenError as error:
            raise _unauthorised("invalid_token") from error
        if scheme != "Bearer" or content["tid"] != self.tenant or APPLICATION_ROLE not in content["roles"]:
            raise _unauthorised("invalid_token")
        if int(content["uti"]) < self._refused_before:
            claims = {"access_token": {"nbf": {"essential": True, "value": str(int(time.time()))}}}
            raise _unauthorised("insufficient_claims", json.dumps(claims))

    def grant(self, form: Mapping[str, str], endpoint: str) -> str:
        """The token endpoint: client credentials with a secret or an assertion. Raises Refused."""
        if form.get("grant_type") != "client_credentials":
            raise entra_error(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        if form.get("client_id") != self.client_id:
            raise entra_error(
                400, "unauthorized_client", 700016, "Application with this identifier was not found in the directory."
            )
        if "client_assertion" in form:
            self._check_assertion(form, endpoint)
        elif not secrets.compare_digest(form.get("client_secret", ""), self.secret):
            raise entra_error(401, "invalid_client", 7000215, "Invalid client secret provided.")
        resource, _, default = form.get("scope", "").rpartition("/")
        if default != ".default":
            raise entra_error(400, "invalid_scope", 1002012, "The provided value for scope is not valid.")
        return self._for(resource)

    def identity(self, resource: str, client_id: str | None) -> str:
        """The managed-identity endpoint: the system-assigned identity, or the user-assigned one. Raises Refused."""
        if client_id not in (None, self.user_assigned):
            content = {"error": "invalid_request", "error_description": "Identity not found"}
            raise Refused(Reply(status=400, body=json.dumps({**content, "message": "Identity not found"}).encode()))
        return self._for(resource)

    def register_certificate(self) -> str:
        """Give the application a new certificate; returns PEM text with its key and itself."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "smime-sync lab application")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        for digest in (hashes.SHA256(), hashes.SHA1()):
            thumbprint = base64.urlsafe_b64encode(certificate.fingerprint(digest)).decode("ascii")
            self.certificates[thumbprint] = certificate
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return (private + certificate.public_bytes(serialization.Encoding.PEM)).decode("ascii")

    def _for(self, resource: str) -> str:
        if resource not in {self.resource, STORAGE}:
            raise entra_error(400, "invalid_resource", 500011, "The resource principal was not found in the tenant.")
        return self.mint(audience=resource)

    def _check_assertion(self, form: Mapping[str, str], endpoint: str) -> None:
        """RFC 7523, 3: signed by a registered certificate (or the federated issuer), for this endpoint, not expired."""
        assertion = form["client_assertion"]
        try:
            if form.get("client_assertion_type") != _ASSERTION:
                raise jwt.InvalidTokenError("type")  # noqa: TRY301
            header = jwt.get_unverified_header(assertion)
            thumbprint = header.get("x5t#S256") or header.get("x5t", "")
            certificate = self.certificates.get(thumbprint + "=" * (-len(thumbprint) % 4))
            if certificate is None:
                jwt.decode(assertion, self.federated, algorithms=["HS256"], audience="api://AzureADTokenExchange")
                return
            key = certificate.public_key()
            assert isinstance(key, rsa.RSAPublicKey)
            content = jwt.decode(assertion, key, algorithms=["PS256", "RS256"], audience=endpoint)
            if not content["iss"] == content["sub"] == self.client_id:
                raise jwt.InvalidTokenError("subject")  # noqa: TRY301
        except jwt.InvalidTokenError as error:
            raise entra_error(
                401, "invalid_client", 700027, f"Client assertion failed signature validation ({error})."
            ) from error


def _unauthorised(why: str, claims: str | None = None) -> Refused:
    challenge = (
        'Bearer client_id="00000002-0000-0ff1-ce00-000000000000", '
        'trusted_issuers="00000001-0000-0000-c000-000000000000@*", '
        'token_types="app_asserted_user_v1 service_asserted_app_v1", '
        f'authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", error="{why}"'
    )
    if claims:
        challenge += f', claims="{base64.b64encode(claims.encode()).decode()}"'
    return Refused(Reply(status=401, headers={"WWW-Authenticate": challenge}))
