"""Our own certificate: both forms in which a Key Vault keeps it, and when it ends."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from sync import settings, wiring
from sync.core.path import TrustStore
from sync.errors import ErrorCode, PermanentError
from sync.own_certificate import as_pem, good_until
from sync.wiring import own_certificates
from tests.lab.tenant import Tenant
from tests.mill import DAY, NOW, Mill
from tests.test_settings import CLOUD


def application() -> str:
    """Key and certificate of an application, as PEM."""
    made = Mill().root("Application")
    key = made.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key.decode() + made.pem


def as_pkcs12(pem: str) -> str:
    key = serialization.load_pem_private_key(pem.encode(), None)
    certificate = x509.load_pem_x509_certificate(pem[pem.index("-----BEGIN CERTIFICATE") :].encode())
    packed = pkcs12.serialize_key_and_certificates(None, key, certificate, None, serialization.NoEncryption())  # type: ignore[arg-type]
    return base64.b64encode(packed).decode()


def test_pem_stays_as_it_is() -> None:
    """Whatever it holds: whoever uses it says what is wrong with it."""
    assert as_pem("-----BEGIN nothing") == "-----BEGIN nothing"


def test_pkcs12_becomes_pem() -> None:
    """As a Key Vault gives it by default."""
    pem = application()
    assert good_until(as_pem(as_pkcs12(pem))) == good_until(pem)


def test_it_is_the_certificate_of_the_key_that_counts() -> None:
    """Not a CA's that stands beside it, wherever it stands."""
    pem, authority = application(), Mill().root().issue_ca("Issuing CA", not_after=NOW + 9999 * DAY)
    assert good_until(authority.pem + pem) == good_until(pem + authority.pem) == good_until(pem) < NOW + 9999 * DAY


@pytest.mark.parametrize("text", ["", "no base64!", "bm90aGluZw==", base64.b64encode(b"0" * 100).decode()])
def test_what_is_neither_is_an_error(text: str) -> None:
    """With a code, and without a word of what was given."""
    with pytest.raises(PermanentError) as refused:
        as_pem(text)
    assert refused.value.code is ErrorCode.TOKEN_REFUSED
    assert not text or text not in refused.value.message


@pytest.mark.parametrize("pem", ["-----BEGIN nothing", application().partition("-----BEGIN CERTIFICATE")[0]])
def test_without_key_and_certificate_nothing_ends(pem: str) -> None:
    """Half of it is an error."""
    with pytest.raises(PermanentError) as refused:
        good_until(pem)
    assert refused.value.code is ErrorCode.TOKEN_REFUSED


class TestSettings:
    """How function and agent come to it."""

    def cloud(self, **given: str) -> settings.CloudSettings:
        own = {"SMIME_SYNC_CREDENTIAL": "certificate", "SMIME_SYNC_CLIENT_ID": CLOUD["SMIME_SYNC_TENANT_ID"]}
        return settings.load(settings.CloudSettings, CLOUD | own | given)

    def test_the_functions_is_a_file_or_the_value_itself(self, tmp_path: Path) -> None:
        """Both tell when it ends; CAs that have ended are no news."""
        pem = application()
        (tmp_path / "application.pem").write_text(pem)
        root = Mill().root(not_after=NOW + DAY)
        trust = TrustStore.of([root.der])
        for config in (
            self.cloud(SMIME_SYNC_CLIENT_CERTIFICATE=str(tmp_path / "application.pem")),
            self.cloud(SMIME_SYNC_CLIENT_CERTIFICATE_VALUE=as_pkcs12(pem)),
        ):
            ours, authority = own_certificates.of_function(config, trust, NOW)
            assert (ours.name, ours.at) == ("the certificate for Exchange Online", good_until(pem))
            assert authority.at == NOW + DAY
            assert len(own_certificates.of_function(config, trust, NOW + 2 * DAY)) == 1

    def test_an_identity_has_none(self) -> None:
        """It is renewed by the platform."""
        config = settings.load(settings.CloudSettings, CLOUD)
        assert own_certificates.of_tenant(config) == own_certificates.of_storage(config) == ()

    def test_one_that_cannot_be_read_is_none(self, tmp_path: Path) -> None:
        """Status and heartbeat go on; whoever asks for a token says what is wrong."""
        assert own_certificates.of_tenant(self.cloud(SMIME_SYNC_CLIENT_CERTIFICATE=str(tmp_path / "none.pem"))) == ()

    def test_one_of_the_two_is_needed(self) -> None:
        """Neither, or both, is said."""
        for given in ({}, {f"SMIME_SYNC_CLIENT_CERTIFICATE{each}": "x" for each in ("", "_VALUE")}):
            with pytest.raises(PermanentError, match="one of the two"):
                self.cloud(**given)

    @pytest.mark.parametrize("name", ["CLIENT_SECRET", "CLIENT_CERTIFICATE_VALUE"])
    def test_a_reference_that_was_not_resolved_is_said(self, name: str) -> None:
        """The platform hands on the reference itself; Entra would only say that the secret is wrong."""
        given = {
            "SMIME_SYNC_CREDENTIAL": "secret" if name == "CLIENT_SECRET" else "certificate",
            f"SMIME_SYNC_{name}": "@Microsoft.KeyVault(SecretUri=https://kv.example/secrets/exchange)",
        }
        with pytest.raises(PermanentError, match=f"SMIME_SYNC_{name} is a Key Vault reference"):
            self.cloud(**given)


@pytest.mark.lab
@pytest.mark.parametrize("form", [str, as_pkcs12])
def test_the_tenant_takes_what_a_key_vault_gives(tenant: Tenant, form: type[str]) -> None:
    """Entra verifies what was signed with it."""
    given = {
        "SMIME_SYNC_TENANT_ID": tenant.id,
        "SMIME_SYNC_CREDENTIAL": "certificate",
        "SMIME_SYNC_CLIENT_ID": tenant.tokens.client_id,
        "SMIME_SYNC_CLIENT_CERTIFICATE_VALUE": form(tenant.tokens.register_certificate()),
        "SMIME_SYNC_LOGIN_URL": tenant.url,
        "SMIME_SYNC_CA_FILE": tenant.ca_file,
    }
    config = settings.load(settings.CloudSettings, CLOUD | given)
    tenant.tokens.check(f"Bearer {wiring.tenant_tokens(config).token()}")
    (ours,) = own_certificates.of_tenant(config)
    assert ours.at > datetime.now(UTC)
