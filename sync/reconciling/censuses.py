"""The lists of everybody, the agents' and a run's own, as a run reads them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync import census
from sync.core.digest import place
from sync.core.identity import Watermark
from sync.core.lost import Told
from sync.errors import ErrorCode, PermanentError
from sync.ports import BlobStore
from sync.signature import Verifier

NONE = "no agent has told whom its directory knows: events that were lost go unseen"
_OLD = timedelta(hours=49)


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One partition of every list that can be read: its people in order of place, and whose lists these are."""

    told: Sequence[Told] = ()
    lists: Mapping[str, Watermark]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A list: its manifest, which is trusted, and what fetches a part of it by its name; None when it is not there."""

    manifest: census.Manifest
    fetch: Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The lists as they were when they were opened."""

    lists: tuple[Listed, ...]
    notes: tuple[str, ...]

    def partition(self, number: int) -> Partition:
        """Read one partition of each. A list that cannot be read is left out, and says nothing of anybody.

        Raises what BlobStore raises.
        """
        name = f"{number:02x}"
        told: list[list[Told]] = []
        lists: dict[str, Watermark] = {}
        notes: list[str] = []
        for each in self.lists:
            manifest = each.manifest
            try:
                told.append(list(_people(each, name)))
            except PermanentError as error:
                if error.code is not ErrorCode.CENSUS_MALFORMED:
                    raise
                notes.append(f"{manifest.source}: {error.message}")
            else:
                lists[manifest.source] = manifest.watermark
        return Partition(told=list(heapq.merge(*told, key=lambda each: each.place)), lists=lists, notes=tuple(notes))


def _people(listed: Listed, name: str) -> Iterator[Told]:
    part = listed.manifest.parts.get(name)
    if part is None:
        return
    content = listed.fetch(name)
    if content is None:
        raise PermanentError(ErrorCode.CENSUS_MALFORMED, "the census: a part is not there any more")
    before = ""
    for line in census.lines_of(content, part):
        here = place(line.anchor)
        if not (before < here and here.startswith(name)):
            raise PermanentError(ErrorCode.CENSUS_MALFORMED, "the census: a part is not in order of place")
        before = here
        yield Told(here, line.anchor, line.state_hash, listed.manifest.source, line.holds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Censuses:
    """`verify` raises PermanentError for a signature that is none (sync.signature); None takes lists as they are."""

    blobs: BlobStore
    now: Callable[[], datetime]
    verifier: Verifier | None = None
    required: bool = False

    def open(self, own: Listed | None = None) -> Opened:
        """The lists that there are now; a run's `own` stands for that of the same directory's agent. Raises what
        BlobStore raises."""
        lists = [own] if own else []
        notes: list[str] = []
        for name in list(self.blobs.names(census.ROOT)):
            blob = self.blobs.get(name) if name.endswith("/manifest.json") else None
            if blob is None:
                continue
            try:
                manifest = self._trusted(census.manifest_from_json(blob.content), name)
            except PermanentError as error:
                notes.append(f"{name}: {error.code}")
                continue
            if own is not None and manifest.source == own.manifest.source:
                continue
            lists.append(Listed(manifest=manifest, fetch=self._fetching(manifest)))
            if (age := self.now() - manifest.created) > _OLD:
                notes.append(f"the list of {manifest.source} is {age // timedelta(hours=1)} hours old")
        return Opened(lists=tuple(lists), notes=tuple(notes) if lists else (*notes, NONE))

    def _fetching(self, manifest: census.Manifest) -> Callable[[str], bytes | None]:
        def fetch(part: str) -> bytes | None:
            blob = self.blobs.get(census.part_name(manifest, part))
            return blob.content if blob else None

        return fetch

    def _trusted(self, manifest: census.Manifest, name: str) -> census.Manifest:
        if name != census.manifest_name(manifest.source):
            raise PermanentError(ErrorCode.CENSUS_MALFORMED, "the census lies under another agent's name")
        if manifest.signature is None:
            if self.required:
                raise PermanentError(ErrorCode.EVENT_UNSIGNED, f"the census of {manifest.source} has no signature")
        elif self.verifier is not None:
            self.verifier.verify(manifest.signed_part(), manifest.signature)
        elif self.required:
            raise PermanentError(ErrorCode.EVENT_SIGNATURE, "no key to verify signatures is set")
        return manifest
