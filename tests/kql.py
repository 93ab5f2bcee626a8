"""The few words of Kusto that our alerts are written in, evaluated; any other word is an error.

`has` looks for a whole term, letters and digits next to it would be another one; `startswith` and `has` ignore case,
`==` does not (Kusto's reference of string operators).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
_TOKEN = re.compile(r'\s*("[^"]*"|\'[^\']*\'|[A-Za-z_][\w.]*|\d+|==|>=|<=|>|<|\(|\))')
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "startswith": lambda text, start: text.casefold().startswith(start.casefold()),
    "has": lambda text, term: bool(
        re.search(rf"(?<![A-Za-z0-9]){re.escape(term)}(?![A-Za-z0-9])", text, re.IGNORECASE)
    ),
}


def evaluate(query: str, tables: Mapping[str, Sequence[Row]]) -> list[Row]:
    """The rows that a query gives. Raises ValueError at what is not known here."""
    table, *steps = [each.strip() for each in re.split(r'\|(?=(?:[^"]*"[^"]*")*[^"]*$)', query)]
    rows = list(tables[table])
    for step in steps:
        word, _, rest = step.partition(" ")
        if word == "where":
            holds = _Condition(rest).parsed()
            rows = [row for row in rows if holds(row)]
        elif counted := re.fullmatch(r"summarize (\w+) = count\(\)", step):
            rows = [{counted[1]: len(rows)}]
        else:
            raise ValueError(f"unknown step {step!r}")
    return rows


class _Condition:
    """A `where`, by descent: or, and, not, comparison."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        place = 0
        while place < len(text.rstrip()):
            found = _TOKEN.match(text, place)
            if found is None:
                raise ValueError(f"unknown at {text[place:]!r}")
            self._tokens.append(found[1])
            place = found.end()

    def parsed(self) -> Callable[[Row], bool]:
        condition = self._either()
        if self._tokens:
            raise ValueError(f"left over: {self._tokens}")
        return condition

    def _next(self, *wanted: str) -> bool:
        if self._tokens and self._tokens[0] in wanted:
            self._tokens.pop(0)
            return True
        return False

    def _either(self) -> Callable[[Row], bool]:
        parts = [self._all()]
        while self._next("or"):
            parts.append(self._all())
        return lambda row: any(part(row) for part in parts)

    def _all(self) -> Callable[[Row], bool]:
        parts = [self._one()]
        while self._next("and"):
            parts.append(self._one())
        return lambda row: all(part(row) for part in parts)

    def _one(self) -> Callable[[Row], bool]:
        if self._next("not"):
            if not self._next("("):
                raise ValueError("not( is missing")
            inner = self._closed()
            return lambda row: not inner(row)
        if self._next("("):
            return self._closed()
        left, word = self._operand(), self._tokens.pop(0)
        compare, right = _COMPARE[word], self._operand()
        return lambda row: compare(left(row), right(row))

    def _closed(self) -> Callable[[Row], bool]:
        inner = self._either()
        if not self._next(")"):
            raise ValueError("a bracket is missing")
        return inner

    def _operand(self) -> Callable[[Row], Any]:
        token = self._tokens.pop(0)
        if token[0] in "\"'":
            return lambda _: token[1:-1]
        if token.isdigit():
            return lambda _: int(token)
        if token == "tostring":
            if not self._next("("):
                raise ValueError("tostring( is missing")
            inner = self._operand()
            if not self._next(")"):
                raise ValueError("a bracket is missing")
            return lambda row: str(inner(row))

        def field(row: Row) -> Any:
            value: Any = row
            for name in token.split("."):
                value = value[name]
            return value

        return field
