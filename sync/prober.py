"""Finds out, on one test mailbox of a real tenant, what no document says: `smime-sync probe`.

1. Look: who owns the mailbox, and which answer format shows its values as bytes. Without `apply` it ends here.
2. Keep what is there in a file, before anything is written.
3. Write expired throwaway certificates in each encoding; which of them is accepted and reads back as it was sent?
4. Clear in each way. 5. Write sixteen values. 6. Write a SignedData into userSMIMECertificate.
7. Restore what was there, whatever happened in between, and see that it is.
8. Only when asked: read until the tenant throttles (throttle_trial.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TypeVar

from sync.core.person import Attribute, Values, fingerprint
from sync.core.recipient import Recipient
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from sync.probe_report import Kept, Observation, Probed, Tenant, Wire
from sync.throttle_trial import ThrottleTrial

USER, SMIME = Attribute.USER_CERTIFICATE, Attribute.USER_SMIME_CERTIFICATE
MANY = 16
"""One more than Entra Connect carries."""
_TRIES = 8
_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(minutes=2)
_ABOUT_THE_VALUE = {ErrorCode.TENANT_VALUE, ErrorCode.TENANT_PARAMETER, ErrorCode.TENANT_ANSWER}
T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Prober:
    """Use one for one probe. `connect` gives the tenant over one wire; `throwaways` are at least sixteen certificates
    and `blob` a SignedData that nobody can use; `shielded` keeps signals away while it restores. `clock` counts
    seconds, `refusals` are the headers of each 429 that speak of limits."""

    connect: Callable[[Wire], Tenant]
    read_formats: Sequence[str]
    encodings: Sequence[str]
    clearings: Sequence[str]
    throwaways: Sequence[bytes]
    blob: bytes
    kept: Kept
    pause: Callable[[timedelta], None]
    shielded: Callable[[], AbstractContextManager[object]]
    clock: Callable[[], float]
    refusals: Callable[[], Sequence[Mapping[str, str]]]
    told: Callable[[str], None] = lambda _: None
    _found: list[Observation] = field(default_factory=list)
    _waits: list[str] = field(default_factory=list)
    _touched: bool = False
    _bound: list[str] = field(default_factory=list)
    _cleared: list[str] = field(default_factory=list)
    _exact: list[str] = field(default_factory=list)
    _shown: list[str] = field(default_factory=list)

    def probe(self, address: str, *, apply: bool, throttle: int = 0) -> Probed:
        """With `throttle`, read up to so many times until the tenant throttles; nothing is written for that.

        Raises `no-recipient`, `recipient-kind`, `probe-unreadable`, `probe-not-restored`, and what reading meets.
        """
        # 1. Look.
        recipient = self._look(address)
        if not apply:
            self._throttle(recipient, throttle)
            return self._report(restored=None)
        if recipient is None:
            raise PermanentError(ErrorCode.PROBE_UNREADABLE, "no answer format shows the bytes that this mailbox holds")
        # 2. Keep what is there; what an interrupted probe kept is older and the truth.
        kept = self.kept.load(recipient.id)
        before = recipient.values if kept is None else kept
        self.kept.save(recipient.id, before)
        try:
            # 3. to 6.
            with self._until_a_refusal_for_all():
                self._try_encodings(recipient, before)
                if self._bound:
                    self._try_clearings(recipient)
                    self._try_many(recipient)
                    self._try_blob(recipient)
        finally:
            # 7. Restore.
            with self.shielded():
                self._restore(recipient, before)
        # 8. Throttle.
        self._throttle(recipient, throttle)
        return self._report(restored=True)

    def _throttle(self, recipient: Recipient | None, most: int) -> None:
        if recipient is None or not most:
            return
        trial = ThrottleTrial(
            tenant=self._over((self._exact or self._shown)[0]),
            recipient=recipient,
            most=most,
            clock=self.clock,
            pause=self.pause,
            refusals=self.refusals,
            told=self.told,
        )
        self._found += trial.observations()

    def _look(self, address: str) -> Recipient | None:
        """The mailbox with its values; None when no format shows them as bytes."""
        self.told("looking")
        seen: list[Recipient] = []
        for each in self.read_formats:
            try:
                tenant = self._over(each)
                found = self._patiently(partial(tenant.find, pinned=None, addresses=[address]))
            except PermanentError as error:
                if error.code is not ErrorCode.READ_BACK_UNREADABLE:
                    raise
                self._note(f"existing values as {each}", "not as bytes")
                continue
            if found is None:
                raise PermanentError(ErrorCode.NO_RECIPIENT, "nobody answers to the address of the test mailbox")
            seen.append(found)
            self._shown.append(each)
            self._note(f"existing values as {each}", f"{len(found.values)} read")
        if not seen:
            self._note("existing values", "in no format as bytes", good=False)
            return None
        recipient = max(seen, key=lambda each: len(each.values))
        self._note("kind", recipient.kind)
        self._note("owner of the attributes", recipient.owner)
        return recipient

    def _try_encodings(self, recipient: Recipient, before: Values) -> None:
        for value, encoding in zip(self.throwaways, self.encodings, strict=False):
            self.told(f"writing as {encoding}")
            question = f"write as {encoding}"
            values = (*before[USER], value)
            if (refused := self._write(recipient, {USER: values}, encoding)) is not None:
                self._note(question, f"refused ({refused.code})")
                continue
            read = self._read_back(recipient, USER, values)
            exact = [name for name, answer in read.items() if answer == "exact"]
            shown = ", ".join(f"{name} {answer}" for name, answer in read.items())
            self._note(question, f"accepted; reads back: {shown}")
            if exact or set(read.values()) == {"unreadable"}:
                # What reads back exactly comes first; what nobody can read may still be right.
                self._bound.insert(0 if exact and not self._exact else len(self._bound), encoding)
            self._exact += [name for name in exact if name not in self._exact]
        self._note("a way to write", self._bound[0] if self._bound else "none binds", good=bool(self._bound))
        self._note(
            "a way to read", self._exact[0] if self._exact else "no format returns the bytes", good=bool(self._exact)
        )

    def _try_clearings(self, recipient: Recipient) -> None:
        for value, clearing in zip(self.throwaways, self.clearings, strict=False):
            self.told(f"clearing with {clearing}")
            refused = self._write(recipient, {USER: (value,)}) or self._write(recipient, {USER: ()}, clearing=clearing)
            if refused is not None:
                self._note(f"clear with {clearing}", f"refused ({refused.code})")
                continue
            works = self._holds(recipient, USER, ())
            self._note(f"clear with {clearing}", "accepted and empty" if works else "accepted, and not empty")
            if works:
                self._cleared.append(clearing)
        self._note("a way to clear", self._cleared[0] if self._cleared else "none works", good=bool(self._cleared))

    def _try_many(self, recipient: Recipient) -> None:
        self.told(f"writing {MANY} values")
        values = tuple(self.throwaways[:MANY])
        refused = self._write(recipient, {USER: values})
        held = refused is None and self._holds(recipient, USER, values)
        answer = f"refused ({refused.code})" if refused else "accepted" if held else "accepted, and not all are there"
        self._note(f"{MANY} values", answer)

    def _try_blob(self, recipient: Recipient) -> None:
        self.told("writing userSMIMECertificate")
        refused = self._write(recipient, {SMIME: (self.blob,)})
        held = refused is None and self._holds(recipient, SMIME, (self.blob,))
        answer = f"refused ({refused.code})" if refused else "accepted" if held else "accepted, and not there"
        self._note("a SignedData in userSMIMECertificate", answer, good=held)

    def _restore(self, recipient: Recipient, before: Values) -> None:
        """Write what was there, in each way that may work, until it is there again."""
        self.told("restoring")
        changes = {attribute: before[attribute] for attribute in Attribute}
        ways = [
            (e, c) for e in self._first(self._bound, self.encodings) for c in self._first(self._cleared, self.clearings)
        ]
        interrupted = self._touched or any(not self._holds(recipient, a, before[a]) for a in Attribute)
        for encoding, clearing in ways if interrupted else ():
            try:
                if self._write(recipient, changes, encoding, clearing) is None and all(
                    self._holds(recipient, attribute, before[attribute]) for attribute in Attribute
                ):
                    break
            except SyncError as error:
                self.told(f"restoring: {error.code}")
                if error.code is ErrorCode.ON_PREMISES_MASTERED:
                    # What refuses this write refused the others too.
                    break
        if not all(self._holds(recipient, attribute, before[attribute]) for attribute in Attribute):
            names = ", ".join(fingerprint(v)[:16] for a in Attribute for v in before[a]) or "nothing"
            raise PermanentError(ErrorCode.PROBE_NOT_RESTORED, f"the mailbox held {names} and does not now")
        self.kept.forget(recipient.id)

    def _write(
        self,
        recipient: Recipient,
        changes: Mapping[Attribute, tuple[bytes, ...]],
        encoding: str | None = None,
        clearing: str | None = None,
    ) -> SyncError | None:
        """Write, in the best known way unless another is named; a refusal that is about the value is an answer."""
        wire = Wire(
            read_format=self.read_formats[0],
            write_encoding=encoding or self._bound[0],
            write_clearing=clearing or self._first(self._cleared, self.clearings)[0],
        )
        self._touched = True
        try:
            self._patiently(lambda: self.connect(wire).write(recipient, changes))
        except PermanentError as error:
            if error.code not in _ABOUT_THE_VALUE:
                raise
            return error
        return None

    def _holds(self, recipient: Recipient, attribute: Attribute, values: tuple[bytes, ...]) -> bool:
        """Whether a format shows exactly these; where no format shows bytes, that nothing else can be said."""
        answers = set(self._read_back(recipient, attribute, values).values())
        return "exact" in answers or answers == {"unreadable"}

    def _read_back(self, recipient: Recipient, attribute: Attribute, values: tuple[bytes, ...]) -> Mapping[str, str]:
        """What each format shows of `values`, looked at again for a while: a replica may lag behind a write."""
        answers: dict[str, str] = {}
        for attempt in range(_TRIES):
            answers = {each: self._shows(recipient, each, attribute, values) for each in self.read_formats}
            if "differs" not in answers.values():
                break
            if attempt + 1 < _TRIES:
                self.pause(_PAUSE)
        return answers

    def _shows(self, recipient: Recipient, read_format: str, attribute: Attribute, values: tuple[bytes, ...]) -> str:
        try:
            held = self._patiently(lambda: self._over(read_format).read(recipient))
        except PermanentError as error:
            if error.code is not ErrorCode.READ_BACK_UNREADABLE:
                raise
            return "unreadable"
        return "exact" if set(held[attribute]) == set(values) else "differs"

    def _over(self, read_format: str) -> Tenant:
        return self.connect(
            Wire(read_format=read_format, write_encoding=self.encodings[0], write_clearing=self.clearings[0])
        )

    def _patiently(self, act: Callable[[], T]) -> T:
        """Wait as the tenant asks, and note what it asked: what a 429 carries is one of the questions."""
        for attempt in range(_TRIES):
            try:
                return act()
            except TemporaryError as error:
                if error.code is ErrorCode.NO_RECIPIENT or attempt + 1 == _TRIES:
                    raise
                if error.code is ErrorCode.TENANT_THROTTLED:
                    named = error.retry_after
                    self._waits.append(
                        "no Retry-After" if named is None else f"Retry-After {named.total_seconds():g} s"
                    )
                self.pause(min(error.retry_after or _PAUSE, _LONGEST_PAUSE))
        raise AssertionError

    @contextmanager
    def _until_a_refusal_for_all(self) -> Iterator[None]:
        """A refusal that is not about the value ends the writing: the same would be said to every other one."""
        try:
            yield
        except PermanentError as error:
            self._note("does this mailbox accept writes", f"no ({error.code}): {error.hint}", good=False)

    @staticmethod
    def _first(found: Sequence[str], others: Sequence[str]) -> list[str]:
        return list(dict.fromkeys((*found, *others)))

    def _note(self, question: str, answer: str, *, good: bool | None = None) -> None:
        self._found.append(Observation(question=question, answer=answer, good=good))

    def _report(self, *, restored: bool | None) -> Probed:
        self._note("throttled", ", ".join(sorted(set(self._waits))) or "not met")
        settings = {}
        if self._bound and self._cleared:
            settings = {
                "SMIME_SYNC_READ_FORMAT": self._exact[0] if self._exact else "counts",
                "SMIME_SYNC_WRITE_ENCODING": self._bound[0],
                "SMIME_SYNC_WRITE_CLEARING": self._cleared[0],
            }
        return Probed(observations=tuple(self._found), settings=settings, restored=restored)
