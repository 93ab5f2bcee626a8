"""Addresses: what is one, and which are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.core.addresses import (
    Likeness,
    MalformedMailboxError,
    known_address,
    known_addresses,
    rfc822_name,
    smtp_utf8_mailbox,
)


@pytest.mark.parametrize(
    "text",
    [
        "alice@corp.example",
        "Alice.O'Neil+tag@CORP.Example",
        '"odd(one)"@corp.example',
        "a@b",
        "alice@xn--bcher-kva.example",
        f"{'a' * 64}@corp.example",
    ],
)
def test_a_mailbox_of_rfc_5321_is_an_rfc822_name(text: str) -> None:
    """Read as it is, the domain in lower case."""
    mailbox = rfc822_name(text)

    assert f"{mailbox.local}@{mailbox.domain}" == f"{text.rpartition('@')[0]}@{text.rpartition('@')[2].lower()}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        "@corp.example",
        "alice@",
        "alice@corp.example@evil.example",
        '"alice@home"@corp.example',
        "alice@corp.example\0.evil.example",
        "alice\0@corp.example",
        "alice @corp.example",
        " alice@corp.example",
        "alice@corp.example ",
        "alice@corp.example\n",
        "Alice <alice@corp.example>",
        "<alice@corp.example>",
        "alice@corp.example.",
        "alice@[192.0.2.1]",
        "alice@-corp.example",
        "alice@corp..example",
        "alice..b@corp.example",
        "mailto:alice@corp.example,bob@corp.example",
        "ålice@corp.example",
        f"{'a' * 65}@corp.example",
        f"alice@{'a' * 64}.example",
        f"alice@{'.'.join(['a' * 60] * 5)}",
        f"{'a' * 60}@{'.'.join(['a' * 48] * 4)}",
    ],
)
def test_what_is_no_mailbox_is_malformed(text: str) -> None:
    """A display name, a blank, a control, a second @, a NUL: nothing that a reader might see differently."""
    with pytest.raises(MalformedMailboxError):
        rfc822_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "ål ice@corp.example",
        "å@home@corp.example",
        "ålice\u200b@corp.example",
        "\ufeffålice@corp.example",
        "ålice@",
        "å\ud800@corp.example",
    ],
)
def test_an_internationalised_mailbox_has_no_blank_control_or_byte_order_mark(text: str) -> None:
    """RFC 9598, 3."""
    with pytest.raises(MalformedMailboxError):
        smtp_utf8_mailbox(text)


@pytest.mark.parametrize("domain", ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "bücher.example."])
def test_a_domain_is_the_same_in_u_labels_and_a_labels(domain: str) -> None:
    """IDNA2008, no trailing dot."""
    assert known_address(f"alice@{domain}").domain == "xn--bcher-kva.example"


def test_a_sharp_s_in_a_domain_is_not_two_letters() -> None:
    """IDNA2008 keeps what IDNA2003, and Python's own codec, folded away."""
    assert known_address("alice@straße.example").domain == "xn--strae-oqa.example"


@pytest.mark.parametrize("domain", ["bü cher.example", "☃.example", "\u200d.example", "xn--\ud800.example"])
def test_what_idna_does_not_allow_is_no_domain(domain: str) -> None:
    """The error of the library does not come through."""
    with pytest.raises(MalformedMailboxError):
        known_address(f"alice@{domain}")


@pytest.mark.parametrize(
    ("one", "other", "likeness"),
    [
        ("alice@corp.example", "alice@CORP.EXAMPLE", Likeness.SAME),
        ("alice@corp.example", "Alice@corp.example", Likeness.CASE),
        ("alice@corp.example", "alice@sub.corp.example", Likeness.NONE),
        ("alice+tag@corp.example", "alice@corp.example", Likeness.NONE),
        ("a.lice@corp.example", "alice@corp.example", Likeness.NONE),
        ("ålice@corp.example", "ålice@corp.example", Likeness.SAME),
        ("ålice@corp.example", "Ålice@corp.example", Likeness.NONE),
        ("straße@corp.example", "STRASSE@corp.example", Likeness.NONE),
    ],
)
def test_addresses_are_compared_without_ascii_case_and_otherwise_exactly(
    one: str, other: str, likeness: Likeness
) -> None:
    """No plus-tag, no dot, no folding beyond ASCII."""
    assert known_address(one).likeness(known_address(other)) is likeness


def test_what_exchange_lists_besides_addresses_is_passed_over() -> None:
    """An X.500 name or a SIP address without a domain matches no certificate and disturbs nothing."""
    listed = ("alice@corp.example", "/o=Example/cn=Recipients/cn=alice", "", "alice@other.example")

    assert [str(address) for address in known_addresses(listed)] == ["alice@corp.example", "alice@other.example"]


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_read_or_malformed(local: str, domain: str) -> None:
    """Nothing else comes out, whatever the characters."""
    for read in (rfc822_name, smtp_utf8_mailbox, known_address):
        try:
            mailbox = read(f"{local}@{domain}")
        except MalformedMailboxError:
            continue
        assert mailbox.domain.isascii()
        assert mailbox.likeness(mailbox) is Likeness.SAME


@given(*[st.sampled_from(["al@x.example", "AL@x.example", "al@y.example", "ål@x.example", "Ål@x.example"])] * 2)
def test_addresses_with_one_key_are_alike_and_others_are_not(first: str, second: str) -> None:
    """So that one may be looked up in the place of being compared with each."""
    one, other = smtp_utf8_mailbox(first), smtp_utf8_mailbox(second)

    assert (one.key == other.key) is (one.likeness(other) is not Likeness.NONE)
