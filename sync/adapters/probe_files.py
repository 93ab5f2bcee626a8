"""What `probe` has on the disk, the mailbox's values until they are restored, and its throwaway certificates."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from sync.core.person import Attribute, Values
from sync.errors import ErrorCode, PermanentError


class KeptValues:
    """Kept (prober.py) in one file for each recipient, in `folder`, readable by its owner only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, recipient: str) -> Values | None:
        path = self._path(recipient)
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text("utf-8"))
            return Values.of(*([base64.b64decode(v, validate=True) for v in content[each]] for each in Attribute))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PermanentError(ErrorCode.FILE_UNREADABLE, f"{path}: {type(error).__name__}") from error

    def save(self, recipient: str, values: Values) -> None:
        content = {str(each): [base64.b64encode(value).decode() for value in values[each]] for each in Attribute}
        path = self._path(recipient)
        unfinished = path.with_suffix(".new")
        try:
            # Whole or not at all: a half-written one would restore half of what was there.
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except OSError as error:
            raise PermanentError(ErrorCode.FILE_UNREADABLE, f"{path} cannot be written: {error.strerror}") from error

    def forget(self, recipient: str) -> None:
        self._path(recipient).unlink(missing_ok=True)

    def _path(self, recipient: str) -> Path:
        return self._folder / f"smime-sync-probe-{hashlib.sha256(recipient.encode()).hexdigest()[:12]}.kept.json"


def throwaways(count: int) -> list[bytes]:
    """Certificates that nobody can use: expired for years, for no address, their keys forgotten."""
    return [_throwaway(number).public_bytes(serialization.Encoding.DER) for number in range(count)]


def throwaway_blob() -> bytes:
    """A SignedData that holds such a certificate and is signed by nobody."""
    return pkcs7.serialize_certificates([_throwaway(0)], serialization.Encoding.DER)


def _throwaway(number: int) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"smime-sync probe {number}, of no use")])
    begin = datetime(2001, 1, 1, tzinfo=UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
