"""Judging a certificate."""

from __future__ import annotations

from cryptography import x509

from bench.figure import Figure, Section, microseconds, section
from sync.core.judgement import Context, judge
from sync.core.path import TrustStore
from sync.core.person import Attribute
from tests.mill import NOW, Mill
from tests.mill.keys import KeyKind


def measure() -> Section:
    """RSA and elliptic curve."""
    return section("Judging", judgement("rsa2048"), judgement("ec256"))


def judgement(kind: KeyKind) -> Figure:
    """A verdict on a good certificate with a path of two, beside parsing it and verifying one signature."""
    mill = Mill()
    root = mill.root(key=kind)
    issuing = root.issue_ca("Issuing CA", key=kind)
    leaf = issuing.issue("alice@corp.example", key=kind)
    context = Context(now=NOW, trust=TrustStore.of([root.der], [issuing.der]), addresses=("alice@corp.example",))
    assert judge(Attribute.USER_CERTIFICATE, leaf.der, context).accepted
    issuer = issuing.certificate

    def floor() -> None:
        x509.load_der_x509_certificate(leaf.der).verify_directly_issued_by(issuer)

    return Figure(
        what=f"judge a certificate, {kind}",
        ours=microseconds(lambda: judge(Attribute.USER_CERTIFICATE, leaf.der, context), 200),
        floor=microseconds(floor, 200),
        floor_is="parse it and verify one signature (cryptography)",
    )
