"""Makes the example files: `python -m examples.make`. A test holds them to be exactly what this makes.

The keys are the test keys of the certificate mill, known to everybody: trust nothing that they signed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from tests.mill import DAY, Authority, Issued, Mill
from tests.mill.extensions import CLIENT_AUTH, EFS, SMART_CARD_LOGON

FOLDER = Path(__file__).parent
SINCE = datetime(2026, 6, 1, tzinfo=UTC)
UNTIL = datetime(2046, 6, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """One person of the example company, before (`values`) and after (`later`) the second wave of changes."""

    name: str
    story: str
    values: tuple[bytes, ...] = ()
    smime_values: tuple[bytes, ...] = ()
    later: tuple[bytes, ...] | None = None
    deleted_later: bool = False
    enabled: bool = True
    synchronised: bool = False
    cloud_managed: bool = False
    foreign: tuple[bytes, ...] = ()
    mailboxes: int = 1

    @property
    def address(self) -> str:
        return address(self.name)


def address(name: str) -> str:
    return f"{name}@corp.example"


def characters(issuing: Authority, public: Authority, stranger: Authority) -> list[Character]:
    """Everybody, with values as AD CS and public CAs leave them."""

    def good(name: str, by: Authority = issuing, **options: object) -> Issued:
        return by.issue(address(name), **{"not_before": SINCE, "not_after": UNTIL, **options})  # type: ignore[arg-type]

    alice, bob, grace, renewed_mike = (good(name) for name in ("alice", "bob", "grace", "mike"))
    old_bob = good("bob", not_before=SINCE - 800 * DAY, not_after=SINCE - 70 * DAY)
    ivan_signs = good("ivan", ku=("digitalSignature",))
    ivan_receives = good("ivan", ku=("keyEncipherment",))
    old_mike = good("mike", not_before=SINCE - 400 * DAY, not_after=SINCE - 35 * DAY)
    sybil, old_sybil = good("sybil", key="ec384"), good("sybil", public, key="ec256", not_before=SINCE - 300 * DAY)
    efs_of_dave = issuing.issue(eku=(EFS,), upn=address("dave"), subject="dave", not_before=SINCE, not_after=UNTIL)
    logon_of_erin = issuing.issue(
        eku=(CLIENT_AUTH, SMART_CARD_LOGON), upn=address("erin"), subject="erin", not_before=SINCE, not_after=UNTIL
    )
    grace_history = tuple(
        good("grace", key="ec256", not_before=SINCE - (16 - n) * 30 * DAY, not_after=SINCE - (15 - n) * 30 * DAY).der
        for n in range(16)
    )
    return [
        Character(name="alice", story="one good certificate from the company's CA", values=(alice.der,)),
        Character(
            name="bob", story="expired; renewed in the second wave", values=(old_bob.der,), later=(old_bob.der, bob.der)
        ),
        Character(
            name="carol", story="elliptic curve, from a public CA", values=(good("carol", public, key="ec256").der,)
        ),
        Character(name="dave", story="auto-enrolment left an EFS certificate only", values=(efs_of_dave.der,)),
        Character(
            name="erin",
            story="smart-card logon only",
            values=(logon_of_erin.der,),
        ),
        Character(name="frank", story="the certificate is somebody else's", values=(good("mallory").der,)),
        Character(
            name="grace",
            story="17 values: sixteen years of renewals and the current one",
            values=(*grace_history, grace.der),
        ),
        Character(
            name="ivan",
            story="split keys, in a userSMIMECertificate as Outlook publishes it",
            smime_values=(ivan_signs.smime_blob(ivan_receives, certificates=[issuing]),),
        ),
        Character(
            name="judy",
            story="a script put a bare certificate into userSMIMECertificate",
            smime_values=(good("judy").der,),
        ),
        Character(
            name="mike",
            story="renewed, but Outlook's old userSMIMECertificate would shadow it",
            values=(renewed_mike.der,),
            smime_values=(old_mike.smime_blob(certificates=[issuing]),),
        ),
        Character(
            name="niaj",
            story="an issuer that nobody trusts; a good one follows in the second wave",
            values=(good("niaj", stranger, key="ec256").der,),
            later=(good("niaj").der,),
        ),
        Character(
            name="olivia",
            story="a malformed value beside a good one",
            values=(b"not a certificate", good("olivia", key="ec256").der),
        ),
        Character(
            name="peggy",
            story="leaves the company in the second wave",
            values=(good("peggy", key="ec256").der,),
            deleted_later=True,
        ),
        Character(
            name="rupert",
            story="directory-synchronised: Entra Connect owns the attribute",
            values=(good("rupert", key="ec256").der,),
            synchronised=True,
        ),
        Character(
            name="sybil",
            story="her mailbox holds a value that somebody else published",
            values=(sybil.der,),
            foreign=(old_sybil.der,),
        ),
        Character(
            name="trent",
            story="synchronised, but its Exchange attributes are cloud-managed",
            values=(good("trent", key="ec256").der,),
            synchronised=True,
            cloud_managed=True,
        ),
        Character(
            name="victor",
            story="his certificate is removed from the directory in the second wave",
            values=(good("victor", key="ec256").der,),
            later=(),
        ),
        Character(name="walter", story="signed with SHA-1 by an old CA", values=(good("walter", digest="sha1").der,)),
        Character(
            name="info",
            story="a shared mailbox: its account is disabled",
            values=(good("info", key="ec256").der,),
            enabled=False,
        ),
        Character(
            name="heidi",
            story="two mailboxes have her address, until somebody removes one",
            values=(good("heidi", key="ec256").der,),
            mailboxes=2,
        ),
        Character(
            name="oscar",
            story="has no mailbox yet",
            values=(good("oscar", key="ec256").der,),
            mailboxes=0,
        ),
    ]


def expiring(now: datetime) -> list[Character]:
    """Three people whose certificates end soon, seen from `now`: no file could hold them for long."""
    cas = authorities()

    def ending(name: str, days: int, by: Authority) -> Character:
        told = f"the certificate ends in {days} days: {by.certificate.subject.rfc4514_string().removeprefix('CN=')}"
        # No serial number of those that the files' certificates have.
        serial = 10_000 + days
        began, ends = now - 300 * DAY, now + days * DAY
        issued = by.issue(address(name), not_before=began, not_after=ends, key="ec256", serial=serial)
        return Character(name=name, story=told, values=(issued.der,))

    return [ending("ursula", 18, cas.issuing), ending("yusuf", 25, cas.public), ending("zoe", 80, cas.public)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorities:
    """The company's own CAs, public ones, and one that nobody trusts."""

    root: Authority
    issuing: Authority
    public_root: Authority
    public: Authority
    stranger: Authority


def authorities() -> Authorities:
    """The same each time."""
    mill, ends = Mill(now=SINCE), UNTIL + 365 * DAY
    root = mill.root("Corp Example Root CA", not_after=ends)
    public_root = mill.root("Public Example Root CA", key="ec384", not_after=ends)
    return Authorities(
        root=root,
        public_root=public_root,
        issuing=root.issue_ca("Corp Example Issuing CA", not_after=ends, path_length=0),
        public=public_root.issue_ca("Public Example S/MIME CA", key="ec256", not_after=ends, path_length=0),
        stranger=mill.root("Somebody Else Root CA", not_after=ends),
    )


def files() -> Mapping[str, str]:
    """Every example file by name."""
    cas = authorities()
    people = characters(cas.issuing, cas.public, cas.stranger)
    return {
        "anchors.pem": _titled([cas.root, cas.public_root]),
        "intermediates.pem": _titled([cas.issuing, cas.public]),
        "directory-1.ldif": HEAD + entries(people),
        "directory-2.ldif": HEAD + entries([_second_wave(person) for person in people if not person.deleted_later]),
        "recipients.json": json.dumps(recipients(people), indent=1) + "\n",
        "stories.json": json.dumps({person.name: person.story for person in people}, indent=1) + "\n",
    }


def _second_wave(person: Character) -> Character:
    return person if person.later is None else replace(person, values=person.later)


def _guid(name: str) -> bytes:
    return hashlib.sha256(name.encode("ascii")).digest()[:16]


HEAD = "# what ldapsearch prints of the example company\nversion: 1\n"


def entries(people: Iterable[Character]) -> str:
    """Write entries as `ldapsearch -o ldif-wrap=76` prints them (RFC 2849), each after an empty line."""
    blocks = []
    for person in people:
        lines = [
            f"dn: CN={person.name.title()},OU=People,DC=corp,DC=example",
            *(f"objectClass: {name}" for name in ("top", "person", "organizationalPerson", "user")),
            _binary("objectGUID", _guid(person.name)),
            f"userPrincipalName: {person.address}",
            f"mail: {person.address}",
            f"proxyAddresses: SMTP:{person.address}",
            f"userAccountControl: {512 if person.enabled else 514}",
            *(_binary("userCertificate;binary", value) for value in person.values),
            *(_binary("userSMIMECertificate;binary", value) for value in person.smime_values),
        ]
        blocks.append("\n".join(_fold(line) for line in lines) + "\n")
    return "".join(f"\n{block}" for block in blocks)


def _binary(name: str, value: bytes) -> str:
    return f"{name}:: {base64.b64encode(value).decode('ascii')}"


def _fold(line: str) -> str:
    first, rest = line[:76], line[76:]
    return "\n ".join([first, *textwrap.wrap(rest, 75)])


def recipients(people: Iterable[Character]) -> list[dict[str, object]]:
    """What a tenant holds before the product comes."""
    return [_recipient(person, number) for person in people for number in range(person.mailboxes)]


def _recipient(person: Character, number: int) -> dict[str, object]:
    return {
        "id": mailbox_id(person.name, number),
        "kind": "mailbox",
        "addresses": [person.address],
        "directorySynchronised": person.synchronised,
        "cloudManaged": person.cloud_managed,
        "userCertificate": [base64.b64encode(value).decode("ascii") for value in person.foreign],
    }


def mailbox_id(name: str, number: int = 0) -> str:
    """Of a person's mailbox, the first one or a further one."""
    told = f"mailbox of {name} {number}" if number else f"mailbox of {name}"
    digest = hashlib.sha256(told.encode("ascii")).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"


def _titled(authorities: Iterable[Authority]) -> str:
    return "".join(
        f"# {ca.certificate.subject.rfc4514_string()}: an example, trust it nowhere\n{ca.pem}" for ca in authorities
    )


def main() -> None:
    """Write the files."""
    for name, content in files().items():
        (FOLDER / name).write_text(content, encoding="ascii")
        print(f"{name}: {len(content)} bytes")


if __name__ == "__main__":
    main()
