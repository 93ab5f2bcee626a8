"""Reads CLIXML, PowerShell's serialisation of objects (MS-PSRP 2.2.5), as far as cmdlets answer with it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

_DEEPEST = 32
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
_COLLECTIONS = {"LST", "IE", "QUE", "STK"}
_NAMED = {"Props", "MS"}


class ClixmlError(ValueError):
    """The text is not CLIXML that we can read."""


class _NoDoctype(TreeBuilder):
    """Refuses a DTD before any of it is read: without one there are no entities, so nothing can be blown up."""

    def doctype(self, *_: object) -> None:
        raise ClixmlError("a DTD")


def read(text: str) -> list[dict[str, object]]:
    """The objects in `text`, each as its named properties; a list at the top counts as its elements.

    Strings, numbers, GUIDs and dates come as text, booleans as bool, byte[] as bytes, collections as lists, Nil as
    None. An object without properties comes as its text. Raises ClixmlError.
    """
    parser = XMLParser(target=_NoDoctype())  # noqa: S314
    try:
        parser.feed(text.removeprefix("#< CLIXML").lstrip())
        root = parser.close()
    except ParseError as error:
        raise ClixmlError(f"not XML: {error}") from error
    if _tag(root) != "Objs":
        raise ClixmlError(f"its root is {_tag(root)}, not Objs")
    objects: list[object] = []
    for element in root:
        value = _value(element, 0)
        objects.extend(value if isinstance(value, list) else [value])
    rows = [each for each in objects if isinstance(each, dict)]
    if len(rows) != len(objects):
        raise ClixmlError("something other than objects with properties")
    return rows


def _value(element: Element, depth: int) -> object:
    if depth > _DEEPEST:
        raise ClixmlError(f"nested deeper than {_DEEPEST}")
    tag = _tag(element)
    if tag in _COLLECTIONS:
        return [_value(each, depth + 1) for each in element]
    if tag == "Obj":
        return _object(element, depth)
    return _PRIMITIVES.get(tag, _string)(element)


def _object(element: Element, depth: int) -> object:
    """MS-PSRP 2.2.5.2: a collection's elements, or the properties, or the value that it wraps, or its text."""
    properties: dict[str, object] = {}
    wrapped: object = None
    text: object = None
    for part in element:
        tag = _tag(part)
        if tag in _COLLECTIONS:
            return _value(part, depth + 1)
        if tag in _NAMED:
            properties.update({_unescaped(each.get("N", "")): _value(each, depth + 1) for each in part})
        elif tag == "ToString":
            text = _string(part)
        elif tag not in {"TN", "TNRef"}:
            wrapped = _value(part, depth + 1)
    return properties or wrapped or text


def _bytes(element: Element) -> bytes:
    try:
        return base64.b64decode("".join((element.text or "").split()), validate=True)
    except binascii.Error as error:
        raise ClixmlError("a byte[] that is not base64") from error


def _string(element: Element) -> str:
    return _unescaped(element.text or "")


def _unescaped(text: str) -> str:
    """MS-PSRP 2.2.5.3.2: characters that XML cannot carry are written as _xHHHH_, one UTF-16 unit each."""
    raw = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    return raw.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


_PRIMITIVES: Mapping[str, Callable[[Element], object]] = {
    "BA": _bytes,
    "B": lambda element: (element.text or "").strip().lower() == "true",
    "Nil": lambda _: None,
}
