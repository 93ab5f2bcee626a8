"""What an operator sees, on real parts: the agent's own process, and the command's own process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from sync import wiring
from sync.overview import Health, Overview
from sync.settings import CloudSettings, load
from tests.lab import ROOT, require, worker
from tests.lab.samba import DomainController
from tests.lab.setup import azurite
from tests.lab.site import Site, start
from tests.test_cli import call

pytestmark = pytest.mark.lab

PATIENCE = 90
"""Seconds until something must have happened, however busy the machine is."""


@pytest.fixture(scope="module")
def site(domain_controller: DomainController, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    require("azurite", azurite.missing())
    require("worker", worker.missing())
    with start(tmp_path_factory.mktemp("operated"), controller=domain_controller) as site:
        yield site


@contextmanager
def agent(environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`smime-sync agent run` as a process of its own, killed at the end of the block if it was not before."""
    with subprocess.Popen(
        [sys.executable, "-m", "sync", "agent", "run"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environment},
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def status(site: Site) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of `smime-sync status --json`, a process of its own."""
    done = call("status", "--json", **site.function_environment)
    assert done.returncode in set(Health), done.stderr
    return done.returncode, json.loads(done.stdout)


def awaited(site: Site, true: Callable[[Overview], bool]) -> None:
    """Look as `status` does, until it is so."""
    overseer = wiring.cloud_from(load(CloudSettings, site.function_environment)).overseer
    deadline = time.monotonic() + PATIENCE
    while not true(seen := overseer.look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)


def silent(concerns: Iterable[str]) -> list[str]:
    return [text for text in concerns if "is silent" in text]


def alive(seen: Overview) -> bool:
    return bool(seen.agents) and not silent(each.text for each in seen.concerns)


def test_a_killed_agent_is_seen_when_its_heartbeat_is_overdue(site: Site) -> None:
    """Alive while it beats each second; after SIGKILL critical, exit code 2; and well again when it is back."""
    environment = {**site.agent_environment, "SMIME_SYNC_HEARTBEAT_SECONDS": "1"}
    with agent(environment) as running:
        awaited(site, alive)
        running.send_signal(signal.SIGKILL)
        running.wait()
    awaited(site, lambda seen: not alive(seen))
    code, told = status(site)
    assert (code, told["health"]) == (2, "critical")
    (source,) = told["agents"]
    (text,) = silent(each["text"] for each in told["concerns"])
    assert text.startswith(f"the agent of {source} is silent for 0:0")
    with agent(environment):
        awaited(site, alive)
