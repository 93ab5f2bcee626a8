"""The rules for one certificate, B2 to B12 of the decision table, in its order.

One rule, one small function, one citation, one stable code. Whether a path leads to a trust anchor (B13 on) is asked
only of a certificate that these leave standing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

from sync.core.addresses import Likeness, Mailbox, MalformedMailboxError, rfc822_name, smtp_utf8_mailbox
from sync.core.certificate import Certificate, KeyKind
from sync.core.codes import Code
from sync.core.context import Context
from sync.core.extensions import EXTENDED_KEY_USAGE, KEY_USAGE, PROCESSED, READ_IN_PATHS, SUBJECT_ALT_NAME
from sync.core.findings import Finding, Level

_EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4"
_ANY_PURPOSE = "2.5.29.37.0"
_PURPOSES = {
    "1.3.6.1.5.5.7.3.1": "TLS server",
    "1.3.6.1.5.5.7.3.2": "client authentication",
    "1.3.6.1.5.5.7.3.3": "code signing",
    "1.3.6.1.4.1.311.10.3.4": "EFS",
    "1.3.6.1.4.1.311.10.3.12": "document signing",
    "1.3.6.1.4.1.311.20.2.2": "smart card logon",
    "1.3.6.1.5.2.3.4": "Kerberos client authentication",
}

Rule = Callable[[Certificate, Context], Iterator[Finding]]


def version_3(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """RFC 5280, 4.1.2.1."""
    if certificate.version != 3:
        yield context.policy.finding(Code.CERT_NOT_V3, f"is of version {certificate.version}")


def one_signature_algorithm(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """RFC 5280, 4.1.1.2."""
    if not certificate.same_signature_algorithm:
        yield context.policy.finding(Code.SIGALG_MISMATCH, "the signed part names another signature algorithm")


def positive_serial(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """RFC 5280, 4.1.2.2."""
    if certificate.serial <= 0:
        yield context.policy.finding(Code.SERIAL_INVALID, "is zero or negative")
    elif certificate.serial.bit_length() > 159:  # 20 octets with the sign bit
        yield context.policy.finding(Code.SERIAL_INVALID, "is longer than 20 octets")


def readable_extensions(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """RFC 5280, 4.2. An unreadable extension that neither a rule nor path building reads is only a warning."""
    for oid, reason in certificate.malformed.items():
        if oid in READ_IN_PATHS:
            yield context.policy.finding(Code.EXT_MALFORMED, f"{oid}: {reason}")
        else:
            yield Finding(Code.EXT_MALFORMED, Level.WARN, f"{oid}: {reason}")


def single_extensions(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """RFC 5280, 4.2."""
    if len(set(certificate.oids)) == len(certificate.oids):
        return
    for oid, times in Counter(certificate.oids).items():
        if times > 1:
            yield context.policy.finding(Code.EXT_DUPLICATE, f"{oid} occurs {times} times")


def known_critical_extensions(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """RFC 5280, 4.2."""
    for oid in sorted(certificate.critical - PROCESSED):
        yield context.policy.finding(Code.EXT_UNKNOWN_CRITICAL, oid)


def no_authority(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """RFC 5280, 4.2.1.9 and 4.2.1.3."""
    if certificate.basic_constraints is not None and certificate.basic_constraints.ca:
        yield context.policy.finding(Code.IS_CA, "its basic constraints say that it is a CA")
    elif certificate.key_usage is not None and certificate.key_usage.key_cert_sign:
        yield context.policy.finding(Code.IS_CA, "its key usage allows it to sign certificates")


def issued_by_another(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """RFC 5280, 3.2: a self-issued certificate is vouched for by nobody else."""
    if certificate.issuer == certificate.subject:
        yield context.policy.finding(Code.SELF_SIGNED, "issuer and subject are the same")


def begun(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """RFC 5280, 4.1.2.5; the clocks of CA and cloud may differ a little."""
    if certificate.not_before > context.now + context.policy.clock_skew:
        yield context.policy.finding(Code.NOT_YET_VALID, f"valid from {certificate.not_before:%Y-%m-%d %H:%M} UTC")


def not_ended(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """RFC 5280, 4.1.2.5; the last second counts. What is published stays for the grace (C5)."""
    left = certificate.not_after - context.now
    if left < timedelta(0):
        detail = f"valid until {certificate.not_after:%Y-%m-%d %H:%M} UTC"
        if certificate.fingerprint in context.published and -left < context.policy.expiry_grace:
            end = certificate.not_after + context.policy.expiry_grace
            detail += f"; published already, it stays until {end:%Y-%m-%d %H:%M} UTC"
            yield context.policy.finding(Code.EXPIRY_GRACE, detail)
        else:
            yield context.policy.finding(Code.EXPIRED, detail)
    elif left < context.policy.expires_soon:
        detail = f"{left.days} days left, valid until {certificate.not_after:%Y-%m-%d}"
        yield context.policy.finding(Code.EXPIRES_SOON, detail)


def not_too_long(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """S/MIME BR 6.3.2, by generations: what counted on the day of issue counts. Begun days are whole ones (1.6.1)."""
    limit = context.policy.longest_validity(certificate.not_before)
    if limit is None:
        return
    lasts = certificate.not_after - certificate.not_before + timedelta(seconds=1)  # both ends are part of it
    days = -(-lasts // timedelta(days=1))
    if days > limit:
        yield context.policy.finding(Code.VALIDITY_TOO_LONG, f"for {days} days, at most {limit} are allowed")


def key_for_encryption(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """S/MIME BR 6.1.5; RFC 8550, 4.3; RFC 4055, 1.2; RFC 8410, 3."""
    key, policy = certificate.public_key, context.policy
    match key.kind:
        case KeyKind.RSA | KeyKind.UNSUPPORTED if 0 < key.bits < policy.min_rsa_bits:
            yield policy.finding(Code.KEY_TOO_SMALL, f"{key.name}, at least {policy.min_rsa_bits} bits are wanted")
        case KeyKind.RSA if key.bits > policy.max_rsa_bits:
            yield policy.finding(Code.KEY_UNSUPPORTED, f"{key.name}, at most {policy.max_rsa_bits} bits are supported")
        case KeyKind.EC | KeyKind.X25519 | KeyKind.X448 if key.curve not in policy.curves:
            yield policy.finding(Code.KEY_CURVE, key.name)
        case KeyKind.SIGNING_ONLY:
            yield policy.finding(Code.KEY_NOT_FOR_ENCRYPTION, key.name)
        case KeyKind.UNSUPPORTED:
            yield policy.finding(Code.KEY_UNSUPPORTED, key.name)


def sound_exponent(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """S/MIME BR 6.1.6."""
    exponent = certificate.public_key.exponent
    if exponent is None:
        return
    if exponent < 3 or exponent % 2 == 0:
        yield context.policy.finding(Code.KEY_BAD_EXPONENT, f"the exponent is {exponent}")
    elif exponent < context.policy.usual_rsa_exponent:
        yield Finding(Code.KEY_BAD_EXPONENT, Level.WARN, f"the exponent is {exponent}, smaller than is usual")


def strong_signature(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """S/MIME BR 7.1.3.2; RFC 8550, 4.3."""
    objection = context.policy.objection_to(certificate.signature)
    if objection is not None:
        yield context.policy.finding(objection, f"signed by {certificate.signature}")
    elif certificate.signature.hash == "sha1":
        yield Finding(Code.SIG_WEAK_HASH, Level.WARN, "signed with SHA-1, which the policy allows")


def usage_for_encryption(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """RFC 5280, 4.2.1.3; RFC 3279, 2.3; RFC 8410, 5. Keys that cannot encrypt are another rule's business."""
    usage, kind = certificate.key_usage, certificate.public_key.kind
    if usage is None:
        if KEY_USAGE not in certificate.oids:
            yield context.policy.finding(Code.KU_ABSENT, "no key usage is stated")
    elif kind is KeyKind.RSA and not usage.key_encipherment:
        yield context.policy.finding(Code.KU_NOT_ENCRYPTION, "key encipherment is not among the usages")
    elif kind in {KeyKind.EC, KeyKind.X25519, KeyKind.X448}:
        if not usage.key_agreement:
            yield context.policy.finding(Code.KU_NOT_ENCRYPTION, "key agreement is not among the usages")
        elif usage.decipher_only:
            yield context.policy.finding(Code.KU_NOT_ENCRYPTION, "key agreement is for deciphering only")


def purpose_email(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """RFC 8550, 4.4.4. Outlook takes only certificates that state Secure Email."""
    purposes = certificate.purposes
    if purposes is None:
        if EXTENDED_KEY_USAGE not in certificate.oids:
            yield context.policy.finding(Code.EKU_ABSENT, "no extended key usage is stated")
    elif _EMAIL_PROTECTION in purposes:
        return
    elif _ANY_PURPOSE in purposes:
        yield context.policy.finding(Code.EKU_ANY, "for any purpose, e-mail not named")
    else:
        stated = ", ".join(_PURPOSES.get(purpose, purpose) for purpose in purposes)
        yield context.policy.finding(Code.EKU_NOT_EMAIL, f"for {stated}")


def well_formed_mailboxes(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """RFC 5280, 4.2.1.6; RFC 9598, 3."""
    mailboxes, troubles = read_mailboxes(certificate, subject_email=context.policy.subject_email)
    if not mailboxes and SUBJECT_ALT_NAME not in certificate.malformed:
        yield context.policy.finding(Code.MAILBOX_NONE, "no e-mail address in it" if not troubles else "none is usable")
    for trouble in troubles:
        yield context.policy.finding(Code.MAILBOX_MALFORMED, trouble)


def mailbox_of_person(certificate: Certificate, context: Context) -> Iterator[Finding]:
    """RFC 8550, 3; RFC 5280, 7.5: one of the addresses is one that the cloud knows as this person's."""
    mailboxes, _ = read_mailboxes(certificate, subject_email=context.policy.subject_email)
    if context.addresses is None or not mailboxes:
        return
    matches = [
        (place, mailbox.likeness(context.mailboxes[place]))
        for mailbox in mailboxes
        if (place := context.places.get(mailbox.key)) is not None
    ]
    if not matches:
        yield context.policy.finding(Code.MAILBOX_MISMATCH, f"for {_listed(mailboxes)}")
        return
    place, likeness = min(matches, key=lambda match: (match[0], match[1] is not Likeness.SAME))
    if likeness is Likeness.CASE:
        yield context.policy.finding(Code.MAILBOX_CASE, f"for {_listed(mailboxes)}")
    if place > 0:
        yield context.policy.finding(Code.MAILBOX_SECONDARY, f"for {context.mailboxes[place]}")
    foreign = [mailbox for mailbox in mailboxes if mailbox.key not in context.places]
    if foreign:
        yield context.policy.finding(Code.MAILBOX_FOREIGN, f"also for {_listed(foreign)}")


LEAF_RULES: tuple[Rule, ...] = (
    version_3,
    one_signature_algorithm,
    positive_serial,
    readable_extensions,
    single_extensions,
    known_critical_extensions,
    no_authority,
    issued_by_another,
    begun,
    not_ended,
    not_too_long,
    key_for_encryption,
    sound_exponent,
    strong_signature,
    usage_for_encryption,
    purpose_email,
    well_formed_mailboxes,
    mailbox_of_person,
)


def read_mailboxes(certificate: Certificate, *, subject_email: bool) -> tuple[tuple[Mailbox, ...], tuple[str, ...]]:
    """The addresses of a certificate, each once, and what is wrong with those that are none.

    The subject's emailAddress counts only where the subject alternative name can be read and has no mail name at all,
    good or bad.
    """
    named: list[tuple[Callable[[str], Mailbox], str]] = [
        *((rfc822_name, text) for text in certificate.rfc822_names),
        *((smtp_utf8_mailbox, text) for text in certificate.utf8_mailboxes),
    ]
    if not named and subject_email and SUBJECT_ALT_NAME not in certificate.malformed:
        named = [(rfc822_name, text) for text in certificate.subject_emails]
    found: dict[Mailbox, None] = {}
    troubles = []
    for read, text in named:
        try:
            found[read(text)] = None
        except MalformedMailboxError as error:
            troubles.append(f"{text[:80]!a} {error}")
    return tuple(found), tuple(troubles)


def _listed(mailboxes: tuple[Mailbox, ...] | list[Mailbox]) -> str:
    shown = ", ".join(mailbox.text for mailbox in mailboxes[:5])
    return f"{shown} and {len(mailboxes) - 5} more" if len(mailboxes) > 5 else shown
