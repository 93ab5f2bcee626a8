"""Makes the pages that come from the code: `make docs`. A test fails when one of them is stale."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from sync import envelope
from sync.core.findings import EXPLANATIONS
from sync.errors import HINTS, ErrorCode
from sync.settings import PREFIX, AgentSettings, CloudSettings

FOLDER = Path(__file__).parent
_MADE = "<!-- made by `make docs`; edit the code, not this page -->\n"

_KINDS: Mapping[object, str] = {
    Path: "path",
    SecretStr: "secret",
    bool: "`true` or `false`",
    int: "number",
    float: "number",
}


def pages() -> Mapping[str, str]:
    """Every generated page by its name in this folder."""
    return {
        "event.schema.json": json.dumps(envelope.schema(), indent=2) + "\n",
        "settings.md": _settings(),
        "findings.md": _findings(),
        "errors.md": _errors(),
    }


def _settings() -> str:
    lines = [
        "# Settings",
        "",
        _MADE,
        "Settings are environment variables (application settings of the function app; an `EnvironmentFile` of the",
        "agent's service). All mistakes are told at once; an unknown name is a mistake. A name with two underscores",
        "is one that the Functions host reads as well.",
    ]
    for title, kind in (("The function", CloudSettings), ("The agent", AgentSettings)):
        lines += ["", f"## {title}", "", "| setting | kind | default | what it is |", "|---|---|---|---|"]
        lines += [_setting(name, field) for name, field in kind.model_fields.items()]
    return "\n".join(lines) + "\n"


def _setting(name: str, field: FieldInfo) -> str:
    default = "**required**" if field.is_required() else f"`{field.default}`".lower()
    default = "" if field.default in {None, ()} else default
    return f"| `{field.title or PREFIX + name.upper()}` | {_kind(field.annotation)} | {default} | {field.description} |"


def _kind(annotation: object) -> str:
    """The kind of value, in the words of whoever fills it in."""
    arguments = [each for each in typing.get_args(annotation) if each is not types.NoneType]
    origin = typing.get_origin(annotation)
    if origin in {types.UnionType, typing.Union, typing.Annotated}:
        return _kind(arguments[0])
    if origin is typing.Literal:
        return " or ".join(f"`{each}`" for each in arguments)
    return "list with commas" if origin is tuple else _KINDS.get(annotation, "text")


def _findings() -> str:
    lines = [
        "# Findings",
        "",
        _MADE,
        "What can be said of a value of userCertificate or userSMIMECertificate. A finding of level *refuse* keeps the",
        "value from being published; *warn* and *note* do not. The levels are those of the policy pack `private-ca`.",
        "",
        "| code | what it means | what to do | source |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {_anchored(c)} | {_cell(e.meaning)} | {_cell(e.remedy)} | {_cell(e.source)} |"
        for c, e in EXPLANATIONS.items()
    ]
    return "\n".join(lines) + "\n"


def _errors() -> str:
    lines = [
        "# Errors",
        "",
        _MADE,
        "What can go wrong outside the judgement of certificates. The code is the *reason* of a failed message.",
        "",
        "| code | what to do |",
        "|---|---|",
    ]
    return "\n".join([*lines, *(f"| {_anchored(code)} | {_cell(HINTS[code])} |" for code in ErrorCode)]) + "\n"


def _anchored(code: str) -> str:
    """A row that `explain` and the log can link to."""
    return f'<a id="{code}"></a>`{code}`'


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def stale() -> Iterator[str]:
    """Names of the pages that are not as the code makes them."""
    for name, content in pages().items():
        path = FOLDER / name
        if not path.exists() or path.read_text("utf-8") != content:
            yield name


if __name__ == "__main__":
    for name in list(stale()):
        (FOLDER / name).write_text(pages()[name], encoding="utf-8")
        print(f"docs/{name}")
