"""One cmdlet over the wire: tokens, redirects, pages, answers, and everything that goes wrong on the way."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from sync.adapters.exchange_online import AdminApi, AnswerFormat
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from tests.adapters.exchange_online.connection import Connection, MintedTokens
from tests.lab.tenant import Fault
from tests.lab.tenant.roles import CMDLETS

pytestmark = pytest.mark.lab

ADA = "ada@corp.example"


@pytest.fixture
def api(connection: Connection) -> AdminApi:
    """The admin API of a tenant with one mailbox."""
    connection.tenant.add_mailbox(ADA)
    return connection.api


def fails(api: AdminApi) -> SyncError:
    """The error in which a lookup ends."""
    with pytest.raises(SyncError) as caught:
        api.invoke("Get-Mailbox", {"Identity": ADA})
    return caught.value


@pytest.mark.parametrize("answers", list(AnswerFormat))
def test_an_answer(connection: Connection, answers: AnswerFormat) -> None:
    """Objects as rows without annotations, in either format."""
    connection.tenant.add_mailbox(ADA)

    answer = connection.reading(answers).api.invoke("Get-Mailbox", {"Identity": ADA})

    assert [row["PrimarySmtpAddress"] for row in answer.rows] == [ADA]
    assert answer.rows[0]["IsDirSynced"] is False
    assert not [key for key in answer.rows[0] if "@" in key]
    assert answer.warnings == ()


def test_warnings_are_kept(connection: Connection, api: AdminApi) -> None:
    """That nothing changed is a success, and said in a warning only."""
    answer = api.invoke("Set-Mailbox", {"Identity": ADA, "Confirm": False, "UserCertificate": None})

    assert answer.rows == ()
    assert len(answer.warnings) == 1
    assert "no settings" in answer.warnings[0]


@pytest.mark.parametrize(
    ("status", "body"), [(204, b""), (200, b""), (200, b"{}"), (200, b'{"value":[]}'), (200, b'{"value":null}')]
)
def test_an_empty_answer_is_a_success(connection: Connection, api: AdminApi, status: int, body: bytes) -> None:
    """Success of a Set: `value` empty or absent, or 204 (facts.md, section 1)."""
    connection.tenant.faults.next(Fault.status(status, body=body))

    assert api.invoke("Set-Mailbox", {"Identity": ADA}).rows == ()


@pytest.mark.parametrize(
    "body",
    [
        b"Sign in to the guest network",
        b"<html><body>Sign in</body></html>",
        b"[]",
        b"7",
        b'{"value":["text"]}',
        b'{"value":[7]}',
        b'{"value":[',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"value":[{"_clixml":"<Objs><S>x</S></Objs>"}]}',
    ],
    ids=["text", "html", "list", "number", "strings", "numbers", "cut", "binary", "deep", "clixml"],
)
def test_an_unreadable_success_is_an_error(connection: Connection, api: AdminApi, body: bytes) -> None:
    """A page of a proxy must not pass for an empty answer: that would mean that nobody holds anything."""
    connection.tenant.faults.next(Fault.status(200, body=body))

    error = fails(api)

    assert isinstance(error, PermanentError)
    assert error.code is ErrorCode.TENANT_ANSWER


@pytest.mark.parametrize("status", [300, 304, 305])
def test_a_status_that_is_neither_success_nor_redirect(connection: Connection, api: AdminApi, status: int) -> None:
    """It is no answer either."""
    connection.tenant.faults.next(Fault.status(status))

    assert fails(api).code is ErrorCode.TENANT_ANSWER


def test_errors_with_200_are_a_failure(connection: Connection, api: AdminApi) -> None:
    """The status says success, the body says not (facts.md, section 1)."""
    connection.tenant.faults.next(Fault.success_with_errors("|System.X|object couldn't be found on 'DC'."))

    error = fails(api)

    assert isinstance(error, TemporaryError)
    assert error.code is ErrorCode.NO_RECIPIENT


def test_throttled_with_a_time(connection: Connection, api: AdminApi) -> None:
    """The time that the tenant names goes to the queue."""
    connection.tenant.faults.next(Fault.status(429, Retry_After="37"))

    error = fails(api)

    assert isinstance(error, TemporaryError)
    assert (error.code, error.retry_after) == (ErrorCode.TENANT_THROTTLED, timedelta(seconds=37))


def test_throttled_without_a_time(connection: Connection, api: AdminApi) -> None:
    """Retry-After is optional."""
    connection.tenant.faults.next(Fault.status(429))

    error = fails(api)

    assert isinstance(error, TemporaryError)
    assert (error.code, error.retry_after) == (ErrorCode.TENANT_THROTTLED, None)


@pytest.mark.parametrize("done", [False, True], ids=["before the cmdlet", "after it"])
def test_a_broken_line(connection: Connection, api: AdminApi, done: bool) -> None:
    """Temporary, whether the cmdlet ran or not: looking again finds out."""
    connection.tenant.faults.next(Fault(reset=True, done=done))

    error = fails(api)

    assert isinstance(error, TemporaryError)
    assert error.code is ErrorCode.TENANT_UNAVAILABLE
    assert api.invoke("Get-Mailbox", {"Identity": ADA}).rows


def test_a_slow_answer(connection: Connection) -> None:
    """Nobody waits for ever."""
    connection.tenant.add_mailbox(ADA)
    connection.tenant.faults.next(Fault(delay=0.5))

    with requests.Session() as session:
        hurried = Connection(tenant=connection.tenant, session=session, timeout=timedelta(seconds=0.1))
        error = fails(hurried.api)

    assert isinstance(error, TemporaryError)
    assert error.code is ErrorCode.TENANT_UNAVAILABLE
    assert "Timeout" in error.message


def test_nobody_listens(connection: Connection) -> None:
    """Temporary, and it names the host."""
    api = AdminApi(
        tenant=connection.tenant.id,
        tokens=MintedTokens(connection.tenant),
        session=connection.session,
        host="https://localhost:1",
        suffixes=("localhost",),
    )

    error = fails(api)

    assert isinstance(error, TemporaryError)
    assert error.code is ErrorCode.TENANT_UNAVAILABLE
    assert "localhost" in error.message


def test_a_certificate_of_an_unknown_authority(connection: Connection) -> None:
    """The token is not sent to whoever answers."""
    api = AdminApi(
        tenant=connection.tenant.id,
        tokens=MintedTokens(connection.tenant),
        session=connection.session,
        host=connection.tenant.url,
        suffixes=("localhost",),
    )

    error = fails(api)

    assert isinstance(error, TemporaryError)
    assert "SSLError" in error.message
    assert connection.tenant.calls == []


def test_the_session_of_a_made_connection(connection: Connection, api: AdminApi) -> None:
    """Cookies come back, one connection id for all, a new id for each request."""
    for _ in range(3):
        api.invoke("Get-Mailbox", {"Identity": ADA})

    calls = connection.tenant.calls
    assert len({call.headers["Connection-Id"] for call in calls}) == 1
    assert len({call.headers["Client-Request-Id"] for call in calls}) == 3
    assert "Cookie" not in calls[0].headers
    assert calls[1].headers["Cookie"] == calls[2].headers["Cookie"]


def test_netrc_does_not_replace_the_token(
    connection: Connection, api: AdminApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """requests would send the password of a .netrc entry in the token's place."""
    (tmp_path / "netrc").write_text("machine localhost login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    assert api.invoke("Get-Mailbox", {"Identity": ADA}).rows
    assert connection.tenant.calls[0].headers["Authorization"].startswith("Bearer ")


class TestTokens:
    """What the admin API thinks of our token."""

    def test_a_claims_challenge_is_answered_once(self, connection: Connection) -> None:
        """A revoked token is challenged; the new one meets the claims, and the caller notices nothing."""
        connection.tenant.add_mailbox(ADA)
        tokens = MintedTokens(connection.tenant)
        api = Connection(tenant=connection.tenant, session=connection.session, tokens=tokens).api
        api.invoke("Get-Mailbox", {"Identity": ADA})
        connection.tenant.tokens.revoke()

        assert api.invoke("Get-Mailbox", {"Identity": ADA}).rows

        assert [call.status for call in connection.tenant.calls] == [200, 401, 200]
        assert tokens.claims is not None
        assert tokens.claims[:2] == [None, None]
        assert "nbf" in json.loads(str(tokens.claims[2]))["access_token"]

    def test_a_second_challenge_is_the_end(self, connection: Connection, api: AdminApi) -> None:
        """Once: a tenant that is never content must not keep us busy."""
        challenge = 'Bearer error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ=="'
        connection.tenant.faults.next(*[Fault.status(401, WWW_Authenticate=challenge)] * 2)

        error = fails(api)

        assert isinstance(error, PermanentError)
        assert error.code is ErrorCode.TENANT_UNAUTHORISED
        assert len(connection.tenant.calls) == 2

    @pytest.mark.parametrize(
        "claims", ["eyJhY2Nlc3NfdG9rZW4iOnt9fQ", "eyJhIjoiPz8_In0"], ids=["no padding", "url-safe"]
    )
    def test_challenges_as_they_are_written(self, connection: Connection, claims: str) -> None:
        """Without padding, and in the alphabet of URLs."""
        connection.tenant.add_mailbox(ADA)
        tokens = MintedTokens(connection.tenant)
        api = Connection(tenant=connection.tenant, session=connection.session, tokens=tokens).api
        connection.tenant.faults.next(Fault.status(401, WWW_Authenticate=f'Bearer realm="", claims="{claims}"'))

        assert api.invoke("Get-Mailbox", {"Identity": ADA}).rows

        assert tokens.claims is not None
        assert isinstance(json.loads(str(tokens.claims[-1])), dict)

    @pytest.mark.parametrize(
        "header", ["", "Bearer", 'Bearer claims="!"', 'Bearer claims="AAAA"', 'Bearer claims="Nw=="']
    )
    def test_a_challenge_that_says_nothing(self, connection: Connection, api: AdminApi, header: str) -> None:
        """Nothing to answer: refused at once."""
        connection.tenant.faults.next(Fault.status(401, WWW_Authenticate=header))

        assert fails(api).code is ErrorCode.TENANT_UNAUTHORISED
        assert len(connection.tenant.calls) == 1

    @pytest.mark.parametrize("case", ["expired", "audience", "garbage"])
    def test_a_token_that_is_not_good(self, connection: Connection, case: str) -> None:
        """Permanent: asking again with the same token is in vain."""
        mint = connection.tenant.tokens.mint
        token = {"expired": mint(lifetime=-10), "audience": mint(audience="https://graph.example"), "garbage": "x"}[
            case
        ]
        tokens = MintedTokens(connection.tenant, kept=token)

        error = fails(Connection(tenant=connection.tenant, session=connection.session, tokens=tokens).api)

        assert isinstance(error, PermanentError)
        assert error.code is ErrorCode.TENANT_UNAUTHORISED

    def test_without_the_application_role(self, connection: Connection, api: AdminApi) -> None:
        """401 (facts.md, section 1)."""
        connection.tenant.roles.application_role = False

        assert fails(api).code is ErrorCode.TENANT_UNAUTHORISED

    def test_without_an_exchange_role(self, connection: Connection, api: AdminApi) -> None:
        """403 with a body of NUL bytes (facts.md, section 1)."""
        connection.tenant.roles.cmdlets.clear()

        error = fails(api)

        assert error.code is ErrorCode.TENANT_ROLE
        assert "\0" not in error.message

    def test_with_a_role_that_was_trimmed_too_far(self, connection: Connection, api: AdminApi) -> None:
        """The parameter that the role lacks does not exist for us."""
        connection.tenant.roles.cmdlets["Set-Mailbox"] = CMDLETS["Set-Mailbox"] - {"UserSMimeCertificate"}

        with pytest.raises(PermanentError, match="UserSMimeCertificate") as caught:
            api.invoke("Set-Mailbox", {"Identity": ADA, "Confirm": False, "UserSMimeCertificate": None})

        assert caught.value.code is ErrorCode.TENANT_PARAMETER


class TestRedirects:
    """A regional host, and every other place."""

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_to_a_regional_host(self, connection: Connection, api: AdminApi, status: int) -> None:
        """Posted again, with token, anchor and body."""
        path = f"/adminapi/beta/{connection.tenant.id}/InvokeCommand"
        connection.tenant.faults.next(Fault.redirect(f"{connection.tenant.region_url}{path}", status=status))

        assert api.invoke("Get-Mailbox", {"Identity": ADA}).rows

        first, second = connection.tenant.calls
        assert (second.method, second.path, second.body) == ("POST", path, first.body)
        assert second.headers["Host"] == connection.tenant.region_url.removeprefix("https://")
        assert second.headers["Authorization"] == first.headers["Authorization"]
        assert second.headers["X-Anchormailbox"] == first.headers["X-Anchormailbox"]

    @pytest.mark.parametrize(
        "location",
        [
            "https://127.0.0.1:{port}/",
            "https://localhost.evil.example/",
            "https://evil-localhost/",
            "https://localhost@127.0.0.1:{port}/",
            "http://localhost:{port}/",
            "//127.0.0.1:{port}/",
            "ftp://localhost/",
            "https://[/",
            "https://localhost:port/@127.0.0.1",
            "https://127.0.0.1:{port}\\.localhost/",
            "https://127.0.0.1\\@localhost/",
            "https://127.0.0.1%2f.localhost/",
            "",
        ],
    )
    def test_to_elsewhere(self, connection: Connection, api: AdminApi, location: str) -> None:
        """Not followed: the token would be given away."""
        port = connection.tenant.region_url.rpartition(":")[2]
        connection.tenant.faults.next(Fault.redirect(location.replace("{port}", port)))

        error = fails(api)

        assert isinstance(error, PermanentError)
        assert error.code is ErrorCode.TENANT_REDIRECT
        assert len(connection.tenant.calls) == 1

    def test_in_a_circle(self, connection: Connection, api: AdminApi) -> None:
        """Bounded."""
        connection.tenant.faults.next(*[Fault.redirect(f"{connection.tenant.region_url}/x")] * 10)

        assert fails(api).code is ErrorCode.TENANT_REDIRECT
        assert len(connection.tenant.calls) == 4


class TestPages:
    """Answers of more than a thousand objects."""

    @pytest.fixture
    def crowd(self, connection: Connection) -> Connection:
        """2,500 mailboxes."""
        for number in range(2500):
            connection.tenant.add_mailbox(f"user{number}@corp.example")
        return connection

    def test_all_pages_are_read(self, crowd: Connection) -> None:
        """The same body is posted to each next link, with the cookies of the first page."""
        answer = crowd.api.invoke("Get-Recipient", {"ResultSize": "Unlimited"})

        assert len({row["ExternalDirectoryObjectId"] for row in answer.rows}) == 2500
        assert [call.status for call in crowd.tenant.calls] == [200, 200, 200]
        assert len({call.body for call in crowd.tenant.calls}) == 1

    def test_page_by_page(self, crowd: Connection) -> None:
        """Whoever reads a whole tenant holds one page at a time."""
        first = crowd.api.page("Get-Recipient", {"ResultSize": "Unlimited"})
        assert len(first.answer.rows) == 1000
        assert len(crowd.tenant.calls) == 1

        second = crowd.api.page("Get-Recipient", {"ResultSize": "Unlimited"}, first.following)
        third = crowd.api.page("Get-Recipient", {"ResultSize": "Unlimited"}, second.following)
        assert (len(second.answer.rows), len(third.answer.rows), third.following) == (1000, 500, None)

    def test_a_page_that_expired(self, crowd: Connection) -> None:
        """Temporary: reading starts again."""
        first = crowd.api.page("Get-Recipient", {"ResultSize": "Unlimited"})
        crowd.tenant.expire_pages()

        with pytest.raises(TemporaryError) as caught:
            crowd.api.page("Get-Recipient", {"ResultSize": "Unlimited"}, first.following)

        assert caught.value.code is ErrorCode.PAGE_EXPIRED

    def test_a_next_page_elsewhere(self, connection: Connection, api: AdminApi) -> None:
        """A next link carries our token as a redirect does."""
        body = json.dumps({"value": [], "@odata.nextLink": "https://evil.example/adminapi"}).encode()
        connection.tenant.faults.next(Fault.status(200, body=body))

        assert fails(api).code is ErrorCode.TENANT_REDIRECT
