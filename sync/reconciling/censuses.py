"""The agents' lists of everybody, as a run reads them."""

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
class Opened:
    """The lists as they were when they were opened."""

    blobs: BlobStore
    manifests: tuple[census.Manifest, ...]
    notes: tuple[str, ...]

    def partition(self, number: int) -> Partition:
        """Read one partition of each. A list that cannot be read is left out, and says nothing of anybody.

        Raises what BlobStore raises.
        """
        name = f"{number:02x}"
        told: list[list[Told]] = []
        lists: dict[str, Watermark] = {}
        notes: list[str] = []
        for manifest in self.manifests:
            try:
                told.append(list(self._people(manifest, name)))
            except PermanentError as error:
                if error.code is not ErrorCode.CENSUS_MALFORMED:
                    raise
                notes.append(f"{manifest.source}: {error.message}")
            else:
                lists[manifest.source] = manifest.watermark
        return Partition(told=list(heapq.merge(*told, key=lambda each: each.place)), lists=lists, notes=tuple(notes))

    def _people(self, manifest: census.Manifest, name: str) -> Iterator[Told]:
        part = manifest.parts.get(name)
        if part is None:
            return
        blob = self.blobs.get(census.part_name(manifest, name))
        if blob is None:
            raise PermanentError(ErrorCode.CENSUS_MALFORMED, "the census: a part is not there any more")
        before = ""
        for anchor, state_hash in census.lines_of(blob.content, part):
            here = place(anchor)
            if not (before < here and here.startswith(name)):
                raise PermanentError(ErrorCode.CENSUS_MALFORMED, "the census: a part is not in order of place")
            before = here
            yield Told(here, anchor, state_hash, manifest.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Censuses:
    """`verify` raises PermanentError for a signature that is none (sync.signature); None takes lists as they are."""

    blobs: BlobStore
    now: Callable[[], datetime]
    verifier: Verifier | None = None
    required: bool = False

    def open(self) -> Opened:
        """The lists that there are now. Raises what BlobStore raises."""
        manifests: list[census.Manifest] = []
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
            manifests.append(manifest)
            if (age := self.now() - manifest.created) > _OLD:
                notes.append(f"the list of {manifest.source} is {age // timedelta(hours=1)} hours old")
        return Opened(blobs=self.blobs, manifests=tuple(manifests), notes=tuple(notes) if manifests else (*notes, NONE))

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
