"""The bill of materials (CycloneDX 1.6, JSON): what the lock names, with its hashes and its licences."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from email.message import Message
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any, cast

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from release.package import ROOT

_CLASSIFIER = "License :: OSI Approved :: "


def write(materials: Path, lock: Path = ROOT / "requirements.txt") -> dict[str, str]:
    """Write the bill for a lock; return each package's licence. Raises ValueError when it would not be valid."""
    bill = _bill(lock)
    licences = {component["name"]: licence(component["name"]) for component in bill["components"]}
    for component in bill["components"]:
        component.pop("description", None)  # the line of the lock once more
        component["licenses"] = [{"license": {"name": licences[component["name"]]}}]
    text = json.dumps(bill, indent=2, sort_keys=True) + "\n"
    if problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise ValueError(f"the bill of materials is not CycloneDX: {problem}")
    materials.write_text(text, encoding="utf-8")
    return licences


def licence(package: str) -> str:
    """What a package says of its licence: its SPDX expression, or else the words of its older fields."""
    try:
        told = metadata(package)
    except PackageNotFoundError:
        return "unknown: not installed here, for another Python or platform"
    # importlib.metadata gives a message of the email package, and promises less of it.
    return _expression(cast(Message, told)) or "unknown"


def _expression(told: Message) -> str | None:
    if expression := told.get("License-Expression"):
        return str(expression)
    classifiers = [each.removeprefix(_CLASSIFIER) for each in told.get_all("Classifier") or [] if _CLASSIFIER in each]
    if classifiers:
        return " and ".join(classifiers)
    # Some put the whole text here: its first line names it.
    words = str(told.get("License") or "").strip()
    return re.split(r"[\r\n]", words)[0][:60] or None


def _bill(lock: Path) -> dict[str, Any]:
    made = subprocess.run(
        [sys.executable, "-m", "cyclonedx_py", "requirements", "--output-reproducible", "--sv", "1.6", str(lock)],
        capture_output=True,
        text=True,
        check=True,
    )
    bill: dict[str, Any] = json.loads(made.stdout)
    return bill
