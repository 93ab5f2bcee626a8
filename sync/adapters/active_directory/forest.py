"""Directory: several domains of a forest as one, each read from a checkpoint of its own."""

from __future__ import annotations

import base64
import json
import select
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sync.adapters.active_directory.directory import ActiveDirectory
from sync.adapters.active_directory.entries import gone
from sync.core.person import Person
from sync.errors import SyncError
from sync.ports import Page, Seen, nobody

VERSION: Final = 1


class Forest:
    """Domains by DNS name. One that cannot be read holds up no other: its error is raised after their pages."""

    def __init__(self, name: str, domains: Mapping[str, ActiveDirectory]) -> None:
        """`name` is the source of events."""
        self._name = name
        self._domains = dict(domains)

    @property
    def name(self) -> str:
        """As it was given."""
        return self._name

    def changes(self, checkpoint: bytes | None, seen: Seen = nobody) -> Iterator[Page]:
        """Read all that changed in each domain; a full import is of one domain, which its pages name.

        Whoever is gone from one domain and lives in another has moved, and comes as they are there. Raises what the
        first domain in trouble raised, after the others' pages.
        """
        marks = _load(checkpoint)
        troubles: list[SyncError] = []
        for name, domain in self._domains.items():
            try:
                for page in domain.changes(marks.get(name), seen):
                    marks |= {name: page.checkpoint}
                    yield replace(page, people=self._moved(page.people), checkpoint=_dump(marks), scope=name)
            except SyncError as error:
                troubles.append(error)
        if troubles:
            raise troubles[0]

    def find(self, guids: Sequence[bytes]) -> tuple[Person, ...]:
        """These people as they are in whichever domain has them; raises what `changes` raises."""
        living: dict[bytes, Person] = {}
        for domain in self._domains.values():
            missing = [guid for guid in guids if guid not in living]
            found = domain.find(missing) if missing else ()
            living |= {person.anchor.object_guid: person for person in found if not person.deleted}
        return tuple(living.get(guid) or gone(guid) for guid in guids)

    def anchored(self, consistency_guids: Sequence[bytes]) -> tuple[Person, ...]:
        """Whoever lives in any domain under one of these mS-DS-ConsistencyGuids; raises what `changes` raises."""
        return tuple(person for domain in self._domains.values() for person in domain.anchored(consistency_guids))

    def wait(self, timeout: timedelta) -> bool:
        """Sleep until something changed in any domain, or until `timeout` passed."""
        if unheard := [domain for domain in self._domains.values() if domain.news is None]:
            for domain in unheard:
                domain.wait(timeout)  # registers, and comes back at once
            return True
        listening = {domain.news: domain for domain in self._domains.values() if domain.news}
        woken = [news for news in listening if news.pending()]
        if not woken:
            woken, _, _ = select.select([*listening], [], [], timeout.total_seconds())
        heard = [listening[news].wait(timedelta(0)) for news in woken]  # each is drained, whichever tells first
        return any(heard)

    def clock(self) -> datetime:
        """What time it is in the first domain (UTC); Kerberos holds the others near it."""
        return next(iter(self._domains.values())).clock()

    def close(self) -> None:
        """Let go of every domain's connections."""
        for domain in self._domains.values():
            domain.close()

    def _moved(self, people: Sequence[Person]) -> tuple[Person, ...]:
        missing = [person.anchor.object_guid for person in people if person.deleted]
        found = {person.anchor.object_guid: person for person in self.find(missing)} if missing else {}
        living = {guid: person for guid, person in found.items() if not person.deleted}
        return tuple(living.get(person.anchor.object_guid, person) for person in people)


def _dump(marks: Mapping[str, bytes]) -> bytes:
    domains = {name: base64.b64encode(mark).decode("ascii") for name, mark in marks.items()}
    return json.dumps({"version": VERSION, "domains": domains}, separators=(",", ":")).encode("ascii")


def _load(saved: bytes | None) -> dict[str, bytes]:
    """Each domain's checkpoint; none for anything that `_dump` did not write."""
    try:
        members = json.loads(saved or b"null")
        if members["version"] != VERSION:
            return {}
        return {str(name): base64.b64decode(mark, validate=True) for name, mark in members["domains"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
