"""Builds the package gssapi, the product's extra `kerberos`, for tests that log on by keytab; and a clock besides."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from typing import Final

from tests.lab.setup import samba

PART: Final = "kerberos"
PACKAGES: Final = ("libkrb5-dev", "gcc", "python3-dev", "faketime")
REQUIREMENT: Final = "gssapi>=1.9"


def missing() -> str | None:
    """Why nobody can log on by Kerberos here; None when they can."""
    if reason := samba.missing():
        return reason
    if importlib.util.find_spec("gssapi") is None:
        return f"gssapi is not installed; with {', '.join(PACKAGES)} it is: pip install '{REQUIREMENT}'"
    return None


def without_clock() -> str | None:
    """Why no process can be given another time here; None when one can."""
    return missing() or (None if shutil.which("faketime") else "the package faketime is not installed")


def install() -> str | None:
    """Install what it is built with, and build it. Returns the reason when it stays missing, else None."""
    if samba.missing() is not None or without_clock() is None:
        return missing()
    print("lab: building gssapi for the Kerberos tests (once) ...", flush=True)
    if failure := samba.packages(PACKAGES):
        return failure
    command = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", REQUIREMENT)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    importlib.invalidate_caches()
    return missing() if done.returncode == 0 else f"pip could not build gssapi: {done.stderr.strip().splitlines()[-1]}"
