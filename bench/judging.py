"""Judging a certificate, beside what others take for less, and a long stream of cases."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyhanko_certvalidator
from asn1crypto import x509 as asn1_x509
from cryptography import x509

from bench.figure import Section, microseconds
from sync.core.judgement import Context, judge
from sync.core.path import TrustStore
from sync.core.person import Attribute
from tests.mill import NOW, Authority, Issued, Mill
from tests.mill.keys import KeyKind

LINES = 20_000
_KINDS: tuple[KeyKind, ...] = ("rsa2048", "ec256")
_ADDRESS = "alice@corp.example"
_NOTE = (
    "A good certificate below an issuing CA and a root. The floor reads it and verifies its one signature. Ours is the "
    "whole verdict with every rule, addresses included; the first one of a trust store finds the issuer's path. "
    "pyhanko-certvalidator and openssl look for a path and know nothing of the rules for people; the former gets a new "
    "context each time, since it remembers what it has validated, with its roots read before. The stream is "
    f"`smime-sync validate --jsonl` on {LINES:,} cases of 200 certificates, start and JSON included, "
    "and its floor that of as many certificates on one core. "
    "pyhanko-certvalidator took 3.6 ms when 25 times that was made a goal; its present version needs the time above, "
    "and even the floor, which judges nothing, is faster only by what the column `beside the floor` says of it."
)


def measure() -> Section:
    """Both kinds of key, then the stream."""
    rows = [row for kind in _KINDS for row in _one(kind)]
    return Section(
        title="Judging",
        head=("work", "key", "each", "a second", "beside the floor", "ours is faster by"),
        rows=(*rows, *_stream()),
        note=_NOTE,
    )


def _one(kind: KeyKind) -> Iterator[tuple[str, ...]]:
    mill = Mill()
    root = mill.root(key=kind)
    issuing = root.issue_ca("Issuing CA", key=kind)
    leaf = issuing.issue(_ADDRESS, key=kind)
    known = _context(root, issuing)
    assert judge(Attribute.USER_CERTIFICATE, leaf.der, known).accepted
    fresh = iter([_context(root, issuing) for _ in range(7 * 50)])
    floor = _floor(leaf, issuing)
    ours = microseconds(lambda: judge(Attribute.USER_CERTIFICATE, leaf.der, known), 200)
    times = {
        "floor: read it, verify one signature": floor,
        "verdict, the issuer's path known": ours,
        "verdict, the first of a trust store": microseconds(
            lambda: judge(Attribute.USER_CERTIFICATE, leaf.der, next(fresh)), 50
        ),
        "pyhanko-certvalidator": _certvalidator(root, issuing, leaf),
        "an `openssl verify` process": _openssl(root, issuing, leaf),
    }
    for what, took in times.items():
        yield what, kind, f"{took:,.0f} µs", f"{1e6 / took:,.0f}", f"{took / floor:,.1f}", f"{took / ours:,.1f}"


def _context(root: Issued, issuing: Issued) -> Context:
    return Context(now=NOW, trust=TrustStore.of([root.der], [issuing.der]), addresses=(_ADDRESS,))


def _floor(leaf: Issued, issuing: Authority) -> float:
    issuer = issuing.certificate
    return microseconds(lambda: x509.load_der_x509_certificate(leaf.der).verify_directly_issued_by(issuer), 200)


def _certvalidator(root: Issued, issuing: Issued, leaf: Issued) -> float:
    roots, between = ([asn1_x509.Certificate.load(each.der)] for each in (root, issuing))

    async def validate() -> None:
        context = pyhanko_certvalidator.ValidationContext(trust_roots=roots, other_certs=between, moment=NOW)
        certificate = asn1_x509.Certificate.load(leaf.der)
        await pyhanko_certvalidator.CertificateValidator(certificate, between, context).async_validate_path()

    with asyncio.Runner() as runner:
        return microseconds(lambda: runner.run(validate()), 15)


def _openssl(root: Issued, issuing: Issued, leaf: Issued) -> float:
    openssl = shutil.which("openssl")
    if openssl is None:
        return float("nan")
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("root.pem", "issuing.pem", "leaf.pem")]
        for file, each in zip(files, (root, issuing, leaf), strict=True):
            file.write_text(each.pem)
        call = [openssl, "verify", "-attime", str(int(NOW.timestamp())), "-CAfile", str(files[0])]
        call += ["-untrusted", str(files[1]), str(files[2])]
        return microseconds(lambda: subprocess.run(call, check=True, capture_output=True), 5)  # noqa: S603 - our own


def _stream() -> Iterator[tuple[str, ...]]:
    for kind in _KINDS:
        mill = Mill()
        root = mill.root(key=kind)
        issuing = root.issue_ca("Issuing CA", key=kind)
        leaves = [issuing.issue(_ADDRESS, key=kind) for _ in range(200)]
        floor = _floor(leaves[0], issuing) * LINES / 1e6
        with tempfile.TemporaryFile() as cases:
            for number in range(LINES):
                cases.write(_case(number, leaves[number % len(leaves)], root, issuing))
            cases.seek(0)
            started = time.perf_counter()
            call = [sys.executable, "-m", "sync", "validate", "--jsonl"]
            done = subprocess.run(call, stdin=cases, capture_output=True, check=True)  # noqa: S603 - our own
            took = time.perf_counter() - started
        assert done.stdout.count(b'"accepted": true') == LINES
        cores = len(os.sched_getaffinity(0))
        what = f"a stream of {LINES:,} cases on {cores} cores: {took:.1f} s"
        yield what, kind, f"{took / LINES * 1e6:,.0f} µs", f"{LINES / took:,.0f}", f"{took / floor:,.1f}", ""


def _case(number: int, leaf: Issued, root: Issued, issuing: Issued) -> bytes:
    value, anchor, between = (base64.b64encode(each.der).decode("ascii") for each in (leaf, root, issuing))
    case = {"id": number, "value": value, "addresses": [_ADDRESS], "anchors": [anchor], "intermediates": [between]}
    return json.dumps(case | {"at": NOW.isoformat()}).encode() + b"\n"
