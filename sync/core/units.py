"""Where in the directory somebody is: marks of the containers above them, which name nobody.

A distinguished name would tell a person's name to the queue, the ledger and every log that holds an event. A mark is a
hash of a container's own name, so that whoever names a container finds those who are in it.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final

from cryptography.x509 import Name

_OWN: Final = re.compile(r"(?:[^,\\]|\\.)+(?:,|$)", re.DOTALL)
"""The first RDN, up to a comma that no backslash makes a part of it (RFC 4514, section 3)."""
_TYPE: Final = re.compile(r"\s*(^|(?<!\\),)\s*([A-Za-z]+)\s*=\s*")


def units(dn: str) -> tuple[str, ...]:
    """The mark of each container above the object with this distinguished name, the nearest first.

    Empty where the name cannot be read: that somebody is in no container is no reason to leave them out.
    """
    own = _OWN.match(dn)
    try:
        return _marks(dn[own.end() :]) if own else ()
    except ValueError:
        return ()


def unit(dn: str) -> str:
    """The mark of the container with this distinguished name (RFC 4514, with attribute types CN, OU, DC, O, L, C).

    Types may be in any case and have blanks around them, as people write them. Raises ValueError for what is none.
    """
    return _marks(_TYPE.sub(lambda found: f"{found[1]}{found[2].upper()}=", dn.strip()))[0]


@lru_cache(maxsize=4096)
def _marks(container: str) -> tuple[str, ...]:
    try:
        # The library reads from the end; names differ in nothing by case, as in Active Directory.
        names = [f"{each.oid.dotted_string}={str(each.value).casefold()}" for each in _parsed(container)]
    except ValueError as error:
        raise ValueError(f"{container[:200]!r} is no distinguished name, as OU=Sales,DC=corp,DC=example") from error
    return tuple(
        hashlib.sha256("\n".join(names[:count]).encode("utf-8")).hexdigest()[:16] for count in range(len(names), 0, -1)
    )


def _parsed(container: str) -> Name:
    name = Name.from_rfc4514_string(container)
    if not len(name):
        raise ValueError("empty")
    return name
