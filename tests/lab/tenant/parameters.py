"""Binds JSON to a cmdlet's parameters, as strictly as the admin API."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import cast

from sync.adapters.exchange_online import Clearing, Encoding
from tests.lab.tenant.behaviour import Behaviour
from tests.lab.tenant.refused import bad_value

LARGEST = 32_768
"""rangeUpper of both attributes in Active Directory's schema, which Exchange Online shares."""

_TYPE = "Exchange.ByteArrayType"


def byte_arrays(parameters: Mapping[str, object], name: str, behaviour: Behaviour) -> list[bytes]:
    """The values that parameter `name` sets. Raises Refused when this tenant would not bind them."""
    value = parameters[name]
    if value is None or value == []:
        if (Clearing.NULL if value is None else Clearing.EMPTY) not in behaviour.clears:
            raise bad_value(name, "null" if value is None else "an empty list")
        return []
    if not isinstance(value, list):
        raise bad_value(name, f'of type "{type(value).__name__}"')
    tagged = parameters.get(f"{name}@odata.type") == f"#Collection({_TYPE})"
    values = [_element(each, name, behaviour, tagged) for each in value]
    if any(len(each) > LARGEST for each in values):
        raise bad_value(name, f"longer than {LARGEST} bytes")
    return values


def _element(element: object, name: str, behaviour: Behaviour, tagged: bool) -> bytes:
    for encoding in behaviour.binds:
        content = _SHAPES[encoding](element, tagged)
        if content is not None:
            return content
    raise bad_value(name, f'of type "{type(element).__name__}"')


def _integers(value: object) -> bytes | None:
    # In JSON true is no number; in Python it is one.
    if isinstance(value, list) and value and all(type(each) is int and 0 <= each <= 255 for each in value):
        return bytes(cast(list[int], value))
    return None


def _base64(value: object) -> bytes | None:
    if not isinstance(value, str) or not value:
        return None
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return None


def _data(element: object, *, typed: bool) -> object:
    """The Data member of an element that has exactly the members it must have."""
    members = {"Data", "@odata.type"} if typed else {"Data"}
    if not isinstance(element, dict) or set(element) != members:
        return None
    return element["Data"] if not typed or element["@odata.type"] == f"#{_TYPE}" else None


_SHAPES: Mapping[Encoding, Callable[[object, bool], bytes | None]] = {
    Encoding.TAGGED_INTEGERS: lambda element, tagged: _integers(_data(element, typed=False)) if tagged else None,
    Encoding.TAGGED_BASE64: lambda element, tagged: _base64(_data(element, typed=False)) if tagged else None,
    Encoding.ELEMENT_INTEGERS: lambda element, _: _integers(_data(element, typed=True)),
    Encoding.ELEMENT_BASE64: lambda element, _: _base64(_data(element, typed=True)),
    Encoding.BASE64: lambda element, tagged: None if tagged else _base64(element),
    Encoding.INTEGERS: lambda element, tagged: None if tagged else _integers(element),
}
