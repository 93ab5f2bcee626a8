"""Whether a key made a signature: of a certificate, or over a digest that was taken before (a list of 49 MB is hashed
once, not per look)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.x509 import ObjectIdentifier

from sync.core.certificate import Certificate, Signature

_PKCS1 = padding.PKCS1v15()


def verify_issued(certificate: Certificate, issuer: Certificate) -> None:
    """Verify a certificate's signature with its issuer's key, which stays loaded (RFC 5280, 6.1.3 (a) (1)).

    Raises InvalidSignature when that key did not make it, or is of another kind; UnsupportedAlgorithm, ValueError or
    TypeError when it cannot be told.
    """
    parsed, key, scheme = certificate.parsed, issuer.parsed.public_key(), certificate.signature.scheme
    if scheme not in {"rsa", "ecdsa"}:
        # `cryptography` finds out the scheme's parameters, at a third more.
        parsed.verify_directly_issued_by(issuer.parsed)
        return
    digest = parsed.signature_hash_algorithm
    if scheme == "rsa" and digest is not None and isinstance(key, rsa.RSAPublicKey):
        key.verify(parsed.signature, certificate.signed, _PKCS1, digest)
    elif scheme == "ecdsa" and digest is not None and isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(parsed.signature, certificate.signed, ec.ECDSA(digest))
    else:
        raise InvalidSignature


class Signed(Protocol):
    """What `cryptography` tells of a signed thing."""

    @property
    def signature(self) -> bytes: ...
    @property
    def signature_algorithm_oid(self) -> ObjectIdentifier: ...
    @property
    def signature_hash_algorithm(self) -> hashes.HashAlgorithm | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """A signature with what is needed to verify it: the digest of what was signed, or all of it where the scheme
    hashes for itself (EdDSA)."""

    algorithm: Signature
    value: bytes = field(repr=False)
    signed: bytes = field(repr=False)
    digest: hashes.HashAlgorithm | None = field(repr=False)
    parameters: object = field(repr=False)

    @classmethod
    def of(cls, parsed: Signed, signed: bytes) -> Seal:
        """Take the seal of a parsed thing over the bytes `signed`. An unknown algorithm makes one that never holds."""
        oid = parsed.signature_algorithm_oid.dotted_string
        try:
            digest = parsed.signature_hash_algorithm
            # OCSP responses do not tell their parameters; PKCS #1 v1.5 is what RSA signs them with.
            parameters = getattr(parsed, "signature_algorithm_parameters", padding.PKCS1v15())
        except (UnsupportedAlgorithm, ValueError):
            algorithm = Signature(oid=oid)
            return cls(algorithm=algorithm, value=parsed.signature, signed=b"", digest=None, parameters=None)
        if oid.startswith("1.2.840.10045.4.") and digest is not None:
            scheme = "ecdsa"
        elif digest is None:
            scheme = "eddsa"
        else:
            scheme = "rsa-pss" if isinstance(parameters, padding.PSS) else "rsa"
        if digest is not None:
            hasher = hashes.Hash(digest)
            hasher.update(signed)
            signed = hasher.finalize()
        return cls(
            algorithm=Signature(oid=oid, scheme=scheme, hash=digest.name if digest else ""),
            value=parsed.signature,
            signed=signed,
            digest=digest,
            parameters=parameters,
        )

    def holds(self, signer: Certificate) -> bool:
        """Whether the signer's key made it."""
        try:
            self._verify(signer)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            return False
        return True

    def _verify(self, signer: Certificate) -> None:
        match signer.parsed.public_key():
            case rsa.RSAPublicKey() as key if self.digest and isinstance(
                self.parameters, padding.PKCS1v15 | padding.PSS
            ):
                key.verify(self.value, self.signed, self.parameters, Prehashed(self.digest))
            case ec.EllipticCurvePublicKey() as key if self.digest and self.algorithm.scheme == "ecdsa":
                key.verify(self.value, self.signed, ec.ECDSA(Prehashed(self.digest)))
            case (ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey()) as key if self.algorithm.scheme == "eddsa":
                key.verify(self.value, self.signed)
            case _:
                raise InvalidSignature
