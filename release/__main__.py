"""`make package`: writes the function's package and its bill of materials, and says what they weigh."""

from __future__ import annotations

import hashlib
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from release import materials, package
from sync import __version__

_FOLDER = package.ROOT / "build" / "package"
_COLD = "import time; started = time.perf_counter(); import function_app; print(time.perf_counter() - started)"


def main() -> None:
    """Make both and print a table."""
    archive = _FOLDER / f"smime-sync-function-{__version__}.zip"
    package.write(archive)
    bill = archive.with_suffix(".cdx.json")
    licences = materials.write(bill)
    content = archive.read_bytes()
    console = Console()
    table = Table("what", "figure", title="The function's package", title_justify="left")
    table.columns[1].overflow = "fold"  # a digest is of use only whole
    table.add_row("archive", str(archive.relative_to(package.ROOT)))
    table.add_row("size", f"{len(content) / 1024:.0f} KiB, {len(package.members())} files")
    table.add_row("SHA-256", hashlib.sha256(content).hexdigest())
    table.add_row("cold import of function_app", f"{_cold_import(archive):.2f} s (median of 5 new processes)")
    table.add_row("bill of materials", f"{bill.relative_to(package.ROOT)}, {len(licences)} packages")
    console.print(table)
    listed = Table("package", "licence", title="What it stands on", title_justify="left")
    for name, licence in sorted(licences.items()):
        listed.add_row(name, licence)
    console.print(listed)


def _cold_import(archive: Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        package.unpack(archive, Path(folder))
        return statistics.median(_seconds(folder) for _ in range(5))


def _seconds(folder: str) -> float:
    told = subprocess.run([sys.executable, "-c", _COLD], cwd=folder, capture_output=True, text=True, check=True)
    return float(told.stdout)


if __name__ == "__main__":
    main()
