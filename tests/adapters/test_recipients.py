"""The contract of ports.Recipients on every adapter that implements it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from sync.adapters.embedded import Database, EmbeddedRecipients
from sync.adapters.exchange_online import AnswerFormat, Clearing, Encoding
from sync.core.person import Values
from sync.core.recipient import Recipient
from tests.adapters.exchange_online.connection import Connection
from tests.adapters.recipients_contract import RecipientsContract, World
from tests.lab.tenant import Tenant
from tests.mill import NOW


@pytest.fixture
def connection(tenant: Tenant) -> Iterator[Connection]:
    """The cloud adapter on an empty tenant."""
    with requests.Session() as session:
        yield Connection(tenant=tenant, session=session)


@pytest.mark.lab
class TestExchangeOnline(RecipientsContract):
    """Over HTTPS, with what is most likely to work in a real tenant."""

    @pytest.fixture
    def world(self, connection: Connection) -> World:
        """JSON answers with base64, tagged integers, null."""
        return connection


@pytest.mark.lab
class TestExchangeOnlineOtherwise(RecipientsContract):
    """Over HTTPS, where a tenant returns bytes in CLIXML only, and clears with an empty list."""

    @pytest.fixture(params=[True, False], ids=["bare", "in-json"])
    def world(self, connection: Connection, request: pytest.FixtureRequest) -> World:
        """CLIXML answers, base64 strings, the empty list."""
        connection.tenant.behaviour.bytes_in_json = False
        connection.tenant.behaviour.clixml_bare = request.param
        connection.tenant.behaviour.no_content = request.param
        return connection.reading(AnswerFormat.CLIXML).writing(Encoding.BASE64, Clearing.EMPTY)


@dataclass(frozen=True, slots=True)
class EmbeddedWorld:
    """The embedded tenant, seen from behind through its database."""

    database: Database

    @property
    def recipients(self) -> EmbeddedRecipients:
        """The adapter under test."""
        return EmbeddedRecipients(self.database)

    @property
    def everybody(self) -> EmbeddedRecipients:
        """The same."""
        return self.recipients

    def add(self, recipient: Recipient) -> None:
        """Through a second adapter object: the state is in the database."""
        EmbeddedRecipients(self.database).add(recipient)

    def remove(self, recipient: Recipient) -> None:
        """Delete its rows."""
        with self.database.transaction() as connection:
            connection.execute("DELETE FROM recipients WHERE id = ?", (recipient.id,))
            connection.execute("DELETE FROM addresses WHERE recipient = ?", (recipient.id,))

    def holds(self, recipient: Recipient) -> Values:
        """Straight from the table."""
        rows = self.database.rows("SELECT attribute, value FROM certificates WHERE recipient = ?", recipient.id)
        return Values.of(
            (value for attribute, value in rows if attribute == "userCertificate"),
            (value for attribute, value in rows if attribute == "userSMIMECertificate"),
        )


class TestEmbedded(RecipientsContract):
    """On SQLite in memory."""

    @pytest.fixture
    def world(self) -> Iterator[World]:
        """An empty database."""
        database = Database(None, lambda: NOW)
        yield EmbeddedWorld(database)
        database.close()
