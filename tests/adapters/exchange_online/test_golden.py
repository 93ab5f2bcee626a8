"""Every request that this package makes, held against the files that a reviewer has seen."""

from __future__ import annotations

import pytest

from tests.adapters.exchange_online.connection import Connection
from tests.adapters.exchange_online.golden import FOLDER, SCENARIOS, path, record

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("name", SCENARIOS)
def test_sent(connection: Connection, name: str) -> None:
    """Method, path, headers and body, in order."""
    assert record(connection, name) == path(name).read_text("utf-8")


def test_no_file_without_a_scenario() -> None:
    """A file that nothing writes any more would be compared with a tenant in vain."""
    assert {file.stem for file in FOLDER.glob("*.http")} == set(SCENARIOS)
