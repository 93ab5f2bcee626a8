"""Name constraints on international addresses, where OpenSSL does not enforce them (rules.md, B14).

OpenSSL follows RFC 8398 here: an excluded domain is not compared with a SmtpUTF8Mailbox whose domain is in A-labels
(RFC 9598 wants just that), nor are excluded subdomains and single mailboxes. With permitted ones it refuses too much
rather than too little, so only what is excluded is asked again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cryptography import x509

from sync.core.addresses import Mailbox, MalformedMailboxError, smtp_utf8_mailbox
from sync.core.certificate import Certificate
from sync.core.codes import Code
from sync.core.findings import Finding
from sync.core.policy import Policy

_NAME_CONSTRAINTS = "2.5.29.30"


def excluded_mailboxes(leaf: Certificate, authorities: Sequence[Certificate], policy: Policy) -> Iterator[Finding]:
    """RFC 9598, 6; RFC 5280, 4.2.1.10."""
    if not leaf.utf8_mailboxes:
        return
    mailboxes = list(_readable(leaf.utf8_mailboxes))
    for authority in authorities:
        constraints = authority.extensions.get(_NAME_CONSTRAINTS)
        excluded = constraints.excluded_subtrees if isinstance(constraints, x509.NameConstraints) else None
        for base in excluded or ():
            if isinstance(base, x509.RFC822Name) and any(_within(each, base.value) for each in mailboxes):
                detail = f"{authority.subject_text} excludes addresses of {base.value}"
                yield policy.finding(Code.NC_EXCLUDED, detail)


def _readable(texts: Sequence[str]) -> Iterator[Mailbox]:
    for text in texts:
        try:
            yield smtp_utf8_mailbox(text)
        except MalformedMailboxError:
            continue  # it is no address of anybody


def _within(mailbox: Mailbox, base: str) -> bool:
    """Whether a constraint covers a mailbox: one mailbox, one host, or with a leading dot all hosts below it."""
    local, at, host = base.rpartition("@")
    if at:
        return (mailbox.local, mailbox.domain) == (local, host.lower())
    return mailbox.domain.endswith(host.lower()) if host.startswith(".") else mailbox.domain == host.lower()
