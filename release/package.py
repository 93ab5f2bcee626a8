"""The function's package: a zip that holds only what the function needs, the same bytes wherever it is made.

What is left out is said once, in `.funcignore`, which Azure's own tools read as well. The libraries are not in it: the
platform installs them from `requirements.txt`, by their hashes, for its own processor and Python.
"""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

from pathspec import GitIgnoreSpec

ROOT = Path(__file__).resolve().parents[1]
_NEVER = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say: no build tells when it was made


def members(root: Path = ROOT) -> list[str]:
    """Paths of the files that belong into the package, in order: those under version control that nobody left out."""
    left_out = GitIgnoreSpec.from_lines((root / ".funcignore").read_text("utf-8").splitlines())
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout  # noqa: S607 - git, wherever it is
    return sorted(name for name in listed.split("\0") if name and not left_out.match_file(name))


def write(archive: Path, root: Path = ROOT) -> None:
    """Write the package. Neither times, owners nor the order of a directory get into it."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
        for name in members(root):
            member = zipfile.ZipInfo(name, _NEVER)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3  # Unix, also when made elsewhere
            member.external_attr = 0o100644 << 16
            package.writestr(member, (root / name).read_bytes())


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a package as the platform does, and return the folder."""
    with zipfile.ZipFile(archive) as package:
        package.extractall(folder)
    return folder
