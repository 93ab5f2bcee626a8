"""The census: an agent's list of everybody of whom it last told that they exist, for the reconciliation to compare.

    census/<source>/manifest.json          who made it, when, and the SHA-256 of each part; signed like an event
    census/<source>/<watermark>/<xx>.gz    a partition (core.digest.place): lines `anchor<TAB>state hash`, by place

A list that reconciliation reads from the directory itself (sync.reconciling.listing) says of everybody, with a further
`<TAB>-`, who has no values: of them an agent tells only once they have had any.

`source` is the agent as its events name it, percent-encoded. What stands in the container proves nothing: a part counts
only by its digest in the manifest, and the manifest by its signature, where events have to be signed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from sync.core.digest import place
from sync.core.identity import Watermark
from sync.errors import ErrorCode, PermanentError
from sync.ports import BlobStore

TYPE: Final = "smime-sync.census.v1"
ROOT: Final = "census/"
Sign = Callable[[bytes], str]
"""Makes a detached signature over a content (sync.signature.Signer.sign)."""

_MANIFEST: Final = "manifest.json"
LARGEST: Final = 64 << 20
"""A part of a million people has half a megabyte."""


_HOLDS_NOTHING: Final = "\t-"


class Line(NamedTuple):
    """One person. `holds` is whether they have values, or are told all the same."""

    anchor: str
    state_hash: str
    holds: bool = True


class Part(BaseModel):
    """One partition: the SHA-256 of its blob, and how many people are in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    people: int = Field(ge=0)


class _Watermark(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    epoch: int = Field(ge=0)
    sequence: int = Field(ge=0)


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["smime-sync.census.v1"]
    source: str
    watermark: _Watermark
    created: AwareDatetime
    people: int = Field(ge=0)
    parts: dict[str, Part]
    signature: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a census holds; `parts` by the first two digits of the places in it, those that hold nobody left out."""

    source: str
    watermark: Watermark
    created: datetime
    people: int = 0
    parts: Mapping[str, Part] = field(default_factory=lambda: MappingProxyType({}))
    signature: str | None = None

    def signed_part(self) -> bytes:
        """What the signature is over: the canonical JSON without it."""
        return json.dumps(self._told(), separators=(",", ":"), sort_keys=True).encode("utf-8")

    def to_json(self) -> bytes:
        """As it is stored."""
        return json.dumps({**self._told(), "signature": self.signature}, sort_keys=True).encode("utf-8")

    def _told(self) -> dict[str, Any]:
        return {
            "type": TYPE,
            "source": self.source,
            "watermark": {"epoch": self.watermark.epoch, "sequence": self.watermark.sequence},
            "created": self.created.isoformat(),
            "people": self.people,
            "parts": {name: part.model_dump() for name, part in self.parts.items()},
        }


def manifest_from_json(content: bytes) -> Manifest:
    """Read a manifest; its signature is not looked at here. Raises PermanentError `census-malformed`."""
    try:
        told = _Manifest.model_validate_json(content)
    except ValidationError as error:
        raise _malformed(f"a manifest: {error.error_count()} problems") from error
    return Manifest(
        source=told.source,
        watermark=Watermark(told.watermark.epoch, told.watermark.sequence),
        created=told.created,
        people=told.people,
        parts=MappingProxyType(told.parts),
        signature=told.signature,
    )


def manifest_name(source: str) -> str:
    """Where the manifest of this agent lies."""
    return f"{ROOT}{quote(source, safe='')}/{_MANIFEST}"


def part_name(manifest: Manifest, partition: str) -> str:
    """Where a part of this census lies."""
    mark = f"{manifest.watermark.epoch}-{manifest.watermark.sequence}"
    return f"{ROOT}{quote(manifest.source, safe='')}/{mark}/{partition}.gz"


def publish(
    blobs: BlobStore,
    people: Iterable[tuple[str, str]],
    *,
    source: str,
    watermark: Watermark,
    created: datetime,
    sign: Sign | None = None,
) -> Manifest:
    """Store a census of `people`, anchor and state hash, which come in order of place: the parts, then the manifest.

    The census before is kept, since a run may be reading it. Raises what BlobStore raises.
    """
    steps = in_parts(blobs, people, source=source, watermark=watermark, created=created, sign=sign)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            made: Manifest = end.value
            return made


def in_parts(
    blobs: BlobStore,
    people: Iterable[tuple[str, str]],
    *,
    source: str,
    watermark: Watermark,
    created: datetime,
    sign: Sign | None = None,
) -> Generator[Part, None, Manifest]:
    """The same part by part, each when it is asked for, so that the agent can see to changes in between."""
    before = blobs.get(manifest_name(source))
    made = Manifest(source=source, watermark=watermark, created=created)
    parts: dict[str, Part] = {}
    for partition, group in groupby(people, key=lambda each: place(each[0])[:2]):
        content, parts[partition] = packed(Line(anchor, state_hash) for anchor, state_hash in group)
        blobs.put(part_name(made, partition), content)
        yield parts[partition]
    made = replace(made, people=sum(part.people for part in parts.values()), parts=MappingProxyType(parts))
    if sign is not None:
        made = replace(made, signature=sign(made.signed_part()))
    blobs.put(manifest_name(source), made.to_json())
    _tidy(blobs, made, before.content if before else None)
    return made


def packed(lines: Iterable[Line]) -> tuple[bytes, Part]:
    """A part of these people, and what a manifest says of it."""
    written = [f"{each.anchor}\t{each.state_hash}{'' if each.holds else _HOLDS_NOTHING}\n" for each in lines]
    content = gzip.compress("".join(written).encode("utf-8"), mtime=0)
    return content, Part(sha256=hashlib.sha256(content).hexdigest(), people=len(written))


def _tidy(blobs: BlobStore, made: Manifest, before: bytes | None) -> None:
    kept = {part_name(made, "").rpartition("/")[0]}
    if before is not None:
        with suppress(PermanentError):  # nobody can read what a malformed one names
            kept.add(part_name(manifest_from_json(before), "").rpartition("/")[0])
    folder = manifest_name(made.source).removesuffix(_MANIFEST)
    for name in list(blobs.names(folder)):
        if name != manifest_name(made.source) and name.rpartition("/")[0] not in kept:
            blobs.delete(name)


def lines_of(content: bytes, part: Part) -> Iterator[Line]:
    """The people of a part as they stand there.

    Raises PermanentError `census-malformed` when it is not the part that the manifest names.
    """
    if hashlib.sha256(content).hexdigest() != part.sha256:
        raise _malformed("a part is not the one that its manifest names")
    unpacking = zlib.decompressobj(wbits=31)
    try:
        text = unpacking.decompress(content, LARGEST).decode("utf-8")
    except (zlib.error, UnicodeDecodeError) as error:
        raise _malformed(f"a part cannot be read: {error}") from error
    if not unpacking.eof:
        raise _malformed(f"a part is cut off, or unpacks to more than {LARGEST} bytes")
    for line in text.splitlines():
        anchor, tab, state = line.partition("\t")
        if not tab:
            raise _malformed("a line has no state")
        yield Line(anchor, state.removesuffix(_HOLDS_NOTHING), not state.endswith(_HOLDS_NOTHING))


def _malformed(told: str) -> PermanentError:
    return PermanentError(ErrorCode.CENSUS_MALFORMED, f"the census: {told}")
