"""Where revocation is asked for: sources configured per CA, fetched and kept until they are due.

The file is TOML, a table for each CA, which is named by the subject of its certificate or by its SHA-256:

    [[source]]
    issuer = "CN=Example Issuing CA,O=Example"
    crl = ["http://pki.corp.example/issuing.crl"]
    delta = ["http://pki.corp.example/issuing+.crl"]
    ocsp = "http://ocsp.corp.example/"

Nothing that a certificate names is ever asked: whoever can write the attribute could choose it.
"""

from __future__ import annotations

import logging
import threading
import tomllib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from sync.core import ocsp
from sync.core.certificate import Certificate, MalformedCertificateError
from sync.core.context import Context
from sync.core.path import TrustStore
from sync.core.person import Attribute, Person
from sync.core.policy import Revocation
from sync.core.revocation import Knowledge
from sync.core.revocation_list import MalformedListError, RevocationList
from sync.core.revoked import Revoked
from sync.core.values import open_value
from sync.errors import ErrorCode, PermanentError, SyncError
from sync.ports import Cache, Fetcher

logger = logging.getLogger("smime_sync.revocation")

RETRY = timedelta(minutes=5)
"""How long a source that failed, or gave an old list, is left alone."""
_MAX_ANSWERS = 10_000  # OCSP answers kept in memory, about 2 KB each

_Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+(/\S*)?$")]


class Source(BaseModel):
    """Where to ask about what one CA issued."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str = Field(min_length=1)
    crl: tuple[_Url, ...] = ()
    delta: tuple[_Url, ...] = ()
    ocsp: _Url | None = None

    @model_validator(mode="after")
    def _some(self) -> Source:
        if not self.crl and self.ocsp is None:
            raise ValueError("names neither crl nor ocsp")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    source: tuple[Source, ...] = Field(min_length=1)


def read_sources(text: str) -> tuple[Source, ...]:
    """Read the file's text. Raises PermanentError `settings-invalid` that names every problem."""
    try:
        return _File.model_validate(tomllib.loads(text)).source
    except tomllib.TOMLDecodeError as error:
        raise PermanentError(ErrorCode.SETTINGS_INVALID, f"the revocation sources are not TOML: {error}") from error
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        told = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg'].removeprefix('Value error, ')}" for p in problems)
        raise PermanentError(ErrorCode.SETTINGS_INVALID, f"the revocation sources: {told}") from error


@dataclass(kw_only=True)
class _Held:
    """One thing fetched: when it is due again, and why the last try failed."""

    due: datetime
    lists: RevocationList | None = None
    answer: bytes | None = None
    trouble: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class RevocationSources:
    """Gathers what is known of revocation for a person's certificates. Safe between threads: each address is fetched
    once, while others wait for it."""

    def __init__(
        self,
        sources: Iterable[Source],
        *,
        trust: TrustStore,
        fetcher: Fetcher,
        cache: Cache,
        now: Callable[[], datetime],
        refresh: timedelta = timedelta(hours=12),
    ) -> None:
        """A list is fetched again at its next update, and after `refresh`. Raises PermanentError `settings-invalid`."""
        self._fetcher, self._cache, self._now, self._refresh = fetcher, cache, now, refresh
        self._authorities = [each.certificate for each in (*trust.anchors, *trust.intermediates)]
        self._sources = list(sources)
        self._of = [(source, authority) for source in self._sources for authority in self._named(source)]
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._lock = threading.Lock()

    def consult(self, context: Context, person: Person) -> Context:
        """The context with all that is known now. Raises nothing: a source that fails is a reason for doubt."""
        if context.policy.revocation is Revocation.OFF:
            return context
        lists: dict[str, RevocationList] = {}
        troubles: dict[bytes, tuple[str, ...]] = {}
        for source, authority in self._of:
            for url in (*source.crl, *source.delta):
                held = self._list(url)
                if held.lists is not None:
                    lists[url] = held.lists
                if held.trouble:
                    troubles[authority.subject] = (*troubles.get(authority.subject, ()), held.trouble)
        answers = {}
        for certificate, issuer, url in self._questions(context, person):
            held = self._answer(url, certificate, issuer)
            if held.answer is not None:
                answers[certificate.fingerprint] = held.answer
            elif held.trouble:
                troubles[issuer.subject] = (*troubles.get(issuer.subject, ()), held.trouble)
        responders = (authority.subject for source, authority in self._of if source.ocsp is not None)
        return replace(context, revocation=Knowledge.of(lists.values(), answers, troubles, responders))

    def revoked(self) -> Revoked:
        """What the lists at hand name, for the reconciliation. Raises nothing."""
        held = [self._list(url) for source in self._sources for url in (*source.crl, *source.delta)]
        return Revoked.of((each.lists for each in held if each.lists is not None), self._authorities)

    def _named(self, source: Source) -> list[Certificate]:
        mark = source.issuer.replace(":", "").lower()
        found = [each for each in self._authorities if mark == each.fingerprint or source.issuer == each.subject_text]
        if not found:
            detail = f"the revocation sources name {source.issuer!r}, of which there is no trust anchor or intermediate"
            raise PermanentError(ErrorCode.SETTINGS_INVALID, detail)
        return found

    def _questions(self, context: Context, person: Person) -> Iterator[tuple[Certificate, Certificate, str]]:
        """The certificates whose CA has a responder: the person's, and the CAs that may stand on their paths."""
        by_name = {authority.subject: (authority, s.ocsp) for s, authority in self._of if s.ocsp is not None}
        if not by_name:
            return
        for certificate in (*self._authorities, *_leaves(context, person)):
            issuer, url = by_name.get(certificate.issuer, (None, None))
            if issuer is not None and url is not None and certificate.issuer != certificate.subject:
                yield certificate, issuer, url

    def _list(self, url: str) -> _Held:
        held = self._place(url)
        with held.lock:
            now = self._now()
            if now < held.due:
                return held
            if held.lists is None and (kept := self._cache.get(url)) is not None:
                self._take_list(held, *kept)
                if now < held.due:
                    return held
            try:
                fetched = self._fetcher.fetch(url)
                self._take_list(held, fetched, now)
                if held.trouble is None:
                    self._cache.put(url, fetched, now)
            except SyncError as error:
                held.trouble = error.message
            if held.trouble is not None:
                logger.warning("revocation list unavailable: %s", held.trouble)
            _tell_what_is_due(url, held.lists, now)
            if held.trouble is not None or held.due <= now:
                held.due = now + RETRY
            return held

    def _take_list(self, held: _Held, encoded: bytes, at: datetime) -> None:
        try:
            parsed = RevocationList.parse(_der(encoded))
        except MalformedListError as error:
            held.trouble = f"what was fetched is no revocation list: {error}"
            return
        # An older list than the one at hand is a replay or a lagging mirror: the newer one stays.
        if held.lists is None or parsed.this_update >= held.lists.this_update:
            held.lists = parsed
        held.trouble = None
        held.due = min(held.lists.next_update or at + self._refresh, at + self._refresh)

    def _answer(self, url: str, certificate: Certificate, issuer: Certificate) -> _Held:
        key = f"{url}#{certificate.fingerprint}"
        held = self._place(key)
        with held.lock:
            now = self._now()
            if now < held.due:
                return held
            kept = self._cache.get(key) if held.answer is None else None
            if kept is not None and now < self._due(*kept):
                held.answer, held.due = kept[0], self._due(*kept)
                return held
            try:
                fetched = self._fetcher.fetch(url, question=ocsp.question(certificate, issuer))
                held.answer, held.trouble, held.due = fetched, None, max(self._due(fetched, now), now + RETRY)
                self._cache.put(key, fetched, now)
            except SyncError as error:
                held.trouble, held.due = error.message, now + RETRY
                logger.warning("OCSP responder unavailable: %s", held.trouble)
            return held

    def _due(self, response: bytes, at: datetime) -> datetime:
        return min(ocsp.lasts_until(response, at) or at, at + self._refresh)

    def _place(self, key: str) -> _Held:
        with self._lock:
            held = self._held.get(key)
            if held is None:
                held = self._held[key] = _Held(due=datetime.min.replace(tzinfo=self._now().tzinfo))
            self._held.move_to_end(key)
            # Lists are asked for each time, so they are never the oldest.
            while len(self._held) > _MAX_ANSWERS:
                self._held.popitem(last=False)
            return held


def _tell_what_is_due(url: str, held: RevocationList | None, now: datetime) -> None:
    """An alert asks for this line: a list that cannot be had matters once there is no good one at hand."""
    if held is None:
        logger.warning("revocation list due url=%s detail=there is none", url)
    elif held.next_update is not None and held.next_update < now:
        logger.warning("revocation list due url=%s detail=stale since %s", url, held.next_update.isoformat())


def _leaves(context: Context, person: Person) -> Iterator[Certificate]:
    for attribute in Attribute:
        for value in person.values[attribute]:
            leaf = open_value(attribute, value, context.policy).leaf
            try:
                if leaf is not None:
                    yield Certificate.parse(leaf)
            except MalformedCertificateError:
                continue


def _der(encoded: bytes) -> bytes:
    """Some CAs publish PEM, against RFC 2585."""
    from asn1crypto import pem  # noqa: PLC0415 - only where it is needed

    if not encoded.startswith(b"-----BEGIN"):
        return encoded
    try:
        der: bytes = pem.unarmor(encoded)[2]
    except ValueError:
        return b""
    return der
