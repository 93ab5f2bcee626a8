"""What a recipient holds after a write, beside what was written."""

from __future__ import annotations

from sync.core.person import Attribute, Values, fingerprint
from sync.core.plan import Managed, Plan
from sync.errors import ErrorCode, PermanentError, TemporaryError


def insist_that_it_stayed(managed: Managed, held: Values) -> None:
    """What we wrote an hour ago must still be there: whoever takes it away again is not to be fought.

    Raises PermanentError `reverted`.
    """
    gone = sum(len(managed[each] - {fingerprint(value) for value in held[each]}) for each in Attribute)
    if gone:
        raise PermanentError(
            ErrorCode.REVERTED, f"{gone} values that were written and read back are gone again after a while"
        )


def insist_that_it_arrived(plan: Plan, held: Values) -> None:
    """What the recipient holds must be what was to be there. Raises TemporaryError `read-back-differs`."""
    for attribute in Attribute:
        missing = set(plan.after[attribute]) - set(held[attribute])
        surplus = set(held[attribute]) - set(plan.after[attribute])
        if missing or surplus:
            # Temporary: a directory replica may lag behind its own write.
            raise TemporaryError(
                ErrorCode.READ_BACK_DIFFERS,
                f"{attribute} reads back with {len(missing)} values missing and {len(surplus)} too many",
            )
