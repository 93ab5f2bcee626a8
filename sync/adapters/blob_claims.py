"""ClaimStore on a blob container: one blob an event, named by its SHA-256, so that a repeated put changes nothing."""

from __future__ import annotations

from typing import Any, Final

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContainerClient

from sync.azure_errors import Service, translated
from sync.core.event import Claim
from sync.errors import ErrorCode, PermanentError

_SERVICE: Final = Service(
    name="the container for large events",
    unavailable=ErrorCode.CLAIM_UNAVAILABLE,
    refused=ErrorCode.CLAIM_REFUSED,
)


class BlobClaims:
    """A blob is never overwritten with anything else by us, and never deleted: the ledger may refer to it for years."""

    def __init__(self, client: ContainerClient) -> None:
        self._client = client

    def put(self, claim: Claim, content: bytes) -> None:
        """See ports.ClaimStore."""
        with translated(_SERVICE):
            self._client.upload_blob(f"{claim.sha256}.json", content, overwrite=True, **_timeouts())

    def get(self, claim: Claim) -> bytes:
        """See ports.ClaimStore. Reads no byte more than the claim and one: a swapped blob cannot fill the memory."""
        with translated(_SERVICE):
            try:
                found = self._client.download_blob(
                    f"{claim.sha256}.json", offset=0, length=claim.length + 1, **_timeouts()
                )
                return bytes(found.readall())
            except ResourceNotFoundError as error:
                told = f"{claim.sha256[:16]}… is not in the container {self._client.container_name}"
                raise PermanentError(ErrorCode.CLAIM_MISSING, told) from error

    def check(self) -> None:
        """Raise what `put` would raise if the container is not there or refuses us."""
        with translated(_SERVICE):
            next(iter(self._client.list_blob_names(results_per_page=1, **_timeouts())), None)

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()


def _timeouts() -> dict[str, Any]:
    return {"connection_timeout": 10, "read_timeout": 30}
