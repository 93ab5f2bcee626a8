"""Why can nobody encrypt to this person? All that is known of one person, told at once: `smime-sync explain`.

1 Who it is, and what the directory showed last. 2 What the recipient holds now, and whose each value is. 3 What each
value of the directory is worth, judged now. 4 What a client takes. 5 What happened last, and what happens next.
Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from sync import envelope
from sync.core import clients
from sync.core.certificate import Certificate, MalformedCertificateError
from sync.core.event import Event
from sync.core.findings import EXPLANATIONS, Finding
from sync.core.person import Attribute, Values, fingerprint
from sync.core.recipient import Owner, Recipient
from sync.core.record import Failure, Judged, Record, Status
from sync.core.values import open_value
from sync.errors import HINTS, ErrorCode, SyncError
from sync.lookup import find_record
from sync.ports import Failures, Ledger
from sync.processor import Examined, Processor

ADDRESS_BOOK = "Outlook in cached mode reads the offline address book, which may be 8 to 24 hours old"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One value of the directory. `facts` are of the certificate in it, if that can be read."""

    judged: Judged
    facts: Certificate | None

    def to_json(self) -> dict[str, object]:
        """For machines; each finding with what it means and what to do."""
        return {
            "attribute": self.judged.attribute,
            "value": self.judged.fingerprint,
            "certificate": _facts(self.facts),
            "published": list(self.judged.published),
            "findings": [_finding(finding) for finding in self.judged.findings],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One value that the recipient holds now. `ours` says that we put it there."""

    attribute: Attribute
    fingerprint: str
    facts: Certificate | None
    ours: bool

    def to_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "attribute": self.attribute,
            "value": self.fingerprint,
            "certificate": _facts(self.facts),
            "ours": self.ours,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that is known of one person. `trouble` is why the recipient could not be examined now, if it could not."""

    record: Record
    event: Event | None
    recipient: Recipient | None
    held: tuple[Held, ...] = ()
    values: tuple[Told, ...] = ()
    findings: tuple[Finding, ...] = ()
    added: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    outlook: clients.Taken | None = None
    choices: tuple[clients.Choice, ...] = ()
    failures: tuple[Failure, ...] = ()
    trouble: SyncError | None = None
    next_change: datetime | None = None
    awaits_list: bool = False

    @property
    def answer(self) -> str:
        """The question's answer in one sentence."""
        if self.trouble is not None:
            return f"Cannot be told now: {self.trouble.message}."
        if self.recipient is None:
            return "Nobody can encrypt to them: no recipient in Office 365 answers to their addresses."
        if self.outlook is None or not self.outlook.certificates:
            return "Nobody can encrypt to them: the recipient holds no certificate that a client takes."
        best = self.outlook.certificates[0]
        warning = ""
        if self.outlook.shadowed:
            warning = " It stands before a better one in userCertificate, which is never looked at."
        return f"Outlook encrypts to {best.fingerprint[:16]}, valid until {best.not_after:%Y-%m-%d}.{warning}"

    @property
    def next_steps(self) -> tuple[str, ...]:
        """What happens next by itself, and what only a person can do."""
        return tuple(self._next())

    def _next(self) -> Iterator[str]:
        outcome = self.record.outcome
        if self.record.hold:
            yield f"An administrator restored the state {self.record.hold}; `smime-sync restore --lift` ends that."
        if self.failures:
            reason = self.failures[-1].reason
            yield f"{len(self.failures)} failed messages wait for `smime-sync replay` ({reason}): {_hint(reason)}"
        elif outcome and outcome.status is Status.DEFERRED and outcome.again_in is not None:
            yield f"The last event is tried again {outcome.again_in:.0f} s after {outcome.at:%Y-%m-%d %H:%M:%S} UTC."
        if self.recipient is not None and self.recipient.owner is Owner.ON_PREMISES:
            yield "Entra Connect owns the attribute: it carries the directory's values over, judged by nobody."
        elif self.added or self.withdrawn:
            yield (
                f"The next reconciliation adds {len(self.added)} and withdraws {len(self.withdrawn)} values; "
                "`smime-sync reconcile --scope USER --apply` does it now."
            )
        if self.next_change is not None:
            yield f"Time alone changes the judgement next at {self.next_change:%Y-%m-%d %H:%M} UTC."
        if self.awaits_list:
            yield "Revocation alone refuses a value: it is looked at again within the hour after its CA's next list."
        yield f"{ADDRESS_BOOK}; Outlook online, Outlook on the web and phones look it up."

    def to_json(self) -> dict[str, object]:
        """For `--json` and HTTP."""
        outcome, event, recipient = self.record.outcome, self.event, self.recipient
        return {
            "anchor": self.record.anchor,
            "answer": self.answer,
            "directory": event
            and {
                "seen": event.time.isoformat(),
                "watermark": str(event.watermark),
                "addresses": list(event.person.addresses),
                "enabled": event.person.enabled,
                "deleted": event.person.deleted,
                "values": [value.to_json() for value in self.values],
                "findings": [_finding(finding) for finding in self.findings],
            },
            "recipient": recipient
            and {
                "id": recipient.id,
                "kind": recipient.kind,
                "owner": recipient.owner,
                "addresses": list(recipient.addresses),
                "unverified": recipient.unverified,
                "values": [value.to_json() for value in self.held],
            },
            "outlook": self.outlook
            and {
                "attribute": self.outlook.attribute,
                "takes": [each.fingerprint for each in self.outlook.certificates],
                "shadowed": [each.fingerprint for each in self.outlook.shadowed],
            },
            "clients": [_choice(choice) for choice in self.choices],
            "last": outcome
            and {
                "status": outcome.status,
                "at": outcome.at.isoformat(),
                "cause": outcome.cause,
                "reason": outcome.reason,
                "detail": outcome.detail,
            },
            "trouble": self.trouble and {"code": self.trouble.code, "message": self.trouble.message},
            "next": list(self.next_steps),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Explainer:
    """Asks the processor's own question of one person."""

    ledger: Ledger
    failures: Failures
    processor: Processor
    now: Callable[[], datetime]
    opening: Callable[[str], Event] = envelope.parse

    def explain(self, who: str) -> Explanation:
        """Explain the person with this ImmutableId, address or UPN. Raises PermanentError `person-unknown`."""
        # 1. Who it is.
        record = find_record(self.ledger, who)
        event = self.opening(record.event) if record.event else None
        failures = tuple(self.failures.all(anchor=record.anchor))
        nothing = Explanation(record=record, event=event, recipient=None, failures=failures)
        if event is None:
            return nothing
        try:
            examined = self.processor.examine(event, record)
        except SyncError as error:
            return Explanation(record=record, event=event, recipient=None, failures=failures, trouble=error)
        if examined.recipient is None or examined.decision is None:
            return nothing
        return self._whole(event, examined, failures)

    def _whole(self, event: Event, examined: Examined, failures: tuple[Failure, ...]) -> Explanation:
        record, recipient, decision = examined.record, examined.recipient, examined.decision
        assert recipient is not None
        assert decision is not None
        by_mark = {fingerprint(value): value for each in Attribute for value in event.person.values[each]}
        return Explanation(
            record=record,
            event=event,
            recipient=recipient,
            # 2. What the recipient holds.
            held=tuple(_held(recipient.values, record)),
            # 3. What each value is worth.
            values=tuple(
                Told(
                    judged=judged if decision.ours_to_write else replace(judged, published=()),
                    facts=_read(judged.attribute, by_mark[judged.fingerprint]),
                )
                for judged in decision.judged
            ),
            findings=decision.findings,
            added=decision.plan.added.fingerprints if decision.ours_to_write else (),
            withdrawn=decision.plan.withdrawn.fingerprints if decision.ours_to_write else (),
            # 4. What a client takes.
            outlook=clients.outlook_takes(recipient.values, self.now()),
            choices=clients.choices(recipient.values, self.now()),
            # 5. What happened and happens.
            failures=failures,
            next_change=decision.next_change,
            awaits_list=bool(decision.awaits),
        )


def _held(values: Values, record: Record) -> Iterator[Held]:
    for attribute in Attribute:
        for value in values[attribute]:
            mark = fingerprint(value)
            ours = mark in record.managed[attribute]
            yield Held(attribute=attribute, fingerprint=mark, facts=_read(attribute, value), ours=ours)


def _read(attribute: Attribute, value: bytes) -> Certificate | None:
    leaf = open_value(attribute, value).leaf
    try:
        return Certificate.parse(leaf) if leaf is not None else None
    except MalformedCertificateError:
        return None


def _facts(certificate: Certificate | None) -> dict[str, object] | None:
    if certificate is None:
        return None
    return {
        "fingerprint": certificate.fingerprint,
        "issuer": certificate.issuer_text,
        "serial": f"{certificate.serial:x}",
        "key": certificate.public_key.name,
        "notBefore": certificate.not_before.isoformat(),
        "notAfter": certificate.not_after.isoformat(),
        "addresses": [*certificate.rfc822_names, *certificate.utf8_mailboxes],
    }


def _choice(choice: clients.Choice) -> dict[str, object]:
    return {
        "client": choice.client.key,
        "name": choice.client.name,
        "takes": [each.fingerprint for each in choice.candidates],
        "sure": choice.sure,
        "looks": choice.client.looks,
        "needs": choice.client.needs,
        "source": choice.client.source,
    }


def _finding(finding: Finding) -> dict[str, object]:
    explained = EXPLANATIONS[finding.code]
    return {
        "code": finding.code,
        "level": finding.level,
        "detail": finding.detail,
        "meaning": explained.meaning,
        "remedy": explained.remedy,
        "page": f"docs/findings.md#{finding.code}",
    }


def _hint(reason: str) -> str:
    return HINTS[ErrorCode(reason)] if reason in set(ErrorCode) else ""
