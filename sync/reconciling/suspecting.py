"""Phases `compare`, `sift`, `due` and `lists`: who is to be examined, and whom the agent is to be asked for.

Nobody's record is read where the digest says enough. The blocks hold one partition each (core.digest), so that whoever
does a partition twice writes the same block twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sync.core.digest import PARTITIONS, Digest, bounds
from sync.core.lost import Lost, beside
from sync.core.mirror import Mirror
from sync.core.revoked import Revoked
from sync.core.run import Phase, Run
from sync.core.scope import covering
from sync.core.suspicion import WAITING, Look, Reason
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import Ledger
from sync.reconciling.censuses import Censuses
from sync.reconciling.listing import own_list
from sync.reconciling.reading import MIRROR
from sync.reconciling.runs import Runs

SUSPECTS, LOST = "suspects/", "lost/"
_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspecting:
    """`basis` is what is judged on now; `revoked` fetches what the lists name."""

    ledger: Ledger
    runs: Runs
    now: Callable[[], datetime]
    basis: Callable[[], str]
    revoked: Callable[[], Revoked]
    censuses: Censuses

    def compare(self, run: Run, enough: Callable[[], bool]) -> Run:
        """Compare one partition after the other until `enough`. Raises what Ledger and BlobStore raise."""
        revoked, renewed, run = self._lists(run)
        look = Look(
            now=self.now(), basis=self.basis(), mirror=self._mirror(run), revoked=revoked.names, renewed=renewed
        )
        opened = self.censuses.open(own_list(self.runs, run))
        for note in opened.notes:
            run = run.noting(note)

        def partition(run: Run, number: int) -> Run:
            suspects: list[dict[str, object]] = []
            lost: list[dict[str, object]] = []
            counts = dict.fromkeys(("people", "holding", "failed", "deferred", "gone_holding", *Lost), 0)
            listed = opened.partition(number)
            for note in listed.notes:
                run = run.noting(note)
            for digest, told, missing in beside(self._digests(number), listed.told, listed.lists):
                holding = digest is not None and digest.holding
                if digest is not None:
                    waits = digest.status in WAITING
                    counts[str(digest.status) if waits else "people"] += 1
                    counts["holding"] += holding and not waits
                    # Whoever is asked for comes with an event of their own.
                    if missing is None and (reasons := look.reasons(digest)):
                        suspects.append({"anchor": digest.anchor, "reasons": reasons})
                if missing is not None and (who := digest or told) is not None:
                    counts[missing] += 1
                    counts["gone_holding"] += missing is Lost.GONE and holding
                    lost.append({"anchor": who.anchor, "lost": missing, "source": who.source, "holding": holding})
            self._keep(run, f"{number:02x}", suspects, lost)
            return run.counted(suspects=len(suspects), **counts)

        return self._partitions(run, enough, partition)

    def sift(self, run: Run, enough: Callable[[], bool]) -> Run:
        """Look for whoever is in the run's scope. Raises what Ledger raises."""
        covers = covering(run.scope or "")

        def partition(run: Run, number: int) -> Run:
            suspects: list[dict[str, object]] = []
            holding = 0
            for digest in self._digests(number):
                if digest.status in WAITING:
                    continue
                record = self.ledger.get(digest.anchor)
                if record is not None and covers(record):
                    suspects.append({"anchor": digest.anchor, "reasons": [Reason.SCOPE]})
                    holding += digest.holding
            self._keep(run, f"{number:02x}", suspects)
            return run.counted(people=len(suspects), holding=holding, suspects=len(suspects))

        return self._partitions(run, enough, partition)

    def due(self, run: Run, enough: Callable[[], bool]) -> Run:
        """Look for whoever time has changed since they were judged. Raises what Ledger raises."""
        while True:
            anchors = self.ledger.due(run.began, _PAGE, run.place or None)
            if anchors:
                suspects: list[dict[str, object]] = [{"anchor": each, "reasons": [Reason.TIME]} for each in anchors]
                self._keep(run, f"{run.blocks:06}", suspects)
                run = replace(run.counted(suspects=len(anchors)), blocks=run.blocks + 1, place=anchors[-1])
            if len(anchors) < _PAGE:
                return replace(run, blocks=0).enters(Phase.LISTS)
            if enough():
                return run

    def lists(self, run: Run, enough: Callable[[], bool]) -> Run:
        """Look for whoever a revocation list names, where one is at hand that no run before has seen.

        Raises what Ledger and BlobStore raise.
        """
        revoked, renewed, run = self._lists(run)
        if not renewed:
            return run.enters(Phase.EXAMINE)
        look = Look(now=run.began, basis="", mirror=None, revoked=revoked.names, renewed=renewed)

        def partition(run: Run, number: int) -> Run:
            named = [each for each in self._digests(number) if look.by_lists(each)]
            # Whoever is due was found before.
            anchors = [each.anchor for each in named if each.next_change is None or each.next_change > run.began]
            suspects: list[dict[str, object]] = [{"anchor": each, "reasons": [Reason.REVOCATION]} for each in anchors]
            self._keep(run, f"lists-{number:02x}", suspects)
            return run.counted(suspects=len(suspects))

        return self._partitions(run, enough, partition)

    def _lists(self, run: Run) -> tuple[Revoked, frozenset[str], Run]:
        """What the lists name, whose lists are new since a run held everybody against them, and the run, which
        remembers those of all its pieces: one that only some of them saw is new to the next run."""
        revoked = self.revoked()
        run = _shared(run, revoked) if run.place else replace(run, editions=revoked.editions)
        return revoked, revoked.renewed(self.runs.seen(to_apply=run.apply)), run

    def examinable(self, run: Run) -> Run:
        """The run before whoever is suspect is examined here: instances fetch lists each for itself, and one whose
        lists are older than those by which somebody was suspected finds nothing."""
        return _shared(run, self.revoked()) if run.editions else run

    def _partitions(self, run: Run, enough: Callable[[], bool], partition: Callable[[Run, int], Run]) -> Run:
        first = int(run.place or "0", 16)
        for number in range(first, PARTITIONS):
            try:
                run = partition(run, number)
            except TemporaryError:
                if number == first:
                    raise
                return run  # what is done stays done
            run = replace(run, place=f"{number + 1:02x}")
            if enough() and number + 1 < PARTITIONS:
                return run
        return run.enters(Phase.EXAMINE)

    def _digests(self, partition: int) -> Iterator[Digest]:
        return self.ledger.digests(*bounds(partition))

    def _mirror(self, run: Run) -> Mirror | None:
        content = self.runs.block(run.id, MIRROR)
        try:
            return None if content is None else Mirror.load(content)
        except ValueError as error:
            raise PermanentError(ErrorCode.LEDGER_MALFORMED, f"the recipients that were read: {error}") from error

    def _keep(
        self, run: Run, block: str, suspects: list[dict[str, object]], lost: Sequence[dict[str, object]] = ()
    ) -> None:
        for name, lines in ((SUSPECTS, suspects), (LOST, lost)):
            if lines:
                self.runs.keep_lines(run, f"{name}{block}", lines)


def _shared(run: Run, revoked: Revoked) -> Run:
    """The run with those of its editions that are at hand here too."""
    return replace(run, editions=tuple(each for each in run.editions if each in revoked.editions))
