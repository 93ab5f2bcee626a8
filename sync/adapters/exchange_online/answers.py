"""Reads what a cmdlet answers with: JSON with its annotations, or CLIXML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sync.adapters.exchange_online import clixml
from sync.adapters.exchange_online.refusals import reported
from sync.errors import ErrorCode, PermanentError

Row = dict[str, object]


class AnswerFormat(StrEnum):
    """How the tenant is asked to write objects. Which of them returns bytes is found by probing."""

    JSON = "json"
    CLIXML = "clixml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one page of a cmdlet's answer holds. `next` is where the next page lies.

    Keys with `@` are left out of `rows`. `warnings` are sentences: that nothing changed is one.
    """

    rows: tuple[Row, ...] = ()
    warnings: tuple[str, ...] = ()
    next: str | None = None


def read(cmdlet: str, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """Read a success: nothing (204 or empty), JSON, or CLIXML bare or inside the JSON.

    Raises PermanentError `tenant-answer`, and what `refusals` says of `@adminapi.errors`.
    """
    text = body.decode("utf-8-sig", "replace").strip()
    if not text:
        return Answer()
    try:
        if text.startswith(("<", "#<")):
            return Answer(rows=tuple(clixml.read(text)))
        content = json.loads(text)
        if not isinstance(content, dict):
            raise TypeError("not an object")  # noqa: TRY301
        if errors := content.get("@adminapi.errors"):
            raise reported(cmdlet, status, headers, errors)
        next_page = content.get("@odata.nextLink")
        return Answer(
            rows=tuple(_rows(content.get("value"))),
            warnings=tuple(map(str, content.get("@adminapi.warnings") or ())),
            next=str(next_page) if next_page else None,
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise PermanentError(
            ErrorCode.TENANT_ANSWER,
            f"{cmdlet} answered {status} with something unreadable ({type(error).__name__})",
        ) from error


def _rows(value: object) -> Iterator[Row]:
    """The objects in `value`. CLIXML stands there as a text, or as the one text of an object."""
    for each in value if isinstance(value, list) else [] if value is None else [value]:
        texts = [text for text in (each.values() if isinstance(each, dict) else [each]) if isinstance(text, str)]
        if packed := [text for text in texts if text.lstrip().startswith(("<Objs", "#< CLIXML"))]:
            yield from clixml.read(packed[0])
        elif isinstance(each, dict):
            yield {key: content for key, content in each.items() if "@" not in key}
        else:
            raise TypeError(f"a {type(each).__name__} where an object belongs")
