"""Who a person was, for the day on which the directory no longer says so: as it is kept in the state file."""

from __future__ import annotations

import json

from sync.core.identity import SourceAnchor
from sync.core.person import Person


def identity_of(person: Person) -> str:
    """Write it down, without values."""
    consistency_guid = person.anchor.consistency_guid
    return json.dumps(
        {
            "object_guid": person.anchor.object_guid.hex(),
            "consistency_guid": consistency_guid.hex() if consistency_guid else None,
            "user_principal_name": person.user_principal_name,
            "mail": person.mail,
            "proxy_addresses": person.proxy_addresses,
        }
    )


def person_from(identity: str) -> Person:
    """Read what `identity_of` wrote."""
    known = json.loads(identity)
    consistency_guid = known["consistency_guid"]
    return Person(
        anchor=SourceAnchor(
            bytes.fromhex(known["object_guid"]), bytes.fromhex(consistency_guid) if consistency_guid else None
        ),
        user_principal_name=known["user_principal_name"],
        mail=known["mail"],
        proxy_addresses=tuple(known["proxy_addresses"]),
    )
