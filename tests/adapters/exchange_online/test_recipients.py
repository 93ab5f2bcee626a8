"""What the contract does not say: whom a lookup must not find, what is sent, and what must not be taken for bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sync.adapters.exchange_online import AnswerFormat, Clearing, Encoding, ExchangeOnline
from sync.core.person import Attribute, Values
from sync.core.recipient import RecipientKind
from sync.errors import ErrorCode, PermanentError, TemporaryError
from tests.adapters.exchange_online.connection import Connection
from tests.lab.tenant import Fault

pytestmark = pytest.mark.lab

VALUE = bytes([0x30, 0x03, 0x02, 0x01, 0x05])
OTHER = bytes([0x30, 0x03, 0x02, 0x01, 0x06])


def row(connection: Connection, *, cmdlet: str, **properties: object) -> None:
    """Have the tenant answer the next `cmdlet` with this one object."""
    body = json.dumps({"value": [properties]}).encode()
    connection.tenant.faults.next(Fault.status(200, body=body, cmdlet=cmdlet))


def test_a_name_that_looks_like_an_address_is_nobody(connection: Connection) -> None:
    """Identity matches names: whoever may choose a display name must not receive another person's certificates."""
    connection.tenant.add_mailbox("mallory@corp.example", name="ada@corp.example")

    assert connection.recipients.find(pinned=None, addresses=["ada@corp.example"]) is None
    assert connection.tenant.cmdlets() == ["Get-Recipient"]


def test_a_name_that_looks_like_an_id_is_nobody(connection: Connection) -> None:
    """Nor is a pinned id taken for anybody's name."""
    gone = "5b0c7e0a-0000-4000-8000-000000000000"
    connection.tenant.add_mailbox("mallory@corp.example", name=gone)

    assert connection.recipients.find(pinned=gone, addresses=[]) is None


def test_the_namesake_does_not_hide_the_owner(connection: Connection) -> None:
    """Of two that Identity matches, the one that has the address is meant."""
    connection.tenant.add_mailbox("mallory@corp.example", name="ada@corp.example")
    ada = connection.tenant.add_mailbox("ada@corp.example")

    found = connection.recipients.find(pinned=None, addresses=["ada@corp.example"])

    assert found is not None
    assert found.id == ada.id


def test_a_sign_in_name_is_an_answer(connection: Connection) -> None:
    """A person without a mail attribute is found by the UPN, whatever the mailbox is called."""
    ada = connection.tenant.add_mailbox("ada.lovelace@corp.example", user_principal_name="al@corp.example")

    found = connection.recipients.find(pinned=None, addresses=["AL@corp.example"])

    assert found is not None
    assert (found.id, found.addresses) == (ada.id, ("ada.lovelace@corp.example",))


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "Ada Lovelace",
        "*@corp.example",
        "a*",
        "ada@corp.example ",
        "ada@corp.example\n",
        '"ada"@corp.example',
        "ada@corp.example;bob@corp.example",
        "CN=Ada,DC=corp@example",
        "ada@@corp.example",
        "ada@corp.example\0",
    ],
)
def test_what_is_no_address_never_reaches_the_tenant(connection: Connection, address: str) -> None:
    """No wildcard, no DN, no list and no name is looked up, however it came into the directory."""
    connection.tenant.add_mailbox("ada@corp.example", name="Ada Lovelace")

    assert connection.recipients.find(pinned=None, addresses=[address]) is None
    assert connection.tenant.cmdlets() == []


@pytest.mark.parametrize("address", ["seán.o'brien@corp.example", "a+b@corp.example", "a/b=c@sub.corp.example"])
def test_unusual_addresses_are_addresses(connection: Connection, address: str) -> None:
    """An apostrophe is as good as any letter."""
    connection.tenant.add_mailbox(address)

    assert connection.recipients.find(pinned=None, addresses=[address]) is not None


@pytest.mark.parametrize("details", ["MailUniversalDistributionGroup", "GroupMailbox", "PublicFolder", "Novelty"])
def test_a_kind_that_holds_no_certificates(connection: Connection, details: str) -> None:
    """Said at once, with the kind."""
    connection.tenant.add_group("team@corp.example", details=details)

    with pytest.raises(PermanentError, match=details) as caught:
        connection.recipients.find(pinned=None, addresses=["team@corp.example"])

    assert caught.value.code is ErrorCode.RECIPIENT_KIND


@pytest.mark.parametrize(
    ("details", "kind", "cmdlet"),
    [
        ("UserMailbox", RecipientKind.MAILBOX, "Set-Mailbox"),
        ("SharedMailbox", RecipientKind.MAILBOX, "Set-Mailbox"),
        ("RoomMailbox", RecipientKind.MAILBOX, "Set-Mailbox"),
        ("MailUser", RecipientKind.MAIL_USER, "Set-MailUser"),
        ("GuestMailUser", RecipientKind.MAIL_USER, "Set-MailUser"),
        ("MailContact", RecipientKind.MAIL_CONTACT, "Set-MailContact"),
    ],
)
def test_which_cmdlet_writes(connection: Connection, details: str, kind: RecipientKind, cmdlet: str) -> None:
    """By RecipientTypeDetails (facts.md, section 1)."""
    connection.tenant.add(details, "someone@corp.example")

    found = connection.recipients.find(pinned=None, addresses=["someone@corp.example"])
    assert found is not None
    connection.recipients.write(found, {Attribute.USER_CERTIFICATE: (VALUE,)})

    assert found.kind is kind
    assert connection.tenant.cmdlets()[-1] == cmdlet


def test_only_smtp_addresses_count(connection: Connection) -> None:
    """X500, SIP and SPO entries stand among EmailAddresses; the primary one stands anywhere."""
    connection.tenant.add_mailbox("ada@corp.example", "countess@corp.example", "al@corp.example")

    found = connection.recipients.find(pinned=None, addresses=["al@corp.example"])

    assert found is not None
    assert found.addresses == ("ada@corp.example", "countess@corp.example", "al@corp.example")


def test_calls_of_a_change(connection: Connection) -> None:
    """Two reads to look, one write, one read back; the id is what writes and reads go by."""
    ada = connection.tenant.add_mailbox("ada@corp.example")

    found = connection.recipients.find(pinned=None, addresses=["ada@corp.example"])
    assert found is not None
    connection.recipients.write(found, {Attribute.USER_CERTIFICATE: (VALUE,)})
    connection.recipients.read(found)

    assert connection.tenant.cmdlets() == ["Get-Recipient", "Get-Mailbox", "Set-Mailbox", "Get-Mailbox"]
    identities = [json.loads(call.body)["CmdletInput"]["Parameters"]["Identity"] for call in connection.tenant.calls]
    assert identities == ["ada@corp.example", ada.id, ada.id, ada.id]


def test_only_the_changed_attribute_is_sent(connection: Connection) -> None:
    """And the confirmation that no one is there to give."""
    ada = connection.tenant.add_mailbox("ada@corp.example", user_certificate=[VALUE], user_smime_certificate=[OTHER])
    found = connection.recipients.find(pinned=ada.id, addresses=[])
    assert found is not None

    connection.recipients.write(found, {Attribute.USER_SMIME_CERTIFICATE: ()})

    sent = json.loads(connection.tenant.calls[-1].body)["CmdletInput"]["Parameters"]
    assert sent == {"Identity": ada.id, "Confirm": False, "UserSMimeCertificate": None}


@pytest.mark.parametrize("clearing", list(Clearing))
@pytest.mark.parametrize("encoding", list(Encoding))
def test_every_codec_binds_where_it_is_the_right_one(
    connection: Connection, encoding: Encoding, clearing: Clearing
) -> None:
    """Whichever of them a real tenant takes, one setting away."""
    ada = connection.tenant.add_mailbox("ada@corp.example", user_smime_certificate=[OTHER])
    recipients = connection.writing(encoding, clearing).recipients
    found = recipients.find(pinned=ada.id, addresses=[])
    assert found is not None

    recipients.write(found, {Attribute.USER_CERTIFICATE: (VALUE, OTHER), Attribute.USER_SMIME_CERTIFICATE: ()})

    assert ada.values == Values.of([VALUE, OTHER])


def test_a_codec_that_does_not_bind(connection: Connection) -> None:
    """Permanent, nothing is written, and the values are named by fingerprint only."""
    ada = connection.tenant.add_mailbox("ada@corp.example")
    recipients = connection.writing(Encoding.BASE64).recipients
    connection.tenant.behaviour.binds = {Encoding.TAGGED_INTEGERS}
    found = recipients.find(pinned=ada.id, addresses=[])
    assert found is not None

    with pytest.raises(PermanentError, match=r"values sent: [0-9a-f]{16}\)") as caught:
        recipients.write(found, {Attribute.USER_CERTIFICATE: (VALUE,)})

    assert caught.value.code is ErrorCode.TENANT_VALUE
    assert not ada.values


@pytest.mark.parametrize(
    ("state", "code"),
    [({"directory_synchronised": True}, ErrorCode.ON_PREMISES_MASTERED), ({"outside_scope": True}, "tenant-scope")],
)
def test_a_write_that_is_not_ours(connection: Connection, state: dict[str, Any], code: ErrorCode) -> None:
    """The directory's recipient, and one outside the role's scope: permanent, each with its own code."""
    ada = connection.tenant.add_mailbox("ada@corp.example", **state)
    found = connection.recipients.find(pinned=ada.id, addresses=[])
    assert found is not None

    with pytest.raises(PermanentError) as caught:
        connection.recipients.write(found, {Attribute.USER_CERTIFICATE: (VALUE,)})

    assert caught.value.code == code
    assert not ada.values


def test_nothing_to_change_asks_nothing(connection: Connection) -> None:
    """A cmdlet without a parameter would still be a write in the tenant's audit log."""
    ada = connection.tenant.add_mailbox("ada@corp.example")
    found = connection.recipients.find(pinned=ada.id, addresses=[])
    assert found is not None
    before = connection.tenant.cmdlets()

    connection.recipients.write(found, {})

    assert connection.tenant.cmdlets() == before


def test_an_empty_answer_to_a_read(connection: Connection) -> None:
    """Success without an object is no object."""
    ada = connection.tenant.add_mailbox("ada@corp.example")
    connection.tenant.faults.next(Fault.status(200, body=b'{"value":[]}', cmdlet="Get-Mailbox"))

    with pytest.raises(TemporaryError) as caught:
        connection.recipients.find(pinned=ada.id, addresses=[])

    assert caught.value.code is ErrorCode.NO_RECIPIENT


def test_gone_between_finding_and_writing(connection: Connection) -> None:
    """Temporary: the next delivery looks again."""
    ada = connection.tenant.add_mailbox("ada@corp.example")
    found = connection.recipients.find(pinned=ada.id, addresses=[])
    assert found is not None
    connection.tenant.objects.remove(ada)

    with pytest.raises(TemporaryError) as write:
        connection.recipients.write(found, {Attribute.USER_CERTIFICATE: ()})
    with pytest.raises(TemporaryError) as read:
        connection.recipients.read(found)

    assert write.value.code is read.value.code is ErrorCode.NO_RECIPIENT


def test_a_tenant_that_does_not_return_bytes(connection: Connection) -> None:
    """`System.Byte[]` is no value: taking it, or leaving it out, would erase the real ones with the next write."""
    connection.tenant.add_mailbox("ada@corp.example", user_certificate=[VALUE])
    connection.tenant.behaviour.bytes_in_json = False

    with pytest.raises(PermanentError, match=r"UserCertificate comes as System\.Byte\[\]") as caught:
        connection.recipients.find(pinned=None, addresses=["ada@corp.example"])

    assert caught.value.code is ErrorCode.READ_BACK_UNREADABLE
    assert connection.reading(AnswerFormat.CLIXML).recipients.find(pinned=None, addresses=["ada@corp.example"])


WHOLE: dict[str, object] = {
    "ExternalDirectoryObjectId": "5b0c",
    "EmailAddresses": ["SMTP:ada@corp.example"],
    "IsDirSynced": False,
    "UserCertificate": [],
    "UserSMimeCertificate": [],
}


@pytest.mark.parametrize(
    "certificates",
    [
        ["B2EC24D9B1D4B1E5B8D5F6B3A0C1D2E3F4A5B6C7"],
        ["C2EC24D9B1D4B1E5B8D5F6B3A0C1D2E3F4A5B6C7B2EC24D9B1D4B1E5B8D5F6B3"],
        ["CN=Ada, O=Corp"],
        ["MAM"],
        [""],
        [48, 3, 2, 1, 5],
        [{"Data": [48, 3]}],
        [None],
    ],
    ids=["sha1", "sha256", "subject", "padding", "empty", "integers", "object", "null"],
)
def test_what_is_not_bytes_is_not_taken_for_bytes(connection: Connection, certificates: list[object]) -> None:
    """Thumbprints pass for base64; read as values, they would be kept as somebody's and written back as garbage."""
    connection.tenant.add_mailbox("ada@corp.example", id="5b0c")
    row(connection, cmdlet="Get-Mailbox", **{**WHOLE, "UserCertificate": certificates})

    with pytest.raises(PermanentError) as caught:
        connection.recipients.find(pinned="5b0c", addresses=[])

    assert caught.value.code is ErrorCode.READ_BACK_UNREADABLE


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"UserCertificate": ...}, ErrorCode.READ_BACK_UNREADABLE),
        ({"UserSMimeCertificate": ...}, ErrorCode.READ_BACK_UNREADABLE),
        ({"IsDirSynced": ...}, ErrorCode.TENANT_ANSWER),
        ({"IsDirSynced": "perhaps"}, ErrorCode.TENANT_ANSWER),
        ({"ExternalDirectoryObjectId": "somebody else"}, ErrorCode.TENANT_ANSWER),
    ],
    ids=["no UserCertificate", "no UserSMimeCertificate", "no IsDirSynced", "odd IsDirSynced", "another object"],
)
def test_an_answer_that_leaves_out_what_decides(
    connection: Connection, change: dict[str, object], code: ErrorCode
) -> None:
    """A missing attribute is not an empty one, and a missing owner is not the cloud: both could erase."""
    connection.tenant.add_mailbox("ada@corp.example", id="5b0c")
    answer = {name: value for name, value in {**WHOLE, **change}.items() if value is not ...}
    row(connection, cmdlet="Get-Mailbox", **answer)

    with pytest.raises(PermanentError) as caught:
        connection.recipients.find(pinned="5b0c", addresses=[])

    assert caught.value.code is code


def test_flags_that_come_as_text_and_lists_that_come_as_null(connection: Connection) -> None:
    """Numbers and enums come as strings (facts.md, section 1)."""
    connection.tenant.add_mailbox("ada@corp.example", id="5b0c")
    row(
        connection,
        cmdlet="Get-Mailbox",
        **{**WHOLE, "IsDirSynced": "True", "IsExchangeCloudManaged": "true", "UserCertificate": None},
    )

    found = connection.recipients.find(pinned="5b0c", addresses=[])

    assert found is not None
    assert (found.directory_synchronised, found.cloud_managed, found.values) == (True, True, Values())


def test_not_linked_to_entra_yet(connection: Connection) -> None:
    """Temporary: a new mailbox gets its ExternalDirectoryObjectId a little later."""
    row(
        connection,
        cmdlet="Get-Recipient",
        ExternalDirectoryObjectId="",
        RecipientTypeDetails="UserMailbox",
        EmailAddresses=["SMTP:ada@corp.example"],
    )

    with pytest.raises(TemporaryError) as caught:
        connection.recipients.find(pinned=None, addresses=["ada@corp.example"])

    assert caught.value.code is ErrorCode.NO_RECIPIENT


def test_an_ambiguous_identity_that_the_tenant_refuses(connection: Connection) -> None:
    """Some cmdlets answer with two objects, some with an error."""
    kind = "Microsoft.Exchange.Configuration.Tasks.ManagementObjectAmbiguousException"
    connection.tenant.faults.next(Fault.exception(400, kind, "'ada@corp.example' matches multiple entries."))

    with pytest.raises(PermanentError) as caught:
        connection.recipients.find(pinned=None, addresses=["ada@corp.example"])

    assert caught.value.code is ErrorCode.RECIPIENT_AMBIGUOUS


def test_a_fault_is_not_an_absence(connection: Connection) -> None:
    """Only «no such object» means that nobody answers; every other fault is raised, or a leaver would be made of it."""
    connection.tenant.add_mailbox("ada@corp.example")
    connection.tenant.faults.next(Fault.status(503))

    with pytest.raises(TemporaryError) as caught:
        connection.recipients.find(pinned=None, addresses=["ada@corp.example"])

    assert caught.value.code is ErrorCode.TENANT_UNAVAILABLE


def test_values_are_one_set_per_attribute(connection: Connection) -> None:
    """Order and repeats are the tenant's affair."""
    connection.tenant.add_mailbox("ada@corp.example", user_certificate=[OTHER, VALUE])

    found = connection.recipients.find(pinned=None, addresses=["ada@corp.example"])

    assert found is not None
    assert found.values == Values.of([VALUE, OTHER])


def test_a_tenant_that_does_not_return_bytes_tells_how_many_there_are(connection: Connection) -> None:
    """Which is all that is read where the settings say so; a write goes the usual way."""
    connection.tenant.behaviour.bytes_in_json = False
    ada = connection.tenant.add_mailbox(
        "ada@corp.example", user_certificate=[b"one", b"two"], user_smime_certificate=[b"three"]
    )
    counting = ExchangeOnline(connection.api, connection.codec, shows_bytes=False)

    before = counting.find(pinned=None, addresses=["ada@corp.example"])
    assert before is not None
    counting.write(before, {Attribute.USER_CERTIFICATE: ()})
    after = counting.find(pinned=ada.id, addresses=[])

    assert after is not None
    assert (before.hidden, before.values) == ((2, 1), Values())
    assert after.hidden == (0, 1)
