"""What the preflight says of tenants that lack something, or give too much."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from sync.adapters.exchange_online import AnswerFormat
from sync.core import certificate_store
from sync.core.certificate import Certificate
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.own_certificate import Expiry
from sync.preflight import Level, Line, Preflight
from tests.adapters.exchange_online.connection import Connection
from tests.lab.tenant import Fault
from tests.mill import DAY, NOW, Authority, Mill
from tests.mill.extensions import Extension

pytestmark = pytest.mark.lab

ROOT_LIST, ISSUING_LIST = "http://pki.corp.example/root.crl", "http://pki.corp.example/issuing.crl"


def revocation_list(issuer: Authority, *, next_update: datetime = NOW + DAY) -> bytes:
    """An empty list of this CA."""
    built = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.name)
        .last_update(NOW - DAY)
        .next_update(next_update)
        .sign(issuer.key, hashes.SHA256())  # type: ignore[arg-type]
    )
    return built.public_bytes(serialization.Encoding.DER)


def crl_distribution_points(address: str) -> Extension:
    """RFC 5280, 4.2.1.13."""
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(address)], None, None, None)
    return Extension("2.5.29.31", x509.CRLDistributionPoints([point]).public_bytes())


@dataclass
class Airfield:
    """A tenant, a trust store and a web server of lists."""

    connection: Connection
    root: Authority
    issuing: Authority
    pages: dict[str, bytes] = field(default_factory=dict)
    token: Callable[[], str] | None = None
    outside: str | None = "outside@corp.example"
    answers: AnswerFormat = AnswerFormat.JSON
    lists: dict[str, list[str]] = field(default_factory=dict)
    certificates: list[Expiry] = field(default_factory=list)

    def fetch(self, address: str) -> bytes:
        if address not in self.pages:
            raise TemporaryError(ErrorCode.TENANT_UNAVAILABLE, f"{address} is not there")
        return self.pages[address]

    def lines(self) -> list[Line]:
        connection = self.connection.reading(self.answers)
        return list(
            Preflight(
                token=self.token or connection.tenant.tokens.mint,
                cmdlets=connection.api,
                recipients=connection.recipients,
                anchors=[Certificate.parse(self.root.der)],
                intermediates=[Certificate.parse(self.issuing.der)],
                fetch=self.fetch,
                now=lambda: NOW,
                lists=self.lists,
                outside=self.outside,
                certificates=self.certificates,
            ).lines()
        )

    def line(self, check: str) -> Line:
        (line,) = [each for each in self.lines() if each.check == check]
        return line


@pytest.fixture
def airfield(tenant: object) -> Iterator[Airfield]:
    """Where everything is as it should be."""
    from tests.lab.tenant import Tenant

    assert isinstance(tenant, Tenant)
    mill = Mill()
    root = mill.root()
    issuing = root.issue_ca("Example Issuing CA", extra=[crl_distribution_points(ROOT_LIST)])
    tenant.add_mailbox("inside@corp.example")
    tenant.add_mailbox("outside@corp.example", outside_scope=True, user_certificate=[b"0\x03\x02\x01\x05"])
    tenant.trust(certificate_store.write((root.der, issuing.der)))
    with requests.Session() as session:
        field_ = Airfield(Connection(tenant=tenant, session=session), root, issuing)
        field_.pages = {ROOT_LIST: revocation_list(root), ISSUING_LIST: revocation_list(issuing)}
        field_.lists = {Certificate.parse(issuing.der).subject_text: [ISSUING_LIST]}
        yield field_


@pytest.mark.parametrize("answers", list(AnswerFormat))
def test_everything_is_well(airfield: Airfield, answers: AnswerFormat) -> None:
    """Every line ok, and nobody was written."""
    airfield.answers = answers

    lines = airfield.lines()

    assert [(line.check, line.detail) for line in lines if line.level is not Level.OK] == []
    assert len(lines) == 1 + 4 + 3 + 1 + 1 + 1 + 2
    assert all(entry.writes == 0 for entry in airfield.connection.tenant.objects.all(None))


def test_our_own_certificates(airfield: Airfield) -> None:
    """Fail when it has ended, warn when it will soon."""
    days = {"ended": -1, "ends soon": 29, "good": 31}
    airfield.certificates = [Expiry(name=name, at=NOW + number * DAY) for name, number in days.items()]

    assert {name: airfield.line(name).level for name in days} == {
        "ended": Level.FAIL,
        "ends soon": Level.WARN,
        "good": Level.OK,
    }


def test_no_token(airfield: Airfield) -> None:
    """Nothing of the tenant is tried; the lists still are."""

    def refused() -> str:
        raise PermanentError(ErrorCode.TOKEN_REFUSED, "no")

    airfield.token = refused

    lines = airfield.lines()

    assert (lines[0].check, lines[0].level) == ("token", Level.FAIL)
    assert airfield.connection.tenant.calls == []
    assert len(lines) == 3


def test_a_token_without_the_application_role(airfield: Airfield) -> None:
    """Said at once, instead of a 401 for each cmdlet."""
    airfield.connection.tenant.roles.application_role = False

    assert "Exchange.ManageAsApp" in airfield.line("token").detail
    assert airfield.line("token").level is Level.FAIL


def test_an_opaque_token(airfield: Airfield) -> None:
    """Whoever cannot look into it says nothing about it."""
    airfield.token = lambda: "opaque"

    assert airfield.line("token").level is Level.OK


@pytest.mark.parametrize("cmdlet", ["Get-Recipient", "Get-MailUser", "Set-Mailbox", "Set-MailContact"])
def test_a_cmdlet_that_the_role_lacks(airfield: Airfield, cmdlet: str) -> None:
    """This one fails, the others are tried all the same."""
    del airfield.connection.tenant.roles.cmdlets[cmdlet]

    failed = [line for line in airfield.lines() if line.level is Level.FAIL]

    assert [line.check for line in failed] == [cmdlet]
    assert "tenant-role" in failed[0].detail


def test_a_parameter_that_the_role_lacks(airfield: Airfield) -> None:
    """By name."""
    roles = airfield.connection.tenant.roles
    roles.cmdlets["Set-MailUser"] -= {"UserSMimeCertificate"}

    line = airfield.line("Set-MailUser")

    assert line.level is Level.FAIL
    assert line.detail.endswith("lacks the parameters UserSMimeCertificate")


def test_a_role_that_was_not_trimmed(airfield: Airfield) -> None:
    """It could forward anybody's mail."""
    airfield.connection.tenant.roles.cmdlets["Set-Mailbox"] |= {"ForwardingSmtpAddress"}

    assert airfield.line("nothing else").level is Level.WARN


@pytest.mark.parametrize(
    ("outside", "level"),
    [("inside@corp.example", Level.FAIL), (None, Level.WARN), ("nobody@corp.example", Level.WARN)],
)
def test_a_write_that_is_not_refused(airfield: Airfield, outside: str | None, level: Level) -> None:
    """A role without a scope; and what was not tried is not called well."""
    airfield.outside = outside

    assert airfield.line("a write outside the scope").level is level
    assert all(entry.writes == 0 for entry in airfield.connection.tenant.objects.all(None))


def test_a_mailbox_outside_that_says_nothing_of_the_scope(airfield: Airfield) -> None:
    """Refused, but since the directory owns it: that proves nothing of the role."""
    airfield.connection.tenant.add_mailbox("synchronised@corp.example", directory_synchronised=True)
    airfield.outside = "synchronised@corp.example"

    line = airfield.line("a write outside the scope")

    assert line.level is Level.WARN
    assert "on-premises-mastered" in line.detail


def test_a_role_without_a_scope(airfield: Airfield) -> None:
    """The mailbox outside takes the write, and keeps what it holds."""
    airfield.connection.tenant.roles.scoped = False

    assert airfield.line("a write outside the scope").level is Level.FAIL
    assert len(airfield.connection.tenant.recipient("outside").values) == 1


STORE = "trust store of Outlook on the web"


@pytest.mark.parametrize(
    ("store", "said"),
    [
        (None, "0 certificates"),
        (b"no store", "cannot be read"),
        (certificate_store.write((b"0\x82",)), "cannot be read"),
        (certificate_store.write((b"0" * 40,))[:-20], "ends in the middle"),
    ],
)
def test_a_trust_store_that_says_nothing(airfield: Airfield, store: bytes | None, said: str) -> None:
    """Never set, or not what it should be."""
    airfield.connection.tenant.trust(store)

    lines = [line for line in airfield.lines() if line.check == STORE]

    assert lines[-1].level is Level.WARN
    assert said in lines[-1].detail


def test_a_trust_store_with_a_gap_and_old_roots(airfield: Airfield) -> None:
    """Our issuing CA is missing, one root is expired, one expires soon."""
    mill = Mill()
    old, ageing = mill.root("Old Root", not_after=NOW - DAY), mill.root("Ageing Root", not_after=NOW + 30 * DAY)
    airfield.connection.tenant.trust(certificate_store.write((airfield.root.der, old.der, ageing.der)))

    found = {line.detail: line.level for line in airfield.lines() if line.check == STORE}

    assert [level for detail, level in found.items() if "lacks" in detail and "Issuing" in detail] == [Level.WARN]
    assert [level for detail, level in found.items() if "Old Root" in detail] == [Level.FAIL]
    assert [level for detail, level in found.items() if "Ageing Root" in detail] == [Level.WARN]


def test_no_right_to_see_the_trust_store(airfield: Airfield) -> None:
    """A warning: the product does not need it."""
    del airfield.connection.tenant.roles.cmdlets["Get-SmimeConfig"]

    assert airfield.line(STORE).level is Level.WARN


@pytest.mark.parametrize("spoil", ["absent", "rubbish", "stale", "another CA's", "ldap", "unknown"])
def test_a_revocation_list_that_does_not_serve(airfield: Airfield, spoil: str) -> None:
    """Each in words of its own; nothing else fails."""
    name = Certificate.parse(airfield.issuing.der).subject_text
    expected = {
        "absent": ("is not there", Level.FAIL),
        "rubbish": ("holds no revocation list", Level.FAIL),
        "stale": ("is stale since", Level.FAIL),
        "another CA's": ("the list of another CA", Level.FAIL),
        "ldap": ("cannot be reached from the cloud", Level.WARN),
        "unknown": ("no address is known", Level.WARN),
    }[spoil]
    stale = revocation_list(airfield.issuing, next_update=NOW - timedelta(hours=1))
    airfield.pages |= {
        "rubbish": {ISSUING_LIST: b"<html>"},
        "stale": {ISSUING_LIST: stale},
        "another CA's": {ISSUING_LIST: airfield.pages[ROOT_LIST]},
    }.get(spoil, {})
    if spoil == "absent":
        del airfield.pages[ISSUING_LIST]
    addresses = {"ldap": ["ldap:///CN=x"], "unknown": []}
    airfield.lists[name] = addresses.get(spoil, [ISSUING_LIST])

    (line,) = [each for each in airfield.lines() if each.level is not Level.OK]

    assert line.check == f"revocation list of {name}"
    assert expected[0] in line.detail
    assert line.level is expected[1]


def test_a_ca_named_by_its_fingerprint(airfield: Airfield) -> None:
    """As the file of revocation sources may name it, in either spelling."""
    mark = Certificate.parse(airfield.issuing.der).fingerprint
    airfield.lists = {":".join(mark[place : place + 2].upper() for place in range(0, 64, 2)): [ISSUING_LIST]}

    assert [line for line in airfield.lines() if line.level is not Level.OK] == []


def test_a_passing_fault_is_told_and_the_rest_tried(airfield: Airfield) -> None:
    """A throttled check fails alone."""
    airfield.connection.tenant.faults.next(Fault.status(429, cmdlet="Get-MailUser"))

    failed = [line.check for line in airfield.lines() if line.level is Level.FAIL]

    assert failed == ["Get-MailUser"]
