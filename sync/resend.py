"""Resend requests: the cloud asks the agent for one person, or for everything, again.

A request is a JSON object on a queue of its own: `{"type": "smime-sync.resend-request.v1", "anchor": ImmutableId}`;
without an anchor (null) it asks for everybody. `source` is the agent that told of the person last, where that is known:
several agents may share the queue, and each leaves what is another one's. A request says nothing that could be trusted
or not: at worst the agent reads its directory once more, and tells what is there.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from sync.core.identity import SourceAnchor
from sync.core.news import News
from sync.core.person import Person
from sync.ports import AgentState, Directory, EventQueue, Message, MessageSource

TYPE: Final = "smime-sync.resend-request.v1"
_BATCH: Final = 32
_HIDDEN: Final = timedelta(minutes=10)
_ANOTHERS: Final = timedelta(seconds=30)
"""How long a request of another agent is left to it before it may come here again."""

logger = logging.getLogger("smime_sync.agent")


@dataclass(frozen=True, slots=True)
class Asking:
    """The cloud's side."""

    queue: EventQueue

    def ask(self, anchor: str | None, source: str | None = None) -> None:
        """Ask for the person with this ImmutableId, or with None for everybody; `source` is the agent that is asked,
        None whoever takes it. Raises what the queue raises."""
        self.queue.send(json.dumps({"type": TYPE, "anchor": anchor, "source": source}))


@dataclass(frozen=True, slots=True)
class Asked:
    """What to tell, whatever is remembered of it: people as they are, and of whom there is nobody any more. Besides,
    the messages that asked for it."""

    people: Sequence[Person] = ()
    gone: Sequence[News] = ()
    messages: Sequence[Message] = ()


@dataclass(frozen=True, slots=True)
class _Request:
    message: Message
    anchor: str | None
    source: str | None


@dataclass(frozen=True, slots=True)
class ResendRequests:
    """The agent's side: take, do, then `done`, so that a crash in between does it again."""

    source: MessageSource

    def count(self) -> int:
        """How many requests wait (about)."""
        return self.source.count()

    def take(self, state: AgentState, directory: Directory, name: str) -> Asked:
        """Take what was asked of the agent `name`. Whoever asks for everything has the directory read again from the
        beginning."""
        requests = []
        for message in self.source.receive(_BATCH, _HIDDEN):
            request = _read(message)
            if request is not None and request.source not in {None, name}:
                self.source.release(message, _ANOTHERS)
            elif request is None:
                logger.warning("ignored a message on the request queue that is no resend request")
                self.source.delete(message)
            else:
                requests.append(request)
        if not requests:
            return Asked()
        everything = any(request.anchor is None for request in requests)
        if everything:
            state.read_again(doubt=True)
        guids = [guid for request in requests if request.anchor and (guid := _guid(request.anchor))]
        # Base64 has several spellings of the same bytes: whoever is asked for in another one is alive all the same.
        anchors = {SourceAnchor(guid).immutable_id: guid for guid in guids}
        people, gone = _look(anchors, state, directory) if anchors else ((), ())
        logger.info(
            "asked messages=%d people=%d gone=%d everything=%s", len(requests), len(people), len(gone), everything
        )
        return Asked(people, gone, [request.message for request in requests])

    def done(self, asked: Asked) -> None:
        """All of it is recorded: the requests may go."""
        for message in asked.messages:
            self.source.delete(message)


def _look(
    anchors: Mapping[str, bytes], state: AgentState, directory: Directory
) -> tuple[Sequence[Person], Sequence[News]]:
    """Who lives under these anchors, and under which of them nobody does.

    An anchor is somebody's mS-DS-ConsistencyGuid, or else their objectGUID; that may have changed since it was told.
    Only when the directory was searched for both, and shows nobody in scope, is it said that the person is gone.
    """
    known = state.anchors([*anchors])
    found = directory.find([*dict.fromkeys([*known.values(), *anchors.values()])])
    living = {person.anchor.object_guid: person for person in found if not person.deleted}
    names = {person.anchor.immutable_id for person in living.values()}
    if rest := [guid for anchor, guid in anchors.items() if anchor not in names]:
        living |= {person.anchor.object_guid: person for person in directory.anchored(rest)}
        names = {person.anchor.immutable_id for person in living.values()}
    remembered = state.known([*known.values()])
    gone = []
    for anchor, guid in anchors.items():
        if anchor in names:
            continue
        told = remembered.get(known[anchor]) if anchor in known else None
        # Whether a stranger's certificates are published is not known here: the guard counts them.
        person = told.person if told else Person(anchor=SourceAnchor(guid))
        gone.append(News(person=replace(person, deleted=True), withdraws=told.holds if told else True))
    return tuple(living.values()), gone


def _read(message: Message) -> _Request | None:
    """None for what is no request of ours."""
    try:
        said = json.loads(message.body)
        ours, anchor, source = said["type"] == TYPE, said["anchor"], said.get("source")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    known = all(each is None or isinstance(each, str) for each in (anchor, source))
    return _Request(message, anchor, source) if ours and known else None


def _guid(anchor: str) -> bytes | None:
    """The 16 bytes of an ImmutableId; None for anything else, which is nobody's."""
    try:
        guid = base64.b64decode(anchor, validate=True)
    except (binascii.Error, ValueError):
        return None
    return guid if len(guid) == 16 else None
