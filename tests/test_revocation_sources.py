"""Revocation sources: configured per CA, fetched when due, and a failure is doubt and no error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from sync import settings, wiring
from sync.adapters.revocation_cache import SqliteCache
from sync.adapters.revocation_http import HttpFetcher
from sync.core.codes import Code
from sync.core.judgement import Context
from sync.core.policy import PRIVATE_CA, Revocation
from sync.core.record import Outcome, Status
from sync.errors import ErrorCode, PermanentError
from sync.revocation_sources import RETRY, RevocationSources, read_sources
from tests.adapters.revocation_server import Server, serving
from tests.mill import DAY, NOW, Issued
from tests.mill.extensions import Extension
from tests.mill.revocation import crl, ocsp_response
from tests.office import Office, person

ISSUING = "CN=Example Issuing CA"
ROOT = "CN=Example Root CA"
HARD = replace(PRIVATE_CA, revocation=Revocation.HARD)


class Watched(Office):
    """The office with hard revocation and a source on loopback for both of its CAs."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.cache = SqliteCache(None)
        self.fetcher = HttpFetcher(private=["127.0.0.1"])
        server.contents = {"/root.crl": crl(self.root), "/issuing.crl": crl(self.issuing)}
        self.ask(self.lists())

    def lists(self, issuing: str = 'crl = ["{issuing}"]') -> str:
        place = issuing.format(issuing=self.server.url("/issuing.crl"), ocsp=self.server.url("/ocsp"))
        root = self.server.url("/root.crl")
        return f'[[source]]\nissuer = "{ROOT}"\ncrl = ["{root}"]\n[[source]]\nissuer = "{ISSUING}"\n{place}\n'

    def ask(self, text: str) -> None:
        """Use these sources from now on, as after a start."""
        sources = RevocationSources(
            read_sources(text), trust=self.trust, fetcher=self.fetcher, cache=self.cache, now=lambda: self.now
        )
        self.processor = replace(
            self.processor,
            judging=lambda moment: Context(now=moment, trust=self.trust, policy=HARD),
            consult=sources.consult,
        )

    def revoke(self, *certificates: Issued) -> None:
        serials = [each.certificate.serial_number for each in certificates]
        self.server.contents["/issuing.crl"] = crl(
            self.issuing, serials, number=9, this_update=self.now, next_update=self.now + 6 * DAY
        )


@pytest.fixture
def office() -> Iterator[Watched]:
    with serving() as server:
        made = Watched(server)
        made.mailbox("alice")
        yield made
        made.fetcher.close()
        made.cache.close()


def codes(outcome: Outcome) -> list[str]:
    return [finding.code for judged in outcome.judged for finding in judged.findings]


def test_a_good_certificate_is_published_and_lists_are_fetched_once(office: Watched) -> None:
    """One fetch a list, however many people come."""
    for name in ("alice", "bob", "carol"):
        office.mailbox(name)
        assert office.process(person(name, office.issue(name))).status is Status.WRITTEN
    assert sorted(office.server.asked) == ["/issuing.crl", "/root.crl"]


def test_what_was_revoked_is_withdrawn_once_the_list_is_due(office: Watched) -> None:
    """With no change in the directory: the reconciliation looks again."""
    alice = office.issue("alice")
    office.process(person("alice", alice))
    office.revoke(alice)
    assert office.process(person("alice", alice)).status is Status.UNCHANGED  # not due yet
    office.pass_time(timedelta(hours=12))
    outcome = office.process(person("alice", alice))
    assert (outcome.status, codes(outcome)) == (Status.WRITTEN, ["revoked"])
    assert not office.held("alice")
    remembered = office.record("alice").outcome
    assert remembered is not None
    assert remembered.policy == "private-ca 2026-01-01"
    assert [finding.code for finding in remembered.findings] == [Code.NONE_PUBLISHABLE]


def test_a_source_that_is_down_withdraws_nothing_and_publishes_nothing_new(office: Watched) -> None:
    """The list at hand serves until its next update; then there is doubt, and what is published stays."""
    alice = office.issue("alice")
    office.process(person("alice", alice))
    office.server.contents = {}
    office.pass_time(7 * DAY)
    outcome = office.process(person("alice", alice))
    assert (outcome.status, codes(outcome)) == (Status.UNCHANGED, ["crl-stale"] * 2)
    office.mailbox("bob")
    assert not office.held("bob")
    assert codes(office.process(person("bob", office.issue("bob")))) == ["crl-stale"] * 2
    assert not office.held("bob")


def test_a_source_that_failed_is_left_alone_for_a_while(office: Watched) -> None:
    """So that a dead server does not hold up each person; then it is asked again."""
    office.server.contents = {"/root.crl": crl(office.root), "/issuing.crl": 503}
    alice = office.issue("alice")
    for _ in range(3):
        outcome = office.process(person("alice", alice))
    assert codes(outcome) == ["revocation-unknown"]
    assert "HTTP status 503" in outcome.judged[0].findings[0].detail
    assert office.server.asked.count("/issuing.crl") == 1
    office.revoke()
    office.pass_time(RETRY)
    assert office.process(person("alice", alice)).status is Status.WRITTEN


def test_a_restart_fetches_nothing_that_is_not_due(office: Watched) -> None:
    """The cache remembers when it was fetched."""
    office.process(person("alice", office.issue("alice")))
    asked = len(office.server.asked)
    office.pass_time(timedelta(hours=11))
    office.ask(office.lists())
    office.process(person("alice", office.issue("alice")))
    assert len(office.server.asked) == asked
    office.pass_time(timedelta(hours=1))
    office.ask(office.lists())
    office.process(person("alice", office.issue("alice")))
    assert len(office.server.asked) == 2 * asked


@pytest.mark.parametrize("content", [b"", b"<html>Sign in</html>", bytes(100)])
def test_what_is_no_list_does_not_replace_the_one_at_hand(office: Watched, content: bytes) -> None:
    """A captive portal answers 200."""
    alice = office.issue("alice")
    office.process(person("alice", alice))
    office.server.contents["/issuing.crl"] = content
    office.pass_time(timedelta(hours=13))
    assert office.process(person("alice", alice)).status is Status.UNCHANGED
    assert office.cache.get(office.server.url("/issuing.crl")) != (content, office.now)


def test_an_older_list_does_not_replace_a_newer_one(office: Watched) -> None:
    """A lagging mirror, or somebody who replays the list from before a revocation."""
    alice = office.issue("alice")
    old = office.server.contents["/issuing.crl"]
    office.revoke(alice)
    assert codes(office.process(person("alice", alice))) == ["revoked"]
    office.server.contents["/issuing.crl"] = old
    office.pass_time(timedelta(hours=13))
    assert codes(office.process(person("alice", alice))) == ["revoked"]


def test_a_list_in_pem_is_read(office: Watched) -> None:
    """Some CAs publish it so."""
    from cryptography.hazmat.primitives.serialization import Encoding

    office.server.contents["/issuing.crl"] = x509.load_der_x509_crl(crl(office.issuing)).public_bytes(Encoding.PEM)
    assert office.process(person("alice", office.issue("alice"))).status is Status.WRITTEN


def test_addresses_in_certificates_are_never_followed(office: Watched) -> None:
    """Neither distribution points nor OCSP addresses, in a leaf of our own CA."""
    point = x509.UniformResourceIdentifier(office.server.url("/trap.crl"))
    points = x509.CRLDistributionPoints([x509.DistributionPoint([point], None, None, None)])
    responder = x509.UniformResourceIdentifier(office.server.url("/trap.ocsp"))
    access = x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, responder)])
    extra = [Extension("2.5.29.31", points.public_bytes()), Extension("1.3.6.1.5.5.7.1.1", access.public_bytes())]
    assert office.process(person("alice", office.issue("alice", extra=extra))).status is Status.WRITTEN
    assert sorted(office.server.asked) == ["/issuing.crl", "/root.crl"]


def test_a_responder_is_asked_about_each_certificate_once(office: Watched) -> None:
    """And its answers are kept until they are due."""
    good, bad = office.issue("alice"), office.issue("bob")
    office.mailbox("bob")
    known = {str(each.certificate.serial_number): each for each in (good, bad)}

    def answer(question: bytes) -> bytes:
        about = known[str(x509.ocsp.load_der_ocsp_request(question).serial_number)]
        status = "good" if about is good else "revoked"
        return ocsp_response(about, office.issuing, status=status, next_update=office.now + DAY)  # type: ignore[arg-type]

    office.server.contents["/ocsp"] = answer
    office.ask(office.lists('ocsp = "{ocsp}"'))
    for _ in range(2):
        assert codes(office.process(person("alice", good))) == []
        assert codes(office.process(person("bob", bad))) == ["revoked"]
    assert office.server.asked.count("/ocsp") == 2
    office.pass_time(timedelta(hours=12))
    office.process(person("alice", good))
    assert office.server.asked.count("/ocsp") == 3


def test_a_source_may_be_named_by_the_fingerprint_of_its_ca(office: Watched) -> None:
    """With or without colons, in any case."""
    mark = office.issuing.fingerprint.upper()
    office.ask(office.lists().replace(ISSUING, ":".join(mark[i : i + 2] for i in range(0, 64, 2))))
    assert office.process(person("alice", office.issue("alice"))).status is Status.WRITTEN


def test_a_source_for_a_ca_that_nobody_knows_is_a_mistake(office: Watched) -> None:
    """Else a misspelt name would leave everything in doubt."""
    with pytest.raises(PermanentError, match="CN=Exemple Issuing CA") as raised:
        office.ask(office.lists().replace(ISSUING, "CN=Exemple Issuing CA"))
    assert raised.value.code is ErrorCode.SETTINGS_INVALID


def test_all_that_is_wrong_with_the_file_is_told_at_once() -> None:
    """Each with its place."""
    text = '[[source]]\nissuer = "CN=A"\n[[source]]\ncrl = ["ldap:///CN=B"]\nurl = "x"\n'
    with pytest.raises(PermanentError) as raised:
        read_sources(text)
    for part in ("source.0: names neither", "source.1.issuer", "source.1.crl.0", "source.1.url"):
        assert part in raised.value.message
    for text in ("", "[[source", "source = 1"):
        with pytest.raises(PermanentError):
            read_sources(text)


def test_settings_make_policy_and_sources(office: Watched, tmp_path: Path) -> None:
    """What an administrator sets is what the function judges by."""
    (tmp_path / "sources.toml").write_text(office.lists())
    given = {
        "TRUST_ANCHORS": "root.pem",
        "POLICY": "public-sbr",
        "RULES": "eku-absent=warn, ku-absent=warn",
        "ALLOW": "x25519",
        "OVERLAP_DAYS": "7",
        "EXPIRY_GRACE_HOURS": "3",
        "REVOCATION": "hard",
        "REVOCATION_SOURCES": str(tmp_path / "sources.toml"),
        "REVOCATION_PRIVATE": "127.0.0.1",
        "REVOCATION_GRACE_HOURS": "6",
        "REVOCATION_CACHE": str(tmp_path / "cache.sqlite"),
    }
    config = settings.load(settings.JudgingSettings, {f"SMIME_SYNC_{name}": value for name, value in given.items()})
    policy = wiring.judging_policy(config)
    assert (policy.name, policy.revocation, policy.overlap) == ("public-sbr", Revocation.HARD, 7 * DAY)
    assert policy.expiry_grace == timedelta(hours=3)
    assert (policy.crl_grace, "x25519" in policy.curves) == (timedelta(hours=6), True)
    assert [policy.level(code) for code in (Code.EKU_ABSENT, Code.KU_ABSENT, Code.EKU_ANY)] == [
        "warn",
        "warn",
        "refuse",
    ]
    sources = wiring.revocation_sources(config, office.trust, clock=lambda: NOW)
    assert sources is not None
    context = sources.consult(Context(now=NOW, trust=office.trust, policy=policy), person("alice"))
    assert len(context.revocation.lists) == 2


def test_wrong_settings_of_rules_are_told_together() -> None:
    """And revocation without sources."""
    wrong = {"TRUST_ANCHORS": "a", "RULES": "revoked=warn,nonsense", "ALLOW": "md5", "REVOCATION": "hard"}
    with pytest.raises(PermanentError) as raised:
        settings.load(settings.JudgingSettings, {f"SMIME_SYNC_{name}": value for name, value in wrong.items()})
    for part in ("revoked cannot be less than refuse", "'nonsense'", "'md5'", "SMIME_SYNC_REVOCATION_SOURCES"):
        assert part in raised.value.message
