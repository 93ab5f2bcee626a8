"""The change queue on Azure Storage, as Azurite speaks it."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.storage.queue import QueueClient

from sync.adapters.storage_queue import StorageQueue
from sync.errors import ErrorCode, PermanentError, SyncError, TemporaryError
from tests.adapters.queue_contract import MINUTE, QueueContract
from tests.lab.azurite import Azurite, UnsignedToken

pytestmark = pytest.mark.lab


def a_name() -> str:
    """A queue's name that no other test has."""
    return f"q-{uuid.uuid4()}"


@contextmanager
def a_queue(azurite: Azurite) -> Iterator[StorageQueue]:
    """A new queue until the block ends."""
    with closing(StorageQueue.from_connection_string(azurite.connection_string, a_name())) as made:
        made.create()
        yield made


@pytest.fixture
def queue(azurite: Azurite) -> Iterator[StorageQueue]:
    """A new queue."""
    with a_queue(azurite) as made:
        yield made


@pytest.fixture
def raw(azurite: Azurite, queue: StorageQueue) -> Iterator[QueueClient]:
    """The same queue without our encoding: what lies on the wire."""
    with QueueClient.from_connection_string(azurite.connection_string, queue.name) as client:
        yield client


class TestContract(QueueContract):
    """The queue's contract on Azurite, in real time: a second is the shortest that Azure Storage knows."""

    @pytest.fixture
    def queue(self, azurite: Azurite) -> Iterator[StorageQueue]:
        with a_queue(azurite) as made:
            yield made

    @pytest.fixture
    def pass_time(self) -> Callable[[timedelta], None]:
        return lambda span: time.sleep(span.total_seconds() + 0.3)


def test_an_event_lies_on_the_queue_as_base64_and_never_expires(queue: StorageQueue, raw: QueueClient) -> None:
    """The Functions host decodes base64, and seven days, the default, would end an event silently."""
    queue.send('{"é": 1}')

    [message] = raw.receive_messages()

    assert message.content == "eyLDqSI6IDF9"
    assert message.expires_on is not None
    assert message.expires_on.year == 9999


@pytest.mark.parametrize("lying", ['{"not": "base64"}', "//79", "YQ=", "YQ==YQ==", "é", " YQ== "])
def test_a_body_that_is_not_base64_of_text_arrives_as_it_lies(
    queue: StorageQueue, raw: QueueClient, lying: str
) -> None:
    """So that it is recorded, and the good message of the same page is not lost over it."""
    raw.send_message(lying)
    queue.send("good")

    received = queue.receive(10, MINUTE)

    assert {message.body for message in received} == {lying, "good"}


def test_a_queue_is_created_once(queue: StorageQueue) -> None:
    """Creating what is there is success, and leaves its messages."""
    queue.send("event")

    queue.create()

    assert queue.count() == 1


def test_a_delay_over_seven_days_is_cut_to_them(queue: StorageQueue) -> None:
    """The service takes no longer one; an event that comes early is harmless, one that is refused is lost."""
    queue.send("event", delay=timedelta(days=30))

    assert queue.count() == 1
    assert list(queue.receive(1, MINUTE)) == []


def test_requests_are_not_logged_at_the_level_of_outcomes(
    queue: StorageQueue, caplog: pytest.LogCaptureFixture
) -> None:
    """The client would write its headers beside every outcome."""
    with caplog.at_level(logging.INFO):
        queue.send("event")

    assert caplog.records == []


class TestIdentity:
    """The way of a managed identity: HTTPS and a bearer token."""

    def test_a_token_lets_in(self, secure_azurite: Azurite) -> None:
        """Both sides of the queue work."""
        queue = self.queue(secure_azurite, UnsignedToken())
        queue.create()
        queue.send("event")

        assert [message.body for message in queue.receive(1, MINUTE)] == ["event"]
        queue.close()

    @pytest.mark.parametrize(
        "token", [UnsignedToken(expires_in=-60), UnsignedToken(audience="https://graph.microsoft.com")]
    )
    def test_a_token_that_is_not_good_is_refused(self, secure_azurite: Azurite, token: UnsignedToken) -> None:
        """Expired, or meant for another service."""
        queue = self.queue(secure_azurite, token)

        assert code_of(PermanentError, queue.count) is ErrorCode.QUEUE_REFUSED
        queue.close()

    def test_a_token_that_cannot_be_had_is_tried_again(self, secure_azurite: Azurite) -> None:
        """The identity service may be back soon."""
        queue = self.queue(secure_azurite, NoToken("Connection refused"))

        assert code_of(TemporaryError, queue.count) is ErrorCode.TOKEN_UNAVAILABLE
        queue.close()

    def test_a_token_that_entra_refuses_is_not(self, secure_azurite: Azurite) -> None:
        """Until somebody puts it right."""
        queue = self.queue(secure_azurite, NoToken("AADSTS700016: Application was not found"))

        assert code_of(PermanentError, queue.count) is ErrorCode.TOKEN_REFUSED
        queue.close()

    def test_a_token_is_never_sent_over_plain_http(self, azurite: Azurite) -> None:
        """It would be everybody's."""
        refused = code_of(
            PermanentError, lambda: StorageQueue.from_identity(azurite.queue_url, UnsignedToken(), a_name())
        )

        assert refused is ErrorCode.SETTINGS_INVALID

    def test_a_certificate_of_a_stranger_is_not_trusted(self, secure_azurite: Azurite) -> None:
        """The public authorities do not know the lab's."""
        queue = StorageQueue.from_identity(secure_azurite.queue_url, UnsignedToken(), a_name())

        with pytest.raises(TemporaryError, match="CERTIFICATE_VERIFY_FAILED"):
            queue.count()
        queue.close()

    @staticmethod
    def queue(azurite: Azurite, credential: UnsignedToken | NoToken) -> StorageQueue:
        return StorageQueue.from_identity(azurite.queue_url, credential, a_name(), ca_file=str(azurite.ca_file))


class TestTrouble:
    """Foreign errors end in ours, with a code, a sentence and the cause."""

    def test_a_queue_that_nobody_made_is_refused(self, azurite: Azurite) -> None:
        """With its name and the service's word for it."""
        queue = StorageQueue.from_connection_string(azurite.connection_string, "nobody-made-it")

        with pytest.raises(PermanentError, match=r"the queue nobody-made-it of .*QueueNotFound") as refused:
            queue.send("event")

        assert refused.value.code is ErrorCode.QUEUE_REFUSED
        assert refused.value.__cause__ is not None
        queue.close()

    def test_a_wrong_key_is_refused(self, azurite: Azurite) -> None:
        """It is a key, but another account's."""
        queue = StorageQueue.from_connection_string(
            azurite.connection_string.replace("AccountKey=", "AccountKey=AAAA"), a_name()
        )

        assert code_of(PermanentError, queue.count) is ErrorCode.QUEUE_REFUSED
        queue.close()

    def test_a_key_that_is_not_base64_is_a_wrong_setting(self, azurite: Azurite) -> None:
        """No request is ever signed with it."""
        queue = StorageQueue.from_connection_string(azurite.connection_string.replace("==;", "=;"), a_name())

        assert code_of(PermanentError, queue.count) is ErrorCode.SETTINGS_INVALID
        queue.close()

    @pytest.mark.parametrize("connection", ["", "rubbish", "AccountName=a", "AccountName=a;AccountKey=YQ==;x"])
    def test_a_connection_string_that_is_none_is_a_wrong_setting(self, connection: str) -> None:
        """Said when it is read."""
        refused = code_of(PermanentError, lambda: StorageQueue.from_connection_string(connection, "queue"))

        assert refused is ErrorCode.SETTINGS_INVALID

    def test_a_service_that_is_away_is_tried_again(self) -> None:
        """Within seconds: the queue's redelivery and the agent's back-off are for what lasts longer."""
        queue = StorageQueue.from_connection_string(
            "QueueEndpoint=http://127.0.0.1:9/account;SharedAccessSignature=sv=2026-01-01&sig=U0VDUkVU", "queue"
        )
        started = time.monotonic()

        with pytest.raises(TemporaryError) as away:
            queue.send("event")

        assert away.value.code is ErrorCode.QUEUE_UNAVAILABLE
        assert "Connection refused" in str(away.value)
        assert "sig" not in str(away.value)
        assert time.monotonic() - started < 15
        queue.close()


class NoToken:
    """A credential that gets none, as azure-identity says it."""

    def __init__(self, said: str) -> None:
        self.said = said

    def get_token(self, *scopes: str, **options: object) -> AccessToken:
        raise ClientAuthenticationError(self.said)


def code_of(kind: type[SyncError], call: Callable[[], object]) -> ErrorCode:
    """The code with which `call` ends in an error of this kind."""
    with pytest.raises(kind) as raised:
        call()
    return raised.value.code


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent often has no other way out; requests to the storage account go to it whole."""
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(self.path)
            body = (
                b"<?xml version='1.0'?><QueueMessagesList><QueueMessage><MessageId>1</MessageId></QueueMessage>"
                b"</QueueMessagesList>"
            )
            self.send_response(201)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/xml")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        for name in ("no_proxy", "NO_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        account = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;QueueEndpoint=http://storage.invalid/a;"
        with closing(StorageQueue.from_connection_string(account, "changes")) as queue:
            queue.send("event")
        server.shutdown()
        thread.join()
    assert [path.partition("?")[0] for path in asked] == ["http://storage.invalid/a/changes/messages"]
