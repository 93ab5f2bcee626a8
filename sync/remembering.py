"""A tenant that shows how many values a recipient holds, and not their bytes: our memory of the last write stands in.

Whoever cannot see what is there could wipe out what somebody else published. So a recipient is written only when it is
known to hold nothing, or just as many values as after our last write; any other count ends in `read-back-unreadable`.
What is taken from memory is marked `unverified`: an exchange of one value for another by somebody else goes unseen.

1 Remember what is there and what is to be there. 2 Write. 3 Remember that it is there. Killed in between, the recipient
holds one or the other: all of it is known, what was there before is taken for the truth, and the same is written again.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sync.core.person import Attribute, Values
from sync.core.recipient import Recipient
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.ports import BlobStore, Recipients


@dataclass(frozen=True, slots=True)
class RememberedRecipients:
    """Recipients whose values are hidden (`Recipient.hidden`), as we remember them."""

    tenant: Recipients
    memory: BlobStore

    def find(self, *, pinned: str | None, addresses: Sequence[str]) -> Recipient | None:
        """See ports.Recipients. Raises PermanentError `read-back-unreadable` when memory cannot stand in."""
        found = self.tenant.find(pinned=pinned, addresses=addresses)
        return None if found is None else self._known(found)

    def write(self, recipient: Recipient, changes: Mapping[Attribute, tuple[bytes, ...]]) -> None:
        """See ports.Recipients."""
        before = recipient.values
        after = Values.of(*(changes.get(each, before[each]) for each in Attribute))
        # 1
        self._remember(recipient.id, before, after)
        # 2
        self.tenant.write(recipient, changes)
        # 3
        self._remember(recipient.id, after)

    def read(self, recipient: Recipient) -> Values:
        """See ports.Recipients: what we remember, if there are as many. Raises TemporaryError `read-back-differs`."""
        found = self.tenant.find(pinned=recipient.id, addresses=())
        remembered, *_ = self._recall(recipient.id) or (Values(),)
        if found is None or found.hidden != _counts(remembered):
            there = None if found is None else found.hidden
            raise TemporaryError(
                ErrorCode.READ_BACK_DIFFERS, f"{there} values after the write, {_counts(remembered)} were written"
            )
        return remembered

    def _known(self, found: Recipient) -> Recipient:
        if found.hidden is None:
            return found
        if not any(found.hidden):
            return replace(found, hidden=None, values=Values())  # an empty list shows all there is
        remembered = self._recall(found.id)
        if found.hidden not in map(_counts, remembered):
            ours = _counts(remembered[-1]) if remembered else "never one of ours"
            raise PermanentError(
                ErrorCode.READ_BACK_UNREADABLE,
                f"{found.hidden} values (userCertificate, userSMIMECertificate), which the tenant does not show; "
                f"after our last write: {ours}",
            )
        return replace(found, hidden=None, values=remembered[0], unverified=True)

    def _remember(self, recipient: str, *states: Values) -> None:
        told = [{each: _written(state[each]) for each in Attribute} for state in states]
        self.memory.put(_place(recipient), json.dumps(told).encode("ascii"))

    def _recall(self, recipient: str) -> Sequence[Values]:
        """What the recipient holds; before a write that did not come to its end, and after it. Nothing when unknown.

        Raises PermanentError `ledger-malformed`.
        """
        blob = self.memory.get(_place(recipient))
        if blob is None:
            return ()
        try:
            return [
                Values.of(*([base64.b64decode(value, validate=True) for value in state[each]] for each in Attribute))
                for state in json.loads(blob.content)
            ]
        except (binascii.Error, ValueError, KeyError, TypeError) as error:
            raise PermanentError(
                ErrorCode.LEDGER_MALFORMED, f"the memory of {recipient} cannot be read: {type(error).__name__}"
            ) from error


def _place(recipient: str) -> str:
    return f"held/{recipient}.json"


def _written(values: Sequence[bytes]) -> Sequence[str]:
    return [base64.b64encode(value).decode("ascii") for value in values]


def _counts(values: Values) -> tuple[int, ...]:
    return tuple(len(values[each]) for each in Attribute)
