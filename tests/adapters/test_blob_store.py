"""The working container and the shared cache, on Azurite."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob import ContainerClient

from sync.adapters.blob_store import BlobCache, BlobStore
from sync.errors import ErrorCode, PermanentError, TemporaryError
from tests.adapters.blob_store_contract import BlobStoreContract
from tests.adapters.cache_contract import CacheContract
from tests.mill import NOW

if TYPE_CHECKING:
    from tests.lab.azurite import Azurite

pytestmark = pytest.mark.lab


@pytest.fixture
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    with ContainerClient.from_connection_string(azurite.connection_string, f"test-{uuid.uuid4()}") as client:
        yield client


@pytest.fixture
def blobs(container: ContainerClient) -> BlobStore:
    store = BlobStore(container)
    store.create()
    store.create()
    return store


class TestBlobStore(BlobStoreContract):
    @pytest.fixture
    def blobs(self, blobs: BlobStore) -> BlobStore:
        return blobs


def test_a_container_that_is_not_there_is_no_empty_one(container: ContainerClient) -> None:
    """Whoever forgot it is told so, whatever they ask; a run that is not found would begin anew."""
    missing = BlobStore(container)
    for ask in (
        lambda: missing.get("a"),
        lambda: missing.put("a", b""),
        lambda: missing.put("a", b"", version="0x1"),
        lambda: missing.delete("a"),
        lambda: list(missing.names("")),
    ):
        with pytest.raises(PermanentError) as caught:
            ask()
        assert caught.value.code is ErrorCode.BLOBS_REFUSED


def test_a_store_that_is_away_is_tried_again_later() -> None:
    """Nothing listens there."""
    account = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;BlobEndpoint=http://127.0.0.1:9/a;"
    with ContainerClient.from_connection_string(account, "gone", retry_total=0) as client:
        with pytest.raises(TemporaryError) as caught:
            BlobStore(client).get("a")
        assert caught.value.code is ErrorCode.BLOBS_UNAVAILABLE
        cache = BlobCache(client)
        cache.put("a", b"", NOW)
        assert cache.get("a") is None


class TestBlobCache(CacheContract):
    """What one instance fetched, another one has."""

    @pytest.fixture
    def opened(self, container: ContainerClient, blobs: BlobStore) -> Callable[[], BlobCache]:
        return lambda: BlobCache(container)


def test_a_cached_list_without_its_time_counts_for_nothing(container: ContainerClient, blobs: BlobStore) -> None:
    """Somebody else's blob under our name."""
    cache = BlobCache(container)
    cache.put("a", b"list", NOW)
    (name,) = blobs.names("revocation/")
    blobs.put(name, b"something else")

    assert cache.get("a") is None
