"""How ldap3 receives entries: its own decoder reads the bytes, without the work that nobody here looks at."""

from __future__ import annotations

from typing import Any, Final

import ldap3

RECORD: Final = 16 * 1024
"""Bytes read at once: as much as one TLS record holds (RFC 8446, 5.1), where ldap3 takes a quarter of it."""

_ENTRY: Final = 4  # searchResEntry, RFC 4511 4.5.2


def lean(connection: ldap3.Connection) -> None:
    """Have entries come as one dictionary of raw values.

    ldap3 makes three of each entry, one of them formatted by a schema that we do not load: more than half of the
    processor time of a full import.
    """
    strategy = connection.strategy
    whole = strategy.decode_response_fast

    def decode(message: dict[str, Any]) -> Any:
        return _entry(message["payload"]) if message["protocolOp"] == _ENTRY else whole(message)

    strategy.decode_response_fast = decode
    strategy.socket_size = RECORD


def _entry(payload: Any) -> dict[str, Any]:
    """ldap3's decoder leaves tuples whose fourth member is the content; an entry is its DN and its attributes."""
    attributes = payload[1][3]
    raw = {
        bytes(name[3]).decode("ascii"): [bytes(value[3]) for value in values[3] or ()]
        for name, values in (attribute[3] for attribute in attributes)
    }
    return {"type": "searchResEntry", "raw_attributes": raw}
