"""The lease and the container for large events, on Azurite."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob import BlobLeaseClient, ContainerClient

from sync.adapters.blob_claims import BlobClaims
from sync.adapters.blob_lease import BlobLease
from sync.core.event import Claim
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import Term

if TYPE_CHECKING:
    from tests.lab.azurite import Azurite

pytestmark = pytest.mark.lab
NOW = datetime(2026, 6, 1, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
CONTENT = b"a large event"
CLAIM = Claim(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.fixture
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    with ContainerClient.from_connection_string(azurite.connection_string, f"test-{uuid.uuid4()}") as client:
        client.create_container()
        yield client


def leased(container: ContainerClient, **options: float) -> BlobLease:
    return BlobLease(container.get_blob_client("agent"), lambda: NOW, seconds=15, **options)


def test_one_agent_is_active_and_the_next_has_a_later_epoch(container: ContainerClient) -> None:
    """Later than the clock's seconds too, which are the epoch of agents without a lease."""
    with closing(leased(container)) as one, closing(leased(container)) as other:
        assert one.take(1) == Term(epoch=SECONDS, previous=None)
        assert one.held()
        assert other.take(1) is None
        assert not other.held()
        assert "active" in other.look()
        one.release()
        assert not one.held()
        assert other.take(SECONDS + 50) == Term(epoch=SECONDS + 50, previous=SECONDS)
        other.release()
        assert one.take(1) == Term(epoch=SECONDS + 51, previous=SECONDS + 50)


def test_whoever_is_cut_off_loses_it_and_another_takes_over_within_a_minute(container: ContainerClient) -> None:
    """The old one knows by its own clock before the service gives it away."""
    with closing(leased(container, renew=3600)) as dead, closing(leased(container)) as heir:
        assert dead.take(1) is not None
        started = time.monotonic()
        while (term := heir.take(1)) is None:
            assert time.monotonic() - started < 60
            time.sleep(0.5)
        assert not dead.held()
        assert term == Term(epoch=SECONDS + 1, previous=SECONDS)


def test_it_is_renewed_by_itself(container: ContainerClient) -> None:
    """A long import must not lose it."""
    with closing(leased(container, renew=1)) as one:
        one.take(1)
        first, deadline = one._until, time.monotonic() + 60
        while one._until == first:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert one.held()


def test_one_that_was_broken_is_lost_at_the_next_renewal(container: ContainerClient) -> None:
    """An administrator breaks a lease to move the agent."""
    with closing(leased(container, renew=0.2)) as one:
        one.take(1)
        BlobLeaseClient(container.get_blob_client("agent")).break_lease(0)
        deadline = time.monotonic() + 60
        while one.held():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_no_container_is_a_clear_error(azurite: Azurite) -> None:
    """For the lease and for large events."""
    with ContainerClient.from_connection_string(azurite.connection_string, f"none-{uuid.uuid4()}") as client:
        looks: list[Callable[[], object]] = [lambda: leased(client).take(1), leased(client).look]
        for look in looks:
            with pytest.raises(PermanentError) as refused:
                look()
            assert refused.value.code is ErrorCode.LEASE_REFUSED
        acts: list[Callable[[], object]] = [lambda: BlobClaims(client).put(CLAIM, CONTENT), BlobClaims(client).check]
        for act in acts:
            with pytest.raises(PermanentError) as refused:
                act()
            assert refused.value.code is ErrorCode.CLAIM_REFUSED


def test_an_account_out_of_reach_is_temporary() -> None:
    """Nothing listens there."""
    account = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;BlobEndpoint=http://127.0.0.1:9/a;"
    with ContainerClient.from_connection_string(account, "container") as client, pytest.raises(TemporaryError) as away:
        leased(client).take(1)
    assert away.value.code is ErrorCode.LEASE_UNAVAILABLE


def test_a_large_event_comes_back_as_it_went(container: ContainerClient) -> None:
    """Put twice as well, after a lost answer."""
    claims = BlobClaims(container)
    claims.check()
    claims.put(CLAIM, CONTENT)
    claims.put(CLAIM, CONTENT)
    assert claims.get(CLAIM) == CONTENT


def test_a_missing_blob_is_its_own_error(container: ContainerClient) -> None:
    """And a blob that grew is read no further than one byte past what was named."""
    claims = BlobClaims(container)
    with pytest.raises(PermanentError) as missing:
        claims.get(CLAIM)
    assert missing.value.code is ErrorCode.CLAIM_MISSING
    container.upload_blob(f"{CLAIM.sha256}.json", b"x" * 100_000)
    assert len(claims.get(CLAIM)) == CLAIM.length + 1
