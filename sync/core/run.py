"""One run of the reconciliation, as it is kept between its pieces."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum


class Phase(StrEnum):
    """Where a run stands; the first eight are at work, in this order, each run in those of its kind."""

    DIRECTORY = "directory"
    """The directory is read, where the function reaches it."""
    READ = "read"
    """The recipients are read, page by page."""
    COMPARE = "compare"
    """Everybody in the ledger is held against recipients, agent's list, time, basis and revocation."""
    SIFT = "sift"
    """Whoever is in scope is looked for."""
    DUE = "due"
    """Whoever time has changed is looked for."""
    LISTS = "lists"
    """Whoever a revocation list names that is new is looked for, or waits for it."""
    EXAMINE = "examine"
    """Whoever is suspect is examined as the processor would, against the recipient as it is now."""
    SEND = "send"
    """The differing people's events go back on the queue, and the agent is asked for whoever was lost."""
    DONE = "done"
    GUARDED = "guarded"
    """It stopped at a limit and waits for an administrator."""
    FAILED = "failed"
    ABANDONED = "abandoned"
    """Nothing was heard of it any more, or its command was stopped."""

    @property
    def over(self) -> bool:
        """Whether nothing more comes of the run."""
        return self in _OVER


_OVER = frozenset({Phase.DONE, Phase.GUARDED, Phase.FAILED, Phase.ABANDONED})


class Kind(StrEnum):
    """What a run looks for."""

    FULL = "full"
    SCOPE = "scope"
    DUE = "due"

    @property
    def first(self) -> Phase:
        """The phase in which it begins."""
        return {Kind.FULL: Phase.READ, Kind.SCOPE: Phase.SIFT, Kind.DUE: Phase.DUE}[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a run has counted so far, in people.

    `directory` were read in the directory, and `recipients` in the tenant; `people` of the ledger were compared, of
    whom `holding` have certificates of ours; whoever's event `failed` or was `deferred` was not. `suspects` of them
    were to be examined, `examined` were; `differing` would change and `losing` of these would lose the last certificate
    that we published; `settled` turned out to be as they should, `unreadable` could not be examined. `unknown`,
    `different` and `gone` are what was lost (core.lost), `gone_holding` those of the last who have certificates of
    ours. `sent` went back on the queue, and the agent was `asked` for so many.
    """

    directory: int = 0
    recipients: int = 0
    people: int = 0
    holding: int = 0
    failed: int = 0
    deferred: int = 0
    suspects: int = 0
    examined: int = 0
    differing: int = 0
    losing: int = 0
    settled: int = 0
    unreadable: int = 0
    unknown: int = 0
    different: int = 0
    gone: int = 0
    gone_holding: int = 0
    sent: int = 0
    asked: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})

    @property
    def lost(self) -> int:
        """How many people the agent is to be asked for."""
        return self.unknown + self.different + self.gone


class Asks(StrEnum):
    """How the agent is asked for whoever was lost."""

    EACH = "each"
    EVERYBODY = "everybody"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`place` is the cursor within the phase, `blocks` how many blocks of what was found are kept. Whoever hears
    nothing of it by `alive_until` (UTC) may take it for dead; while `working`, a piece of it is being done.

    `approves` is the guarded run whose losses this one may do, `by` who let it over HTTP: an object id of Entra, or
    `key`. `restarts` is how often the recipients were read again
    from the beginning, `troubles` how many pieces failed in a row; `notes` say what could not be seen. `editions` are
    the revocation lists that everybody was held against (core.revoked), `listing` is the SHA-256 of the list of
    everybody that the run made itself (reconciling.listing).
    """

    id: str
    kind: Kind
    began: datetime
    apply: bool
    phase: Phase
    alive_until: datetime
    scope: str | None = None
    approves: str | None = None
    by: str | None = None
    place: str = ""
    blocks: int = 0
    pieces: int = 0
    working: bool = False
    restarts: int = 0
    troubles: int = 0
    counts: Counts = Counts()
    asks: Asks = Asks.EACH
    notes: tuple[str, ...] = ()
    editions: tuple[str, ...] = ()
    listing: str = ""
    ended: datetime | None = None

    def enters(self, phase: Phase) -> Run:
        """The run at the beginning of another phase."""
        return replace(self, phase=phase, place="")

    def counted(self, **more: int) -> Run:
        """The run with so many more counted."""
        return replace(self, counts=self.counts + Counts(**more))

    def noting(self, note: str) -> Run:
        """The run with a note, which is kept once."""
        return self if note in self.notes else replace(self, notes=(*self.notes, note))
