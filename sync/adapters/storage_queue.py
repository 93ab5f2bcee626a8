"""The change queue on Azure Storage: base64 text, read one message at a time."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.storage.queue import LinearRetry, QueueClient
from azure.storage.queue import QueueMessage as StoredMessage

from sync.azure_errors import Service, service_code, translated
from sync.azure_transport import Transport
from sync.core.queue_text import from_text, to_text
from sync.errors import ErrorCode, PermanentError
from sync.ports import Message

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

MAX_BODY_BYTES: Final = 49_152
"""64 KiB is the service's limit for a message; base64 makes four bytes of three."""

_SERVICE: Final = Service(name="the queue", unavailable=ErrorCode.QUEUE_UNAVAILABLE, refused=ErrorCode.QUEUE_REFUSED)
_MAX_PAGE: Final = 32
_MAX_DELAY: Final = timedelta(days=7)


class StorageQueue:
    """EventQueue and MessageSource on one queue of a storage account.

    A send that is repeated after a lost answer puts the event there twice, which is harmless: an event is state.
    """

    def __init__(self, client: QueueClient) -> None:
        """Use a client that neither encodes nor decodes; `from_identity` and `from_connection_string` make one."""
        self._client = client
        self._service = replace(_SERVICE, name=f"the queue {client.queue_name} of {client.primary_hostname}")

    @classmethod
    def from_identity(
        cls, account_url: str, credential: TokenCredential, queue: str, *, ca_file: str | None = None
    ) -> StorageQueue:
        """Log in with an Entra token. `ca_file` (PEM) replaces the public authorities, behind an inspecting proxy.

        Raises PermanentError `settings-invalid`.
        """
        with translated(_SERVICE):
            return cls(QueueClient(account_url, queue, credential=credential, **_options(ca_file)))

    @classmethod
    def from_connection_string(cls, connection_string: str, queue: str, *, ca_file: str | None = None) -> StorageQueue:
        """Log in with the account's key or a shared access signature; `ca_file` as there.

        Raises PermanentError `settings-invalid`.
        """
        with translated(_SERVICE):
            return cls(QueueClient.from_connection_string(connection_string, queue, **_options(ca_file)))

    @property
    def name(self) -> str:
        """The queue's name."""
        return self._client.queue_name

    def create(self) -> None:
        """Make the queue unless it is there."""
        with translated(self._service):
            try:
                self._client.create_queue()
            except ResourceExistsError as error:
                # A queue that is just being deleted answers 409 as well, and must not pass for one that is there.
                if service_code(error) != "QueueAlreadyExists":
                    raise

    def send(self, body: str, *, delay: timedelta = timedelta(0)) -> None:
        """See ports.EventQueue. Raises PermanentError `event-too-large` over 48 KiB of UTF-8.

        A delay over the service's seven days is cut to them: an event that comes early is harmless.
        """
        if (size := len(body.encode("utf-8"))) > MAX_BODY_BYTES:
            raise PermanentError(
                ErrorCode.EVENT_TOO_LARGE, f"an event of {size} bytes; the queue takes {MAX_BODY_BYTES}"
            )
        with translated(self._service):
            self._client.send_message(
                to_text(body),
                visibility_timeout=_seconds(delay),
                # The default is seven days, after which a message would end silently.
                time_to_live=-1,
            )

    def receive(self, limit: int, hidden_for: timedelta) -> Sequence[Message]:
        """See ports.MessageSource. A body that is not base64 of UTF-8 comes as it lies on the queue."""
        size, taken = min(limit, _MAX_PAGE), list[Message]()
        with translated(self._service):
            pages = self._client.receive_messages(
                messages_per_page=size, max_messages=limit, visibility_timeout=max(1, _seconds(hidden_for))
            ).by_page()
            for page in pages:
                found = [_message(message) for message in page]
                taken += found
                # The client would ask once more whether nothing is left, at every receive.
                if len(found) < size:
                    break
        return taken

    def delete(self, message: Message) -> None:
        """See ports.MessageSource."""
        with translated(self._service):
            try:
                self._client.delete_message(message.id, message.receipt)
            except HttpResponseError as error:
                if not _not_ours(error):
                    raise

    def release(self, message: Message, delay: timedelta) -> None:
        """See ports.MessageSource."""
        with translated(self._service):
            try:
                self._client.update_message(message.id, message.receipt, visibility_timeout=_seconds(delay))
            except HttpResponseError as error:
                if not _not_ours(error):
                    raise

    def renew(self, message: Message, hidden_for: timedelta) -> Message:
        """See ports.MessageSource."""
        with translated(self._service):
            try:
                renewed = self._client.update_message(
                    message.id, message.receipt, visibility_timeout=max(1, _seconds(hidden_for))
                )
            except HttpResponseError as error:
                if not _not_ours(error):
                    raise
                return message
        return replace(message, receipt=renewed.pop_receipt or message.receipt)

    def count(self) -> int:
        """See ports.MessageSource."""
        with translated(self._service):
            return self._client.get_queue_properties().approximate_message_count or 0

    def oldest(self) -> datetime | None:
        """See ports.Backlog."""
        with translated(self._service):
            waiting = [message.inserted_on for message in self._client.peek_messages(max_messages=_MAX_PAGE)]
        return min((each for each in waiting if each is not None), default=None)

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()


def _options(ca_file: str | None) -> dict[str, Any]:
    return {
        # Two more tries within seconds; what lasts longer is for the queue's redelivery and the agent's own back-off.
        "retry_policy": LinearRetry(backoff=1, retry_total=2, random_jitter_range=1),
        "transport": Transport(ca_file),
        # The default writes two log entries with headers per request, at the level of our own outcomes.
        "http_logging_level": logging.DEBUG,
    }


def _seconds(delay: timedelta) -> int:
    return math.ceil(min(max(delay, timedelta(0)), _MAX_DELAY).total_seconds())


def _message(stored: StoredMessage) -> Message:
    # The client's own decoding raises for the whole page, and its other messages would stay hidden and untold.
    return Message(
        id=stored.id or "",
        body=from_text(str(stored.content or "")),
        dequeue_count=stored.dequeue_count or 1,
        receipt=stored.pop_receipt or "",
    )


def _not_ours(error: HttpResponseError) -> bool:
    """Whether the message is gone, or was delivered anew and belongs to somebody else by now."""
    return service_code(error) in {"MessageNotFound", "PopReceiptMismatch"}
