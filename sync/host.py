"""What the Functions host does for us, where there is none: messages are delivered until a stop.

It keeps the host's numbers (sync.drain, host.json) and differs where a message of ours is better kept. One that was
delivered too often is given up at once, with what is known, instead of being copied to a poison queue that forgets. A
message is hidden for two minutes and renewed at half of them, where the host takes ten: what a killed process held is
back so much sooner. Told to stop, it finishes what it works on and gives back what it has not begun.
"""

from __future__ import annotations

import logging
import random
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import timedelta

from sync.drain import BATCH, Handler, deliver
from sync.errors import SyncError
from sync.ports import Message, MessageSource
from sync.renewal import Renewing

logger = logging.getLogger("smime_sync.host")

THRESHOLD = BATCH // 2
"""newBatchThreshold: the next batch is fetched when so many are left."""
SHORTEST, LONGEST = timedelta(milliseconds=100), timedelta(seconds=2)
"""Between two looks at an empty queue: at first, and at last (maxPollingInterval of host.json)."""
HIDDEN = timedelta(minutes=2)
"""What is at work is hidden from others for so long, and renewed before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueHost:
    """Delivers messages to the receiver, several at once, and keeps them hidden for as long as that takes."""

    source: MessageSource
    receiver: Handler[object]
    threads: int = 8
    hidden_for: timedelta = HIDDEN
    trouble: timedelta = timedelta(seconds=10)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until `stop` is set. What is out of reach is said, and tried again after `trouble`."""
        source, over = Renewing(source=self.source, hidden_for=self.hidden_for), threading.Event()
        renewing = threading.Thread(target=source.run, args=(over,), name="renewal")
        renewing.start()
        try:
            # The pool is left when everything at work has ended: renewed until then.
            with ThreadPoolExecutor(self.threads, thread_name_prefix="message") as pool:
                self._poll(source, pool)
        finally:
            over.set()
            renewing.join()

    def _poll(self, source: MessageSource, pool: ThreadPoolExecutor) -> None:
        pause = SHORTEST
        working: set[Future[None]] = set()
        while not self.stop.is_set():
            if len(working) > THRESHOLD:
                _, working = wait(working, timeout=SHORTEST.total_seconds(), return_when=FIRST_COMPLETED)
                continue
            try:
                messages = source.receive(BATCH, self.hidden_for)
            except SyncError as error:
                logger.warning("later reason=%s detail=%s", error.code, error.message)
                self.stop.wait(self.trouble.total_seconds())
                continue
            working |= {pool.submit(self._deliver, source, message) for message in messages}
            if messages:
                pause = SHORTEST
            else:
                # Random and growing, as the host's: many instances do not look at the same moment.
                self.stop.wait(random.uniform(0.5, 1) * pause.total_seconds())  # noqa: S311 - no secret
                pause = min(pause * 2, LONGEST)

    def _deliver(self, source: MessageSource, message: Message) -> None:
        try:
            if self.stop.is_set():
                source.release(message, timedelta(0))
            else:
                deliver(source, self.receiver, message)
        except SyncError as error:
            # It comes again by itself when its time is over.
            logger.warning("left message=%s reason=%s detail=%s", message.id, error.code, error.message)
        except Exception:  # a defect: nobody else would see what ends a thread of the pool
            logger.exception("left message=%s", message.id)
