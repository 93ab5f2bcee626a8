"""The agent as a Windows service: no Windows and no PowerShell can be had here, so script and definition are parsed and
held against what they name."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from tests.lab import ROOT
from tests.test_exchange_role import commands, parsed

FOLDER = ROOT / "infra" / "agent"
SCRIPT = (FOLDER / "install-service.ps1").read_bytes()
DEFINITION = ElementTree.parse(FOLDER / "smime-sync-agent.xml").getroot()
CMDLETS = {
    # Microsoft.PowerShell.Management, .Utility and .Core, of Windows PowerShell 5.1 and later.
    "Copy-Item",
    "Get-ChildItem",
    "Get-Service",
    "Join-Path",
    "New-Item",
    "Out-Null",
    "Remove-Item",
    "Stop-Service",
    "Test-Path",
    "Where-Object",
    "Write-Output",
}
PROGRAMS = {"py", "icacls", "sc.exe"}
"""What Python's launcher and Windows bring."""


def test_it_is_powershell() -> None:
    """Without a syntax error, in ASCII, which Windows PowerShell reads in any code page."""
    SCRIPT.decode("ascii")
    assert not parsed(SCRIPT).has_error


def test_it_calls_only_what_windows_has() -> None:
    """And itself."""
    called = {name for name, _ in commands(parsed(SCRIPT))}
    assert called <= CMDLETS | {"Invoke-Checked", "$Program"}
    programs = set(re.findall(r"Invoke-Checked '([^']+)'", SCRIPT.decode("ascii")))
    assert programs == PROGRAMS


def test_nothing_happens_before_it_is_allowed() -> None:
    """-WhatIf: both ways begin by asking, and whatever changes something stands behind."""
    script = SCRIPT.decode("ascii")
    asks = r"if \(-not \$PSCmdlet\.ShouldProcess\(.*\) \{ return \}"
    remove, install = (found.start() for found in re.finditer(asks, script))
    end = script.index("    return\n}", remove)
    assert end < install, "what removes goes on to install"
    acts = r"^ *(?:if .*\{ )?(?:Stop-Service|Remove-Item|New-Item|Copy-Item|Invoke-Checked)"
    changes = [found.start() for found in re.finditer(acts, script, re.MULTILINE)]
    assert len(changes) > 5
    assert [each for each in changes if not (remove < each < end or each > install)] == []


def test_it_installs_from_the_lock_what_the_service_starts() -> None:
    """Script and definition name one service, one program and one state folder."""
    script = SCRIPT.decode("ascii")
    (lock,) = re.findall(r"'(requirements[^']+)'", script)
    assert (ROOT / lock.replace("\\", "/")).exists()
    assert "'--require-hashes'" in script
    named = {element.tag: element.text or "" for element in DEFINITION}
    assert set(re.findall(r"(?:Get|Stop)-Service (\S+)", script)) == {named["id"]}
    assert f"{named['id']}.exe" in script
    assert f"{named['id']}.xml" in script
    assert named["executable"] == "%BASE%\\venv\\Scripts\\smime-sync.exe"
    assert named["arguments"] == "agent run"
    environment = {element.attrib["name"]: element.attrib["value"] for element in DEFINITION.iter("env")}
    assert environment["SMIME_SYNC_STATE_FILE"].startswith("%BASE%\\state\\")
    assert "Join-Path $Folder 'state'" in script
