"""Keys of every kind, and signatures of every strength, weak ones too.

Making an RSA key takes a tenth of a second, so the common ones lie in keys.pem (made for these tests, good for nothing
else) and all are kept for the process. The same mill asked for the same things in the same order gives the same keys.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa, x448, x25519

from tests.mill.der import bit_string, explicit, integer, null, oid, sequence

KeyKind = Literal[
    "rsa1024", "rsa1536", "rsa2048", "rsa3072", "rsa2048-e3", "rsa2048-pss", "dsa2048",
    "ec256", "ec384", "ec521", "ec-brainpool256", "ec-secp256k1", "ec192",
    "ed25519", "ed448", "x25519", "x448",
]  # fmt: skip
Hash = Literal["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha256-pss", "sha1-pss"]
PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | dsa.DSAPrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | x25519.X25519PrivateKey
    | x448.X448PrivateKey
)

HASHES: dict[str, hashes.HashAlgorithm] = {
    "md5": hashes.MD5(),
    "sha1": hashes.SHA1(),
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_CURVES: dict[str, ec.EllipticCurve] = {
    "ec256": ec.SECP256R1(),
    "ec384": ec.SECP384R1(),
    "ec521": ec.SECP521R1(),
    "ec-brainpool256": ec.BrainpoolP256R1(),
    "ec-secp256k1": ec.SECP256K1(),
    "ec192": ec.SECP192R1(),
}
_CURVE_ORDER_MARGIN = 1_000_003  # any number below the smallest curve order: EC keys are made from their number
_HASH_OIDS = {
    "sha1": "1.3.14.3.2.26",
    "sha256": "2.16.840.1.101.3.4.2.1",
}
_SIGNATURE_OIDS = {
    ("rsa", "md5"): "1.2.840.113549.1.1.4",
    ("rsa", "sha1"): "1.2.840.113549.1.1.5",
    ("rsa", "sha224"): "1.2.840.113549.1.1.14",
    ("rsa", "sha256"): "1.2.840.113549.1.1.11",
    ("rsa", "sha384"): "1.2.840.113549.1.1.12",
    ("rsa", "sha512"): "1.2.840.113549.1.1.13",
    ("ec", "sha1"): "1.2.840.10045.4.1",
    ("ec", "sha224"): "1.2.840.10045.4.3.1",
    ("ec", "sha256"): "1.2.840.10045.4.3.2",
    ("ec", "sha384"): "1.2.840.10045.4.3.3",
    ("ec", "sha512"): "1.2.840.10045.4.3.4",
    ("dsa", "sha1"): "1.2.840.10040.4.3",
    ("dsa", "sha256"): "2.16.840.1.101.3.4.3.2",
}


@cache
def _pool() -> tuple[str, ...]:
    text = (Path(__file__).parent / "keys.pem").read_text("ascii")
    return tuple(re.findall(r"-----BEGIN [^-]+-----.+?-----END [^-]+-----\n", text, re.DOTALL))


@cache
def key(kind: KeyKind, number: int) -> PrivateKey:
    """The key of this kind with this number, the same for the whole process.

    RSA-2048 (the first few) and EC keys are the same in every process.
    """
    if kind in ("rsa2048", "rsa2048-pss"):
        if number < len(_pool()):
            pem = _pool()[number].encode("ascii")
            loaded = serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
            assert isinstance(loaded, rsa.RSAPrivateKey)
            return loaded
        return rsa.generate_private_key(65537, 2048)
    if kind in _CURVES:
        return ec.derive_private_key((number + 1) * _CURVE_ORDER_MARGIN, _CURVES[kind])
    raw = (number + 1).to_bytes(32, "big")
    match kind:
        case "rsa2048-e3":
            return rsa.generate_private_key(3, 2048)
        case "dsa2048":
            return dsa.generate_private_key(2048)
        case "ed25519":
            return ed25519.Ed25519PrivateKey.from_private_bytes(raw)
        case "ed448":
            return ed448.Ed448PrivateKey.from_private_bytes(raw + bytes(25))
        case "x25519":
            return x25519.X25519PrivateKey.from_private_bytes(raw)
        case "x448":
            return x448.X448PrivateKey.from_private_bytes(raw + bytes(24))
    return rsa.generate_private_key(65537, int(kind.removeprefix("rsa")))


def public_key_der(private: PrivateKey, *, pss_only: bool = False) -> bytes:
    """SubjectPublicKeyInfo; `pss_only` writes the algorithm id-RSASSA-PSS, which forbids encryption (RFC 4055, 1.2)."""
    spki = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    if pss_only:
        assert isinstance(private, rsa.RSAPrivateKey)
        bits = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
        return sequence(sequence(oid("1.2.840.113549.1.1.10")), bit_string(bits))
    return spki


def rsa_public_key_der(*, bits: int = 2048, exponent: int = 65537) -> bytes:
    """SubjectPublicKeyInfo of an RSA key that nobody has: any size, any exponent, a modulus of no known factors."""
    modulus = int.from_bytes(hashlib.shake_256(b"modulus").digest(bits // 8), "big") | 1 << (bits - 1) | 1
    numbers = sequence(integer(modulus), integer(exponent))
    return sequence(sequence(oid("1.2.840.113549.1.1.1"), null()), bit_string(numbers))


def signature_algorithm(private: PrivateKey, hash_name: Hash) -> bytes:
    """The AlgorithmIdentifier under which `sign` signs."""
    match private:
        case rsa.RSAPrivateKey() if hash_name.endswith("-pss"):
            digest = hash_name.removesuffix("-pss")
            if digest == "sha1":  # the defaults, which DER leaves out
                return sequence(oid("1.2.840.113549.1.1.10"), sequence())
            algorithm = sequence(oid(_HASH_OIDS[digest]), null())
            mask = sequence(oid("1.2.840.113549.1.1.8"), algorithm)
            salt = integer(HASHES[digest].digest_size)
            parameters = sequence(explicit(0, algorithm), explicit(1, mask), explicit(2, salt))
            return sequence(oid("1.2.840.113549.1.1.10"), parameters)
        case rsa.RSAPrivateKey():
            return sequence(oid(_SIGNATURE_OIDS["rsa", hash_name]), null())
        case ec.EllipticCurvePrivateKey():
            return sequence(oid(_SIGNATURE_OIDS["ec", hash_name]))
        case dsa.DSAPrivateKey():
            return sequence(oid(_SIGNATURE_OIDS["dsa", hash_name]))
        case ed25519.Ed25519PrivateKey():
            return sequence(oid("1.3.101.112"))
        case ed448.Ed448PrivateKey():
            return sequence(oid("1.3.101.113"))
    raise TypeError(f"{type(private).__name__} cannot sign")


def sign(private: PrivateKey, content: bytes, hash_name: Hash) -> bytes:
    """Sign; RSA (but PSS), EC and EdDSA give the same signature every time."""
    algorithm = HASHES[hash_name.removesuffix("-pss")]
    match private:
        case rsa.RSAPrivateKey() if hash_name.endswith("-pss"):
            scheme = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
            return private.sign(content, scheme, algorithm)
        case rsa.RSAPrivateKey():
            return private.sign(content, padding.PKCS1v15(), algorithm)
        case ec.EllipticCurvePrivateKey():
            return private.sign(content, ec.ECDSA(algorithm, deterministic_signing=True))
        case dsa.DSAPrivateKey():
            return private.sign(content, algorithm)
        case ed25519.Ed25519PrivateKey() | ed448.Ed448PrivateKey():
            return private.sign(content)
    raise TypeError(f"{type(private).__name__} cannot sign")
