"""The mill's good defaults must be good, and its output the same in every run: both judged by other people's code."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.mill import NOW, Mill, mapi_blob, smime_blob


@pytest.mark.lab
def test_openssl_accepts_a_default_chain(tmp_path: Path) -> None:
    """The command, not the library that we build on, accepts root, issuing CA and leaf for S/MIME encryption."""
    mill = Mill()
    root = mill.root()
    issuing = root.issue_ca("Example Issuing CA", path_length=0)
    alice = issuing.issue("alice@corp.example")
    for name, issued in (("root", root), ("issuing", issuing), ("alice", alice)):
        (tmp_path / name).write_text(issued.pem)

    options = ["-x509_strict", "-purpose", "smimeencrypt", "-attime", str(int(NOW.timestamp()))]
    files = ["-CAfile", str(tmp_path / "root"), "-untrusted", str(tmp_path / "issuing"), str(tmp_path / "alice")]
    verified = subprocess.run(["openssl", "verify", *options, *files], check=False, capture_output=True, text=True)

    assert verified.returncode == 0, verified.stderr


def test_the_same_calls_give_the_same_bytes() -> None:
    """Examples made with the mill do not change when they are made again."""

    def make() -> list[bytes]:
        mill = Mill()
        issuing = mill.root(key="ec384").issue_ca("Example Issuing CA")
        alice = issuing.issue("alice@corp.example", upn="alice@corp.local")
        return [issuing.der, alice.der, alice.smime_blob(issuing.issue("alice@corp.example", key="ec256"))]

    assert make() == make()


@pytest.mark.lab
def test_openssl_verifies_the_signature_of_a_blob(tmp_path: Path) -> None:
    """A userSMIMECertificate of the mill is a SignedData whose signature `openssl cms` verifies."""
    mill = Mill()
    issuing = mill.root().issue_ca("Example Issuing CA")
    signing = issuing.issue("alice@corp.example", ku=("digitalSignature",))
    blob = smime_blob(signing, issuing.issue("alice@corp.example", ku=("keyEncipherment",)), content=b"x")
    (tmp_path / "blob").write_bytes(blob)

    command = ["openssl", "cms", "-verify", "-noverify", "-inform", "DER", "-in", str(tmp_path / "blob")]
    verified = subprocess.run(command, check=False, capture_output=True, text=True)

    assert verified.returncode == 0, verified.stderr
    assert len(cms.ContentInfo.load(blob, strict=True)["content"]["certificates"]) == 2


def test_every_kind_of_key_can_be_certified() -> None:
    """Each kind comes out as a certificate that parses and holds that key."""
    issuing = Mill().root(key="ec256")

    for kind in ("rsa1024", "rsa2048-pss", "dsa2048", "ec256", "ec521", "ed25519", "ed448", "x25519", "x448"):
        issued = issuing.issue("alice@corp.example", key=kind)
        assert isinstance(issued.certificate, x509.Certificate)
        if kind != "rsa2048-pss":
            encoding = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            assert issued.certificate.public_key().public_bytes(*encoding) == issued.key.public_key().public_bytes(
                *encoding
            )


def test_a_mapi_blob_begins_with_its_version_and_holds_the_certificate() -> None:
    """Tag 1, eight bytes; then tag 3 with the DER; lengths count their headers."""
    alice = Mill().root(key="ec256").issue("alice@corp.example", key="ec256")

    blob = mapi_blob(alice)

    assert blob.startswith(b"\x01\x00\x08\x00\x01\x00\x00\x00\x03\x00")
    assert blob.endswith(alice.der)
