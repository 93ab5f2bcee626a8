"""The parsed facts of one certificate. Whether they are good ones is for the rules to say."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519

from sync.core import extensions
from sync.core.codes import Code
from sync.core.der import content, elements

_RSA = "1.2.840.113549.1.1.1"
_RSA_PSS = "1.2.840.113549.1.1.10"
_CONTEXT_0 = 0xA0
_CONTEXT_3 = 0xA3
# `cryptography` reads a name only when it is asked for, and raises both (a BIT STRING where a text belongs: TypeError).
_UNREADABLE_NAME = (ValueError, TypeError)

# Signature algorithms by OID: the scheme, and the hash when the OID says it (RFC 8017 A.2.4, RFC 5758, RFC 8410).
_SIGNATURES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "1.2.840.113549.1.1.2": ("rsa", "md2"),
        "1.2.840.113549.1.1.3": ("rsa", "md4"),
        "1.2.840.113549.1.1.4": ("rsa", "md5"),
        "1.2.840.113549.1.1.5": ("rsa", "sha1"),
        "1.3.14.3.2.29": ("rsa", "sha1"),
        "1.2.840.113549.1.1.14": ("rsa", "sha224"),
        "1.2.840.113549.1.1.11": ("rsa", "sha256"),
        "1.2.840.113549.1.1.12": ("rsa", "sha384"),
        "1.2.840.113549.1.1.13": ("rsa", "sha512"),
        "1.2.840.10045.4.1": ("ecdsa", "sha1"),
        "1.2.840.10045.4.3.1": ("ecdsa", "sha224"),
        "1.2.840.10045.4.3.2": ("ecdsa", "sha256"),
        "1.2.840.10045.4.3.3": ("ecdsa", "sha384"),
        "1.2.840.10045.4.3.4": ("ecdsa", "sha512"),
        "1.2.840.10040.4.3": ("dsa", "sha1"),
        "2.16.840.1.101.3.4.3.1": ("dsa", "sha224"),
        "2.16.840.1.101.3.4.3.2": ("dsa", "sha256"),
        "1.3.101.112": ("eddsa", "ed25519"),
        "1.3.101.113": ("eddsa", "ed448"),
    }
)


class MalformedCertificateError(ValueError):
    """The bytes are no certificate that can be judged; `code` says in which way, the message where."""

    def __init__(self, detail: str, code: Code = Code.CERT_MALFORMED) -> None:
        super().__init__(detail)
        self.code = code


class KeyKind(StrEnum):
    """What a public key can do at all."""

    RSA = "RSA"
    EC = "EC"
    X25519 = "X25519"
    X448 = "X448"
    SIGNING_ONLY = "signing only"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A public key's facts. `name` is for reading; `bits` the size of modulus or curve; `curve` as `cryptography` names
    it (`x25519` and `x448` too); `encoded` the SubjectPublicKeyInfo."""

    kind: KeyKind
    name: str
    encoded: bytes
    bits: int = 0
    curve: str | None = None
    exponent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """How the issuer signed: `scheme` is rsa, rsa-pss, ecdsa, eddsa or dsa, `hash` e.g. sha256; empty when unknown."""

    oid: str
    scheme: str = ""
    hash: str = ""

    def __str__(self) -> str:
        return f"{self.scheme} with {self.hash}" if self.scheme else f"algorithm {self.oid}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """One certificate. Times are aware, in UTC; names are their DER; `fingerprint` is the SHA-256 of `der` in hex;
    `signed` the part of `der` that the issuer signed.

    `extensions` are those that could be read, by OID; `oids` all of them as they stand there, repeats included;
    `critical` the critical ones; `malformed` those that could not be read, with the reason.
    """

    der: bytes
    fingerprint: str
    version: int
    serial: int
    issuer: bytes
    subject: bytes
    not_before: datetime
    not_after: datetime
    public_key: PublicKey
    signature: Signature
    same_signature_algorithm: bool
    oids: tuple[str, ...]
    critical: frozenset[str]
    extensions: Mapping[str, x509.ExtensionType]
    malformed: Mapping[str, str]
    rfc822_names: tuple[str, ...]
    utf8_mailboxes: tuple[str, ...]
    signed: bytes = field(repr=False, compare=False)
    parsed: x509.Certificate = field(repr=False, compare=False)

    @classmethod
    def parse(cls, der: bytes) -> Certificate:
        """Read DER. Raises MalformedCertificateError, and nothing else, whatever the bytes.

        `cryptography` reads strictly: what is not DER, or is followed by anything, it does not read. A property test
        holds it to that: whatever was read is written again the same.
        """
        with warnings.catch_warnings():
            # `cryptography` warns of oddities that our rules turn into findings.
            warnings.simplefilter("ignore")
            return _parse(der)

    @property
    def subject_text(self) -> str:
        """The subject, as RFC 4514 writes it."""
        return _name_text(self.parsed, "subject")

    @property
    def issuer_text(self) -> str:
        """The issuer, as RFC 4514 writes it."""
        return _name_text(self.parsed, "issuer")

    @property
    def subject_emails(self) -> tuple[str, ...]:
        """The emailAddress attributes of the subject."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                attributes = self.parsed.subject.get_attributes_for_oid(x509.NameOID.EMAIL_ADDRESS)
            except _UNREADABLE_NAME:
                return ()
        return tuple(value for attribute in attributes if isinstance(value := attribute.value, str))

    # An extension that could be read is of the type of its OID. It is not asked for: these are abstract classes, which
    # take a microsecond for each answer, and the rules ask twenty times.

    @property
    def basic_constraints(self) -> x509.BasicConstraints | None:
        """RFC 5280, 4.2.1.9."""
        return cast("x509.BasicConstraints | None", self.extensions.get(extensions.BASIC_CONSTRAINTS))

    @property
    def key_usage(self) -> x509.KeyUsage | None:
        """RFC 5280, 4.2.1.3."""
        return cast("x509.KeyUsage | None", self.extensions.get(extensions.KEY_USAGE))

    @property
    def purposes(self) -> tuple[str, ...] | None:
        """The OIDs of the extended key usage (RFC 5280, 4.2.1.12); None when it is absent."""
        usages = cast("x509.ExtendedKeyUsage | None", self.extensions.get(extensions.EXTENDED_KEY_USAGE))
        return tuple(usage.dotted_string for usage in usages) if usages is not None else None


def _parse(der: bytes) -> Certificate:
    try:
        parsed = x509.load_der_x509_certificate(der)
        tbs, outer_algorithm, _ = elements(content(der))
        pieces = elements(content(tbs))
    except x509.InvalidVersion as error:
        raise MalformedCertificateError(str(error), Code.CERT_NOT_V3) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise MalformedCertificateError(_first_line(error)) from error
    if pieces[0][0] != _CONTEXT_0:
        pieces.insert(0, b"")  # version 1 is left out
    _, _, inner_algorithm, issuer, _, subject, key, *rest = pieces
    read = extensions.read(parsed, rest[-1] if rest and rest[-1][0] == _CONTEXT_3 else b"")
    return Certificate(
        der=der,
        fingerprint=hashlib.sha256(der).hexdigest(),
        version=parsed.version.value + 1,
        serial=parsed.serial_number,
        issuer=issuer,
        subject=subject,
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        public_key=_public_key(parsed, key),
        signature=_signature(parsed),
        same_signature_algorithm=inner_algorithm == outer_algorithm,
        oids=read.oids,
        critical=read.critical,
        extensions=read.values,
        malformed=read.malformed,
        rfc822_names=read.rfc822_names,
        utf8_mailboxes=read.utf8_mailboxes,
        signed=tbs,
        parsed=parsed,
    )


def _public_key(parsed: x509.Certificate, encoded: bytes) -> PublicKey:
    oid = parsed.public_key_algorithm_oid.dotted_string
    try:
        key = parsed.public_key()
    except (ValueError, UnsupportedAlgorithm):
        bits, exponent = _rsa_numbers(encoded) if oid == _RSA else (0, None)
        name = f"RSA-{bits}" if bits else f"a key of algorithm {oid}"
        return PublicKey(kind=KeyKind.UNSUPPORTED, name=name, encoded=encoded, bits=bits, exponent=exponent)
    match key:
        case rsa.RSAPublicKey():
            if oid == _RSA_PSS:
                return PublicKey(kind=KeyKind.SIGNING_ONLY, name="RSASSA-PSS", encoded=encoded)
            exponent = key.public_numbers().e
            return PublicKey(
                kind=KeyKind.RSA, name=f"RSA-{key.key_size}", encoded=encoded, bits=key.key_size, exponent=exponent
            )
        case ec.EllipticCurvePublicKey():
            curve = key.curve
            return PublicKey(kind=KeyKind.EC, name=curve.name, encoded=encoded, bits=curve.key_size, curve=curve.name)
        case x25519.X25519PublicKey():
            return PublicKey(kind=KeyKind.X25519, name="X25519", encoded=encoded, bits=255, curve="x25519")
        case x448.X448PublicKey():
            return PublicKey(kind=KeyKind.X448, name="X448", encoded=encoded, bits=448, curve="x448")
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey() | dsa.DSAPublicKey():
            name = type(key).__name__.removesuffix("PublicKey")
            return PublicKey(kind=KeyKind.SIGNING_ONLY, name=name, encoded=encoded)
    return PublicKey(kind=KeyKind.UNSUPPORTED, name=f"a key of algorithm {oid}", encoded=encoded)


def _rsa_numbers(encoded: bytes) -> tuple[int, int | None]:
    """Size and exponent of an RSA key that no library would load, so that a rule can say what is wrong with it."""
    try:
        _, bits = elements(content(encoded))
        modulus, exponent = (int.from_bytes(content(each)) for each in elements(content(content(bits)[1:])))
    except ValueError:
        return 0, None
    return modulus.bit_length(), exponent


def _signature(parsed: x509.Certificate) -> Signature:
    oid = parsed.signature_algorithm_oid.dotted_string
    if oid == _RSA_PSS:
        try:
            algorithm = parsed.signature_hash_algorithm
        except (ValueError, UnsupportedAlgorithm):
            return Signature(oid=oid)
        return Signature(oid=oid, scheme="rsa-pss", hash=algorithm.name if algorithm else "")
    scheme, digest = _SIGNATURES.get(oid, ("", ""))
    return Signature(oid=oid, scheme=scheme, hash=digest)


def _name_text(parsed: x509.Certificate, which: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            name: x509.Name = getattr(parsed, which)
            return name.rfc4514_string() or "(empty name)"
        except _UNREADABLE_NAME:
            return "(a name that cannot be read)"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
