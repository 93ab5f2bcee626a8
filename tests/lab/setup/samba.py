"""Installs Samba's domain controller from the distribution's packages, without starting any service."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

PART: Final = "samba"
# The same two names pull in the rest on Debian 12 (Samba 4.17) and 13 (4.22).
PACKAGES: Final = ("samba-ad-dc", "samba-ad-provision")
NEEDED: Final = ("/usr/sbin/samba", "/usr/bin/samba-tool", "/usr/share/samba/setup/provision.ldif")
POLICY: Final = Path("/usr/sbin/policy-rc.d")
UNITS: Final = ("smbd", "nmbd", "winbind", "samba-ad-dc")


def missing() -> str | None:
    """Why a domain controller cannot be started here; None when it can."""
    absent = [path for path in NEEDED if not Path(path).exists()]
    if absent:
        return f"{absent[0]} is not installed; run `make test` as root, or: apt-get install {' '.join(PACKAGES)}"
    if os.geteuid() != 0:
        return "it needs root, because a domain controller's ports are fixed and low"
    return None


def install() -> str | None:
    """Install the packages when they are missing. Returns the reason when they stay missing, else None."""
    if missing() is None:
        return None
    if os.geteuid() != 0:
        return missing()
    if shutil.which("apt-get") is None:
        return "there is no apt-get here; install Samba's domain controller by hand"
    print(f"lab: installing {', '.join(PACKAGES)} (once, about 80 MB) ...", flush=True)
    return packages(PACKAGES) or missing()


def packages(names: Sequence[str]) -> str | None:
    """Install packages of the distribution; returns the reason when that failed."""
    with _no_service_starts():
        _apt("update")  # a foreign source that fails here, and tells so, need not concern these packages
        return _apt("install", "--yes", "--no-install-recommends", *names)


def _apt(*arguments: str) -> str | None:
    done = subprocess.run(
        ("apt-get", "-qq", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=300", *arguments),
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return None
    print(done.stdout, end="", flush=True)
    said = [line for line in done.stdout.splitlines() if line.startswith(("E:", "dpkg: error"))]
    return f"apt-get {arguments[0]} failed: {said[0] if said else f'exit {done.returncode}'}"


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    """Keep maintainer scripts from starting services now, and a systemd machine from starting them at its next boot.

    policy-rc.d with exit code 101 is Debian's own way (invoke-rc.d(8)). One that is already there stays as it is.
    """
    systemd = Path("/run/systemd/system").is_dir()
    before = {unit for unit in UNITS if systemd and _knows(unit)}
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink(missing_ok=True)
        for unit in UNITS:
            if systemd and unit not in before:
                subprocess.run(("systemctl", "--quiet", "disable", unit), capture_output=True, check=False)


def _knows(unit: str) -> bool:
    return subprocess.run(("systemctl", "cat", unit), capture_output=True, check=False).returncode == 0
