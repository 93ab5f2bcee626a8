"""Lease on a blob (Lease Blob, 30 s): its metadata holds the epoch of the term, which only the holder may change.

A thread renews it every 10 s. Whoever loses it learns so by the clock, before another agent can have it: the time is
counted from before the renewal was asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobLeaseClient

from sync.azure_errors import Service, service_code, translated
from sync.errors import ErrorCode
from sync.ports import Term

_SERVICE: Final = Service(
    name="the lease's blob", unavailable=ErrorCode.LEASE_UNAVAILABLE, refused=ErrorCode.LEASE_REFUSED
)
_SECONDS: Final = 30
_RENEW: Final = 10.0
_MARGIN: Final = 3.0
_EPOCH: Final = "epoch"
_TIMEOUTS: Final[dict[str, Any]] = {"connection_timeout": 5, "read_timeout": 10, "retry_total": 0}


class BlobLease:
    """One blob; whoever holds its lease is the active agent. `seconds` is 15 to 60, the service's limits."""

    def __init__(
        self, client: BlobClient, now: Callable[[], datetime], *, seconds: int = _SECONDS, renew: float = _RENEW
    ) -> None:
        self._client = client
        self._now = now
        self._seconds = seconds
        self._renew = renew
        self._lease: BlobLeaseClient | None = None
        self._until = 0.0
        self._stop = threading.Event()

    def take(self, floor: int) -> Term | None:
        """See ports.Lease. The epoch is at least the time in seconds too, as that of agents without a lease."""
        with translated(_SERVICE):
            self._create()
            asked = time.monotonic()
            lease = BlobLeaseClient(self._client)
            try:
                lease.acquire(lease_duration=self._seconds, **_TIMEOUTS)
            except HttpResponseError as error:
                if service_code(error) == "LeaseAlreadyPresent":
                    return None
                raise
            metadata = self._client.get_blob_properties(**_TIMEOUTS).metadata or {}
            previous = int(metadata[_EPOCH]) if _EPOCH in metadata else None
            epoch = max(floor, int(self._now().timestamp()), (previous or 0) + 1)
            self._client.set_blob_metadata({_EPOCH: str(epoch)}, lease=lease, **_TIMEOUTS)
        self._hold(lease, asked)
        return Term(epoch=epoch, previous=previous)

    def held(self) -> bool:
        """See ports.Lease."""
        return time.monotonic() < self._until

    def release(self) -> None:
        """See ports.Lease. When it cannot be released it lapses by itself."""
        self._stop.set()
        lease, self._lease, self._until = self._lease, None, 0.0
        if lease is not None:
            try:
                lease.release(**_TIMEOUTS)
            except AzureError:
                return

    def look(self) -> str:
        """See ports.Lease."""
        with translated(_SERVICE):
            try:
                found = self._client.get_blob_properties(**_TIMEOUTS)
            except ResourceNotFoundError as error:
                if service_code(error) == "ContainerNotFound":
                    raise
                return "free; no agent was active yet"
            epoch = (found.metadata or {}).get(_EPOCH, "none")
            return f"{'an agent is active' if found.lease.state == 'leased' else 'free'}, epoch {epoch}"

    def close(self) -> None:
        """Release it and let go of connections."""
        self.release()
        self._client.close()

    def _create(self) -> None:
        try:
            self._client.upload_blob(b"", overwrite=False, **_TIMEOUTS)
        except ResourceExistsError:
            return
        except HttpResponseError as error:
            # A blob under somebody's lease answers so before it says that it exists.
            if service_code(error) not in {"LeaseIdMissing", "BlobAlreadyExists"}:
                raise

    def _hold(self, lease: BlobLeaseClient, asked: float) -> None:
        self._stop = threading.Event()
        self._lease, self._until = lease, asked + self._seconds - _MARGIN
        threading.Thread(target=self._renewing, args=(lease, self._stop), daemon=True, name="lease").start()

    def _renewing(self, lease: BlobLeaseClient, stop: threading.Event) -> None:
        while not stop.wait(self._renew):
            asked = time.monotonic()
            if asked >= self._until:
                return  # lost: another agent may hold it by now
            try:
                lease.renew(**_TIMEOUTS)
            except HttpResponseError as error:
                if error.status_code in {409, 412, 404}:
                    self._until = 0.0
                    return
            except AzureError:
                continue  # the network is away; the clock decides
            else:
                if not stop.is_set():
                    self._until = asked + self._seconds - _MARGIN
