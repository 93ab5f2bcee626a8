"""Resend requests: the cloud asks the agent for one person, or for everything, again.

A request is a JSON object on a queue of its own: `{"type": "smime-sync.resend-request.v1", "anchor": ImmutableId}`;
without an anchor (null) it asks for everybody. It says nothing that could be trusted or not: at worst the agent reads
its directory once more.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sync.core.person import Person
from sync.ports import AgentState, Directory, EventQueue, Message, MessageSource

TYPE: Final = "smime-sync.resend-request.v1"
_BATCH: Final = 32
_HIDDEN: Final = timedelta(minutes=10)

logger = logging.getLogger("smime_sync.agent")


@dataclass(frozen=True, slots=True)
class Asking:
    """The cloud's side."""

    queue: EventQueue

    def ask(self, anchor: str | None) -> None:
        """Ask for the person with this ImmutableId, or with None for everybody. Raises what the queue raises."""
        self.queue.send(json.dumps({"type": TYPE, "anchor": anchor}))


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom to tell again, whatever is remembered of them, and the messages that asked for it."""

    people: Sequence[Person] = ()
    messages: Sequence[Message] = ()


@dataclass(frozen=True, slots=True)
class ResendRequests:
    """The agent's side: take, do, then `done`, so that a crash in between does it again."""

    source: MessageSource

    def count(self) -> int:
        """How many requests wait (about)."""
        return self.source.count()

    def take(self, state: AgentState, directory: Directory) -> Asked:
        """Take what was asked. Whoever asks for everything has the directory read again from the beginning."""
        messages = self.source.receive(_BATCH, _HIDDEN)
        asked = [_anchor(message.body) for message in messages]
        if None in asked:
            state.read_again(doubt=True)
        anchors = list(dict.fromkeys(anchor for anchor in asked if anchor))
        known = state.anchors(anchors)
        guids = [guid for anchor in anchors if (guid := known.get(anchor) or _guid(anchor))]
        people = directory.find(guids) if guids else ()
        if messages:
            logger.info("asked messages=%d people=%d everything=%s", len(messages), len(guids), None in asked)
        # A stranger who is not in the directory is nobody to tell of.
        strangers = set(guids) - set(known.values())
        wanted = [person for person in people if not (person.deleted and person.anchor.object_guid in strangers)]
        return Asked(wanted, messages)

    def done(self, asked: Asked) -> None:
        """All of it is recorded: the requests may go."""
        for message in asked.messages:
            self.source.delete(message)


def _anchor(body: str) -> str | None:
    """The ImmutableId asked for, None for everybody, "" for what is no request of ours."""
    try:
        request = json.loads(body)
        ours, anchor = request["type"] == TYPE, request["anchor"]
    except (ValueError, KeyError, TypeError):
        ours, anchor = False, ""
    if ours and (isinstance(anchor, str) or anchor is None):
        return anchor
    logger.warning("ignored a message on the request queue that is no resend request")
    return ""


def _guid(anchor: str) -> bytes | None:
    """The objectGUID that an ImmutableId is, unless it is mS-DS-ConsistencyGuid; then it names nobody."""
    try:
        guid = base64.b64decode(anchor, validate=True)
    except (binascii.Error, ValueError):
        return None
    return guid if len(guid) == 16 else None
