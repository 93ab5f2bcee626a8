"""What an administrator does in Active Directory, over LDAPS: people, their certificates, moves, leavers, rights."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import ldap3
from ldap3.protocol.microsoft import security_descriptor_control, show_deleted_control
from ldap3.utils.dn import escape_rdn

if TYPE_CHECKING:
    from tests.lab.samba import DomainController

NORMAL_ACCOUNT: Final = 0x200
ACCOUNT_DISABLED: Final = 0x2
WRITE_PROPERTY: Final = 0x20  # ADS_RIGHT_DS_WRITE_PROP: "WP"
LIST_AND_READ: Final = 0x4 | 0x10  # ADS_RIGHT_ACTRL_DS_LIST, ADS_RIGHT_DS_READ_PROP: "LCRP"
DESCRIPTOR: Final = "nTSecurityDescriptor"
OWNER_ONLY: Final = 0x1  # OWNER_SECURITY_INFORMATION
DACL_ONLY: Final = 0x4  # DACL_SECURITY_INFORMATION
SELF_RELATIVE: Final = 0x8000  # MS-DTYP 2.4.6, control bit SR


class RefusedError(Exception):
    """The controller did not do what the administrator asked; the message is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One person's object as it is now. `guid` never changes; `dn` does on a rename or move."""

    dn: str
    guid: bytes


class Administrator:
    """A bound connection with every right. Each method raises `RefusedError` when the controller says no."""

    def __init__(self, connection: ldap3.Connection, base: str) -> None:
        self._connection = connection
        self._base = base

    @classmethod
    @contextmanager
    def of(cls, controller: DomainController) -> Iterator[Administrator]:
        """Connect as the domain's built-in administrator until the block ends."""
        server = ldap3.Server(controller.address, port=636, use_ssl=True, get_info=ldap3.NONE, tls=_Tls(controller))
        connection = ldap3.Connection(
            server, controller.administrator, controller.password, auto_bind=True, check_names=False, receive_timeout=30
        )
        try:
            yield cls(connection, controller.base)
        finally:
            connection.unbind()

    def create_unit(self, name: str) -> str:
        """Create an organisational unit under the domain; return its DN."""
        dn = f"OU={escape_rdn(name)},{self._base}"
        self._connection.add(dn, "organizationalUnit")
        self._insist(f"create {dn}")
        return dn

    def create_person(self, name: str, *, unit: str, **attributes: object) -> Account:
        """Create an enabled user in `unit`. `attributes` are further LDAP attributes, values as str, bytes or lists."""
        dn = f"CN={escape_rdn(name)},{unit}"
        given: dict[str, object] = {
            "sAMAccountName": name,
            "userPrincipalName": f"{name}@corp.example",
            "userAccountControl": str(NORMAL_ACCOUNT | 0x20),  # PASSWD_NOTREQD: nobody logs on as them
            **attributes,
        }
        self._connection.add(dn, "user", given)
        self._insist(f"create {dn}")
        return Account(dn=dn, guid=self._read(dn, "objectGUID"))

    def create_contact(self, name: str, unit: str, **attributes: object) -> Account:
        """Create a contact: an address without an account."""
        dn = f"CN={escape_rdn(name)},{unit}"
        self._connection.add(dn, "contact", attributes)
        self._insist(f"create {dn}")
        return Account(dn=dn, guid=self._read(dn, "objectGUID"))

    def create_group(self, name: str, unit: str, *members: str) -> Account:
        """Create a global security group with these DNs as its members."""
        dn = f"CN={escape_rdn(name)},{unit}"
        self._connection.add(dn, "group", {"sAMAccountName": name, "member": list(members)})
        self._insist(f"create {dn}")
        return Account(dn=dn, guid=self._read(dn, "objectGUID"))

    def replace(self, account: Account, attributes: Mapping[str, Iterable[bytes | str]]) -> None:
        """Replace all values of each attribute named; an empty list removes it. One modify, so one change."""
        changes = {name: [(ldap3.MODIFY_REPLACE, list(values))] for name, values in attributes.items()}
        self._connection.modify(account.dn, changes)
        self._insist(f"modify {account.dn}")

    def add_value(self, account: Account, attribute: str, value: bytes | str) -> None:
        """Add one value to what is there."""
        self._connection.modify(account.dn, {attribute: [(ldap3.MODIFY_ADD, [value])]})
        self._insist(f"modify {account.dn}")

    def remove_value(self, account: Account, attribute: str, value: bytes | str) -> None:
        """Remove one value and leave the others."""
        self._connection.modify(account.dn, {attribute: [(ldap3.MODIFY_DELETE, [value])]})
        self._insist(f"modify {account.dn}")

    def rename(self, account: Account, name: str) -> Account:
        """Give the object another common name."""
        self._connection.modify_dn(account.dn, f"CN={escape_rdn(name)}")
        self._insist(f"rename {account.dn}")
        return Account(dn=f"CN={escape_rdn(name)},{account.dn.split(',', 1)[1]}", guid=account.guid)

    def move(self, account: Account, unit: str) -> Account:
        """Move the object under another unit."""
        own = account.dn.split(",", 1)[0]
        self._connection.modify_dn(account.dn, own, new_superior=unit)
        self._insist(f"move {account.dn}")
        return Account(dn=f"{own},{unit}", guid=account.guid)

    def disable(self, account: Account) -> None:
        """Disable the account, as for a leaver or a shared mailbox."""
        self.replace(account, {"userAccountControl": [str(NORMAL_ACCOUNT | ACCOUNT_DISABLED)]})

    def delete(self, account: Account) -> None:
        """Delete the object; its tombstone stays."""
        self._connection.delete(account.dn)
        self._insist(f"delete {account.dn}")

    def create_agent(self, name: str, password: str, *, unit: str, sees_deleted: bool = True) -> str:
        """Create the agent's least-privilege account and return its UPN: an ordinary user that may list and read
        CN=Deleted Objects (unless `sees_deleted` is False), and nothing else."""
        account = self.create_person(name, unit=unit)
        self._connection.modify(
            account.dn,
            {
                "unicodePwd": [(ldap3.MODIFY_REPLACE, [f'"{password}"'.encode("utf-16-le")])],
                "userAccountControl": [(ldap3.MODIFY_REPLACE, [str(NORMAL_ACCOUNT)])],
            },
        )
        self._insist(f"set the password of {account.dn}")
        if sees_deleted:
            self._allow_on_deleted_objects(self._read(account.dn, "objectSid"), LIST_AND_READ)
        return f"{name}@corp.example"

    def allow_writing(self, user: str, account: Account, attribute: str) -> None:
        """What `dsacls <account> /G <user>:WP;<attribute>` does: this attribute of this object, and nothing else."""
        (sid,) = self.values(self._base, f"(userPrincipalName={user})", "objectSid").values()
        schema = f"CN=Schema,CN=Configuration,{self._base}"
        (guid,) = self.values(schema, f"(lDAPDisplayName={attribute})", "schemaIDGUID").values()
        self._grant(account.dn, sid, WRITE_PROPERTY, guid)

    def _grant(self, dn: str, sid: bytes, rights: int, attribute: bytes = b"") -> None:
        controls = _descriptor_controls(DACL_ONLY)
        self._connection.search(dn, "(objectClass=*)", ldap3.BASE, attributes=[DESCRIPTOR], controls=controls)
        self._insist(f"read the rights of {dn}")
        descriptor = self._connection.response[0]["raw_attributes"][DESCRIPTOR][0]
        self._describe(dn, with_ace(descriptor, sid, rights, attribute), part=DACL_ONLY)

    def _allow_on_deleted_objects(self, sid: bytes, rights: int) -> None:
        """What `dsacls "CN=Deleted Objects,..." /takeownership` and then `/G account:LCRP` do."""
        dn = f"CN=Deleted Objects,{self._base}"
        administrators = self._read(f"CN=Administrators,CN=Builtin,{self._base}", "objectSid")
        owner = struct.pack("<BBHIIII", 1, 0, SELF_RELATIVE, 20, 0, 0, 0) + administrators
        self._describe(dn, owner, part=OWNER_ONLY)
        self._grant(dn, sid, rights)

    def _describe(self, dn: str, descriptor: bytes, *, part: int) -> None:
        change = {DESCRIPTOR: [(ldap3.MODIFY_REPLACE, [descriptor])]}
        self._connection.modify(dn, change, controls=_descriptor_controls(part))
        self._insist(f"set owner or rights of {dn}")

    def values(self, base: str, filter_: str, attribute: str) -> dict[str, bytes]:
        """The first value of one attribute of whatever matches under `base`, by DN."""
        self._connection.search(base, filter_, attributes=[attribute])
        self._insist(f"search {base}")
        found = [entry for entry in self._connection.response if entry["type"] == "searchResEntry"]
        return {entry["dn"]: entry["raw_attributes"][attribute][0] for entry in found}

    def _read(self, dn: str, attribute: str) -> bytes:
        self._connection.search(dn, "(objectClass=*)", ldap3.BASE, attributes=[attribute])
        self._insist(f"read {dn}")
        value: bytes = self._connection.response[0]["raw_attributes"][attribute][0]
        return value

    def _insist(self, attempt: str) -> None:
        if (result := self._connection.result)["result"] != 0:
            raise RefusedError(f"{attempt}: {result['description']}: {result['message']}")


class _Tls(ldap3.Tls):  # type: ignore[misc]
    """Verified by OpenSSL: ldap3's own comparison of names is deprecated on Python 3.11 and gone on 3.12."""

    def __init__(self, controller: DomainController) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = ssl.create_default_context(cafile=controller.ca_file)
        self._name = controller.fqdn

    def wrap_socket(self, connection: ldap3.Connection, do_handshake: bool = False) -> None:
        connection.socket = self._context.wrap_socket(connection.socket, server_hostname=self._name)


def _descriptor_controls(part: int) -> list[object]:
    return [*security_descriptor_control(True, sdflags=part), show_deleted_control(True)]


def with_ace(descriptor: bytes, sid: bytes, rights: int, attribute: bytes = b"") -> bytes:
    """Append an ACCESS_ALLOWED_ACE for `sid` to a self-relative security descriptor (MS-DTYP 2.4.4.2, 2.4.5, 2.4.6); or
    an ACCESS_ALLOWED_OBJECT_ACE (2.4.4.3) for one `attribute`, by its schemaIDGUID.

    Only the DACL is kept: what is written back with DACL_SECURITY_INFORMATION.
    """
    revision, padding, control, _owner, _group, _sacl, offset = struct.unpack_from("<BBHIIII", descriptor)
    acl_revision, acl_padding, size, count, more = struct.unpack_from("<BBHHH", descriptor, offset)
    whom = (struct.pack("<I", 1) + attribute if attribute else b"") + sid
    ace = struct.pack("<BBHI", 5 if attribute else 0, 0, 8 + len(whom), rights) + whom
    entries = descriptor[offset + 8 : offset + size] + ace
    acl = struct.pack("<BBHHH", acl_revision, acl_padding, 8 + len(entries), count + 1, more) + entries
    return struct.pack("<BBHIIII", revision, padding, control, 0, 0, 0, 20) + acl
