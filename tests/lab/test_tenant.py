"""The simulated tenant is as strict as the real one: a forgiving stand-in would prove nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import requests

from sync.adapters.entra import ClientSecret, Cloud, TokenSource
from sync.adapters.exchange_online import AdminApi, Clearing, Encoding, ExchangeOnline
from sync.core.person import Attribute
from sync.core.recipient import Recipient, RecipientKind
from tests.lab.tenant import Tenant, Weather
from tests.lab.tenant.faults import STORMS
from tests.lab.tenant.objects import Entry

pytestmark = pytest.mark.lab

VALUE = [48, 3, 2, 1, 5]
TAG = {"UserCertificate@odata.type": "#Collection(Exchange.ByteArrayType)"}

Post = Callable[..., requests.Response]


@pytest.fixture
def ada(tenant: Tenant) -> Entry:
    """A mailbox."""
    return tenant.add_mailbox("ada@corp.example")


@pytest.fixture
def post(tenant: Tenant) -> Iterator[Post]:
    """Posts a body as a careless client would; headers given as None are left out."""
    with requests.Session() as session:

        def send(
            content: object, *, url: str | None = None, cookies: bool = True, **changes: str | None
        ) -> requests.Response:
            headers = {
                "Authorization": f"Bearer {tenant.tokens.mint()}",
                "X-AnchorMailbox": f"APP:SystemMailbox{{bb558c35-97f1-4cb9-8ff7-d53741dc928c}}@{tenant.id}",
                "Prefer": "odata.maxpagesize=2",
            }
            headers.update({name.replace("_", "-"): value for name, value in changes.items()})  # type: ignore[misc]
            if not cookies:
                session.cookies.clear()
            return session.post(
                url or f"{tenant.url}/adminapi/beta/{tenant.id}/InvokeCommand",
                data=content if isinstance(content, bytes) else json.dumps(content),
                headers=headers,
                verify=tenant.ca_file,
                allow_redirects=False,
                timeout=10,
            )

        yield send


def command(name: str, parameters: object) -> dict[str, object]:
    """The envelope."""
    return {"CmdletInput": {"CmdletName": name, "Parameters": parameters}}


def setting(entry: Entry, **parameters: object) -> dict[str, object]:
    """A Set-Mailbox that lacks nothing."""
    return command("Set-Mailbox", {"Identity": entry.id, "Confirm": False, **parameters})


def inner(response: requests.Response) -> str:
    """The type of the inner exception, without its namespace."""
    return str(response.json()["error"]["innererror"]["internalexception"]["type"]).rpartition(".")[2]


@pytest.mark.parametrize("anchor", [None, "", "ada@corp.example", "UPN:ada@corp.example", "APP:SystemMailbox{0}@x"])
def test_a_missing_or_wrong_anchor(post: Post, ada: Entry, anchor: str | None) -> None:
    """A bare 403."""
    response = post(command("Get-Mailbox", {"Identity": ada.id}), X_AnchorMailbox=anchor)

    assert (response.status_code, response.content) == (403, b"")


@pytest.mark.parametrize("authorization", [None, "", "Bearer ", "Bearer x.y.z", "Basic YTpi"])
def test_a_missing_or_wrong_token(post: Post, authorization: str | None) -> None:
    """401, and how to get one."""
    response = post(command("Get-Mailbox", {}), Authorization=authorization)

    assert response.status_code == 401
    assert "authorization_uri" in response.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"[]",
        b'{"CmdletInput":null}',
        command("Get-Mailbox", None),
        command("Get-Mailbox", []),
        {"CmdletInput": {"CmdletName": "Get-Mailbox"}},
        {"CmdletInput": {"Parameters": {}}},
    ],
    ids=["empty", "text", "list", "null", "null parameters", "list parameters", "no parameters", "no name"],
)
def test_a_body_that_is_no_cmdlet(post: Post, content: object) -> None:
    """`"Parameters":{}` is an object, never null."""
    assert post(content).status_code == 400


def test_another_tenant_or_path(tenant: Tenant, post: Post) -> None:
    """There is nothing there."""
    for path in ("/adminapi/beta/other/InvokeCommand", f"/adminapi/v2.0/{tenant.id}/InvokeCommand", "/"):
        assert post(command("Get-Mailbox", {}), url=tenant.url + path).status_code == 404


def test_a_get(tenant: Tenant) -> None:
    """As a client makes of a POST that it lets be redirected."""
    url = f"{tenant.url}/adminapi/beta/{tenant.id}/InvokeCommand"

    assert requests.get(url, verify=tenant.ca_file, timeout=10).status_code == 405


@pytest.mark.parametrize("cmdlet", ["Set-Recipient", "Set-RemoteMailbox", "Remove-Mailbox", "get-mailbox "])
def test_an_unknown_cmdlet(post: Post, cmdlet: str) -> None:
    """403 and NUL bytes, as a cmdlet in no role."""
    response = post(command(cmdlet, {}))

    assert response.status_code == 403
    assert set(response.content) == {0}


def test_an_unknown_parameter(post: Post, ada: Entry) -> None:
    """Named in the error."""
    response = post(setting(ada, UserCertificates=None))

    assert (response.status_code, inner(response)) == (400, "AmbiguousParameterSetException")
    assert "UserCertificates" in response.text


def test_no_confirmation(post: Post, ada: Entry) -> None:
    """Nobody is there to give it."""
    response = post(command("Set-Mailbox", {"Identity": ada.id, "UserCertificate": None}))

    assert response.status_code == 400


@pytest.mark.parametrize(
    "value",
    [
        VALUE,
        [VALUE],
        [{"Data": "MAMCAQU="}],
        ["MAMCAQU="],
        "MAMCAQU=",
        {"Data": VALUE},
        [{"Data": []}],
        [{"Data": [256]}],
        [{"Data": [-1]}],
        [{"Data": [True]}],
        [{"Data": ["48"]}],
        [{"Data": VALUE, "More": 1}],
        [{"Data": [0] * 32_769}],
        [{"Data": VALUE}, VALUE],
    ],
    ids=[
        "flat integers",
        "integers",
        "base64 data",
        "base64",
        "text",
        "no list",
        "empty",
        "256",
        "-1",
        "true",
        "digits",
        "more members",
        "too long",
        "mixed",
    ],
)
def test_a_value_of_the_wrong_shape(post: Post, ada: Entry, value: object) -> None:
    """Refused whole: nothing is written."""
    response = post(setting(ada, UserCertificate=value, **TAG))

    assert (response.status_code, inner(response)) == (400, "ParameterTransformationException")
    assert not ada.values


def test_a_value_without_its_tag(post: Post, ada: Entry) -> None:
    """The collection's type stands beside it."""
    assert inner(post(setting(ada, UserCertificate=[{"Data": VALUE}]))) == "ParameterTransformationException"


def test_flat_integers_bind_to_nothing(tenant: Tenant, post: Post, ada: Entry) -> None:
    """Whatever this tenant takes: one certificate is never a list of numbers."""
    tenant.behaviour.binds = set(Encoding)

    assert post(setting(ada, UserCertificate=VALUE)).status_code == 400


@pytest.mark.parametrize(("clearing", "value"), [(Clearing.NULL, None), (Clearing.EMPTY, [])])
def test_clearing(tenant: Tenant, post: Post, ada: Entry, clearing: Clearing, value: object) -> None:
    """Each way only where the tenant knows it."""
    ada.certificates[Attribute.USER_CERTIFICATE] = [b"0"]
    tenant.behaviour.clears = set(Clearing) - {clearing}
    assert post(setting(ada, UserCertificate=value)).status_code == 400
    assert ada.values

    tenant.behaviour.clears = {clearing}
    assert post(setting(ada, UserCertificate=value)).status_code == 200
    assert not ada.values


def test_writes_are_counted_and_no_change_is_none(post: Post, ada: Entry) -> None:
    """A repeated write is a warning."""
    for _ in range(2):
        response = post(setting(ada, UserCertificate=[{"Data": VALUE}], **TAG))

    assert ada.writes == 1
    assert response.json()["@adminapi.warnings"]
    assert response.json()["value"] == []


def test_a_json_answer_has_its_annotations(post: Post, ada: Entry) -> None:
    """As a real one, so that reading them away is tested."""
    row = post(command("Get-Mailbox", {"Identity": ada.id})).json()["value"][0]

    assert row["UserCertificate@odata.type"] == "#Collection(String)"
    assert row["ExternalDirectoryObjectId"] == ada.id


class TestPages:
    """Three mailboxes, two a page."""

    @pytest.fixture
    def link(self, tenant: Tenant, post: Post) -> str:
        """The next page."""
        for name in ("ada", "bob", "eve"):
            tenant.add_mailbox(f"{name}@corp.example")
        return str(post(command("Get-Mailbox", {})).json()["@odata.nextLink"])

    def test_a_next_page(self, post: Post, link: str) -> None:
        """With the same body and cookies, once."""
        first, again = (post(command("Get-Mailbox", {}), url=link) for _ in range(2))

        assert len(first.json()["value"]) == 1
        assert again.status_code == 400

    def test_without_the_cookies(self, post: Post, link: str) -> None:
        """Another backend knows nothing of it."""
        response = post(command("Get-Mailbox", {}), url=link, cookies=False)

        assert response.status_code == 400
        assert "pagination" in response.text

    def test_with_another_body(self, post: Post, link: str) -> None:
        """It belongs to its cmdlet."""
        assert post(command("Get-Mailbox", {"ResultSize": "Unlimited"}), url=link).status_code == 400


class TestWeather:
    """What a busy tenant does, drawn with a seed or counted."""

    def test_the_same_seed_brings_the_same_weather(self) -> None:
        """About as often as asked, and every kind of it."""
        first, second, other = (Weather(faulty=0.3, seed=seed) for seed in (7, 7, 8))

        drawn = [first.draw(len(STORMS)) for _ in range(1000)]

        assert drawn == [second.draw(len(STORMS)) for _ in range(1000)]
        assert drawn != [other.draw(len(STORMS)) for _ in range(1000)]
        assert 200 < first.met < 400
        assert set(drawn) == {None, *range(len(STORMS))}

    def test_it_strikes(self, tenant: Tenant, post: Post, ada: Entry) -> None:
        """Every request, where it is certain; token requests are left alone."""
        tenant.weather.faulty = 1.0
        tenant.weather.seed = 3
        met = 0
        for _ in range(20):
            try:
                met += post(command("Get-Mailbox", {"Identity": ada.id}), X_CmdletName="Get-Mailbox").status_code != 200
            except requests.ConnectionError:
                met += 1

        assert tenant.weather.met == 20
        assert met >= 14  # one kind in eight is only slow

    def test_a_budget(self, tenant: Tenant, post: Post, ada: Entry) -> None:
        """429 with Retry-After beyond it; without one where the tenant names none."""
        tenant.budget.cmdlets, tenant.budget.seconds, tenant.budget.retry_after = 2, 3600.0, 9
        answers = [post(command("Get-Mailbox", {"Identity": ada.id})) for _ in range(3)]

        assert [each.status_code for each in answers] == [200, 200, 429]
        assert answers[2].headers["Retry-After"] == "9"
        tenant.budget.retry_after = None
        assert "Retry-After" not in post(command("Get-Mailbox", {"Identity": ada.id})).headers

    def test_provisioning(self, tenant: Tenant, post: Post) -> None:
        """A new mailbox is not found at first."""
        tenant.behaviour.provisioning = 2
        eve = tenant.add_mailbox("eve@corp.example")

        answers = [post(command("Get-Mailbox", {"Identity": eve.id})).status_code for _ in range(3)]

        assert answers == [404, 404, 200]

    def test_reads_lag(self, tenant: Tenant, post: Post, ada: Entry) -> None:
        """After a write the old values are shown for a while."""
        tenant.behaviour.lag = 2
        post(setting(ada, UserCertificate=[{"Data": VALUE}], **TAG))

        shown = [post(command("Get-Mailbox", {"Identity": ada.id})).json()["value"][0] for _ in range(3)]

        assert [len(each["UserCertificate"]) for each in shown] == [0, 0, 1]


@pytest.mark.parametrize(
    "content",
    [
        {"requests": []},
        {"requests": [{"id": "1"}] * 2},
        {"requests": [{"id": str(number)} for number in range(11)]},
        {"requests": [{}]},
        [],
    ],
    ids=["empty", "same ids", "eleven", "no id", "list"],
)
def test_a_batch_that_is_none(tenant: Tenant, post: Post, content: object) -> None:
    """Ten at most, each with an id."""
    assert post(content, url=f"{tenant.url}/adminapi/beta/{tenant.id}/$batch").status_code == 400


def test_a_batch_writes_nothing(tenant: Tenant, post: Post, ada: Entry) -> None:
    """The part is refused, and so is one that is not a POST of a cmdlet."""
    url = f"{tenant.url}/adminapi/beta/{tenant.id}/InvokeCommand"
    part = {"id": "1", "method": "POST", "url": url, "headers": {"X-CmdletName": "Set-Mailbox"}}
    parts = [{**part, "body": setting(ada, UserCertificate=None)}, {**part, "id": "2", "method": "GET", "body": {}}]

    answer = post({"requests": parts}, url=f"{tenant.url}/adminapi/beta/{tenant.id}/$batch")

    assert answer.status_code == 200
    assert [each["status"] for each in answer.json()["responses"]] == [400, 400]
    assert ada.writes == 0


def look_up(
    address: str, *, url: str, ca_file: str, tenant: str, client_id: str, client_secret: str
) -> Recipient | None:
    """Find somebody with the product's own adapter, from plain values."""
    cloud = Cloud(name="x", login=url, resource="https://outlook.office365.com", admin=url, suffixes=("localhost",))
    credential = ClientSecret(client_id=client_id, secret=client_secret)
    with requests.Session() as session:
        tokens = TokenSource(
            credential, tenant=tenant, cloud=cloud, session=session, ca_file=ca_file, instance_discovery=False
        )
        api = AdminApi(
            tenant=tenant, tokens=tokens, host=url, suffixes=cloud.suffixes, session=session, ca_file=ca_file
        )
        return ExchangeOnline(api).find(pinned=None, addresses=[address])


def test_a_hundred_thousand_mailboxes(tenant: Tenant) -> None:
    """It holds them, and finds one of them without a search."""
    for number in range(100_000):
        tenant.add_mailbox(f"user{number}@corp.example")

    found = look_up(
        "user77777@corp.example",
        url=tenant.url,
        ca_file=tenant.ca_file,
        tenant=tenant.id,
        client_id=tenant.tokens.client_id,
        client_secret=tenant.tokens.secret,
    )

    assert found is not None
    assert found.id == tenant.recipient("user77777").id
    assert len(tenant.objects) == 100_000


def test_alone() -> None:
    """`python -m tests.lab.tenant` says what a client needs, serves, and ends when it is interrupted."""
    arguments = [sys.executable, "-m", "tests.lab.tenant", "--mailbox", "ada@corp.example"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        text = ""
        while not text.endswith("}\n") and (line := process.stdout.readline()):
            text += line
        said: dict[str, str] = json.loads(text)
        given = {name: said[name] for name in ("url", "ca_file", "tenant", "client_id", "client_secret")}

        found = look_up("ada@corp.example", **given)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)

    assert found is not None
    assert found.kind is RecipientKind.MAILBOX
    assert (process.returncode, errors) == (0, "")
