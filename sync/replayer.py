"""Manual replay: puts failed messages back on the change queue. Their watermark stays, so none undoes a newer state."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sync import envelope
from sync.core.event import Cause
from sync.core.record import Failure
from sync.errors import PermanentError
from sync.ports import EventQueue, Failures


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The failures chosen, oldest first; `applied` tells whether they went back on the queue."""

    chosen: tuple[Failure, ...]
    applied: bool

    def to_json(self) -> dict[str, object]:
        """For `--json` and HTTP; without the bodies, which hold certificates and names."""
        return {"applied": self.applied, "chosen": [failure_to_public_json(failure) for failure in self.chosen]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayer:
    """Sends, then removes: interrupted in between, a message is sent twice, which is harmless, and never lost."""

    failures: Failures
    queue: EventQueue

    def replay(
        self, *, apply: bool, reason: str | None = None, anchor: str | None = None, message: str | None = None
    ) -> Replay:
        """Choose failures by reason, person (ImmutableId) or message id, all of them when none is given."""
        chosen = tuple(
            failure
            for failure in self.failures.all()
            if reason in {None, failure.reason} and anchor in {None, failure.anchor} and message in {None, failure.id}
        )
        if apply:
            for failure in chosen:
                self.queue.send(_again(failure.body))
                self.failures.remove(failure.id)
        return Replay(chosen=chosen, applied=apply)


def failure_to_public_json(failure: Failure) -> dict[str, object]:
    """What may be shown of a failure: everything but its body."""
    return {
        "id": failure.id,
        "at": failure.at.isoformat(),
        "reason": failure.reason,
        "detail": failure.detail,
        "anchor": failure.anchor,
        "dequeueCount": failure.dequeue_count,
    }


def _again(body: str) -> str:
    """The same event, counted; what cannot be parsed goes back as it came, for a newer version may read it."""
    try:
        event = envelope.parse(body)
    except PermanentError:
        return body
    return envelope.render(replace(event.anew(Cause.REPLAY), replays=event.replays + 1))
