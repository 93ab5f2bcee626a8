"""The agent's list of everybody: what is written is what is read, and nothing else is believed."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import pytest

from sync import census
from sync.adapters.embedded import Database, EmbeddedBlobs
from sync.core.digest import place
from sync.core.identity import Watermark
from sync.errors import ErrorCode, PermanentError
from sync.ports import BlobStore
from sync.signature import Signer, Verifier
from tests.mill import NOW

SOURCE = "urn:smime-sync:agent:corp.example"
PEOPLE = sorted(((f"person{number}", f"{number:064x}") for number in range(600)), key=lambda each: place(each[0]))


@pytest.fixture
def blobs() -> BlobStore:
    return EmbeddedBlobs(Database(None, lambda: NOW))


def published(blobs: BlobStore, sequence: int = 7, people: list[tuple[str, str]] = PEOPLE) -> census.Manifest:
    return census.publish(blobs, people, source=SOURCE, watermark=Watermark(3, sequence), created=NOW)


def people_of(blobs: BlobStore, manifest: census.Manifest) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, part in manifest.parts.items():
        blob = blobs.get(census.part_name(manifest, name))
        assert blob is not None
        found += [(line.anchor, line.state_hash) for line in census.lines_of(blob.content, part)]
    return found


def test_what_is_published_is_read_again(blobs: BlobStore) -> None:
    """Everybody, in order of place, in a part for each first two digits that occur."""
    made = published(blobs)
    blob = blobs.get(census.manifest_name(SOURCE))
    assert blob is not None
    read = census.manifest_from_json(blob.content)
    assert read == made
    assert (read.source, read.watermark, read.created, read.people) == (SOURCE, Watermark(3, 7), NOW, 600)
    assert people_of(blobs, read) == PEOPLE
    assert list(read.parts) == sorted({place(anchor)[:2] for anchor, _ in PEOPLE})


def test_nobody_is_a_census_too(blobs: BlobStore) -> None:
    """A directory that shows nobody: it is for the guard to ask about."""
    made = published(blobs, people=[])
    assert (made.people, dict(made.parts)) == (0, {})


def test_the_census_before_is_kept_and_older_ones_are_not(blobs: BlobStore) -> None:
    """A run may be reading it."""
    made = [published(blobs, sequence) for sequence in (1, 2, 3)]
    assert people_of(blobs, made[1]) == people_of(blobs, made[2]) == PEOPLE
    assert blobs.get(census.part_name(made[0], "00")) is None
    published(blobs, 3)
    assert people_of(blobs, made[2]) == PEOPLE


def test_it_is_signed_as_a_whole(blobs: BlobStore) -> None:
    """Whoever changes a member, or the digest of a part, breaks the signature."""
    signer = Signer.generate()
    made = census.publish(blobs, PEOPLE, source=SOURCE, watermark=Watermark(1, 1), created=NOW, sign=signer.sign)
    verifier = Verifier.load(signer.public_pem())
    assert made.signature is not None
    verifier.verify(made.signed_part(), made.signature)
    other = MappingProxyType({**made.parts, "00": census.Part(sha256="0" * 64, people=1)})
    for altered in (
        replace(made, source="urn:smime-sync:agent:other.example"),
        replace(made, watermark=Watermark(1, 2)),
        replace(made, created=NOW + timedelta(days=1)),
        replace(made, people=601),
        replace(made, parts=other),
    ):
        with pytest.raises(PermanentError) as caught:
            verifier.verify(altered.signed_part(), made.signature)
        assert caught.value.code is ErrorCode.EVENT_SIGNATURE


@pytest.mark.parametrize(
    "change",
    [
        {"type": "smime-sync.census.v2"},
        {"watermark": 7},
        {"watermark": {"epoch": -1, "sequence": 1}},
        {"created": "2026-06-01T08:00:00"},
        {"people": "many"},
        {"parts": {"00": {"sha256": "0", "people": 1}}},
        {"parts": []},
        {"source": None},
    ],
)
def test_a_manifest_that_is_none(blobs: BlobStore, change: dict[str, object]) -> None:
    """It is refused, with a code."""
    told = {**json.loads(published(blobs).to_json()), **change}
    with pytest.raises(PermanentError) as caught:
        census.manifest_from_json(json.dumps(told).encode())
    assert caught.value.code is ErrorCode.CENSUS_MALFORMED


@pytest.mark.parametrize(
    "content", [b"", b"person0\tstate\n", gzip.compress(b"person0 state\n"), gzip.compress(b"\xff")]
)
def test_a_part_that_is_none(content: bytes) -> None:
    """No gzip, no lines, no text; and one that is another than the manifest names."""
    part = census.Part(sha256=hashlib.sha256(content).hexdigest(), people=1)
    with pytest.raises(PermanentError) as caught:
        list(census.lines_of(content, part))
    assert caught.value.code is ErrorCode.CENSUS_MALFORMED
    good = gzip.compress(b"person0\tstate\n")
    with pytest.raises(PermanentError):
        list(census.lines_of(good, part))


def test_a_part_that_would_fill_the_memory() -> None:
    """A few kilobytes that unpack to more than any part has."""
    bomb = gzip.compress(bytes(census.LARGEST + 1))
    with pytest.raises(PermanentError):
        list(census.lines_of(bomb, census.Part(sha256=hashlib.sha256(bomb).hexdigest(), people=1)))
