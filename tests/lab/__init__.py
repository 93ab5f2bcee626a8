"""The lab: real parts that tests run against, each in its own module, all on loopback.

`python -m tests.lab.setup` installs what the parts need and writes down what it had to leave out. A fixture asks
`require` before it starts a part: on a developer's machine a part that is not there skips its tests with the reason,
where the lab is required (`CI` or `SMIME_SYNC_REQUIRE_LAB=1`) the same is a failure.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
BUILD: Final = ROOT / "build" / "lab"
LEFT_OUT: Final = BUILD / "left-out.json"


def required() -> bool:
    """Whether a missing part of the lab is a failure."""
    return any(
        os.environ.get(name, "").casefold() not in {"", "0", "false"} for name in ("CI", "SMIME_SYNC_REQUIRE_LAB")
    )


def require(part: str, reason: str | None) -> None:
    """Go on when `reason` is None; else skip the test that asked, or fail it where the lab is required."""
    if reason is None:
        return
    told = left_out().get(part)
    message = f"the lab's {part} is left out: {reason}" + (f" (setup said: {told})" if told and told != reason else "")
    if required():
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def left_out(told: Path = LEFT_OUT) -> dict[str, str]:
    """Part and reason of whatever the last setup could not install; empty when all is there or setup never ran."""
    try:
        reasons = json.loads(told.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return {str(part): str(reason) for part, reason in reasons.items()} if isinstance(reasons, dict) else {}
