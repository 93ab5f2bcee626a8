"""Which published certificates the lists at hand name, of a million in seconds: not judged, only suspected."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sync.core.certificate import Certificate
from sync.core.revocation_list import RevocationList

_ISSUER = 16


def mark(certificate: Certificate) -> str:
    """Issuer and serial number in short: what a revocation list knows a certificate by."""
    return f"{issuer_mark(certificate.issuer)}{certificate.serial:x}"


def mark_of_issuer(mark_: str) -> str:
    """The issuer's part of a certificate's mark."""
    return mark_[:_ISSUER]


@dataclass(frozen=True, slots=True)
class Revoked:
    """`lists` by the issuers' marks, `authorities` the marks of CAs that are revoked, or stand below one that is."""

    lists: dict[str, tuple[RevocationList, ...]]
    authorities: frozenset[str]

    @classmethod
    def of(cls, lists: Iterable[RevocationList], authorities: Iterable[Certificate]) -> Revoked:
        """Sort the lists, and look the CAs of the trust store up in them."""
        by_issuer: dict[str, tuple[RevocationList, ...]] = {}
        for each in lists:
            by_issuer[issuer_mark(each.issuer)] = (*by_issuer.get(issuer_mark(each.issuer), ()), each)
        found, left = cls(by_issuer, frozenset()), list(authorities)
        while below := [each for each in left if found.names([mark(each)])]:
            left = [each for each in left if each not in below]
            found = cls(by_issuer, found.authorities | {issuer_mark(each.subject) for each in below})
        return found

    def names(self, marks: Sequence[str]) -> bool:
        """Whether a list names one of these certificates, or its CA has fallen."""
        for each in marks:
            issuer = each[:_ISSUER]
            if issuer in self.authorities:
                return True
            if any(listed.find(int(each[_ISSUER:], 16)) for listed in self.lists.get(issuer, ())):
                return True
        return False


NOTHING_REVOKED = Revoked({}, frozenset())


def issuer_mark(name: bytes) -> str:
    """An issuer's encoded name in short."""
    return hashlib.sha256(name).hexdigest()[:_ISSUER]
