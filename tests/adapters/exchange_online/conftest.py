"""Fixtures of the Exchange Online tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.adapters.exchange_online.connection import Connection
from tests.lab.tenant import Tenant


@pytest.fixture
def connection(tenant: Tenant) -> Iterator[Connection]:
    """The adapter on an empty tenant, reading JSON and writing tagged integers."""
    with requests.Session() as session:
        yield Connection(tenant=tenant, session=session)
