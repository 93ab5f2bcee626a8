"""What the whole product is for: a mail encrypted to what the recipient now holds opens with that person's key only."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from sync.core.person import Attribute
from sync.core.values import open_value
from tests.adapters.exchange_online.connection import Connection
from tests.lab.tenant import Tenant
from tests.mill import DAY, NOW, Issued
from tests.mill.keys import KeyKind
from tests.office import Office, person

pytestmark = pytest.mark.lab

MAIL = b"Content-Type: text/plain\r\n\r\nThe keys are under the mat.\r\n"
SIGNER_USAGE = ("digitalSignature",)


class Correspondent:
    """Somebody who has nothing but what the tenant holds, and OpenSSL's own program."""

    def __init__(self, folder: Path, connection: Connection) -> None:
        self.folder = folder
        self.connection = connection

    def values(self, address: str, attribute: Attribute) -> tuple[bytes, ...]:
        """What the recipient holds, read over the wire."""
        found = self.connection.recipients.find(pinned=None, addresses=[address])
        assert found is not None
        return found.values[attribute]

    def encrypt(self, certificate: bytes) -> Path:
        """The mail, encrypted to this DER certificate."""
        recipient, mail, secret = (self.folder / name for name in ("recipient.pem", "mail.txt", "mail.p7m"))
        pem = x509.load_der_x509_certificate(certificate).public_bytes(serialization.Encoding.PEM)
        recipient.write_bytes(pem)
        mail.write_bytes(MAIL)
        done = openssl("-encrypt", "-binary", "-aes256", "-in", mail, "-out", secret, recipient)
        assert done.returncode == 0, done.stderr
        return secret

    def opens(self, secret: Path, holder: Issued) -> bool:
        """Whether this person reads the mail with their own key; what comes out must be the mail itself."""
        # OpenSSL answers a wrong RSA key with random bytes unless the certificate tells it which recipient to look for.
        pem = self.folder / "holder.pem"
        pem.write_bytes(private_pem(holder) + holder.pem.encode())
        done = openssl("-decrypt", "-binary", "-in", secret, "-recip", pem, "-inkey", pem)
        return done.returncode == 0 and done.stdout == MAIL


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """`openssl cms`."""
    return subprocess.run(["openssl", "cms", *map(str, arguments)], capture_output=True, check=False, timeout=60)


def private_pem(holder: Issued) -> bytes:
    return holder.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture
def connection(tenant: Tenant) -> Iterator[Connection]:
    """The adapter on the simulated tenant."""
    with requests.Session() as session:
        yield Connection(tenant=tenant, session=session)


@pytest.fixture
def office(connection: Connection) -> Office:
    """The cloud side, with the tenant over HTTPS."""
    office = Office()
    office.processor = replace(office.processor, recipients=connection.recipients)
    return office


@pytest.fixture
def correspondent(tmp_path: Path, connection: Connection) -> Correspondent:
    """Who writes to them."""
    return Correspondent(tmp_path, connection)


@pytest.mark.parametrize("key", ["rsa2048", "rsa4096", "ec256", "ec384"])
def test_to_the_certificate(tenant: Tenant, office: Office, correspondent: Correspondent, key: KeyKind) -> None:
    """Ada reads it; Bob, who is published in the same way, does not."""
    tenant.add_mailbox("ada@corp.example")
    tenant.add_mailbox("bob@corp.example")
    ada, bob = office.issue("ada", key=key), office.issue("bob", key=key)
    office.process(person("ada", ada))
    office.process(person("bob", bob))

    (published,) = correspondent.values("ada@corp.example", Attribute.USER_CERTIFICATE)
    secret = correspondent.encrypt(published)

    assert correspondent.opens(secret, ada)
    assert not correspondent.opens(secret, bob)
    assert correspondent.opens(correspondent.encrypt(bob.der), bob)


def test_to_what_the_blob_names(tenant: Tenant, office: Office, correspondent: Correspondent) -> None:
    """Split keys: only the encryption key opens it, not the one that signed the blob, and both attributes agree."""
    tenant.add_mailbox("ivan@corp.example")
    signing, encryption = office.issue("ivan", ku=SIGNER_USAGE), office.issue("ivan")
    office.process(person("ivan", smime=[signing.smime_blob(encryption)]))

    (blob,) = correspondent.values("ivan@corp.example", Attribute.USER_SMIME_CERTIFICATE)
    named = open_value(Attribute.USER_SMIME_CERTIFICATE, blob).leaf
    assert named is not None
    secret = correspondent.encrypt(named)

    assert correspondent.opens(secret, encryption)
    assert not correspondent.opens(secret, signing)
    assert correspondent.values("ivan@corp.example", Attribute.USER_CERTIFICATE) == (named,)


def test_a_renewed_key(tenant: Tenant, office: Office, correspondent: Correspondent) -> None:
    """After the renewal a mail goes to the new key: the expired blob, which would shadow it, is cleared."""
    tenant.add_mailbox("mike@corp.example")
    old = office.issue("mike", not_after=NOW + DAY)
    office.process(person("mike", smime=[old.smime_blob()]))
    office.pass_time(2 * DAY)
    new = office.issue("mike", key="ec256", not_before=office.now)
    office.process(person("mike", old, new, smime=[old.smime_blob()]))

    assert correspondent.values("mike@corp.example", Attribute.USER_SMIME_CERTIFICATE) == ()
    (published,) = correspondent.values("mike@corp.example", Attribute.USER_CERTIFICATE)
    secret = correspondent.encrypt(published)

    assert correspondent.opens(secret, new)
    assert not correspondent.opens(secret, old)


def test_a_signed_mail(tenant: Tenant, office: Office, correspondent: Correspondent, tmp_path: Path) -> None:
    """It verifies against the trust anchor, names the published certificate, and no longer does when it was altered."""
    tenant.add_mailbox("ada@corp.example")
    ada = office.issue("ada", ku=("digitalSignature", "keyEncipherment"))
    office.process(person("ada", ada))
    (published,) = correspondent.values("ada@corp.example", Attribute.USER_CERTIFICATE)
    paths = {name: tmp_path / name for name in ("mail", "signed", "key", "signer", "chain", "root")}
    paths["mail"].write_bytes(MAIL)
    paths["key"].write_bytes(private_pem(ada) + ada.pem.encode())
    paths["chain"].write_text(office.issuing.pem)
    paths["root"].write_text(office.root.pem)
    sign = ("-sign", "-binary", "-in", paths["mail"], "-signer", paths["key"], "-certfile", paths["chain"])
    assert openssl(*sign, "-out", paths["signed"]).returncode == 0

    verify = ("-verify", "-binary", "-in", paths["signed"], "-CAfile", paths["root"], "-signer", paths["signer"])
    at = ("-attime", str(int(NOW.timestamp())))
    done = openssl(*verify, *at)
    assert done.returncode == 0, done.stderr
    assert done.stdout == MAIL
    signer = x509.load_pem_x509_certificate(paths["signer"].read_bytes())
    assert signer.public_bytes(serialization.Encoding.DER) == published

    paths["signed"].write_bytes(paths["signed"].read_bytes().replace(b"under the mat", b"in the cupboard"))
    assert openssl(*verify, *at).returncode != 0
