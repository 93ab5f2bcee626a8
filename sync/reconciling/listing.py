"""Phase `directory`: where the function reaches a domain controller, it lists everybody itself, as the agent would.

1 Note what the ledger has heard of each agent by now: whatever it hears later is newer than this list. 2 Read
everybody, page by page, by the same reader and into the same states as the agent; interrupted, go on where it was.
3 Write the list as a census, a sixteenth of everybody at a time, so that memory does not grow with the people.

It lies among the run's own blobs, and the run names its SHA-256; an agent's lies where agents may write, and is signed.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from types import MappingProxyType

from sync import census
from sync.core.digest import PARTITIONS, bounds, place
from sync.core.event import agent_of
from sync.core.guids import Guids
from sync.core.identity import Watermark
from sync.core.person import Person
from sync.core.run import Phase, Run
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import Directory, Ledger
from sync.reconciling.censuses import Listed
from sync.reconciling.runs import Runs

_SHARDS = "0123456789abcdef"
_READ, _LIST = "read", "list:"
_HEARD, _SOURCE, _MANIFEST = "listing/heard", "listing/source", "listing/manifest"
_ANCHOR, _STATE = 16, 48  # where anchor and state hash end in an entry; a byte follows: whether they hold values
_ENTRY = 49


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """`connect` gives the directory for one piece, which lets go of it at its end."""

    connect: Callable[[], Directory]
    ledger: Ledger
    runs: Runs

    def step(self, run: Run, enough: Callable[[], bool]) -> Run:
        """One piece. Raises what Directory, Ledger and BlobStore raise."""
        if run.place == _READ:
            return self._read(run, enough)
        if run.place.startswith(_LIST):
            return self._list(run, enough)
        return self._hear(run, enough)

    # 1

    def _hear(self, run: Run, enough: Callable[[], bool]) -> Run:
        first = int(run.place or "0", 16)
        heard = self._heard(run) if first else {}
        done = first
        for number in range(first, PARTITIONS):
            try:
                told = [(each.source, each.watermark) for each in self.ledger.digests(*bounds(number))]
            except TemporaryError:
                if number == first:
                    raise
                break
            for source, watermark in told:
                if source is not None and watermark is not None:
                    heard[source] = max(heard.get(source, watermark), watermark)
            done = number + 1
            if enough():
                break
        lines = [{"source": source, "epoch": mark.epoch, "sequence": mark.sequence} for source, mark in heard.items()]
        self.runs.keep_lines(run, _HEARD, lines)
        return replace(run, place=_READ if done == PARTITIONS else f"{done:02x}")

    def _heard(self, run: Run) -> dict[str, Watermark]:
        lines = self.runs.lines(run.id, _HEARD)
        return {line["source"]: Watermark(line["epoch"], line["sequence"]) for line in lines}

    # 2

    def _read(self, run: Run, enough: Callable[[], bool]) -> Run:
        checkpoint = self.runs.block(run.id, _checkpoint(run.blocks - 1)) if run.blocks else None
        people = {shard: bytearray() for shard in _SHARDS}
        guids, whole = bytearray(), False
        with closing(self.connect()) as directory:
            self.runs.keep_lines(run, _SOURCE, [{"source": agent_of(directory.name)}])
            try:
                for page in directory.changes(checkpoint, self._seen(run)):
                    for person in page.people:
                        guids += person.anchor.object_guid
                        if not person.deleted:
                            people[place(person.anchor.immutable_id)[0]] += _entry(person)
                    checkpoint = page.checkpoint
                    # An import that goes on first passes over whoever was seen: a piece must come further than that.
                    if guids and enough():
                        break
                else:
                    whole = True
            except TemporaryError:
                if not guids:
                    raise
        for shard, entries in people.items():
            if entries:
                self.runs.keep(run, f"{_shard(shard)}{run.blocks:06}", bytes(entries))
        self.runs.keep(run, f"listing/seen/{run.blocks:06}", bytes(guids))
        if checkpoint is not None:
            self.runs.keep(run, _checkpoint(run.blocks), checkpoint)
        run = replace(run.counted(directory=len(guids) // _ANCHOR), blocks=run.blocks + 1)
        return replace(run, place=f"{_LIST}{_SHARDS[0]}", blocks=0) if whole else run

    def _seen(self, run: Run) -> Callable[[Sequence[bytes]], Set[bytes]]:
        """Who was read by the pieces before; looked up only when an import goes on."""

        @cache
        def before() -> Guids:
            names = [f"listing/seen/{number:06}" for number in range(run.blocks)]
            return Guids(block for name in names if (block := self.runs.block(run.id, name)) is not None)

        return lambda guids: {guid for guid in guids if guid in before()}

    # 3

    def _list(self, run: Run, enough: Callable[[], bool]) -> Run:
        first = _SHARDS.index(run.place.removeprefix(_LIST))
        for number, shard in enumerate(_SHARDS[first:], first + 1):
            parts = []
            for name, lines in groupby(self._people(run, shard), key=lambda line: place(line.anchor)[:2]):
                content, part = census.packed(lines)
                self.runs.keep(run, _part(name), content)
                parts.append({"name": name, **part.model_dump()})
            self.runs.keep_lines(run, f"listing/parts/{shard}", parts)
            if number == len(_SHARDS):
                return self._whole(run)
            run = replace(run, place=f"{_LIST}{_SHARDS[number]}")
            if enough():
                break
        return run

    def _people(self, run: Run, shard: str) -> Iterator[census.Line]:
        """Everybody of a shard in order of place. Whoever was read twice is as they were read last."""
        people: dict[bytes, bytes] = {}
        for name in self.runs.blocks(run.id, _shard(shard)):
            block = self.runs.block(run.id, name) or b""
            for at in range(0, len(block), _ENTRY):
                people[block[at : at + _ANCHOR]] = block[at + _ANCHOR : at + _ENTRY]
        spelt = {base64.b64encode(anchor).decode("ascii"): rest for anchor, rest in people.items()}
        for anchor in sorted(spelt, key=place):
            state, holds = spelt[anchor][:-1], spelt[anchor][-1]
            yield census.Line(anchor, state.hex(), bool(holds))

    def _whole(self, run: Run) -> Run:
        (told,) = self.runs.lines(run.id, _SOURCE)
        source = str(told["source"])
        parts = {
            line["name"]: census.Part(sha256=line["sha256"], people=line["people"])
            for shard in _SHARDS
            for line in self.runs.lines(run.id, f"listing/parts/{shard}")
        }
        # Of an agent of which the ledger never heard, nothing could be older than this list.
        watermark = self._heard(run).get(source, Watermark(0, 0))
        manifest = census.Manifest(
            source=source,
            watermark=watermark,
            created=run.began,
            people=sum(part.people for part in parts.values()),
            parts=MappingProxyType(parts),
        ).to_json()
        self.runs.keep(run, _MANIFEST, manifest)
        return replace(run, listing=hashlib.sha256(manifest).hexdigest()).enters(Phase.READ)


def own_list(runs: Runs, run: Run) -> Listed | None:
    """The list that the run has made; None where it made none. Raises PermanentError `census-malformed` for another
    one, and what BlobStore raises."""
    if not run.listing:
        return None
    content = runs.block(run.id, _MANIFEST) or b""
    if hashlib.sha256(content).hexdigest() != run.listing:
        raise PermanentError(ErrorCode.CENSUS_MALFORMED, f"the list of run {run.id} is not the one that it made")
    return Listed(manifest=census.manifest_from_json(content), fetch=lambda part: runs.block(run.id, _part(part)))


def _entry(person: Person) -> bytes:
    anchor = person.anchor.consistency_guid or person.anchor.object_guid
    return anchor + bytes.fromhex(person.state_hash) + bytes([bool(person.values)])


def _checkpoint(number: int) -> str:
    return f"listing/checkpoint/{number:06}"


def _shard(shard: str) -> str:
    return f"listing/people/{shard}/"


def _part(name: str) -> str:
    return f"listing/part/{name}"
