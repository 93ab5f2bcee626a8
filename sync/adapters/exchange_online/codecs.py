"""How a list of byte values is written into a cmdlet's parameters: a choice, since the wire is not documented.

Which one binds in a real tenant is found by probing; the default is what was seen. None of them is a flat list of
integers, which Exchange takes for many values of one byte each.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

TYPE = "Exchange.ByteArrayType"


class Encoding(StrEnum):
    """How each value is written."""

    TAGGED_INTEGERS = "tagged-integers"
    TAGGED_BASE64 = "tagged-base64"
    ELEMENT_INTEGERS = "element-integers"
    ELEMENT_BASE64 = "element-base64"
    BASE64 = "base64"
    INTEGERS = "integers"


class Clearing(StrEnum):
    """How an attribute is emptied."""

    NULL = "null"
    EMPTY = "empty"


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


_ELEMENTS: Mapping[Encoding, Callable[[bytes], object]] = {
    Encoding.TAGGED_INTEGERS: lambda value: {"Data": list(value)},
    Encoding.TAGGED_BASE64: lambda value: {"Data": _base64(value)},
    Encoding.ELEMENT_INTEGERS: lambda value: {"@odata.type": f"#{TYPE}", "Data": list(value)},
    Encoding.ELEMENT_BASE64: lambda value: {"@odata.type": f"#{TYPE}", "Data": _base64(value)},
    Encoding.BASE64: _base64,
    Encoding.INTEGERS: list,
}

_TAGGED = {Encoding.TAGGED_INTEGERS, Encoding.TAGGED_BASE64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One way to write a byte[] list, and one to clear it."""

    encoding: Encoding = Encoding.TAGGED_INTEGERS
    clearing: Clearing = Clearing.NULL

    def parameters(self, name: str, values: Sequence[bytes]) -> dict[str, object]:
        """The JSON members that set parameter `name` to exactly `values`, in their order; none clears it."""
        if not values and self.clearing is Clearing.NULL:
            return {name: None}
        element = _ELEMENTS[self.encoding]
        tag = {f"{name}@odata.type": f"#Collection({TYPE})"} if self.encoding in _TAGGED else {}
        return {**tag, name: [element(value) for value in values]}
