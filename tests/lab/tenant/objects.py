"""The tenant's recipients, found as Exchange finds them: by many names, and not always by one only."""

from __future__ import annotations

import fnmatch
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from sync.core.person import Attribute, Values

MAILBOXES = frozenset({"UserMailbox", "SharedMailbox", "RoomMailbox", "EquipmentMailbox"})
MAIL_USERS = frozenset({"MailUser", "GuestMailUser"})
MAIL_CONTACTS = frozenset({"MailContact"})
GROUPS = frozenset({"MailUniversalDistributionGroup", "GroupMailbox"})


@dataclass(slots=True, kw_only=True)
class Entry:
    """One recipient. `details` is its RecipientTypeDetails, `addresses` its SMTP addresses, the primary one first."""

    id: str
    details: str
    addresses: list[str]
    name: str
    user_principal_name: str | None
    directory_synchronised: bool = False
    cloud_managed: bool = False
    outside_scope: bool = False
    certificates: dict[Attribute, list[bytes]] = field(default_factory=lambda: {each: [] for each in Attribute})
    writes: int = 0
    hidden: int = 0
    stale: int = 0
    before: dict[Attribute, list[bytes]] = field(default_factory=dict)

    def shown(self) -> dict[Attribute, list[bytes]]:
        """What a read shows: after a write, for `stale` reads, still what was there before."""
        if self.stale > 0:
            self.stale -= 1
            return self.before
        return self.certificates

    @property
    def values(self) -> Values:
        """What it holds."""
        return Values.of(*(self.certificates[attribute] for attribute in Attribute))

    @property
    def identities(self) -> Iterator[str]:
        """Everything that -Identity matches: more than a caller who thinks of addresses expects."""
        yield from (self.id, self.name, *self.addresses)
        if self.user_principal_name:
            yield self.user_principal_name


class Objects:
    """All recipients, indexed: a hundred thousand of them cost no search."""

    def __init__(self) -> None:
        self._by_id: dict[str, Entry] = {}
        self._by_identity: dict[str, list[str]] = defaultdict(list)

    def add(self, entry: Entry) -> Entry:
        """Keep `entry`. Two may share a name, as in a real tenant."""
        self._by_id[entry.id] = entry
        for identity in {each.casefold() for each in entry.identities}:
            self._by_identity[identity].append(entry.id)
        return entry

    def remove(self, entry: Entry) -> None:
        """It was deleted in the tenant."""
        del self._by_id[entry.id]
        for identity in {each.casefold() for each in entry.identities}:
            self._by_identity[identity].remove(entry.id)

    def resolve(self, identity: str, kinds: frozenset[str] | None) -> list[Entry]:
        """Whoever `identity` matches, of these RecipientTypeDetails (None for any); an asterisk is a wildcard.

        A new one is hidden from its first lookups."""
        if "*" in identity:
            pattern = identity.casefold()
            ids = [i for key, found in self._by_identity.items() if fnmatch.fnmatchcase(key, pattern) for i in found]
        else:
            ids = self._by_identity.get(identity.casefold(), [])
        entries = [self._by_id[each] for each in dict.fromkeys(ids)]
        for entry in entries:
            entry.hidden -= 1
        return [each for each in entries if each.hidden < 0 and (kinds is None or each.details in kinds)]

    def all(self, kinds: frozenset[str] | None) -> list[Entry]:
        """Every one of these RecipientTypeDetails."""
        return [each for each in self._by_id.values() if kinds is None or each.details in kinds]

    def __len__(self) -> int:
        return len(self._by_id)


def new_id() -> str:
    """An object id as Entra makes them."""
    return str(uuid.uuid4())
