"""An instance of the function as a process of its own, for reconciliations: it does their pieces as messages arrive.

    python -m tests.lab.instance     (its settings in the environment)

A line for each piece that it did: the run, the number of pieces done by then, and the phase that the run is in.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Final

from sync import wiring
from sync.settings import CloudSettings, load

HIDDEN: Final = timedelta(seconds=4)
"""What a killed instance held is there again after this; the Functions host takes ten minutes."""


def main() -> None:
    """Until killed."""
    app, config = wiring.cloud(), load(CloudSettings, os.environ)
    queue = wiring.storage_queue(config, config.runs_queue)
    print("up", flush=True)
    while True:
        messages = queue.receive(1, HIDDEN)
        for message in messages:
            run = app.advance(message.body)
            queue.delete(message)
            if run is not None:
                print(run.id, run.pieces, run.phase, flush=True)
        if not messages:
            time.sleep(0.05)


if __name__ == "__main__":
    main()
