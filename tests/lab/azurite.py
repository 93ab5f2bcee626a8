"""Runs Azurite on loopback ports that the system chooses, and makes what its clients need to log in."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import trustme
from azure.core.credentials import AccessToken

from tests.lab.setup.azurite import command

_ACCOUNT = "smimesynclab"
_STARTUP_SECONDS = 30
_LISTENING = re.compile(r"Azurite (\w+) service is successfully listening at (https?://\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Azurite:
    """A running Azurite. `ca_file` is the authority of its certificate when it speaks HTTPS, else None."""

    account_key: str
    blob_url: str
    queue_url: str
    table_url: str
    ca_file: Path | None = None

    @property
    def connection_string(self) -> str:
        """What a client needs to log in with the account's key."""
        protocol = self.queue_url.partition(":")[0]
        return (
            f"DefaultEndpointsProtocol={protocol};AccountName={_ACCOUNT};AccountKey={self.account_key};"
            f"BlobEndpoint={self.blob_url};QueueEndpoint={self.queue_url};TableEndpoint={self.table_url};"
        )

    @classmethod
    @contextmanager
    def start(cls, *, https: bool = False) -> Iterator[Azurite]:
        """Run one, empty, until the block ends; with `https` it takes bearer tokens too (`UnsignedToken`).

        Raises RuntimeError when it does not answer within 30 seconds.
        """
        account_key = base64.b64encode(secrets.token_bytes(64)).decode("ascii")
        with tempfile.TemporaryDirectory(prefix="azurite-") as folder:
            directory = Path(folder)
            ca_file = _certificate(directory) if https else None
            process = subprocess.Popen(
                [*command(), *_options(directory, https=https)],
                cwd=directory,
                env={"PATH": os.environ.get("PATH", ""), "AZURITE_ACCOUNTS": f"{_ACCOUNT}:{account_key}"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            try:
                urls = _listening(process)
                yield cls(
                    account_key=account_key,
                    blob_url=f"{urls['Blob']}/{_ACCOUNT}",
                    queue_url=f"{urls['Queue']}/{_ACCOUNT}",
                    table_url=f"{urls['Table']}/{_ACCOUNT}",
                    ca_file=ca_file,
                )
            finally:
                _stop(process)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsignedToken:
    """A credential as azure-identity would give, whose home-made token Azurite reads without a signature.

    Azurite checks issuer, audience and lifetime, as Azure Storage does first.
    """

    audience: str = "https://storage.azure.com"
    expires_in: int = 3600

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """Make a token; see azure.core.credentials.TokenCredential."""
        now = int(time.time())
        expires = now + self.expires_in
        claims = {"aud": self.audience, "iss": "https://sts.windows.net/lab/", "iat": now, "nbf": now - 7200}
        parts = ({"alg": "none", "typ": "JWT"}, claims | {"exp": expires, "oid": "lab"})
        encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
        # The client must not see that it is expired, or it would not send it.
        return AccessToken(".".join([*encoded, ""]), now + 3600)


def _options(directory: Path, *, https: bool) -> list[str]:
    options = ["--skipApiVersionCheck", "--disableTelemetry", "--inMemoryPersistence", "--silent"]
    for service in ("blob", "queue", "table"):
        # Port 0 lets the system choose: nobody can take a port between our choice and its use.
        options += [f"--{service}Host", "127.0.0.1", f"--{service}Port", "0"]
    if https:
        options += ["--oauth", "basic", "--cert", str(directory / "azurite.pem"), "--key", str(directory / "key.pem")]
    return options


def _certificate(directory: Path) -> Path:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    certificate.private_key_pem.write_to_path(directory / "key.pem")
    for part in certificate.cert_chain_pems:
        part.write_to_path(directory / "azurite.pem", append=True)
    return directory / "ca.pem"


def _listening(process: subprocess.Popen[str]) -> dict[str, str]:
    """Wait until all three services answer; return the address of each by name."""
    lines: Queue[str] = Queue()

    def read() -> None:
        # It goes on to the end of the process: a full pipe would stop Azurite.
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                lines.put(line)

    threading.Thread(target=read, daemon=True, name="azurite-output").start()
    urls: dict[str, str] = {}
    said: list[str] = []
    deadline = time.monotonic() + _STARTUP_SECONDS
    while len(urls) < 3:
        try:
            said.append(lines.get(timeout=0.2))
        except Empty:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Azurite does not answer; it said: {''.join(said) or 'nothing'}") from None
            continue
        if match := _LISTENING.search(said[-1]):
            urls[match[1]] = match[2]
    return urls


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
