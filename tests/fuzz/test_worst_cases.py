"""The most expensive values that one can think of, and what the mutations found: each a verdict within the budget."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync.core.codes import Code
from sync.core.judgement import Context, judge
from sync.core.path import TrustStore
from sync.core.person import Attribute
from tests.core.company import refusals, remarks
from tests.fuzz.drill import cpu_seconds
from tests.fuzz.mutations import Tree
from tests.fuzz.seeds import ALICE, seeds
from tests.fuzz.test_mutations import BUDGET
from tests.mill import NOW, Extension, Mill, certificates_only_blob, der, extensions

MILL = Mill()
ROOT = MILL.root(key="ec256")
CONTEXT = Context(
    now=NOW,
    trust=TrustStore.of([ROOT.der]),
    addresses=(ALICE, *(f"alias{number}@corp.example" for number in range(400))),
)


def repeated(made: bytes, size: int = 31_000) -> bytes:
    """As many of them as an attribute holds."""
    return made * (size // len(made))


def many_extensions() -> bytes:
    """Two thousand, all unreadable for want of the SAN that is broken."""
    broken = [Extension(f"1.2.{number}", b"\x30\x05") for number in range(1, 2_000)]
    return ROOT.issue(ALICE, key="ec256", extra=[*broken, Extension(extensions.SUBJECT_ALT_NAME, b"")]).der


def one_extension_repeated() -> bytes:
    """The same OID, fifteen hundred times."""
    return ROOT.issue(ALICE, key="ec256", extra=[Extension("1.2.3", b"\5\0")] * 1_500).der


def many_names() -> bytes:
    """Two thousand addresses of the certificate beside four hundred of the person."""
    return ROOT.issue(*(f"n{number}@x.example" for number in range(1_500)), key="ec256").der


def many_unreadable_names() -> bytes:
    """Names that the reader takes byte by byte."""
    return ROOT.issue(b"\xff", key="ec256", other_names=[der.explicit(0, der.oid("1.2.3"), b"\5\0")] * 3_000).der


def nested() -> bytes:
    """Sequences in sequences."""
    inside = b""
    for _ in range(8_000):
        inside = der.sequence(inside)
        if len(inside) > 32_000:
            break
    return inside


def many_empty_elements() -> bytes:
    """Sixteen thousand elements of two bytes."""
    return der.sequence(der.sequence(repeated(b"\5\0")))


def huge_key() -> bytes:
    """A modulus of 30,000 bytes with an exponent as large."""
    number = der.integer((1 << 120_000) - 1)
    key = der.sequence(
        der.sequence(der.oid("1.2.840.113549.1.1.1"), der.null()), der.bit_string(der.sequence(number, number))
    )
    return ROOT.issue(ALICE, key="rsa2048", public_key=key).der


def same_name_issuers() -> bytes:
    """As many certificates of one name as a value holds, none of which signed the leaf."""
    authority = MILL.root("Twin", key="ec256")
    twins = [authority.issue_ca("Twin", key="ec256", authority_key_identifier=False) for _ in range(63)]
    return certificates_only_blob(twins[0].issue(ALICE, key="ec256", broken_signature=True), *twins[1:])


def many_certificates() -> bytes:
    """One certificate and hundreds of empty ones."""
    return certificates_only_blob(ROOT.issue(ALICE, key="ec256"), *[der.sequence(bytes(2))] * 6_000)


WORST = (
    many_extensions, one_extension_repeated, many_names, many_unreadable_names, nested, many_empty_elements, huge_key,
    same_name_issuers, many_certificates,
)  # fmt: skip


@pytest.mark.parametrize("worst", WORST, ids=lambda worst: worst.__name__)
def test_no_value_that_an_attribute_holds_is_over_the_budget(worst: object) -> None:
    """250 ms of CPU, the best of three on a busy machine."""
    value = worst()  # type: ignore[operator]
    context = replace(CONTEXT, policy=replace(CONTEXT.policy, max_value_bytes=200_000))

    times = [cpu_seconds(value, attribute, context) for attribute in (*Attribute, *Attribute)]
    print(f"\n{worst.__name__}: {len(value)} bytes, {min(times) * 1e3:.1f} ms")  # type: ignore[attr-defined]

    assert min(times) < BUDGET
    assert not judge(Attribute.USER_CERTIFICATE, value, context).accepted


def test_a_signed_attribute_without_a_value_makes_the_signature_unreadable() -> None:
    """Found by the mutation test: asn1crypto raised an IndexError over the empty SET."""
    blob = ROOT.issue(ALICE, key="ec256").smime_blob()
    tree = Tree.of(blob)
    digest = next(
        each for each in tree.elements if tree.bytes_of(each)[:4] == b"\x31\x22\x04\x20"
    )  # SET of the OCTET STRING with a SHA-256

    verdict = judge(Attribute.USER_SMIME_CERTIFICATE, tree.put(digest, b"\x31\x00"), seeds().context)

    assert Code.CMS_SIGNATURE_INVALID in remarks(verdict) + refusals(verdict)
