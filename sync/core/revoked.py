"""Which published certificates the lists at hand name, of a million in seconds: not judged, only suspected."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sync.core.certificate import Certificate
from sync.core.names import spelling
from sync.core.revocation_list import RevocationList

_ISSUER = 16


def mark(certificate: Certificate) -> str:
    """Issuer and serial number in short: what a revocation list knows a certificate by."""
    return f"{issuer_mark(certificate.issuer)}{certificate.serial:x}"


def mark_of_issuer(mark_: str) -> str:
    """The issuer's part of a certificate's mark."""
    return mark_[:_ISSUER]


def of_authority(mark_: str) -> bool:
    """Whether it is the mark of a CA as an issuer, and not of a certificate."""
    return len(mark_) == _ISSUER


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

    @property
    def editions(self) -> tuple[str, ...]:
        """Each CA's mark and, after a colon, a mark of the lists of it at hand: another one when any of them is."""
        return tuple(f"{issuer}:{_edition(lists)}" for issuer, lists in sorted(self.lists.items()))

    def renewed(self, before: Iterable[str]) -> frozenset[str]:
        """The marks of the CAs whose lists are not those `before` (editions), a first or a last one included."""
        return frozenset(edition.partition(":")[0] for edition in {*self.editions} ^ {*before})

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
    """An issuer's name (DER) in short, the same however it is spelt: a list may spell it unlike the certificates."""
    spelt = spelling(name)
    return hashlib.sha256(spelt.encode("utf-8") if isinstance(spelt, str) else spelt).hexdigest()[:_ISSUER]


def _edition(lists: Iterable[RevocationList]) -> str:
    seals = sorted(each.seal.value for each in lists)
    return hashlib.sha256(b"".join(hashlib.sha256(seal).digest() for seal in seals)).hexdigest()[:_ISSUER]
