"""Ten reads in one request: parts in any order, each with its own end; and the whole tenant, page by page."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import requests

from sync.adapters.exchange_online import Answer, AnswerFormat, Call
from sync.core.recipient import Recipient, RecipientKind
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from tests.adapters.exchange_online.connection import Connection
from tests.adapters.recipients_contract import listed
from tests.lab.tenant import Budget, Fault, Tenant

pytestmark = pytest.mark.lab

VALUE = bytes([0x30, 0x03, 0x02, 0x01, 0x05])


def crowd(tenant: Tenant, count: int) -> list[Recipient]:
    """So many mailboxes, each with a value of its own."""
    entries = [
        tenant.add_mailbox(f"user{number}@corp.example", user_certificate=[VALUE + bytes([number])])
        for number in range(count)
    ]
    return [Recipient(id=e.id, kind=RecipientKind.MAILBOX, addresses=tuple(e.addresses)) for e in entries]


def batches(connection: Connection) -> int:
    """How many requests carried a batch."""
    return sum(call.path.endswith("$batch") for call in connection.tenant.calls)


@pytest.mark.parametrize("answers", list(AnswerFormat))
@pytest.mark.parametrize(("count", "requests"), [(0, 0), (1, 1), (10, 1), (11, 2), (25, 3)])
def test_ten_in_a_request(connection: Connection, answers: AnswerFormat, count: int, requests: int) -> None:
    """In the order in which they were asked, though the answers come in another."""
    asked = crowd(connection.tenant, count)

    found = connection.reading(answers).recipients.read_many(asked)

    assert [each.values.user_certificate for each in found if isinstance(each, Recipient)] == [
        (VALUE + bytes([number]),) for number in range(count)
    ]
    assert batches(connection) == requests


def test_a_part_that_fails_alone(connection: Connection) -> None:
    """Gone, throttled with its own time, 200 with errors, NUL bytes: the others are answered."""
    asked = crowd(connection.tenant, 6)
    connection.tenant.objects.remove(connection.tenant.recipient(asked[0].id))
    connection.tenant.faults.next(
        Fault.status(429, cmdlet="part 1", retry_after="37"),
        Fault.status(403, body=bytes(64), cmdlet="part 3"),
        Fault.status(200, body=b'{"@adminapi.errors":["|System.X|ServerBusyException"],"value":[]}', cmdlet="part 4"),
    )

    found = connection.recipients.read_many(asked)

    codes = [each.code if isinstance(each, SyncError) else None for each in found]
    assert codes == [
        ErrorCode.NO_RECIPIENT,
        ErrorCode.TENANT_THROTTLED,
        None,
        ErrorCode.TENANT_ROLE,
        ErrorCode.TENANT_UNAVAILABLE,
        None,
    ]
    throttled = found[1]
    assert isinstance(throttled, TemporaryError)
    assert throttled.retry_after is not None
    assert throttled.retry_after.total_seconds() == 37


def test_a_budget_that_ends_in_the_middle(connection: Connection) -> None:
    """What the budget held is answered, the rest is told to wait, and comes when it is asked again."""
    asked = crowd(connection.tenant, 10)
    budget = connection.tenant.budget
    budget.cmdlets, budget.seconds = 4, 3600.0

    found = connection.recipients.read_many(asked)

    left = [recipient for recipient, each in zip(asked, found, strict=True) if isinstance(each, TemporaryError)]
    assert len(left) == 6
    assert budget.refused == 6
    budget.cmdlets = None
    assert all(isinstance(each, Recipient) for each in connection.recipients.read_many(left))


def test_a_whole_batch_that_fails(connection: Connection) -> None:
    """Nothing of it was answered: the error is raised."""
    asked = crowd(connection.tenant, 2)
    connection.tenant.faults.next(Fault.status(429, cmdlet="$batch", Retry_After="5"))

    with pytest.raises(TemporaryError) as caught:
        connection.recipients.read_many(asked)

    assert caught.value.code is ErrorCode.TENANT_THROTTLED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"responses":null}',
        b'{"responses":[7]}',
        b'{"responses":[{"status":200}]}',
        b"[" * 100_000,
    ],
    ids=["empty", "html", "list", "nothing", "null", "numbers", "no id", "deep"],
)
def test_an_unreadable_batch(connection: Connection, body: bytes) -> None:
    """A page of a proxy is no answer."""
    asked = crowd(connection.tenant, 1)
    connection.tenant.faults.next(Fault.status(200, body=body, cmdlet="$batch"))

    with pytest.raises(PermanentError) as caught:
        connection.recipients.read_many(asked)

    assert caught.value.code is ErrorCode.TENANT_ANSWER


@pytest.mark.parametrize(
    "part",
    [
        {"id": "1", "status": 200},
        {"id": "0"},
        {"id": "0", "status": "odd"},
        {"id": "0", "status": 200, "body": {"value": [], "@odata.nextLink": "https://x"}},
        {"id": "0", "status": 200, "body": "Sign in"},
        {"id": "0", "status": 200, "body": {"value": [{"ExternalDirectoryObjectId": "somebody else"}]}},
    ],
    ids=["another id", "no status", "odd status", "pages", "text", "another object"],
)
def test_a_part_that_cannot_be_read(connection: Connection, part: dict[str, object]) -> None:
    """Its own error; never an empty mailbox."""
    asked = crowd(connection.tenant, 1)
    body = json.dumps({"responses": [part]}).encode()
    connection.tenant.faults.next(Fault.status(200, body=body, cmdlet="$batch"))

    (found,) = connection.recipients.read_many(asked)

    assert isinstance(found, PermanentError)
    assert found.code is ErrorCode.TENANT_ANSWER


def test_a_part_in_base64(connection: Connection) -> None:
    """OData writes a body that is not JSON in base64."""
    asked = crowd(connection.tenant, 1)
    part = {"id": "0", "status": 204, "body": None}
    connection.tenant.faults.next(
        Fault.status(200, body=json.dumps({"responses": [part]}).encode(), cmdlet="$batch"),
        Fault.status(200, body=b'{"responses":[{"id":0,"status":200,"body":"eyJ2YWx1ZSI6W119"}]}', cmdlet="$batch"),
    )

    for _ in range(2):
        (answer,) = connection.api.batch([Call(cmdlet="Get-Mailbox", parameters={"Identity": asked[0].id})])
        assert answer == Answer()


def test_everybody(connection: Connection) -> None:
    """All three kinds, page by page; system mailboxes, groups and whoever has no id yet are nobody's."""
    tenant = connection.tenant
    asked = crowd(tenant, 5)
    user = tenant.add_mail_user("guest@corp.example", details="GuestMailUser")
    contact = tenant.add_contact("partner@corp.example")
    tenant.add_group("team@corp.example")

    found = list(listed(connection.recipients))

    assert {each.id for each in found} == {*(each.id for each in asked), user.id, contact.id}
    assert sum(len(each.values) for each in found) == 5
    assert tenant.cmdlets() == ["Get-Mailbox", "Get-MailUser", "Get-MailContact"]


def test_another_process_goes_on_with_the_list(connection: Connection) -> None:
    """A cursor leads to the same server, by its cookies; without them the tenant would call the page expired."""
    everybody = {each.id for each in crowd(connection.tenant, 200)}
    for number in range(1900):
        everybody.add(connection.tenant.add_mailbox(f"more{number}@corp.example").id)
    first = connection.recipients.page(None)
    with requests.Session() as session:
        found = {each.id for each in first.recipients}
        cursor = first.cursor
        while cursor is not None:
            page = replace(connection, session=session).recipients.page(cursor)
            found |= {each.id for each in page.recipients}
            cursor = page.cursor

    assert found == everybody


@pytest.mark.parametrize("cursor", ["{", "{}", '{"kind":"mailbox","place":{}}', '{"kind":"group","place":null}', "[]"])
def test_a_cursor_that_cannot_be_read(connection: Connection, cursor: str) -> None:
    """As good as an expired one."""
    with pytest.raises(TemporaryError) as caught:
        connection.recipients.page(cursor)

    assert caught.value.code is ErrorCode.PAGE_EXPIRED


def test_a_cursor_leads_nowhere_else(connection: Connection) -> None:
    """Whoever can write where cursors are kept must not be sent our token."""
    cursor = json.dumps({"kind": "mailbox", "place": {"url": "https://evil.example/adminapi", "cookies": []}})
    with pytest.raises(PermanentError) as caught:
        connection.recipients.page(cursor)

    assert caught.value.code is ErrorCode.TENANT_REDIRECT


def test_a_page_that_expired(connection: Connection) -> None:
    """It is said; whoever reads the list begins it again."""
    crowd(connection.tenant, 1)
    for number in range(1000):
        connection.tenant.add_mailbox(f"more{number}@corp.example")
    first = connection.recipients.page(None)
    connection.tenant.expire_pages()

    with pytest.raises(TemporaryError) as caught:
        connection.recipients.page(first.cursor)

    assert caught.value.code is ErrorCode.PAGE_EXPIRED


def test_a_budget_is_given_back() -> None:
    """By the second, in order."""
    budget = Budget(cmdlets=2, seconds=1.0)

    assert [budget.take(moment) for moment in (0.0, 0.5, 0.9, 1.0, 1.4, 1.5)] == [True, True, False, True, False, True]
