"""Cmdlets and parameters of infra/exchange, held against what Microsoft's references name.

No PowerShell can be had here, so a misspelt parameter would be found by an administrator in the middle of a grant. The
entries are those parameters of each cmdlet that could be meant, as its page names them. Five were compared with the
page, the others are from knowledge of them: look up what is missing here before you add it.
learn.microsoft.com/powershell/module/exchangepowershell/ for Exchange, .../microsoft.graph.applications/ and
.../microsoft.graph.authentication/ for Microsoft Graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from tests.pages import lines
from tests.test_exchange_role import FOLDER, SCRIPT, commands, every, parsed, text

REFERENCE: Mapping[str, str] = {
    # Exchange Online: roles, scopes, role groups, service principals.
    "Get-ManagementRole": "Identity Cmdlet CmdletParameters GetChildren Recurse RoleType Script ScriptParameters",
    "New-ManagementRole": "Name Parent EnabledCmdlets Description Force",
    "Remove-ManagementRole": "Identity Force Recurse UnScopedTopLevel",
    "Get-ManagementRoleEntry": "Identity Parameters PSSnapinName ResultSize Type",
    "Add-ManagementRoleEntry": "Identity Parameters Overwrite ParentRoleEntry PSSnapinName Role Type Force",
    "Set-ManagementRoleEntry": "Identity Parameters AddParameter RemoveParameter Force UnScopedTopLevel",
    "Remove-ManagementRoleEntry": "Identity Force",
    "Get-ManagementScope": "Identity Exclusive Orphan",
    "New-ManagementScope": "Name RecipientRestrictionFilter RecipientRoot Exclusive Force",
    "Set-ManagementScope": "Identity RecipientRestrictionFilter RecipientRoot Name",
    "Remove-ManagementScope": "Identity",
    "Get-ManagementRoleAssignment": "Identity RoleAssignee Role RoleAssigneeType GetEffectiveUsers WritableRecipient",
    "New-ManagementRoleAssignment": "Name Role SecurityGroup User Policy App CustomRecipientWriteScope Delegating",
    "Set-ManagementRoleAssignment": "Identity CustomRecipientWriteScope Enabled RecipientRelativeWriteScope Force",
    "Remove-ManagementRoleAssignment": "Identity Force",
    "Get-RoleGroup": "Identity Filter ResultSize SortBy ShowPartnerLinked",
    "New-RoleGroup": "Name Description Roles Members ManagedBy CustomRecipientWriteScope Force",
    "Remove-RoleGroup": "Identity BypassSecurityGroupManagerCheck Force",
    "Add-RoleGroupMember": "Identity Member BypassSecurityGroupManagerCheck",
    "Get-ServicePrincipal": "Identity Organization",
    "New-ServicePrincipal": "AppId ObjectId ServiceId DisplayName",
    "Remove-ServicePrincipal": "Identity",
    "Connect-ExchangeOnline": "ExchangeEnvironmentName ShowBanner UserPrincipalName Organization AppId ShowProgress",
    "Disconnect-ExchangeOnline": "ConnectionId ModulePrefix",
    # Microsoft Graph.
    "Connect-MgGraph": "Scopes Environment TenantId NoWelcome UseDeviceCode ContextScope",
    "Disconnect-MgGraph": "",
    "Get-MgServicePrincipal": "ServicePrincipalId Filter Property All Top",
    "Get-MgServicePrincipalAppRoleAssignment": "ServicePrincipalId AppRoleAssignmentId All Filter Top",
    "New-MgServicePrincipalAppRoleAssignment": "ServicePrincipalId PrincipalId ResourceId AppRoleId BodyParameter",
    "Remove-MgServicePrincipalAppRoleAssignment": "ServicePrincipalId AppRoleAssignmentId IfMatch",
    # PowerShell itself, and PowerShellGet.
    "Install-Module": "Name Scope Force MinimumVersion Repository",
    "Out-Null": "",
    "Set-StrictMode": "Version Off",
    "Sort-Object": "Property Descending Unique",
    "Where-Object": "Property EQ Value FilterScript",
    "Write-Output": "InputObject NoEnumerate",
    "Write-Warning": "Message",
}
COMMON = {"Confirm", "WhatIf", "ErrorAction"}
OURS = re.compile(r"(?:Get-Role|Get-Granted|Assert-Ours|Sync-Role|Find-TrustStoreParent|Grant-Access|Revoke-Access)$")
"""The script's own functions, whose arguments go by position."""


def calls(source: bytes) -> Iterator[tuple[str, set[str]]]:
    """Each command with the names of its parameters; an operator such as `-eq` in an argument is none."""
    for name, command in commands(parsed(source)):
        given = {text(each).strip("-").partition(":")[0] for each in every(command, "command_parameter")}
        inner = {
            text(each).strip("-").partition(":")[0]
            for block in every(command, "script_block_expression", "sub_expression", "parenthesized_expression")
            for each in every(block, "command_parameter")
        }
        yield name, given - inner


def strange(source: bytes) -> list[str]:
    """What stands in it that no reference names."""
    found = []
    for name, parameters in calls(source):
        if OURS.match(name):
            continue
        if name not in REFERENCE:
            found.append(name)
        else:
            known = {each.casefold() for each in {*REFERENCE[name].split(), *COMMON}}
            found += [f"{name} -{each}" for each in sorted(parameters) if each.casefold() not in known]
    return found


def test_the_script_calls_what_there_is() -> None:
    """With the parameters that there are."""
    assert strange(SCRIPT.read_bytes()) == []
    assert len(list(calls(SCRIPT.read_bytes()))) > 40


def test_the_same_by_hand_does_too() -> None:
    """Every line of PowerShell on the page, the script's own call aside."""
    shown = [line.command for line in lines(FOLDER / "README.md") if line.mark == "needs a tenant"]
    own = [each for each in shown if each.startswith("./Grant-SmimeSyncAccess.ps1")]
    assert strange("\n".join(each for each in shown if each not in own).encode("ascii")) == []
    known = set(re.findall(r"^    \[(?:guid|string|switch)\] \$(\w+)", SCRIPT.read_text("ascii"), re.MULTILINE))
    for each in own:
        assert set(re.findall(r" -([A-Z]\w+)", each)) <= known | COMMON, each


def test_a_misspelt_one_is_found() -> None:
    """In name and in parameter, also inside a condition."""
    source = b"if ($a) { New-RoleGroup -Nmae x -Confirm:$false | Out-Nul }; Get-Role 'x'"
    assert strange(source) == ["New-RoleGroup -Nmae", "Out-Nul"]
