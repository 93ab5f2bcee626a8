"""Who is in scope, and why Active Directory is asked for that in two steps.

DirSync shows an object only if its filter matches, and a tombstone has lost nearly every attribute: a filter by
department, memberOf or objectCategory would lose every deletion. So DirSync is asked by `tracked`, which every
tombstone matches; who is in scope is asked when the person is read again, and whoever is not comes as deleted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ldap3.utils.conv import escape_filter_chars

USERS: Final = "(&(objectClass=user)(!(objectClass=computer)))"
USERS_AND_CONTACTS: Final = "(&(|(objectClass=user)(objectClass=contact))(!(objectClass=computer)))"
MEMBER_OF: Final = "memberOf:1.2.840.113556.1.4.1941:"  # LDAP_MATCHING_RULE_IN_CHAIN, MS-ADTS 3.1.1.3.4.4.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """`base` is a part of the domain (None: all of it), `filter_` what people must match besides being people.

    Members of `excluded_groups` (DNs), nested ones too, are out of scope. Active Directory changes the group and not
    the member when somebody joins or leaves: it counts with the person's next change, and with the next full import.
    """

    base: str | None = None
    contacts: bool = False
    filter_: str | None = None
    excluded_groups: tuple[str, ...] = ()

    @property
    def tracked(self) -> str:
        """What DirSync is asked by: objectClass, which a tombstone keeps."""
        return USERS_AND_CONTACTS if self.contacts else USERS

    @property
    def people(self) -> str:
        """Who is in scope."""
        excluded = "".join(f"(!({MEMBER_OF}={escape_filter_chars(group)}))" for group in self.excluded_groups)
        return f"(&{self.tracked}{self.filter_ or ''}{excluded})" if self.filter_ or excluded else self.tracked
