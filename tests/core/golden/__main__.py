"""Renew the golden files: `python -m tests.core.golden`.

What is there keeps its bytes, and only what is expected of it is written anew (look at the difference before you
commit it); what is missing is made. To make one anew, remove it first.
"""

from __future__ import annotations

from tests.core.golden import files
from tests.core.golden.cases import CASES

for code, makers in CASES.items():
    for name, make in zip((f"{code}.toml", f"{code}.neighbour.toml"), makers, strict=True):
        path = files.FOLDER / name
        case = files.load(path)[0] if path.exists() else make()
        files.write(path, case, files.judged(case))
