"""Reading the extensions of a certificate one by one, so that a broken one does not hide the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sync.core.der import SEQUENCE, MalformedDerError, content, elements, wrap

SUBJECT_ALT_NAME = "2.5.29.17"
KEY_USAGE = "2.5.29.15"
BASIC_CONSTRAINTS = "2.5.29.19"
EXTENDED_KEY_USAGE = "2.5.29.37"
SMTP_UTF8_MAILBOX = "1.3.6.1.5.5.7.8.9"

# What the rules and OpenSSL's path validation read and act upon. Only these may be critical; broken, they refuse.
PROCESSED = frozenset(
    {
        SUBJECT_ALT_NAME,
        KEY_USAGE,
        BASIC_CONSTRAINTS,
        EXTENDED_KEY_USAGE,
        "2.5.29.30",  # nameConstraints
        "2.5.29.31",  # cRLDistributionPoints
        "2.5.29.32",  # certificatePolicies
        "2.5.29.33",  # policyMappings
        "2.5.29.36",  # policyConstraints
        "2.5.29.54",  # inhibitAnyPolicy
    }
)
# Read by path building, but never critical (RFC 5280, 4.2.1.1, 4.2.1.2).
READ_IN_PATHS = PROCESSED | {"2.5.29.14", "2.5.29.35"}

_OTHER_NAME, _RFC822_NAME = 0xA0, 0x81
_UTF8_STRING = 0x0C


@dataclass(frozen=True, slots=True, kw_only=True)
class Extensions:
    """What a certificate's extensions say; see `Certificate` for the fields."""

    oids: tuple[str, ...]
    critical: frozenset[str]
    values: Mapping[str, x509.ExtensionType]
    malformed: Mapping[str, str]
    rfc822_names: tuple[str, ...]
    utf8_mailboxes: tuple[str, ...]


def read(parsed: x509.Certificate, encoded: bytes) -> Extensions:
    """Read the extensions; `encoded` is their [3] element, empty when there is none. Raises nothing.

    `cryptography` reads them all at once or not at all. When it refuses, each one is put alone into a copy of the
    certificate and read there: the same reader judges in both cases.
    """
    try:
        together = parsed.extensions
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return _read_one_by_one(parsed, encoded)
    values: dict[str, x509.ExtensionType] = {}
    critical = []
    for extension in together:
        values[oid := extension.oid.dotted_string] = extension.value
        if extension.critical:
            critical.append(oid)
    names = values.get(SUBJECT_ALT_NAME)
    mailboxes = _mailboxes(names) if isinstance(names, x509.SubjectAlternativeName) else ((), ())
    return Extensions(
        oids=tuple(values),
        critical=frozenset(critical),
        values=values,
        malformed={},
        rfc822_names=mailboxes[0],
        utf8_mailboxes=mailboxes[1],
    )


def _mailboxes(names: x509.SubjectAlternativeName) -> tuple[tuple[str, ...], tuple[str, ...]]:
    rfc822, utf8 = [], []
    for name in names:
        match name:
            case x509.RFC822Name():
                rfc822.append(name.value)
            case x509.OtherName() if name.type_id.dotted_string == SMTP_UTF8_MAILBOX:
                utf8.append(_utf8_string(name.value))
    return tuple(rfc822), tuple(utf8)


def _read_one_by_one(parsed: x509.Certificate, encoded: bytes) -> Extensions:
    oids: list[str] = []
    seen: set[str] = set()
    critical: set[str] = set()
    values: dict[str, x509.ExtensionType] = {}
    malformed: dict[str, str] = {}
    mailboxes: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    alone = _Alone.of(parsed)
    for extension in elements(content(content(encoded))):
        identifier, *flags, value = elements(content(extension))
        oid = _dotted(identifier)
        oids.append(oid)
        if flags:  # DER leaves FALSE out
            critical.add(oid)
        if oid in seen:
            continue
        seen.add(oid)
        try:
            values[oid] = alone.read(extension)
        except (ValueError, x509.UnsupportedGeneralNameType) as error:
            if oid == SUBJECT_ALT_NAME and (found := _raw_mailboxes(content(value))):
                # Well-formed, but with a name that `cryptography` does not take: an 8-bit address, an X.400 one.
                mailboxes = found
            else:
                malformed[oid] = str(error)[:200]
            continue
        if isinstance(names := values[oid], x509.SubjectAlternativeName):
            mailboxes = _mailboxes(names)
    return Extensions(
        oids=tuple(oids),
        critical=frozenset(critical),
        values=values,
        malformed=malformed,
        rfc822_names=mailboxes[0],
        utf8_mailboxes=mailboxes[1],
    )


@dataclass(frozen=True, slots=True)
class _Alone:
    """A certificate in which one extension stands alone; its signature is worthless."""

    before: tuple[bytes, ...]
    after: tuple[bytes, ...]

    @classmethod
    def of(cls, parsed: x509.Certificate) -> _Alone:
        """Take it apart once, however many extensions it has: a value of 32 KiB holds thousands."""
        _, algorithm, signature = elements(content(parsed.public_bytes(Encoding.DER)))
        *pieces, _ = elements(content(parsed.tbs_certificate_bytes))
        return cls(tuple(pieces), (algorithm, signature))

    def read(self, extension: bytes) -> x509.ExtensionType:
        """Raises what `cryptography` raises over an extension that it cannot read."""
        tbs = wrap(SEQUENCE, *self.before, wrap(0xA3, wrap(SEQUENCE, extension)))
        certificate = x509.load_der_x509_certificate(wrap(SEQUENCE, tbs, *self.after))
        value: x509.ExtensionType = next(iter(certificate.extensions)).value
        return value


def _raw_mailboxes(encoded: bytes) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The mail names of a SubjectAltName, read without regard to what else is in it; None when it is no DER."""
    try:
        names = elements(content(encoded))
        rfc822 = [content(name).decode("latin-1") for name in names if name[0] == _RFC822_NAME]
        return tuple(rfc822), tuple(_raw_utf8_mailboxes(names))
    except MalformedDerError:
        return None


def _raw_utf8_mailboxes(names: list[bytes]) -> Iterator[str]:
    """Raises MalformedDerError when an otherName lacks its kind or its value (RFC 5280, 4.2.1.6)."""
    for name in names:
        if name[0] == _OTHER_NAME:
            parts = elements(content(name))
            if len(parts) != 2:
                raise MalformedDerError("an otherName without kind or value")
            if _dotted(parts[0]) == SMTP_UTF8_MAILBOX:
                yield _utf8_string(content(parts[1]))


def _utf8_string(encoded: bytes) -> str:
    """The text of a UTF8String; what is none becomes text that no address can be equal to."""
    try:
        return content(encoded).decode() if encoded[:1] == bytes((_UTF8_STRING,)) else "(not a UTF8String)"
    except ValueError:
        return "(not a UTF8String)"


def _dotted(identifier: bytes) -> str:
    """Write an OBJECT IDENTIFIER element with dots (X.690, 8.19)."""
    arcs, arc = [], 0
    for octet in content(identifier):
        arc = arc << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2) if arcs else 0
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:]))) if arcs else ""
