"""How a message lies on the change queue: base64 of UTF-8, so that any text survives the queue's XML."""

from __future__ import annotations

import base64
import binascii


def to_text(body: str) -> str:
    """The text that is put on the queue."""
    return base64.b64encode(body.encode("utf-8")).decode("ascii")


def from_text(text: str) -> str:
    """What was sent. A text that nobody of ours sent comes as it lies there: whoever reads it refuses and keeps it.

    Decoded by us and not by the Functions host: the host moves what it cannot decode to the poison queue, whose
    trigger cannot decode it either, and there it would come again and again and end silently after seven days
    (QueueServiceClientProvider.cs and QueueProcessor.cs of Azure/azure-sdk-for-net).
    """
    try:
        return base64.b64decode(text, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return text
