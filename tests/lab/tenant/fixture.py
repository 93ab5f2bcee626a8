"""The pytest fixture `tenant`: one server for the whole run, empty again for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.tenant.tenant import Tenant


@pytest.fixture(scope="session")
def tenant_server() -> Iterator[Tenant]:
    """The running tenant; use `tenant`, which empties it."""
    with Tenant.start() as tenant:
        yield tenant


@pytest.fixture
def tenant(tenant_server: Tenant) -> Tenant:
    """An empty simulated tenant."""
    tenant_server.reset()
    return tenant_server
