"""Whom a reconciliation looks at, as an administrator says it: one person, a mail domain, or a container."""

from __future__ import annotations

import re
from collections.abc import Callable

from sync.core.record import Record
from sync.core.units import unit

_CONTAINER = re.compile(r"\s*(cn|ou|dc|o|l|c)\s*=\s*[^=\s]", re.IGNORECASE)
"""An ImmutableId ends in `==`."""


def is_many(scope: str) -> bool:
    """Whether this says more than one person: `@example.com`, or the distinguished name of a container."""
    address = "@" in scope and "," not in scope  # which may begin with `o=`
    return scope.startswith("@") or (_CONTAINER.match(scope) is not None and not address)


def covering(scope: str) -> Callable[[Record], bool]:
    """Whether a person is in the domain or, however deep, in the container. Raises ValueError for what names none."""
    if scope.startswith("@"):
        domain = scope.casefold()
        return lambda record: any(name.endswith(domain) for name in record.names)
    mark = unit(scope)
    return lambda record: mark in record.units
