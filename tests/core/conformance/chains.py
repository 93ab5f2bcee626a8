"""Chains made at random, good and faulty, the same ones for the same seed: what two engines are asked about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

from tests.mill import DAY, NOW, Authority, Extension, Mill, der, extensions
from tests.mill.keys import KeyKind

ALICE = "alice@corp.example"
_CA_KEYS: tuple[KeyKind, ...] = ("ec256", "ec256", "ec384", "ec521", "rsa2048", "rsa3072", "ed25519", "ed448")
_LEAF_KEYS: tuple[KeyKind, ...] = ("ec256", "ec384", "rsa2048", "x25519")
_REQUIRE_POLICY = Extension("2.5.29.36", der.sequence(der.implicit(0, b"\x00")), critical=True)
_MAIL, _OTHER_MAIL = extensions.rfc822_name("corp.example"), extensions.rfc822_name("other.example")
_PERSON, _OTHER_PERSON = (extensions.directory_name(der.common_name(name)) for name in ("alice", "bob"))


def _constraints(**names: Any) -> dict[str, Any]:
    return {"extra": [extensions.name_constraints(**names)]}


# What may be special about a CA or a leaf, good things and faults alike; each is the arguments to the mill.
OF_A_CA: dict[str, dict[str, Any]] = {
    "no-ca": {"ca": False},
    "no-basic-constraints": {"ca": None},
    "no-key-usage": {"ku": None},
    "crl-only": {"ku": ("cRLSign",)},
    "path-length-0": {"path_length": 0},
    "path-length-1": {"path_length": 1},
    "expired": {"not_after": NOW - DAY},
    "not-yet-valid": {"not_before": NOW + DAY},
    "last-second": {"not_after": NOW},
    "broken-signature": {"broken_signature": True},
    "sha1": {"digest": "sha1"},
    "sha512": {"digest": "sha512"},
    "pss": {"digest": "sha256-pss"},
    "weak-key": {"key": "rsa1024"},
    "server-purpose": {"eku": (extensions.SERVER_AUTH,)},
    "mail-purpose": {"eku": (extensions.EMAIL_PROTECTION, extensions.CLIENT_AUTH)},
    "unknown-critical": {"extra": [Extension("1.2.3.4", der.null(), critical=True)]},
    "unknown": {"extra": [Extension("1.2.3.4", der.null())]},
    "permits-mail": _constraints(permitted=[_MAIL]),
    "permits-other-mail": _constraints(permitted=[_OTHER_MAIL]),
    "permits-both": _constraints(permitted=[_MAIL, _OTHER_MAIL]),
    "permits-address": _constraints(permitted=[extensions.rfc822_name(ALICE)]),
    "excludes-mail": _constraints(excluded=[_MAIL]),
    "excludes-other-mail": _constraints(excluded=[_OTHER_MAIL]),
    "permits-person": _constraints(permitted=[_PERSON]),
    "permits-other-person": _constraints(permitted=[_OTHER_PERSON]),
    "excludes-person": _constraints(excluded=[_PERSON]),
    "not-critical-constraint": _constraints(permitted=[_OTHER_MAIL], critical=False),
    "policy": {"extra": [extensions.certificate_policies("1.2.3.4")]},
    "requires-policy": {"extra": [_REQUIRE_POLICY]},
    "no-authority-identifier": {"authority_key_identifier": False},
    "no-subject-identifier": {"without": (extensions.SUBJECT_KEY_IDENTIFIER,)},
}
OF_A_LEAF: dict[str, dict[str, Any]] = {
    "expired": {"not_after": NOW - timedelta(seconds=1)},
    "last-second": {"not_after": NOW},
    "not-yet-valid": {"not_before": NOW + DAY},
    "broken-signature": {"broken_signature": True},
    "sha1": {"digest": "sha1"},
    "sha384": {"digest": "sha384"},
    "pss": {"digest": "sha256-pss"},
    "unknown-critical": {"extra": [Extension("1.2.3.4", der.null(), critical=True)]},
    "unknown": {"extra": [Extension("1.2.3.4", der.null())]},
    "other-address": {"addresses": ("alice@other.example",)},
    "two-addresses": {"addresses": (ALICE, "alice@other.example")},
    "subject-email": {"addresses": (), "subject_email": ALICE},
    "foreign-subject-email": {"addresses": (), "subject_email": "alice@other.example"},
    "subdomain": {"addresses": ("alice@sub.corp.example",)},
    "capitals": {"addresses": ("alice@CORP.example",)},
    "international-address": {"addresses": (), "utf8_addresses": ["ålice@corp.example"]},
    "foreign-international-address": {"addresses": (), "utf8_addresses": ["ålice@other.example"]},
    "upn": {"upn": ALICE},
    "dns-name": {"other_names": [extensions.dns_name("corp.example")]},
    "policy": {"extra": [extensions.certificate_policies("1.2.3.4")]},
    "no-authority-identifier": {"authority_key_identifier": False},
    "other-subject": {"subject": "bob"},
    "ca": {"ca": False},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A leaf, the CAs between it and the root in any order, the root, and what is special, from the top: for reading
    when engines disagree."""

    number: int
    leaf: bytes
    between: tuple[bytes, ...]
    root: bytes
    special: tuple[str, ...]


def chains(count: int, seed: int) -> Iterator[Chain]:
    """Make them; about a third have nothing special, the others up to three things."""
    random = Random(seed)
    for number in range(count):
        yield _chain(number, random)


def _chain(number: int, random: Random) -> Chain:
    mill, special, cas = Mill(), [], []
    root = authority = mill.root("Root", key=random.choice(_CA_KEYS))
    depth = random.choice((0, 1, 1, 1, 2, 2, 3))
    places = [random.randrange(depth + 1) for _ in range(random.choice((0, 0, 1, 1, 1, 2, 3)))]
    for place in range(depth):
        options: dict[str, Any] = {"key": random.choice(_CA_KEYS)}
        for _ in range(places.count(place)):
            what = random.choice(sorted(OF_A_CA))
            special.append(f"CA {place} {what}")
            _merge(options, _signed(OF_A_CA[what], authority))
        authority = authority.issue_ca(f"CA {place}", **options)
        cas.append(authority.der)
        if random.random() < 0.15:
            # Another CA of the name: it leads nowhere, and must lead nobody astray.
            cas.append(Mill().root("Elsewhere", key="ec384").issue_ca(f"CA {place}", key="ec521").der)
    leaf: dict[str, Any] = {"addresses": (ALICE,), "subject": "alice", "key": random.choice(_LEAF_KEYS)}
    for _ in range(places.count(depth)):
        what = random.choice(sorted(OF_A_LEAF))
        special.append(f"leaf {what}")
        _merge(leaf, _signed(OF_A_LEAF[what], authority))
    if random.random() < 0.05:
        special.append("another root")
        root = mill.root("Root", key="rsa2048")
    issued = authority.issue(*leaf.pop("addresses"), **leaf)
    random.shuffle(cas)
    return Chain(number=number, leaf=issued.der, between=tuple(cas), root=root.der, special=tuple(special))


def _signed(options: dict[str, Any], issuer: Authority) -> dict[str, Any]:
    """Leave out a digest that the issuer's key cannot use: EdDSA hashes for itself, and only RSA has PSS."""
    digest, key = options.get("digest", ""), type(issuer.key).__name__
    impossible = (digest and key.startswith("Ed")) or (digest.endswith("-pss") and not key.startswith("RSA"))
    return {} if impossible else options


def _merge(options: dict[str, Any], more: dict[str, Any]) -> None:
    """Of two extensions of one kind the first stays: twice the same is another fault."""
    for name, value in more.items():
        if name != "extra":
            options[name] = value
            continue
        held = list(options.get("extra", ()))
        options["extra"] = held + [each for each in value if each.oid not in {other.oid for other in held}]
