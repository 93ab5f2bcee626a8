"""The storage account: queues, containers, and who we are to them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from sync import settings

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.storage.blob import ContainerClient

    from sync.adapters.blob_claims import BlobClaims
    from sync.adapters.blob_store import BlobCache, BlobStore
    from sync.adapters.storage_queue import StorageQueue


def storage_queue(config: settings.StorageSettings, name: str | None = None) -> StorageQueue:
    """The change queue, or another of the account, by connection string or identity."""
    from sync.adapters.storage_queue import StorageQueue

    name = name or config.queue
    if config.storage is not None:
        return StorageQueue.from_connection_string(config.storage.get_secret_value(), name)
    url, ca_file = str(config.storage__queueserviceuri), str(config.ca_file) if config.ca_file else None
    return StorageQueue.from_identity(url, storage_credential(config), name, ca_file=ca_file)


def storage_credential(config: settings.StorageSettings) -> TokenCredential:
    """Who we are to the storage account: a managed identity when it is named, else whatever this machine offers.

    Few retries: the queue delivers again anyway, and the identity's own would hold a message for 17 s.
    """
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

    if config.storage__credential == "managedidentity":
        return ManagedIdentityCredential(client_id=config.storage__clientid, retry_total=2)
    return DefaultAzureCredential(retry_total=2)


def claim_store(config: settings.StorageSettings) -> BlobClaims | None:
    """The container for large events, where one is set."""
    if config.claims_container is None:
        return None
    from sync.adapters.blob_claims import BlobClaims

    return BlobClaims(container(config, config.claims_container))


def blob_store(config: settings.StorageSettings, **options: Any) -> BlobStore:
    """The container of what instances share. `options` are the client's."""
    from sync.adapters.blob_store import BlobStore

    return BlobStore(container(config, config.work_container, **options))


def shared_cache(config: settings.CloudSettings) -> BlobCache:
    """The cache of revocation that every instance shares."""
    from sync.adapters.blob_store import BlobCache

    return BlobCache(container(config, config.work_container))


def container(config: settings.StorageSettings, name: str, **options: Any) -> ContainerClient:
    """A blob container of the account. `options` are the client's."""
    from azure.storage.blob import ContainerClient

    from sync.azure_transport import Transport

    transport = Transport(str(config.ca_file) if config.ca_file else None)
    options |= {"http_logging_level": logging.DEBUG, "transport": transport}
    if config.storage is not None:
        return ContainerClient.from_connection_string(config.storage.get_secret_value(), name, **options)
    return ContainerClient(str(config.storage__blobserviceuri), name, storage_credential(config), **options)
