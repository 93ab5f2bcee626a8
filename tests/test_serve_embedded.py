"""`smime-sync serve` on a state file: the whole product on one machine, and what ends it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests
from typer.testing import CliRunner

from sync import wiring
from sync.cli import app
from sync.core.person import Values
from sync.core.recipient import Recipient, RecipientKind
from sync.errors import ErrorCode, PermanentError
from sync.settings import CloudSettings, load
from sync.triggers import QUEUES
from tests.lab import ROOT
from tests.test_host import until

EXAMPLES = ROOT / "examples"
ANCHORS, INTERMEDIATES = EXAMPLES / "anchors.pem", EXAMPLES / "intermediates.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The process, where it answers, and the same state opened here."""

    process: subprocess.Popen[str]
    address: str
    product: wiring.Embedded
    directory: Path

    def held(self, name: str) -> Values:
        recipient = self.product.recipients.find(pinned=None, addresses=[f"{name}@corp.example"])
        assert recipient is not None
        return recipient.values

    def status(self, name: str) -> str | None:
        """How the last event of a person ended, as it is told over HTTP."""
        asked = {"user": f"{name}@corp.example"}
        answer = requests.get(f"{self.address}/api/explain", params=asked, timeout=60)
        return answer.json()["last"]["status"] if answer.status_code == 200 and answer.json()["last"] else None


def company(folder: Path) -> wiring.Embedded:
    """The example company, with mailboxes for two."""
    directory = folder / "directory.ldif"
    shutil.copyfile(EXAMPLES / "directory-1.ldif", directory)
    trust = wiring.read_trust_store([ANCHORS], [INTERMEDIATES])
    product = wiring.embedded(folder / "state.sqlite", directory, trust)
    for name in ("alice", "bob"):
        product.recipients.add(
            Recipient(id=f"id-{name}", kind=RecipientKind.MAILBOX, addresses=(f"{name}@corp.example",))
        )
    return product


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    product = company(tmp_path)
    files = {
        "--embedded": tmp_path / "state.sqlite",
        "--directory": tmp_path / "directory.ldif",
        "--anchors": ANCHORS,
        "--intermediates": INTERMEDIATES,
    }
    options = [str(word) for pair in files.items() for word in pair]
    with subprocess.Popen(
        [sys.executable, "-m", "sync", "serve", "--listen", "127.0.0.1:0", *options],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            address = next(found[0] for line in process.stderr if (found := re.findall(r"http://[\d.:]+", line)))
            # Whoever does not read a pipe stops whoever writes it.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield Served(process=process, address=address, product=product, directory=tmp_path / "directory.ldif")
        finally:
            process.kill()


def test_a_change_of_the_directory_becomes_a_write(served: Served) -> None:
    """Agent, queue, processor and tenant, with the routes beside, until SIGTERM."""
    until(lambda: bool(served.held("alice")))
    assert not served.held("bob"), "his certificate has expired"
    until(lambda: served.status("alice") == "written")

    shutil.copyfile(EXAMPLES / "directory-2.ldif", served.directory)
    until(lambda: bool(served.held("bob")))

    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(timeout=60) == 0


def test_a_loop_that_ends_with_a_defect_ends_the_whole(tmp_path: Path) -> None:
    """A service manager starts it again; half a product would look like a whole one."""

    def broken(_stop: threading.Event) -> None:
        raise RuntimeError("a defect")

    stop = threading.Event()
    hosted = replace(wiring.hosted_embedded(company(tmp_path)), beside=broken)
    with (
        pytest.raises(RuntimeError, match="a defect"),
        wiring.serving(hosted, listen=("127.0.0.1", 0), key_file=None, threads=1, stop=stop),
    ):
        assert stop.wait(30)


def test_each_trigger_has_a_source_or_none_can_be_there(tmp_path: Path) -> None:
    """Embedded, a message is given up by whoever delivers it, and a run is done whole by the timer that begins it."""
    hosted = wiring.hosted_embedded(company(tmp_path))
    assert [trigger.name for trigger in QUEUES if hosted.source(trigger) is None] == ["bury", "advance"]


def test_people_cannot_sign_in_where_nobody_signs_them_in(tmp_path: Path) -> None:
    """App Service authentication is the platform's: without it, its header would be anybody's."""
    example = json.loads((ROOT / "local.settings.json.example").read_text("utf-8"))["Values"]
    config = load(CloudSettings, {**example, "SMIME_SYNC_SIGN_IN": "entra"})
    with pytest.raises(PermanentError, match="--key-file") as caught:
        wiring.hosted(company(tmp_path), config)
    assert caught.value.code is ErrorCode.SETTINGS_INVALID


@pytest.mark.parametrize(
    "options",
    [
        ["--embedded", "state"],
        ["--embedded", "state", "--directory", "d"],
        ["--directory", "d"],
        ["--anchors", "a"],
        ["--listen", "7071"],
        ["--listen", "127.0.0.1:x"],
    ],
)
def test_options_that_do_not_fit_are_refused(options: list[str]) -> None:
    """Before anything is opened."""
    result = CliRunner().invoke(app, ["serve", *options])
    assert result.exit_code == 2
