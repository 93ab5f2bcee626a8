"""Authorities and people's certificates, good by default, so that a test names only its subject."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519

from tests.mill import der, extensions, keys
from tests.mill.extensions import EMAIL_PROTECTION, Extension, Usage
from tests.mill.keys import Hash, KeyKind, PrivateKey

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
Default = Literal["default"]
_CA_USAGES: tuple[Usage, ...] = ("keyCertSign", "cRLSign")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """All that goes into one certificate; whoever asks for something broken gets it."""

    subject: x509.Name
    public_key: bytes
    not_before: datetime
    not_after: datetime
    extensions: Sequence[Extension]
    serial: int
    version: int = 3
    digest: Hash = "sha256"
    outer_digest: Hash | None = None
    broken_signature: bool = False


def sign_certificate(request: Request, *, issuer: x509.Name, key: PrivateKey) -> bytes:
    """Make the DER of a certificate (RFC 5280, 4.1)."""
    algorithm = keys.signature_algorithm(key, request.digest)
    tbs = der.sequence(
        *([der.explicit(0, der.integer(request.version - 1))] if request.version > 1 else []),
        der.integer(request.serial),
        algorithm,
        issuer.public_bytes(),
        der.sequence(der.time(request.not_before), der.time(request.not_after)),
        request.subject.public_bytes(),
        request.public_key,
        *([der.explicit(3, der.sequence(*(e.der for e in request.extensions)))] if request.extensions else []),
    )
    signature = keys.sign(key, tbs, request.digest)
    if request.broken_signature:
        signature = signature[:-1] + bytes((signature[-1] ^ 1,))
    outer = keys.signature_algorithm(key, request.outer_digest or request.digest)
    return der.sequence(tbs, outer, der.bit_string(signature))


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A certificate with its private key."""

    der: bytes
    key: PrivateKey

    @cached_property
    def certificate(self) -> x509.Certificate:
        """As `cryptography` parses it; raises for the broken ones."""
        return x509.load_der_x509_certificate(self.der)

    @property
    def pem(self) -> str:
        """PEM armour, trailing newline included."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER, lower-case hex."""
        return hashlib.sha256(self.der).hexdigest()

    def smime_blob(self, encryption: Issued | None = None, **options: object) -> bytes:
        """The userSMIMECertificate that Outlook publishes with this as the signing certificate: see `smime_blob`."""
        from tests.mill.blobs import smime_blob

        return smime_blob(self, encryption, **options)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Authority(Issued):
    """A CA: issues people's certificates and further CAs."""

    mill: Mill = field(repr=False)
    name: x509.Name
    key_identifier: bytes

    def issue(
        self,
        *addresses: str | bytes,
        key: KeyKind | PrivateKey = "rsa2048",
        public_key: bytes | None = None,
        ku: Iterable[Usage] | Default | None = "default",
        eku: Iterable[str] | None = (EMAIL_PROTECTION,),
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        subject: x509.Name | str | None = None,
        subject_email: str | None = None,
        upn: str | None = None,
        utf8_addresses: Iterable[str] = (),
        other_names: Iterable[bytes] = (),
        ca: bool | None = None,
        serial: int | None = None,
        version: int = 3,
        digest: Hash | None = None,
        outer_digest: Hash | None = None,
        broken_signature: bool = False,
        authority_key_identifier: bool = True,
        extra: Iterable[Extension] = (),
        without: Iterable[str] = (),
        replacing: Iterable[Extension] = (),
    ) -> Issued:
        """Issue a person's certificate for `addresses` (rfc822Names; bytes are taken as they are).

        By default it is RSA-2048, for S/MIME, valid from a month ago for a year. `ku` and `eku` of None leave the
        extension out; the default key usage is the one for encryption with that kind of key. `extra` extensions come
        last, so they may repeat one; `replacing` takes the place of the one with the same OID; `without` are OIDs.
        `public_key` is a SubjectPublicKeyInfo to certify in the place of the key's own.
        """
        private = self.mill.key(key)
        names = [
            *map(extensions.rfc822_name, addresses),
            *map(extensions.smtp_utf8, utf8_addresses),
            *([extensions.upn(upn)] if upn is not None else []),
            *other_names,
        ]
        usages = _encryption_usages(private) if ku == "default" else ku
        made = [
            *([extensions.key_usage(usages)] if usages is not None else []),
            *([extensions.extended_key_usage(eku)] if eku is not None else []),
            *([extensions.basic_constraints(ca=ca)] if ca is not None else []),
            *([extensions.subject_alt_name(names)] if names else []),
            extensions.subject_key_identifier(_identifier(private)),
            *([extensions.authority_key_identifier(self.key_identifier)] if authority_key_identifier else []),
        ]
        request = Request(
            subject=_person_name(addresses, subject, subject_email),
            public_key=public_key or keys.public_key_der(private, pss_only=key == "rsa2048-pss"),
            not_before=not_before or self.mill.now - 30 * DAY,
            not_after=not_after or self.mill.now + 335 * DAY,
            extensions=_arrange(made, extra=extra, without=without, replacing=replacing),
            serial=self.mill.serial() if serial is None else serial,
            version=version,
            digest=digest or _hash_for(self.key),
            outer_digest=outer_digest,
            broken_signature=broken_signature,
        )
        return Issued(der=sign_certificate(request, issuer=self.name, key=self.key), key=private)

    def issue_ca(
        self,
        name: str | x509.Name,
        *,
        key: KeyKind | PrivateKey = "rsa2048",
        path_length: int | None = None,
        ku: Iterable[Usage] | None = _CA_USAGES,
        eku: Iterable[str] | None = None,
        ca: bool | None = True,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        serial: int | None = None,
        version: int = 3,
        digest: Hash | None = None,
        broken_signature: bool = False,
        authority_key_identifier: bool = True,
        extra: Iterable[Extension] = (),
        without: Iterable[str] = (),
        replacing: Iterable[Extension] = (),
    ) -> Authority:
        """Issue a subordinate CA, valid from a year ago for five. A name and key of an existing CA cross-certify it."""
        subject = der.common_name(name) if isinstance(name, str) else name
        private = self.mill.key(key)
        made = [
            *([extensions.basic_constraints(ca=ca, path_length=path_length)] if ca is not None else []),
            *([extensions.key_usage(ku)] if ku is not None else []),
            *([extensions.extended_key_usage(eku)] if eku is not None else []),
            extensions.subject_key_identifier(_identifier(private)),
            *([extensions.authority_key_identifier(self.key_identifier)] if authority_key_identifier else []),
        ]
        request = Request(
            subject=subject,
            public_key=keys.public_key_der(private),
            not_before=not_before or self.mill.now - 365 * DAY,
            not_after=not_after or self.mill.now + 4 * 365 * DAY,
            extensions=_arrange(made, extra=extra, without=without, replacing=replacing) if version == 3 else (),
            serial=self.mill.serial() if serial is None else serial,
            version=version,
            digest=digest or _hash_for(self.key),
            broken_signature=broken_signature,
        )
        return Authority(
            der=sign_certificate(request, issuer=self.name, key=self.key),
            key=private,
            mill=self.mill,
            name=subject,
            key_identifier=_identifier(private),
        )


class Mill:
    """Makes certificates around `now`. Two mills asked for the same things in the same order make the same ones."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now
        self._drawn: Counter[str] = Counter()

    def key(self, kind: KeyKind | PrivateKey) -> PrivateKey:
        """Draw the next key of a kind, or take the one given."""
        if not isinstance(kind, str):
            return kind
        self._drawn[kind] += 1
        return keys.key(kind, self._drawn[kind] - 1)

    def serial(self) -> int:
        """Draw the next serial number: eight octets, positive, never twice."""
        self._drawn["serial"] += 1
        return int.from_bytes(hashlib.sha256(b"%d" % self._drawn["serial"]).digest()[:8], "big") >> 1

    def root(
        self,
        name: str = "Example Root CA",
        *,
        key: KeyKind | PrivateKey = "rsa2048",
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        **options: object,
    ) -> Authority:
        """Make a self-signed root, valid from five years ago for fifteen; the options are those of `issue_ca`."""
        private = self.key(key)
        itself = Authority(
            der=b"", key=private, mill=self, name=der.common_name(name), key_identifier=_identifier(private)
        )
        return itself.issue_ca(
            name,
            key=private,
            not_before=not_before or self.now - 5 * 365 * DAY,
            not_after=not_after or self.now + 10 * 365 * DAY,
            **options,  # type: ignore[arg-type]
        )

    def self_signed(self, *addresses: str, key: KeyKind = "rsa2048", **options: object) -> Issued:
        """Make a person's certificate that nobody but the person vouches for; the options are those of `issue`."""
        private = self.key(key)
        subject = _person_name(addresses, None, None)
        itself = Authority(der=b"", key=private, mill=self, name=subject, key_identifier=_identifier(private))
        return itself.issue(*addresses, key=private, subject=subject, **options)  # type: ignore[arg-type]


def _arrange(
    made: Iterable[Extension], *, extra: Iterable[Extension], without: Iterable[str], replacing: Iterable[Extension]
) -> list[Extension]:
    left_out = set(without)
    instead = {extension.oid: extension for extension in replacing}
    return [*(instead.get(e.oid, e) for e in made if e.oid not in left_out), *extra]


def _person_name(addresses: Sequence[str | bytes], subject: x509.Name | str | None, email: str | None) -> x509.Name:
    if isinstance(subject, x509.Name):
        return subject
    if subject is None:
        first = addresses[0] if addresses else "person"
        subject = (first if isinstance(first, str) else first.decode("latin-1")).partition("@")[0] or "person"
    attributes = [x509.NameAttribute(x509.NameOID.COMMON_NAME, subject[:64])]
    if email is not None:
        attributes.append(x509.NameAttribute(x509.NameOID.EMAIL_ADDRESS, email))
    return x509.Name(attributes)


def _encryption_usages(private: PrivateKey) -> tuple[Usage, ...]:
    match private:
        case ec.EllipticCurvePrivateKey():
            return ("digitalSignature", "keyAgreement")
        case ed25519.Ed25519PrivateKey() | ed448.Ed448PrivateKey() | dsa.DSAPrivateKey():
            return ("digitalSignature",)
    return ("digitalSignature", "keyEncipherment") if hasattr(private, "sign") else ("keyAgreement",)


def _hash_for(private: PrivateKey) -> Hash:
    return "sha384" if isinstance(private, ec.EllipticCurvePrivateKey) and private.key_size == 384 else "sha256"


def _identifier(private: PrivateKey) -> bytes:
    return hashlib.sha256(keys.public_key_der(private)).digest()[:20]
