"""Our own certificate, by which an application shows who it is: its forms, and until when it is good."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from sync.errors import ErrorCode, PermanentError

SOON: Final = timedelta(days=30)
URGENT: Final = timedelta(days=7)
EARLY: Final = timedelta(days=90)
"""For a CA, whose successor has to reach the trust store, and everybody a new certificate."""

_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_UNREADABLE: Final = "an application's certificate and key cannot be read: neither PEM nor PKCS#12 without a password"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """A certificate that ends. `name` is for people: whose it is, for what. `notice` is how long before it is told."""

    name: str
    at: datetime
    notice: timedelta = SOON


def as_pem(text: str) -> str:
    """PEM as it is; PKCS#12 in base64, the other form in which Key Vault keeps a certificate, as PEM.

    Raises PermanentError `token-refused`.
    """
    if "-----BEGIN " in text:
        return text
    try:
        key, certificate, others = pkcs12.load_key_and_certificates(base64.b64decode(text, validate=True), None)
    except (ValueError, TypeError, binascii.Error, UnsupportedAlgorithm) as error:
        raise PermanentError(ErrorCode.TOKEN_REFUSED, _UNREADABLE) from error
    if key is None or certificate is None:
        raise PermanentError(ErrorCode.TOKEN_REFUSED, _UNREADABLE)
    encoding = serialization.Encoding.PEM
    parts = [
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        *(each.public_bytes(encoding) for each in (certificate, *others)),
    ]
    return b"".join(parts).decode("ascii")


def good_until(pem: str) -> datetime:
    """When the certificate ends that belongs to the PEM's key; its chain may stand beside it.

    Raises PermanentError `token-refused`.
    """
    blocks = [(found[1], found[0].encode()) for found in _BLOCK.finditer(pem)]
    try:
        keys = [
            serialization.load_pem_private_key(block, None).public_key()
            for label, block in blocks
            if label.endswith("PRIVATE KEY")
        ]
        certificates = [x509.load_pem_x509_certificate(block) for label, block in blocks if label == "CERTIFICATE"]
        ours = [each.not_valid_after_utc for each in certificates if each.public_key() in keys]
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # The library's own words may quote the key.
        raise PermanentError(ErrorCode.TOKEN_REFUSED, _UNREADABLE) from error
    if not ours:
        raise PermanentError(ErrorCode.TOKEN_REFUSED, _UNREADABLE)
    return max(ours)
