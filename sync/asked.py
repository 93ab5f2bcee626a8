"""Reads what somebody asked for: over HTTP, and in the command's options, by the same rules."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
)

from sync.core.rate import Rate
from sync.errors import ErrorCode, PermanentError
from sync.replayer import Choice


def _rate(text: object) -> object:
    """`5/s`, `30/min`, `200/h`."""
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)/(s|min|h)", text) if isinstance(text, str) else None
    if text is None or (match and float(match[1]) > 0):
        return match and float(match[1]) / {"s": 1, "min": 60, "h": 3600}[match[2]]
    raise ValueError("a rate is a number and /s, /min or /h, as 5/s")


_Text = Annotated[str, Field(min_length=1, max_length=512)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    all: StrictBool = False
    apply: StrictBool = False
    reason: _Text | None = None
    user: _Text | None = None
    message: _Text | None = None
    since: AwareDatetime | None = None
    limit: int | None = Field(None, ge=1)
    rate: Annotated[float | None, BeforeValidator(_rate)] = None


class Approval(BaseModel):
    """Which guarded run may do what it would have done, and whether to begin."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str = Field(min_length=1, max_length=40)
    apply: StrictBool = False


class Opening(BaseModel):
    """For how many minutes everybody may lose the last certificate (0: the guard is shut), and whether to act."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minutes: StrictInt = Field(60, ge=0, le=1440)
    apply: StrictBool = False


class Trial(BaseModel):
    """Whether the tenant lets us do what we must: `outside` is a mailbox that our role must not reach."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outside: StrictStr | None = Field(None, min_length=3, max_length=320)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which failures, how fast (None: at once), and whether to act. `chosen` is whether anything narrows the choice."""

    choice: Choice
    rate: Rate | None
    chosen: bool
    all: bool
    apply: bool


def read(asked: Mapping[str, object], members: Set[str]) -> Asked:
    """Read what was asked for. Raises PermanentError `request-malformed` that names every problem."""
    strange = sorted(asked.keys() - members)
    if strange:
        told = f"{', '.join(name[:40] for name in strange)} is not among {', '.join(sorted(members))}"
        raise PermanentError(ErrorCode.REQUEST_MALFORMED, told)
    said = _validated(_Asked, asked)
    return Asked(
        choice=Choice(reason=said.reason, user=said.user, message=said.message, since=said.since, limit=said.limit),
        rate=None if said.rate is None else Rate(per_second=said.rate, at_once=1),
        chosen=any(each is not None for each in (said.reason, said.user, said.message, said.since)),
        all=said.all,
        apply=said.apply,
    )


def approval(asked: Mapping[str, object]) -> Approval:
    """Read an approval. Raises what `read` raises."""
    return _validated(Approval, asked)


def opening(asked: Mapping[str, object]) -> Opening:
    """Read for how long the guard shall be open. Raises what `read` raises."""
    return _validated(Opening, asked)


def trial(asked: Mapping[str, object]) -> Trial:
    """Read what a trial of the tenant may touch. Raises what `read` raises."""
    return _validated(Trial, asked)


_Model = TypeVar("_Model", bound=BaseModel)


def _validated(model: type[_Model], asked: Mapping[str, object]) -> _Model:
    try:
        return model.model_validate(asked)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        told = "; ".join(f"{_place(each['loc'])}: {each['msg'].removeprefix('Value error, ')}" for each in problems)
        raise PermanentError(ErrorCode.REQUEST_MALFORMED, told) from error


def _place(where: tuple[int | str, ...]) -> str:
    """The member that is wrong; of a name that is no text there is none."""
    return str(where[0])[:40] if where else "a member's name"
