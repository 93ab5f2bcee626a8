"""BlobStore and Cache on a blob container; compare-and-swap by ETag."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import ContainerClient

from sync.azure_errors import Service, service_code, translated
from sync.errors import ErrorCode, SyncError, TemporaryError
from sync.ports import ANY, Blob

logger = logging.getLogger("smime_sync.blobs")

_AT: Final = "at"


class _Container:
    """How both speak to their container."""

    def __init__(self, client: ContainerClient) -> None:
        self._client = client
        self._service = Service(
            name=f"the container {client.container_name}",
            unavailable=ErrorCode.BLOBS_UNAVAILABLE,
            refused=ErrorCode.BLOBS_REFUSED,
        )

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()


class BlobStore(_Container):
    """See ports.BlobStore."""

    def get(self, name: str) -> Blob | None:
        with translated(self._service):
            try:
                found = self._client.download_blob(name, **_timeouts())
                return Blob(content=bytes(found.readall()), version=str(found.properties.etag))
            except ResourceNotFoundError as error:
                if service_code(error) == "ContainerNotFound":
                    raise
                return None

    def put(self, name: str, content: bytes, *, version: str | None = ANY) -> str:
        condition: dict[str, Any] = {"overwrite": version is not None}
        if version is not None and version != ANY:
            condition |= {"etag": version, "match_condition": MatchConditions.IfNotModified}
        with translated(self._service):
            try:
                stored = self._client.get_blob_client(name).upload_blob(content, **condition, **_timeouts())
            except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError) as error:
                if service_code(error) == "ContainerNotFound":
                    raise
                raise TemporaryError(ErrorCode.LEDGER_CONFLICT, f"somebody else has just stored {name}") from error
        return str(stored["etag"])

    def delete(self, name: str) -> None:
        with translated(self._service):
            try:
                self._client.delete_blob(name, **_timeouts())
            except ResourceNotFoundError as error:
                if service_code(error) == "ContainerNotFound":
                    raise

    def names(self, prefix: str) -> Iterator[str]:
        pages = self._client.list_blob_names(name_starts_with=prefix, **_timeouts()).by_page()
        while True:
            with translated(self._service):
                page = next(pages, None)
                names = list(page) if page is not None else None
            if names is None:
                return
            yield from names

    def create(self) -> None:
        """Make the container unless it is there."""
        with translated(self._service):
            try:
                self._client.create_container(**_timeouts())
            except ResourceExistsError as error:
                if service_code(error) != "ContainerAlreadyExists":
                    raise


class BlobCache(_Container):
    """Cache: what one instance fetched, every instance has. It raises nothing, as a cache must not."""

    def get(self, key: str) -> tuple[bytes, datetime] | None:
        try:
            with translated(self._service):
                found = self._client.download_blob(_place(key), **_timeouts())
                return bytes(found.readall()), datetime.fromisoformat(found.properties.metadata[_AT])
        except (SyncError, KeyError, ValueError) as error:
            if not isinstance(error.__cause__, ResourceNotFoundError):
                logger.warning("the revocation cache cannot be read: %s", error)
            return None

    def put(self, key: str, value: bytes, at: datetime) -> None:
        try:
            with translated(self._service):
                self._client.upload_blob(
                    _place(key), value, overwrite=True, metadata={_AT: at.isoformat()}, **_timeouts()
                )
        except SyncError as error:
            logger.warning("the revocation cache cannot be written: %s", error)


def _place(key: str) -> str:
    """Keys are addresses, and longer than a blob's name may be."""
    return f"revocation/{hashlib.sha256(key.encode('utf-8')).hexdigest()}"


def _timeouts() -> dict[str, Any]:
    return {"connection_timeout": 10, "read_timeout": 30}
