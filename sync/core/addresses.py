"""E-mail addresses as certificates write them and as Exchange knows them, and when the two are the same.

A user principal name is not an address. No plus-tag is cut off and no dot is folded: that is the business of whoever
delivers, not of whoever certifies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import idna

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_QUOTED = r'"(?:[!#-?A-\[\]-~]|\\[!-?A-~])*"'
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*|{_QUOTED}")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class MalformedMailboxError(ValueError):
    """The text is not a Mailbox; the message says at what it fails."""


class Likeness(StrEnum):
    """How near two addresses are."""

    SAME = "same"
    CASE = "case"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """One address. `domain` is in A-labels, lower case, without a trailing dot; `text` is as it was written."""

    local: str
    domain: str
    text: str

    @property
    def key(self) -> tuple[str, str]:
        """The same for two addresses exactly when their likeness is more than none."""
        return self.local.lower() if self.local.isascii() else self.local, self.domain

    def likeness(self, other: Mailbox) -> Likeness:
        """Compare: the domain always without case, the local part by ASCII case only, and exactly beyond ASCII.

        RFC 5280, 7.5 asks for an exact local part; Exchange delivers without regard to ASCII case, and so a
        difference in case alone is a likeness of its own (rules.md, B12).
        """
        if self.domain != other.domain:
            return Likeness.NONE
        if self.local == other.local:
            return Likeness.SAME
        both_ascii = self.local.isascii() and other.local.isascii()
        return Likeness.CASE if both_ascii and self.local.lower() == other.local.lower() else Likeness.NONE

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=1024)  # a judgement asks twice for each, a person's certificates bear the same ones
def rfc822_name(text: str) -> Mailbox:
    """Read an rfc822Name or an emailAddress (RFC 5280, 4.2.1.6; RFC 5321, 4.1.2). Raises MalformedMailboxError.

    One @, ASCII, no blank, control or NUL, no display name, no address literal, at most 254 octets.
    """
    if not text.isascii():
        raise MalformedMailboxError("holds a byte beyond ASCII")
    local, domain = _split(text)
    if not _LOCAL.fullmatch(local):
        raise MalformedMailboxError("the part before the @ is not one that mail allows")
    domain = domain.lower()
    if not _is_host_name(domain):
        raise MalformedMailboxError("the part after the @ is not a host name")
    return Mailbox(local=local, domain=domain, text=text)


def smtp_utf8_mailbox(text: str) -> Mailbox:
    """Read a SmtpUTF8Mailbox (RFC 9598, 3). Raises MalformedMailboxError.

    RFC 9598 wants the domain in A-labels; RFC 8398, which it replaced, wanted U-labels, and both are read.
    """
    local, domain = _split(text)
    if local.startswith("\ufeff"):
        raise MalformedMailboxError("begins with a byte order mark")
    if not all(character.isprintable() and not character.isspace() for character in local):
        raise MalformedMailboxError("holds a blank or a control character")
    return Mailbox(local=local, domain=_a_labels(domain), text=text)


def known_address(text: str) -> Mailbox:
    """Read an address as Exchange Online shows it, without its SMTP: prefix. Raises MalformedMailboxError."""
    return smtp_utf8_mailbox(text)


def known_addresses(texts: Iterable[str]) -> tuple[Mailbox, ...]:
    """Read those addresses that are ones, in order; what else Exchange lists (X500, SIP) can match no certificate."""
    found = []
    for text in texts:
        try:
            found.append(known_address(text))
        except MalformedMailboxError:
            continue
    return tuple(found)


def _split(text: str) -> tuple[str, str]:
    if len(text.encode("utf-8", "surrogatepass")) > 254:
        raise MalformedMailboxError("is longer than 254 octets")
    local, at, domain = text.rpartition("@")
    if not at or "@" in local:
        raise MalformedMailboxError("does not hold exactly one @")
    if not local or len(local.encode("utf-8", "surrogatepass")) > 64:
        raise MalformedMailboxError("the part before the @ is empty or longer than 64 octets")
    return local, domain


def _a_labels(domain: str) -> str:
    """Write a domain in IDNA2008 A-labels, lower case, without a trailing dot (RFC 5891, 5)."""
    domain = domain.removesuffix(".")
    if not domain.isascii():
        try:
            # No UTS 46 mapping: what the CA certified must be the domain itself, not something folded into it.
            domain = idna.encode(domain.lower()).decode("ascii")
        except UnicodeError as error:  # idna.IDNAError is one
            raise MalformedMailboxError("the part after the @ is not an internationalised host name") from error
    domain = domain.lower()
    if not _is_host_name(domain):
        raise MalformedMailboxError("the part after the @ is not a host name")
    return domain


def _is_host_name(domain: str) -> bool:
    return len(domain) <= 253 and all(_LABEL.fullmatch(label) for label in domain.split("."))
