"""The domain controller of the lab ends when it should, however the test run ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab import ROOT, require
from tests.lab.samba import LDAPS_PORT, DomainController
from tests.lab.setup import samba

pytestmark = pytest.mark.lab

HOLDING = """
import sys, time
from pathlib import Path
from tests.lab.samba import DomainController
with DomainController.start(Path(sys.argv[1])) as controller:
    print(controller.address, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _installed() -> None:
    require(samba.PART, samba.missing())


def listens(address: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, LDAPS_PORT)) == 0


def test_it_listens_on_its_own_address_and_stops(tmp_path: Path) -> None:
    """Until the block ends, also by an error."""
    addresses = []
    with pytest.raises(RuntimeError), DomainController.start(tmp_path / "dc") as controller:
        addresses.append(controller.address)
        assert listens(controller.address)
        raise RuntimeError
    assert not listens(addresses[0])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_dies_with_the_test_run(tmp_path: Path, number: signal.Signals) -> None:
    """An interrupt ends the block; nothing runs after SIGKILL, so the kernel tells the controller."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path / "dc")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as run:
        assert run.stdout is not None
        address = run.stdout.readline().strip()
        assert listens(address)
        run.send_signal(number)
    deadline = time.monotonic() + 10
    while listens(address) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not listens(address)
