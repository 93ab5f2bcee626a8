"""The certificates that people get, and which of them belongs where at a moment: an opinion that asks no product code.

It knows how each value was made, so it needs to judge nothing: good from one moment to another, or never.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from sync.core.path import TrustStore
from sync.core.person import Attribute, Values
from tests.mill import DAY, NOW, Issued
from tests.office import Office

NAMES = ("alice", "bob", "carol", "dave", "erin")
"""Alice and Bob are in the cloud, Carol is synchronised and cloud-managed, Dave belongs to Entra Connect; Erin gets her
mailbox later."""

SKEW = timedelta(minutes=5)
"""rules.md B5: so much earlier a certificate may begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One attribute value. `leaf` names the certificate in it; `preferred` says that a signature vouches for it."""

    value: bytes
    leaf: str
    begins: datetime
    ends: datetime
    refused: bool = False
    preferred: bool = False

    def good(self, now: datetime) -> bool:
        """Whether it may be published at this moment."""
        return not self.refused and self.begins <= now + SKEW and now <= self.ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """What one person can have: by name, for each attribute; and what only others put into their mailbox."""

    certificates: Mapping[str, Made]
    blobs: Mapping[str, Made]
    strange: Values

    def __getitem__(self, attribute: Attribute) -> Mapping[str, Made]:
        return self.certificates if attribute is Attribute.USER_CERTIFICATE else self.blobs


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the directory says of somebody: names of values on their shelf. `born` counts the objects they had."""

    certificates: frozenset[str] = frozenset()
    blobs: frozenset[str] = frozenset()
    enabled: bool = True
    deleted: bool = False
    born: int = 0

    @property
    def withdrawn(self) -> bool:
        """A leaver, or a disabled account where that counts as one."""
        return self.deleted or not self.enabled


CERTIFICATES = ("current", "renewed", "future", "short", "expired", "no-mail", "stranger", "untrusted", "junk")
BLOBS = ("current", "short", "expired")


def selected(shelf: Shelf, state: State, now: datetime) -> Values:
    """What belongs into the person's recipient: one certificate, and the blob that is for it, or nothing."""
    if state.withdrawn:
        return Values()
    here = [shelf.certificates[name] for name in state.certificates] + [shelf.blobs[name] for name in state.blobs]
    good = [made for made in here if made.good(now)]
    if not good:
        return Values()
    best = max(good, key=lambda made: (made.preferred, made.begins)).leaf
    blobs = [shelf.blobs[name].value for name in state.blobs if name == best]
    return Values.of([shelf.certificates[best].value], blobs)


@cache
def trust() -> TrustStore:
    """The trust store of everybody's certificates."""
    return _office().trust


@cache
def shelves() -> Mapping[str, Shelf]:
    """Everybody's shelf, made once: the mill makes the same bytes every time."""
    office = _office()
    return {name: _shelf(office, name) for name in NAMES}


@cache
def _office() -> Office:
    return Office()


def _shelf(office: Office, name: str) -> Shelf:
    strangers = office.mill.root("Somebody Else's Root")
    address = f"{name}@corp.example"

    def issue(begins: int, ends: int, **options: object) -> Issued:
        dates = {"not_before": NOW + begins * DAY, "not_after": NOW + ends * DAY}
        return office.issuing.issue(address, key="ec256", **dates, **options)  # type: ignore[arg-type]

    spans = {
        "current": (-100, 10),
        "renewed": (-50, 400),
        "future": (3, 500),
        "short": (-20, 2),
        "expired": (-400, -1),
        "no-mail": (-9, 400),
    }
    issued = {kind: issue(*span) for kind, span in spans.items() if kind != "no-mail"}
    issued["no-mail"] = issue(*spans["no-mail"], eku=("1.3.6.1.5.5.7.3.2",))
    refused = {
        "stranger": office.issuing.issue("somebody.else@corp.example", key="ec256").der,
        "untrusted": strangers.issue(address, key="ec256").der,
        "junk": b"no certificate at all, of " + name.encode(),
    }
    certificates = {
        kind: Made(
            value=each.der,
            leaf=kind,
            begins=NOW + spans[kind][0] * DAY,
            ends=NOW + spans[kind][1] * DAY,
            refused=kind == "no-mail",
        )
        for kind, each in issued.items()
    }
    never = {kind: Made(value=v, leaf=kind, begins=NOW, ends=NOW, refused=True) for kind, v in refused.items()}
    blobs = {
        kind: Made(
            value=issued[kind].smime_blob(),
            leaf=kind,
            begins=certificates[kind].begins,
            ends=certificates[kind].ends,
            preferred=True,
        )
        for kind in BLOBS
    }
    theirs = [strangers.issue(address, key="ec256") for _ in range(2)]
    return Shelf(
        certificates=certificates | never,
        blobs=blobs,
        strange=Values.of((each.der for each in theirs), [theirs[0].smime_blob()]),
    )


def values(shelf: Shelf, certificates: Iterable[str], blobs: Iterable[str]) -> Values:
    """The values with these names."""
    return Values.of((shelf.certificates[name].value for name in certificates), (shelf.blobs[n].value for n in blobs))
