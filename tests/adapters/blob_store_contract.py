"""What every BlobStore keeps to. A test module subclasses `BlobStoreContract` and gives one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sync.errors import ErrorCode, TemporaryError
from sync.ports import BlobStore


class BlobStoreContract:
    """Names, contents, and whoever stores first."""

    @pytest.fixture
    def blobs(self) -> BlobStore:
        """An empty one."""
        raise NotImplementedError

    def test_what_is_put_is_got(self, blobs: BlobStore) -> None:
        """Bytes as they were, none of them too, and the latest ones."""
        for content in (b"\x00\xff one", b"", b"two"):
            version = blobs.put("a/b.json", content)
            found = blobs.get("a/b.json")
            assert found is not None
            assert (found.content, found.version) == (content, version)

    def test_nothing_lies_where_nothing_was_put(self, blobs: BlobStore) -> None:
        """And to delete it is no error."""
        assert blobs.get("nobody") is None
        blobs.delete("nobody")

    def test_a_name_is_taken_once(self, blobs: BlobStore) -> None:
        """Whoever asks for a free name and finds it taken hears of it, and changes nothing."""
        blobs.put("runs/current", b"one", version=None)
        with pytest.raises(TemporaryError) as caught:
            blobs.put("runs/current", b"two", version=None)
        assert caught.value.code is ErrorCode.LEDGER_CONFLICT
        assert (found := blobs.get("runs/current"))
        assert found.content == b"one"

    def test_only_what_was_read_is_replaced(self, blobs: BlobStore) -> None:
        """A version counts once: somebody stored meanwhile, or deleted, or deleted and stored the same again."""
        first = blobs.put("state", b"one")
        second = blobs.put("state", b"two", version=first)
        with pytest.raises(TemporaryError):
            blobs.put("state", b"late", version=first)
        blobs.delete("state")
        with pytest.raises(TemporaryError):
            blobs.put("state", b"late", version=second)
        blobs.put("state", b"two", version=None)
        with pytest.raises(TemporaryError):
            blobs.put("state", b"late", version=second)

    def test_one_of_many_wins(self, blobs: BlobStore) -> None:
        """All at once, from the same version."""
        version = blobs.put("state", b"before")

        def store(number: int) -> bool:
            try:
                blobs.put("state", str(number).encode(), version=version)
            except TemporaryError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(store, range(8))) == 1

    def test_names_come_in_order_and_by_their_beginning(self, blobs: BlobStore) -> None:
        """A folder is the beginning of a name; an underscore or a per cent sign is just itself."""
        for name in ("b/2", "b/10", "a_1", "ab1", "b", "b/1"):
            blobs.put(name, b"")
        assert list(blobs.names("b/")) == ["b/1", "b/10", "b/2"]
        assert list(blobs.names("a_")) == ["a_1"]
        blobs.delete("b/10")
        assert list(blobs.names("b/")) == ["b/1", "b/2"]
