"""Installs Debian's Chromium, which the tests of the console drive."""

from __future__ import annotations

import os
import shutil
from typing import Final

from tests.lab.setup import samba

PART: Final = "chromium"
# Inter is for the pictures: they shall look alike wherever they are made.
PACKAGES: Final = ("chromium", "fonts-inter")


def executable() -> str | None:
    """Where it lies; None where it is not."""
    return shutil.which("chromium")


def missing() -> str | None:
    """Why no browser can be started here; None when one can."""
    if executable() is None:
        return f"it is not installed; run `make test` as root, or: apt-get install {' '.join(PACKAGES)}"
    return None


def install() -> str | None:
    """Install it when it is missing. Returns the reason when it stays missing, else None."""
    if missing() is None or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return missing()
    print(f"lab: installing {', '.join(PACKAGES)} (once, about 400 MB on disk) ...", flush=True)
    return samba.packages(PACKAGES) or missing()
