"""Fixtures that any test may ask for. The lab's parts start once for a run, and only when a test asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.lab import require

if TYPE_CHECKING:
    from tests.lab.administrator import Administrator
    from tests.lab.azurite import Azurite
    from tests.lab.samba import DomainController
    from tests.lab.tenant import Tenant


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Azure Storage's queues and tables, over HTTP, by account key. Tests share it: take a name of your own."""
    from tests.lab.azurite import Azurite
    from tests.lab.setup import azurite as setup

    require(setup.PART, setup.missing())
    with Azurite.start() as running:
        yield running


@pytest.fixture(scope="session")
def secure_azurite() -> Iterator[Azurite]:
    """The same over HTTPS, which takes bearer tokens as a managed identity sends them."""
    from tests.lab.azurite import Azurite
    from tests.lab.setup import azurite as setup

    require(setup.PART, setup.missing())
    with Azurite.start(https=True) as running:
        yield running


@pytest.fixture(scope="session")
def domain_controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DomainController]:
    """A running domain controller. Tests change the domain in units of their own and leave the processes alone."""
    from tests.lab.samba import DomainController
    from tests.lab.setup import samba as setup

    require(setup.PART, setup.missing())
    with DomainController.start(tmp_path_factory.mktemp("samba") / "dc") as controller:
        yield controller


@pytest.fixture(scope="session")
def administrator(domain_controller: DomainController) -> Iterator[Administrator]:
    """The administrator of that domain."""
    from tests.lab.administrator import Administrator

    with Administrator.of(domain_controller) as administrator:
        yield administrator


@pytest.fixture(scope="session")
def tenant_server() -> Iterator[Tenant]:
    """A running simulated tenant, always of the same id; use `tenant`, which empties it."""
    from tests.lab.tenant import Tenant

    with Tenant.start(tenant_id="7a5c1e0d-2b4f-4c8a-9d3e-6f1b0a2c4e68") as tenant:
        yield tenant


@pytest.fixture
def tenant(tenant_server: Tenant) -> Tenant:
    """An empty simulated tenant."""
    tenant_server.reset()
    return tenant_server
