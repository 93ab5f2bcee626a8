"""An event's signature: a detached JWS (RFC 7515, appendix F), Ed25519 (RFC 8037) or ES256, by PyJWT.

A key is named by the thumbprint of its public half (RFC 7638), so that nobody has to keep names and keys together.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from jwt.algorithms import ECAlgorithm, OKPAlgorithm
from jwt.api_jws import PyJWS

from sync.errors import ErrorCode, PermanentError

_TYPE: Final = "smime-sync"
_PUBLIC: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
_JWS: Final = PyJWS(algorithms=["EdDSA", "ES256"])

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class Signer:
    """The agent's side."""

    key: PrivateKey

    @classmethod
    def load(cls, pem: bytes) -> Signer:
        """Read one private key. Raises PermanentError `key-malformed`."""
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise PermanentError(ErrorCode.KEY_MALFORMED, f"the signing key: {error}") from error
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return cls(key)
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            return cls(key)
        raise PermanentError(ErrorCode.KEY_MALFORMED, "the signing key is neither Ed25519 nor P-256")

    @classmethod
    def generate(cls) -> Signer:
        """A new Ed25519 key."""
        return cls(ed25519.Ed25519PrivateKey.generate())

    @property
    def id(self) -> str:
        """The thumbprint of its public half."""
        return _thumbprint(self.key.public_key())

    def private_pem(self) -> bytes:
        """PKCS #8, unencrypted: the file's rights keep it."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def public_pem(self) -> bytes:
        """What the function is given."""
        return self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, content: bytes) -> str:
        """Sign; the payload is left out of what is returned."""
        header = {"kid": self.id, "typ": _TYPE}
        protected, _, signature = _JWS.encode(content, self.key, _algorithm(self.key.public_key()), header).split(".")
        return f"{protected}..{signature}"


@dataclass(frozen=True, slots=True)
class Verifier:
    """The function's side: one key or, while keys are exchanged, several, by their thumbprints."""

    keys: Mapping[str, PublicKey]

    @classmethod
    def load(cls, pem: bytes) -> Verifier:
        """Read public keys in PEM, one after the other. Raises PermanentError `key-malformed`."""
        blocks = _PUBLIC.findall(pem)
        if not blocks:
            raise PermanentError(ErrorCode.KEY_MALFORMED, "the file of event keys holds no public key in PEM")
        try:
            keys = [_usable(serialization.load_pem_public_key(block)) for block in blocks]
        except (ValueError, UnsupportedAlgorithm) as error:
            raise PermanentError(ErrorCode.KEY_MALFORMED, f"an event key: {error}") from error
        return cls({_thumbprint(key): key for key in keys})

    def verify(self, content: bytes, signature: str) -> None:
        """Raises PermanentError `event-signature`."""
        parts = signature.split(".")
        if len(parts) != 3 or parts[1]:
            raise PermanentError(ErrorCode.EVENT_SIGNATURE, "the signature is no detached JWS")
        payload = base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
        try:
            name = _JWS.get_unverified_header(f"{parts[0]}..{parts[2]}").get("kid")
            key = self.keys.get(name) if isinstance(name, str) else None
            if key is None:
                raise PermanentError(ErrorCode.EVENT_SIGNATURE, f"the key {str(name)[:64]!r} is not among ours")
            # The algorithm is the key's, never what the header would like it to be.
            _JWS.decode(f"{parts[0]}.{payload}.{parts[2]}", key, algorithms=[_algorithm(key)])
        except jwt.PyJWTError as error:
            raise PermanentError(ErrorCode.EVENT_SIGNATURE, f"the signature does not verify: {error}") from error


def _usable(key: object) -> PublicKey:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise PermanentError(ErrorCode.KEY_MALFORMED, "an event key is neither Ed25519 nor P-256")


def _algorithm(key: PublicKey) -> str:
    return "EdDSA" if isinstance(key, ed25519.Ed25519PublicKey) else "ES256"


def _thumbprint(key: PublicKey) -> str:
    """RFC 7638, 3, and for Ed25519 RFC 8037, 2."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        members = OKPAlgorithm.to_jwk(key, as_dict=True)
    else:
        members = ECAlgorithm.to_jwk(key, as_dict=True)
    required = {name: members[name] for name in ("crv", "kty", "x", "y") if name in members}
    canonical = json.dumps(required, separators=(",", ":"), sort_keys=True).encode("ascii")
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode("ascii")
