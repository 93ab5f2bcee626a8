"""The message by which a run goes from one piece to the next. It says nothing that could be trusted or not."""

from __future__ import annotations

import json
import logging

from sync.core.run import Run

TYPE = "smime-sync.run.v1"

logger = logging.getLogger("smime_sync.reconciler")


def write(run: Run) -> str:
    """Ask for the next piece of the run."""
    return json.dumps({"type": TYPE, "run": run.id, "piece": run.pieces})


def read(body: str) -> tuple[str, int] | None:
    """The run and the piece that a message asks for; None for what is no message of ours."""
    try:
        told = json.loads(body)
        if told["type"] == TYPE:
            return str(told["run"]), int(told["piece"])
    except (ValueError, KeyError, TypeError):
        pass
    logger.warning("ignored a message on the runs queue that is none of ours")
    return None
