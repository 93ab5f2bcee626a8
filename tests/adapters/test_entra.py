"""Tokens from the simulated Entra, by every kind of credential, and every way of not getting one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sync.adapters.entra import (
    CLOUDS,
    Certificate,
    ClientAssertion,
    ClientSecret,
    Cloud,
    Credential,
    ManagedIdentity,
    TokenSource,
)
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from tests.lab.tenant import Call, Fault, Tenant

pytestmark = pytest.mark.lab

Connect = Callable[..., TokenSource]


@pytest.fixture
def connect(tenant: Tenant) -> Iterator[Connect]:
    """Makes a token source on the simulated tenant."""
    with requests.Session() as session:

        def make(credential: Credential, **changes: Any) -> TokenSource:
            arguments: dict[str, Any] = {
                "tenant": tenant.id,
                "cloud": tenant.cloud,
                "session": session,
                "ca_file": tenant.ca_file,
                "instance_discovery": False,
            }
            return TokenSource(credential, **{**arguments, **changes})

        yield make


@pytest.fixture
def managed(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a function app with a managed identity."""
    for name, value in tenant.identity_environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def virtual_machine(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a virtual machine whose metadata service is the simulated one."""
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", tenant.url)


def secret(tenant: Tenant) -> ClientSecret:
    """The application's right secret."""
    return ClientSecret(client_id=tenant.tokens.client_id, secret=tenant.tokens.secret)


def assertion(tenant: Tenant, **changes: object) -> ClientAssertion:
    """The token of a federated issuer, made whenever it is asked for."""
    content = {"aud": "api://AzureADTokenExchange", "exp": int(time.time()) + 60, **changes}
    return ClientAssertion(
        client_id=tenant.tokens.client_id,
        assertion=lambda: jwt.encode(content, tenant.tokens.federated, algorithm="HS256"),
    )


def accepted(tenant: Tenant, token: str) -> bool:
    """Whether the admin API takes the token; raises what it answers when not."""
    tenant.tokens.check(f"Bearer {token}")
    return True


def fails(source: TokenSource, claims: str | None = None) -> SyncError:
    """The error in which asking for a token ends."""
    with pytest.raises(SyncError) as caught:
        source.token(claims)
    return caught.value


def asked(tenant: Tenant) -> list[Call]:
    """The requests for a token, without discovery."""
    return [call for call in tenant.calls if urlsplit(call.path).path.endswith("/token")]


class TestCredentials:
    """Each kind gets a token that the admin API takes."""

    def test_client_secret(self, tenant: Tenant, connect: Connect) -> None:
        """For trials."""
        assert accepted(tenant, connect(secret(tenant)).token())

    def test_certificate_as_text(self, tenant: Tenant, connect: Connect) -> None:
        """A signed assertion, named by SHA-256: the endpoint verifies it against the registered certificate."""
        pem = tenant.tokens.register_certificate()

        assert accepted(tenant, connect(Certificate(client_id=tenant.tokens.client_id, pem=pem)).token())

        form = parse_qs(asked(tenant)[0].body.decode())
        header = jwt.get_unverified_header(form["client_assertion"][0])
        assert header["alg"] == "PS256"
        assert header["x5t#S256"] in tenant.tokens.certificates
        assert "x5t" not in header

    def test_certificate_in_a_file_with_a_passphrase(self, tenant: Tenant, connect: Connect, tmp_path: Path) -> None:
        """Certificate first, encrypted key after it, words between them: as tools write such files."""
        pem = tenant.tokens.register_certificate()
        key_text, _, certificate = pem.partition("-----BEGIN CERTIFICATE")
        key = serialization.load_pem_private_key(key_text.encode(), None)
        encrypted = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open sesame"),
        ).decode()
        path = tmp_path / "application.pem"
        path.write_text(f"Bag Attributes\n-----BEGIN CERTIFICATE{certificate}\nKey:\n{encrypted}")

        source = connect(
            Certificate(client_id=tenant.tokens.client_id, pem=str(path), passphrase="open sesame"),
        )

        assert accepted(tenant, source.token())

    def test_client_assertion(self, tenant: Tenant, connect: Connect) -> None:
        """Workload identity."""
        assert accepted(tenant, connect(assertion(tenant)).token())

    @pytest.mark.usefixtures("managed")
    def test_system_assigned_identity_of_a_function_app(self, tenant: Tenant, connect: Connect) -> None:
        """Asks for the resource, without `/.default`."""
        assert accepted(tenant, connect(ManagedIdentity()).token())
        assert parse_qs(urlsplit(asked(tenant)[0].path).query)["resource"] == ["https://outlook.office365.com"]

    @pytest.mark.usefixtures("managed")
    def test_user_assigned_identity_of_a_function_app(self, tenant: Tenant, connect: Connect) -> None:
        """By its client id."""
        assert accepted(tenant, connect(ManagedIdentity(client_id=tenant.tokens.user_assigned)).token())
        assert tenant.tokens.user_assigned in asked(tenant)[0].path

    @pytest.mark.usefixtures("virtual_machine")
    def test_identity_of_a_virtual_machine(self, tenant: Tenant, connect: Connect) -> None:
        """From the metadata service."""
        assert accepted(tenant, connect(ManagedIdentity(client_id=tenant.tokens.user_assigned)).token())


class TestCache:
    """One client per process."""

    def test_a_good_token_is_kept(self, tenant: Tenant, connect: Connect) -> None:
        """Entra is asked once."""
        source = connect(secret(tenant))

        assert source.token() == source.token()
        assert len(asked(tenant)) == 1

    @pytest.mark.usefixtures("managed")
    def test_a_managed_identitys_token_is_kept(self, tenant: Tenant, connect: Connect) -> None:
        """The endpoint is asked once."""
        source = connect(ManagedIdentity())

        assert source.token() == source.token()
        assert len(asked(tenant)) == 1

    @pytest.mark.parametrize("kind", ["secret", "managed"])
    @pytest.mark.usefixtures("managed")
    def test_claims_bring_a_new_token(self, tenant: Tenant, connect: Connect, kind: str) -> None:
        """The cache is passed over; the new token replaces the old one."""
        source = connect(secret(tenant) if kind == "secret" else ManagedIdentity())
        old = source.token()
        tenant.tokens.revoke()

        new = source.token('{"access_token":{"nbf":{"essential":true,"value":"1"}}}')

        assert new != old
        assert accepted(tenant, new)
        assert source.token() == new

    def test_claims_reach_entra(self, tenant: Tenant, connect: Connect) -> None:
        """Beside the capability that says that we answer them."""
        connect(secret(tenant)).token('{"access_token":{"nbf":{"essential":true,"value":"17"}}}')

        claims = json.loads(parse_qs(asked(tenant)[-1].body.decode())["claims"][0])["access_token"]
        assert claims["nbf"]["value"] == "17"
        assert claims["xms_cc"]["values"] == ["CP1"]

    def test_threads_share_one_client(self, tenant: Tenant, connect: Connect) -> None:
        """The Functions host calls from several at once; discovery happens once."""
        source = connect(secret(tenant))

        with ThreadPoolExecutor(8) as pool:
            tokens = list(pool.map(lambda _: source.token(), range(16)))

        assert all(accepted(tenant, token) for token in tokens)
        assert len(tenant.calls) - len(asked(tenant)) == 1


class TestRefused:
    """Permanent: a person must change something."""

    @pytest.mark.parametrize(
        ("change", "word"),
        [
            (lambda right: replace(right, secret="wrong~secret"), "AADSTS7000215"),
            (lambda right: replace(right, client_id="a11ce000-0000-4000-8000-00000000dead"), "AADSTS700016"),
        ],
        ids=["secret", "application"],
    )
    def test_a_wrong_secret(
        self, tenant: Tenant, connect: Connect, change: Callable[[ClientSecret], ClientSecret], word: str
    ) -> None:
        """With Entra's number, without the secret."""
        error = fails(connect(change(secret(tenant))))

        assert isinstance(error, PermanentError)
        assert error.code is ErrorCode.TOKEN_REFUSED
        assert word in error.message
        assert "Trace ID" not in error.message
        assert "wrong~secret" not in error.message
        assert tenant.tokens.secret not in error.message

    def test_an_unknown_tenant(self, tenant: Tenant, connect: Connect) -> None:
        """Found out at discovery."""
        error = fails(connect(secret(tenant), tenant="a11ce000-0000-4000-8000-00000000dead"))

        assert isinstance(error, PermanentError)
        assert error.code is ErrorCode.TOKEN_REFUSED

    def test_a_certificate_that_is_not_registered(self, tenant: Tenant, connect: Connect) -> None:
        """Its signature is good and means nothing."""
        pem = tenant.tokens.register_certificate()
        tenant.tokens.certificates.clear()

        error = fails(connect(Certificate(client_id=tenant.tokens.client_id, pem=pem)))

        assert isinstance(error, PermanentError)
        assert "AADSTS700027" in error.message

    @pytest.mark.parametrize("changes", [{"exp": 1}, {"aud": "somebody else"}])
    def test_an_assertion_that_is_not_good(self, tenant: Tenant, connect: Connect, changes: dict[str, object]) -> None:
        """Expired, or meant for another."""
        assert fails(connect(assertion(tenant, **changes))).code is ErrorCode.TOKEN_REFUSED

    @pytest.mark.usefixtures("managed")
    def test_an_identity_that_is_not_assigned(self, connect: Connect) -> None:
        """The function app knows no identity of this client id."""
        error = fails(connect(ManagedIdentity(client_id="a11ce000-0000-4000-8000-00000000dead")))

        assert isinstance(error, PermanentError)
        assert error.code is ErrorCode.TOKEN_REFUSED
        assert "Identity not found" in error.message

    @pytest.mark.usefixtures("virtual_machine")
    def test_an_identity_that_the_machine_lacks(self, connect: Connect) -> None:
        """The same on a virtual machine."""
        error = fails(connect(ManagedIdentity(client_id="a11ce000-0000-4000-8000-00000000dead")))

        assert isinstance(error, PermanentError)
        assert "Identity not found" in error.message

    @pytest.mark.parametrize("kind", [ValueError, FileNotFoundError])
    def test_an_assertion_that_cannot_be_made(self, tenant: Tenant, connect: Connect, kind: type[Exception]) -> None:
        """The platform did not project its token, or projected an empty one."""

        def broken() -> str:
            raise kind("no projected token")

        error = fails(connect(ClientAssertion(client_id=tenant.tokens.client_id, assertion=broken)))

        assert error.code is ErrorCode.TOKEN_REFUSED
        assert "no projected token" in error.message

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda pem: pem.replace("MI", "XX"),
            lambda pem: pem[pem.index("-----BEGIN CERTIFICATE") :],
            lambda pem: pem[: pem.index("-----BEGIN CERTIFICATE")],
            lambda pem: "-----BEGIN nothing",
            lambda pem: _key(ec.generate_private_key(ec.SECP256R1())) + pem[pem.index("-----BEGIN CERTIFICATE") :],
            lambda pem: _key(rsa.generate_private_key(65537, 2048)) + pem[pem.index("-----BEGIN CERTIFICATE") :],
        ],
        ids=["damaged", "no key", "no certificate", "nothing", "elliptic key", "another key"],
    )
    def test_a_pem_that_is_not_good(self, tenant: Tenant, connect: Connect, spoil: Callable[[str], str]) -> None:
        """Said in our words: the library's might quote the key."""
        pem = tenant.tokens.register_certificate()

        error = fails(connect(Certificate(client_id=tenant.tokens.client_id, pem=spoil(pem))))

        assert isinstance(error, PermanentError)
        assert error.code is ErrorCode.TOKEN_REFUSED
        assert pem[100:140] not in error.message
        assert asked(tenant) == []

    def test_a_wrong_passphrase(self, tenant: Tenant, connect: Connect) -> None:
        """Not shown either."""
        credential = Certificate(
            client_id=tenant.tokens.client_id, pem=tenant.tokens.register_certificate(), passphrase="open sesame"
        )

        error = fails(connect(credential))

        assert error.code is ErrorCode.TOKEN_REFUSED
        assert "sesame" not in error.message

    def test_a_file_that_is_not_there(self, tenant: Tenant, connect: Connect, tmp_path: Path) -> None:
        """Its own code."""
        error = fails(connect(Certificate(client_id=tenant.tokens.client_id, pem=str(tmp_path / "absent.pem"))))

        assert isinstance(error, PermanentError)
        assert error.code is ErrorCode.FILE_UNREADABLE

    def test_nothing_secret_in_a_representation(self, tenant: Tenant) -> None:
        """A credential may end in a log or a trace."""
        shown = repr((ClientSecret(client_id="a", secret="s3cret"), Certificate(client_id="a", pem="s3cret")))

        assert "s3cret" not in shown


class TestUnavailable:
    """Temporary: the queue delivers again."""

    @pytest.mark.parametrize("status", [408, 429, 500, 503])
    def test_a_passing_status(self, tenant: Tenant, connect: Connect, status: int) -> None:
        """With the time that Entra names; and the next attempt asks anew."""
        source = connect(secret(tenant))
        tenant.faults.next(Fault.status(status, cmdlet="token", Retry_After="7"))

        error = fails(source)

        assert isinstance(error, TemporaryError)
        assert (error.code, error.retry_after) == (ErrorCode.TOKEN_UNAVAILABLE, timedelta(seconds=7))
        assert accepted(tenant, source.token())

    @pytest.mark.parametrize("status", [404, 410, 429, 503])
    @pytest.mark.usefixtures("virtual_machine")
    def test_a_metadata_service_that_is_being_updated(self, tenant: Tenant, connect: Connect, status: int) -> None:
        """404 and 410 pass there, says its documentation of retries."""
        source = connect(ManagedIdentity())
        tenant.faults.next(Fault.status(status, body=b'{"error":"gone"}', cmdlet="token"))

        error = fails(source)

        assert isinstance(error, TemporaryError)
        assert error.code is ErrorCode.TOKEN_UNAVAILABLE
        assert accepted(tenant, source.token())

    @pytest.mark.parametrize(
        "body",
        [
            b'{"error":"temporarily_unavailable","error_description":"AADSTS90002x: later"}',
            b'{"error":"server_error","error_description":"oops"}',
            b'{"error":"invalid_request","error_description":"AADSTS90033: later","error_codes":[90033]}',
        ],
    )
    def test_a_passing_error(self, tenant: Tenant, connect: Connect, body: bytes) -> None:
        """RFC 6749's words, and the directory service behind Entra."""
        tenant.faults.next(Fault.status(400, body=body, cmdlet="token"))

        error = fails(connect(secret(tenant)))

        assert isinstance(error, TemporaryError)
        assert error.code is ErrorCode.TOKEN_UNAVAILABLE

    @pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"", b"\xff"])
    def test_an_answer_that_is_not_json(self, tenant: Tenant, connect: Connect, body: bytes) -> None:
        """A proxy's page."""
        tenant.faults.next(Fault.status(200, body=body, cmdlet="token"))

        error = fails(connect(secret(tenant)))

        assert isinstance(error, TemporaryError)
        assert error.code is ErrorCode.TOKEN_UNAVAILABLE

    @pytest.mark.parametrize("body", [b"[]", b"7", b'"text"', b'{"access_token":""}', b'{"access_token":7}', b"{}"])
    def test_an_answer_without_a_token(self, tenant: Tenant, connect: Connect, body: bytes) -> None:
        """JSON that says nothing: an error of ours, whatever it is."""
        tenant.faults.next(Fault.status(200, body=body, cmdlet="token"))

        assert fails(connect(secret(tenant))).code is ErrorCode.TOKEN_REFUSED

    def test_a_broken_line(self, tenant: Tenant, connect: Connect) -> None:
        """In the middle of the request."""
        tenant.faults.next(Fault(reset=True, cmdlet="token"))

        error = fails(connect(secret(tenant)))

        assert isinstance(error, TemporaryError)
        assert error.code is ErrorCode.TOKEN_UNAVAILABLE

    def test_a_slow_answer(self, tenant: Tenant, connect: Connect) -> None:
        """msal itself would wait for ever."""
        source = connect(secret(tenant), timeout=timedelta(seconds=0.2))
        tenant.faults.next(Fault(delay=0.6, cmdlet="token"))

        error = fails(source)

        assert isinstance(error, TemporaryError)
        assert "Timeout" in error.message

    def test_nobody_listens(self, tenant: Tenant, connect: Connect) -> None:
        """Discovery fails; the next attempt begins with it again."""
        source = connect(secret(tenant), cloud=replace(tenant.cloud, login="https://localhost:1"))

        for _ in range(2):
            error = fails(source)
            assert isinstance(error, TemporaryError)
            assert error.code is ErrorCode.TOKEN_UNAVAILABLE
            assert "localhost" in error.message

    def test_an_unknown_authority(self, tenant: Tenant, connect: Connect) -> None:
        """The secret does not go to whoever answers."""
        assert isinstance(fails(connect(secret(tenant), ca_file=None)), TemporaryError)
        assert tenant.calls == []

    def test_a_ca_file_that_is_not_there(self, tenant: Tenant, connect: Connect, tmp_path: Path) -> None:
        """An error of ours, not of the library."""
        error = fails(connect(secret(tenant), ca_file=str(tmp_path / "absent.pem")))

        assert error.code is ErrorCode.TOKEN_UNAVAILABLE

    def test_a_redirect_is_not_followed(self, tenant: Tenant, connect: Connect) -> None:
        """307 would carry the secret along."""
        fault = Fault.redirect(f"{tenant.region_url}/elsewhere/token", status=307)
        tenant.faults.next(replace(fault, cmdlet="token"))

        assert isinstance(fails(connect(secret(tenant))), SyncError)
        assert [urlsplit(call.path).path for call in tenant.calls if "elsewhere" in call.path] == []


@pytest.mark.parametrize("cloud", CLOUDS.values(), ids=lambda cloud: cloud.name)
def test_clouds(cloud: Cloud) -> None:
    """Every address is an https origin, and each cloud trusts its own host."""
    for url in (cloud.login, cloud.resource, cloud.admin):
        parts = urlsplit(url)
        assert (parts.scheme, parts.path, parts.query) == ("https", "", "")
    host = urlsplit(cloud.admin).hostname or ""
    assert any(host == suffix or host.endswith(f".{suffix}") for suffix in cloud.suffixes)


def _key(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
