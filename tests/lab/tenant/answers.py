"""Writes objects as the admin API does: JSON with its annotations, or CLIXML."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from tests.lab.tenant.behaviour import Behaviour

_PROPERTY = "Microsoft.Exchange.Data.MultiValuedProperty`1[[{}, mscorlib, Version=4.0.0.0, Culture=neutral]]"


def answer(
    rows: Sequence[Mapping[str, object]],
    warnings: Iterable[str],
    *,
    context: str,
    next_link: str | None,
    clixml: bool,
    behaviour: Behaviour,
) -> tuple[str, bytes]:
    """The content type and the body of one page."""
    if clixml and behaviour.clixml_bare:
        return "application/xml", _clixml(rows).encode("utf-8")
    content: dict[str, object] = {
        "@odata.context": context,
        "adminapi.warnings@odata.type": "#Collection(String)",
        "@adminapi.warnings": list(warnings),
    }
    if next_link:
        content["@odata.nextLink"] = next_link
    if not clixml:
        content["value"] = [_json(row, behaviour) for row in rows]
    elif rows:
        content["value"] = [{"@data.type": "System.String", "_clixml": _clixml(rows)}]
    else:
        content["value"] = []
    return "application/json; odata.metadata=minimal", json.dumps(content).encode("utf-8")


def _json(row: Mapping[str, object], behaviour: Behaviour) -> dict[str, object]:
    """Collections are declared as strings, byte[] too."""
    members: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, list):
            members[f"{name}@odata.type"] = "#Collection(String)"
            members[name] = [_text(each, behaviour) if isinstance(each, bytes) else each for each in value]
        else:
            members[name] = _text(value, behaviour) if isinstance(value, bytes) else value
    return members


def _text(value: bytes, behaviour: Behaviour) -> str:
    return base64.b64encode(value).decode("ascii") if behaviour.bytes_in_json else "System.Byte[]"


def _clixml(rows: Iterable[Mapping[str, object]]) -> str:
    """MS-PSRP 2.2.5, as `Export-Clixml` of a list of objects writes it."""
    objects = "".join(_object(row, number) for number, row in enumerate(rows, start=1))
    return (
        '<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04"><Obj RefId="0"><TN RefId="0">'
        "<T>System.Collections.ObjectModel.Collection`1[[System.Management.Automation.PSObject]]</T><T>System.Object</T>"
        f"</TN><LST>{objects}</LST></Obj></Objs>"
    )


def _object(row: Mapping[str, object], number: int) -> str:
    properties = "".join(
        _property(name, value, f"{number}{place:03}") for place, (name, value) in enumerate(row.items())
    )
    return (
        f'<Obj RefId="{number}"><TN RefId="{number}"><T>Deserialized.Recipient</T><T>System.Object</T></TN>'
        f"<ToString>{escape(str(row.get('Identity')))}</ToString><Props>{properties}</Props></Obj>"
    )


def _property(name: str, value: object, reference: str) -> str:
    label = f" N={quoteattr(name)}"
    if not isinstance(value, list):
        return _primitive(value, label)
    kind = "System.Byte[]" if value and isinstance(value[0], bytes) else "System.String"
    types = f"<T>{_PROPERTY.format(kind)}</T><T>System.Object</T>"
    elements = "".join(_primitive(each, "") for each in value)
    return f'<Obj{label} RefId="{reference}"><TN RefId="{reference}">{types}</TN><LST>{elements}</LST></Obj>'


def _primitive(value: object, label: str) -> str:
    if value is None:
        return f"<Nil{label} />"
    if isinstance(value, bool):
        return f"<B{label}>{str(value).lower()}</B>"
    if isinstance(value, bytes):
        return f"<BA{label}>{base64.b64encode(value).decode('ascii')}</BA>"
    return f"<S{label}>{escape(str(value))}</S>"
