"""`python -m tests.lab.setup`: install the lab's needs, say what is left out and why.

Exit 0 even when something is left out: the tests that need it say so themselves. Where the lab is required
(tests.lab.required) exit 1. `build/lab/left-out.json` holds part and reason for machines.
"""

from __future__ import annotations

import json
import sys
from typing import Final, Protocol

from tests.lab import LEFT_OUT, required
from tests.lab.setup import azurite, chromium, kerberos, samba


class Step(Protocol):
    """One part's installation."""

    @property
    def PART(self) -> str:  # noqa: N802 - a constant of the module
        """Its name in `left-out.json` and in `require`."""

    def install(self) -> str | None:
        """Install what is missing; None when the part is ready, else the reason why it is left out."""


STEPS: Final[tuple[Step, ...]] = (samba, kerberos, azurite, chromium)


def main() -> int:
    """Run every step, whatever the others did."""
    reasons = {step.PART: reason for step in STEPS if (reason := step.install()) is not None}
    LEFT_OUT.parent.mkdir(parents=True, exist_ok=True)
    LEFT_OUT.write_text(json.dumps(reasons, indent=2) + "\n", encoding="utf-8")
    for part, reason in reasons.items():
        print(f"lab: {part} is left out: {reason}", file=sys.stderr)
    return 1 if reasons and required() else 0


if __name__ == "__main__":
    sys.exit(main())
