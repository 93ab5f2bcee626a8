"""The storage account: queues, containers, and who we are to them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sync import settings
from sync.errors import ErrorCode, PermanentError
from sync.wiring.machine import read_secret

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
    ca_file = str(config.ca_file) if config.ca_file else None
    if config.storage is not None:
        return StorageQueue.from_connection_string(config.storage.get_secret_value(), name, ca_file=ca_file)
    url = str(config.storage__queueserviceuri)
    return StorageQueue.from_identity(url, storage_credential(config), name, ca_file=ca_file)


def storage_credential(config: settings.StorageSettings) -> TokenCredential:
    """Who we are to the storage account: as the settings say, else whatever this machine offers.

    Few retries: the queue delivers again anyway, and the identity's own would hold a message for 17 s. Raises
    PermanentError `file-unreadable`.
    """
    from azure.identity import (
        CertificateCredential,
        ClientAssertionCredential,
        DefaultAzureCredential,
        ManagedIdentityCredential,
    )

    from sync.azure_transport import Transport

    if config.storage__credential == "managedidentity":
        return ManagedIdentityCredential(client_id=config.storage__clientid, retry_total=2)
    options: dict[str, Any] = {"retry_total": 2}
    if config.ca_file is not None:
        options["transport"] = Transport(str(config.ca_file))
    if config.storage__loginurl is not None:
        # Only Microsoft's worldwide host is asked whether it knows another one; ours is named by an administrator.
        options |= {"authority": config.storage__loginurl, "disable_instance_discovery": True}
    tenant, application = str(config.storage__tenantid), str(config.storage__clientid)
    if config.storage__credential == "certificate":
        path = config.storage__clientcertificate
        try:
            return CertificateCredential(tenant, application, str(path), **options)
        except (OSError, ValueError) as error:
            # The library's own words may quote the file; its type is enough.
            told = f"the application's certificate {path} cannot be used ({type(error).__name__})"
            raise PermanentError(ErrorCode.FILE_UNREADABLE, told) from error
    if config.storage__credential == "workloadidentity":
        # Its own class for this ends in an error of the file system, which nobody waits for there.
        return ClientAssertionCredential(tenant, application, lambda: _assertion(config), **options)
    return DefaultAzureCredential(retry_total=2)


def _assertion(config: settings.StorageSettings) -> str:
    """The platform's token, as it stands in its file now: it is renewed there."""
    return read_secret(Path(str(config.storage__assertionfile)))


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
