"""Whether two distinguished names are the same name, however they are spelt (RFC 5280, 7.1)."""

from __future__ import annotations

from functools import lru_cache

from asn1crypto import x509

from sync.core.der import SEQUENCE, content, wrap


def same_name(one: bytes, other: bytes) -> bool:
    """Compare two names in DER: string types, case and runs of blanks do not matter. What cannot be read is itself."""
    return one == other or spelling(one) == spelling(other)


def below(name: bytes, relative: bytes) -> bytes:
    """The name that a further RDN makes of `name`; `relative` is a name of just that RDN. Both in DER."""
    return wrap(SEQUENCE, content(name), content(relative))


@lru_cache(maxsize=1_024)
def spelling(name: bytes) -> str | bytes:
    """One form for all spellings of a name in DER; what cannot be read is itself."""
    # Kept: names of CAs are few and come again and again.
    try:
        spelt: str = x509.Name.load(name, strict=True).hashable
    except (ValueError, TypeError):
        return name
    return spelt
