"""What ledger, history, pace and failures share: a table, and how any JSON lies in its entities.

Azure takes 64 KiB a property and 1 MiB an entity, so the JSON lies in as many binary properties as it needs; what is
larger than an entity lies in a blob that the entity names. A blob is never written twice: whoever stores an entity in
the place of another deletes the other's blob afterwards. A process killed in between leaves a blob that nobody names.
Source: "Understanding the Table service data model", Azure Storage REST reference.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.data.tables import TableClient, UpdateMode

from sync.azure_errors import Service, service_code, translated
from sync.azure_transport import Transport
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import BlobStore

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

MAX_BYTES: Final = 15 * 65_536
"""Of one entity, as JSON: fifteen full properties leave room in the entity's 1 MiB for names and keys."""

_SERVICE: Final = Service(name="the table", unavailable=ErrorCode.LEDGER_UNAVAILABLE, refused=ErrorCode.LEDGER_REFUSED)
_PROPERTY_BYTES: Final = 65_536
BLOB: Final = "blob"
"""The property that names the blob of what is larger than an entity."""


class Table:
    """What ledger and failures share: how one logs in to a table, makes it and walks it."""

    def __init__(self, client: TableClient, large: BlobStore | None = None) -> None:
        """Use a client; `from_identity` and `from_connection_string` make one with bounded retries.

        What is larger than an entity goes to `large`; without it such a thing is refused.
        """
        self._client = client
        self._large = large
        self._service = replace(_SERVICE, name=f"the table {client.table_name} of {client.account_name}")

    @classmethod
    def from_identity(
        cls,
        account_url: str,
        credential: TokenCredential,
        table: str,
        *,
        ca_file: str | None = None,
        large: BlobStore | None = None,
    ) -> Self:
        """Log in with an Entra token. `ca_file` (PEM) replaces the public authorities, behind an inspecting proxy.

        Raises PermanentError `settings-invalid`.
        """
        with translated(_SERVICE):
            return cls(TableClient(account_url, table, credential=credential, **_options(ca_file)), large)

    @classmethod
    def from_connection_string(cls, connection_string: str, table: str, *, large: BlobStore | None = None) -> Self:
        """Log in with the account's key or a shared access signature. Raises PermanentError `settings-invalid`."""
        with translated(_SERVICE):
            return cls(TableClient.from_connection_string(connection_string, table, **_options(None)), large)

    @property
    def name(self) -> str:
        """The table's name."""
        return self._client.table_name

    def create(self) -> bool:
        """Make the table unless it is there; return whether it was made."""
        with translated(self._service):
            try:
                self._client.create_table()
            except ResourceExistsError as error:
                # A table that is just being deleted answers 409 as well, and must not pass for one that is there.
                if service_code(error) != "TableAlreadyExists":
                    raise
                return False
        return True

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def _get(self, partition: str, row: str, select: list[str] | None = None) -> Mapping[str, Any] | None:
        with translated(self._service):
            try:
                return self._client.get_entity(partition, row, select=select)
            except ResourceNotFoundError as error:
                if service_code(error) == "TableNotFound":
                    raise
                return None

    def _walk(self, query: str, select: list[str] | None = None, **keys: object) -> Iterator[Mapping[str, Any]]:
        """Every entity that `query` finds (its parameters are `keys`), a page of the service at a time, in order."""
        pages = self._client.query_entities(query, parameters=keys, select=select).by_page()
        while True:
            with translated(self._service):
                page = next(pages, None)
                entities = list(page) if page is not None else None
            if entities is None:
                return
            yield from entities

    def _swap(self, entity: dict[str, Any], version: str | None) -> Mapping[str, Any]:
        if version is None:
            return self._client.create_entity(entity)
        # Replaced, not merged: a shorter record would keep the last properties of a longer one.
        return self._client.update_entity(
            entity, mode=UpdateMode.REPLACE, etag=version, match_condition=MatchConditions.IfNotModified
        )

    def _packed(self, partition: str, row: str, text: bytes, schema: int = 1) -> dict[str, Any]:
        """An entity that holds `text`, or the name of the blob in which it was laid for that.

        Raises PermanentError `event-too-large` over MAX_BYTES where there is no place for it.
        """
        entity: dict[str, Any] = {"PartitionKey": partition, "RowKey": row, "schema": schema}
        if len(text) <= MAX_BYTES:
            parts = [text[start : start + _PROPERTY_BYTES] for start in range(0, len(text), _PROPERTY_BYTES)]
            return entity | {f"record{number}": part for number, part in enumerate(parts)}
        if self._large is None:
            raise PermanentError(
                ErrorCode.EVENT_TOO_LARGE, f"{len(text)} bytes to keep of {row}; a table takes {MAX_BYTES}"
            )
        name = f"large/{self.name}/{partition}/{uuid.uuid4()}.json"
        self._large.put(name, text, version=None)
        return entity | {BLOB: name}

    def _unpacked(self, entity: Mapping[str, Any], schema: int = 1) -> bytes:
        """The text of an entity. Raises PermanentError `ledger-malformed` for another schema, TemporaryError
        `ledger-conflict` when its blob is gone."""
        insist(entity, schema)
        if (name := entity.get(BLOB)) is not None:
            blob = self._large.get(str(name)) if self._large else None
            if blob is None:
                raise TemporaryError(ErrorCode.LEDGER_CONFLICT, f"{name} was replaced while it was read")
            return blob.content
        parts: list[bytes] = []
        while isinstance(part := entity.get(f"record{len(parts)}"), bytes):
            parts.append(part)
        return b"".join(parts)

    def _drop(self, blob: str) -> None:
        """Delete a blob that no entity names any more, if it is one."""
        if blob and self._large is not None:
            self._large.delete(blob)


def _options(ca_file: str | None) -> dict[str, Any]:
    return {
        # Two more tries within seconds; what lasts longer is for the queue's redelivery.
        "retry_total": 2,
        "retry_backoff_factor": 0.5,
        "transport": Transport(ca_file),
        # The default writes two log entries with headers per request, at the level of our own outcomes.
        "http_logging_level": logging.DEBUG,
    }


def key(text: str) -> str:
    """Write any text in characters that keys can hold, one to one; of base64 only + and / look different.

    Keys hold no control character and none of / \\ # ?.
    """
    escaped = re.sub(r"[^A-Za-z0-9=+/]", lambda match: f".{ord(match[0]):x}.", text)
    return escaped.replace("+", "-").replace("/", "_")


def insist(entity: Mapping[str, Any], schema: int) -> None:
    """Raise PermanentError `ledger-malformed` unless the entity is of this schema."""
    if (found := entity.get("schema")) != schema:
        raise PermanentError(ErrorCode.LEDGER_MALFORMED, f"schema {found}, and this release knows {schema}")


def etag(entity: Mapping[str, Any]) -> str:
    """The service's mark of an entity that was read."""
    mark: str = getattr(entity, "metadata", {}).get("etag", "")
    return mark


@contextmanager
def reading(entity: Mapping[str, Any]) -> Iterator[None]:
    """Say in which of a million entities an error lies."""
    try:
        yield
    except PermanentError as error:
        where = f"entity {entity.get('PartitionKey')}, {entity.get('RowKey')}"
        raise PermanentError(error.code, f"{where}: {error.message}") from error
