"""The canary, on the agent's side: a test person whose certificate is taken away and put back, to be followed through.

One turn, of which a kill at any instant loses nothing and leaves nobody without a certificate:

1. Look at the person: found, ours to write, with two certificates at least.
2. Is one away that we took? Put it back, then forget it: that was this turn.
3. Keep the newest certificate in our memory, on disk.
4. Take it away in the directory.

What was kept and is there all the same was not taken yet, or is back already: the turn goes on.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sync.core.canary import takeable
from sync.core.person import fingerprint
from sync.errors import ErrorCode, PermanentError, SyncError
from sync.ports import AgentState, CanaryPerson, Sighting

TAKEN: Final = "canary-taken"
CHANGED: Final = "canary-changed"
ANCHOR: Final = "canary-anchor"
TROUBLE: Final = "canary-error"
"""Notes of the agent's memory: what was taken away of whom (empty: nothing), when the last change was, who the canary
is (empty: nobody), and why the last turn failed (empty: it did not)."""

logger = logging.getLogger("smime_sync.agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """A certificate that is not in the directory because we took it away, and whose it is."""

    guid: bytes
    certificate: bytes

    def written(self) -> str:
        return json.dumps({"guid": self.guid.hex(), "certificate": base64.b64encode(self.certificate).decode("ascii")})

    @classmethod
    def read(cls, text: str) -> _Taken:
        told = json.loads(text)
        return cls(guid=bytes.fromhex(told["guid"]), certificate=base64.b64decode(told["certificate"]))


class Canary:
    """`wanted` says that a canary is set: without one nobody is changed, and only what was taken before is put back.

    `every` is the time from one change to the next.
    """

    def __init__(
        self,
        person: CanaryPerson,
        state: AgentState,
        now: Callable[[], datetime],
        *,
        every: timedelta = timedelta(minutes=15),
        wanted: bool = True,
    ) -> None:
        self._person = person
        self._state = state
        self._now = now
        self._every = every
        self._wanted = wanted
        self._next: datetime | None = None
        self._left: datetime | None = None

    @property
    def wanted(self) -> bool:
        """Whether a canary is set."""
        return self._wanted

    def turn(self) -> None:
        """Make a change if it is time for one. What goes wrong is noted and in the log, and holds up nobody."""
        if self._next is not None and self._now() < self._next:
            return
        if self._next is None and (last := self._last()) is not None and last + self._every > self._now():
            self._next = last + self._every
            return
        self._next = self._now() + self._every
        self._trying(self.change if self._wanted else self.end)

    def rest(self) -> None:
        """We stop, or another agent is the active one: whatever is still taken away goes back. Raises nothing.

        An attempt that failed is not repeated before a turn's time: whoever stands by asks again every few seconds.
        """
        if self._left is None or self._now() >= self._left + self._every:
            self._left = None if self._trying(self.end) else self._now()

    def change(self) -> None:
        """One turn, now. Raises PermanentError `canary-unknown`, `canary-rights`, `canary-unfit`, and what the
        directory and AgentState raise."""
        # 1. Look.
        seen = self._seen()
        # 2. Put back.
        taken = self._taken()
        if taken is not None and not (taken.guid == seen.anchor.object_guid and taken.certificate in seen.certificates):
            self._put_back(taken)
            return
        certificate = self._fit(seen.certificates)
        # 3. Keep.
        taken = _Taken(guid=seen.anchor.object_guid, certificate=certificate)
        self._state.note({TAKEN: taken.written()}, durable=True)
        # 4. Take away.
        self._person.take(taken.guid, certificate)
        logger.info("canary anchor=%s taken=%s", seen.anchor, fingerprint(certificate)[:16])
        self._changed()

    def end(self) -> None:
        """Put back what is taken away, and change nothing else. Raises what `change` raises."""
        if (taken := self._taken()) is not None:
            self._put_back(taken)
        if not self._wanted and self._state.noted(ANCHOR):
            self._state.note({ANCHOR: "", TROUBLE: ""})

    def examine(self) -> Sighting:
        """Whether a turn could be made, without making one. Raises what `change` raises."""
        seen = self._seen()
        taken = self._taken()
        away = (taken.certificate,) if taken is not None and taken.guid == seen.anchor.object_guid else ()
        self._fit((*seen.certificates, *away))
        return seen

    def _seen(self) -> Sighting:
        seen = self._person.look()
        if self._state.noted(ANCHOR) != seen.anchor.immutable_id:
            self._state.note({ANCHOR: seen.anchor.immutable_id})
        if not seen.writable:
            raise PermanentError(
                ErrorCode.CANARY_RIGHTS, f"our account may not write userCertificate of the canary {seen.anchor}"
            )
        return seen

    def _fit(self, certificates: tuple[bytes, ...]) -> bytes:
        certificate = takeable(certificates, self._now())
        if certificate is None:
            raise PermanentError(
                ErrorCode.CANARY_UNFIT,
                f"of {len(certificates)} certificates of the canary fewer than two are valid and good for encryption",
            )
        return certificate

    def _put_back(self, taken: _Taken) -> None:
        mark = fingerprint(taken.certificate)[:16]
        try:
            self._person.put_back(taken.guid, taken.certificate)
            logger.info("canary put-back=%s", mark)
        except PermanentError as error:
            if error.code is not ErrorCode.CANARY_UNKNOWN:
                raise
            # Deleted since: its certificate went with it.
            logger.warning("canary forgotten=%s detail=%s", mark, error.message)
        self._state.note({TAKEN: ""})
        self._changed()

    def _changed(self) -> None:
        self._state.note({CHANGED: self._now().isoformat(), TROUBLE: ""})

    def _taken(self) -> _Taken | None:
        text = self._state.noted(TAKEN)
        return _Taken.read(text) if text else None

    def _last(self) -> datetime | None:
        last = self._state.noted(CHANGED)
        return datetime.fromisoformat(last) if last else None

    def _trying(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except SyncError as error:
            logger.warning("canary reason=%s detail=%s hint=%s", error.code, error.message, error.hint)
            try:
                self._state.note({TROUBLE: f"{error.code}: {error.message}"})
            except SyncError:
                logger.warning("the state takes no note of it either")
            return False
        return True


def told(notes: Mapping[str, str]) -> dict[str, str | None] | None:
    """What the agent's memory knows of its canary, for heartbeat and status; None where there is none."""
    if not notes.get(ANCHOR) and not notes.get(TROUBLE):
        return None
    return {
        "anchor": notes.get(ANCHOR) or None,
        "changed": notes.get(CHANGED) or None,
        "taken": "yes" if notes.get(TAKEN) else "no",
        "error": notes.get(TROUBLE) or None,
    }
