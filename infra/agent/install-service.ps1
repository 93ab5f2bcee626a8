<#
.SYNOPSIS
    Installs the smime-sync agent as a Windows service, or takes it away. Run as administrator; run again to upgrade.
.DESCRIPTION
    Makes a virtual environment, installs the agent from its lock with hashes, and registers the service through WinSW,
    whose executable you give. The state folder is readable by administrators, the system and the service's account only.
    Never tried on Windows by us.
.PARAMETER Source
    The folder of this repository.
.PARAMETER WinSW
    WinSW's executable, downloaded and checked by you.
.PARAMETER Account
    The account of the service. A group managed service account (DOMAIN\name$) needs no password.
.PARAMETER Folder
    Where it is installed.
.PARAMETER Remove
    Takes service and program away; the state stays.
.PARAMETER Purge
    With -Remove: the state too. A new installation then reads everybody again.
#>
[CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'Install')]
param(
    [Parameter(Mandatory, ParameterSetName = 'Install')] [string] $Source,
    [Parameter(Mandatory, ParameterSetName = 'Install')] [string] $WinSW,
    [Parameter(ParameterSetName = 'Install')] [string] $Account = 'NT AUTHORITY\LocalService',
    [Parameter(Mandatory, ParameterSetName = 'Remove')] [switch] $Remove,
    [Parameter(ParameterSetName = 'Remove')] [switch] $Purge,
    [string] $Folder = "$env:ProgramFiles\smime-sync"
)
$ErrorActionPreference = 'Stop'

function Invoke-Checked([string] $Program, [string[]] $Arguments) {
    & $Program @Arguments
    if ($LASTEXITCODE -ne 0) { throw "$Program ended with $LASTEXITCODE" }
}

$state = Join-Path $Folder 'state'
$python = Join-Path $Folder 'venv\Scripts\python.exe'
$service = Join-Path $Folder 'smime-sync-agent.exe'

if ($Remove) {
    if (-not $PSCmdlet.ShouldProcess($Folder, 'remove the smime-sync agent')) { return }
    if (Get-Service smime-sync-agent -ErrorAction SilentlyContinue) {
        Stop-Service smime-sync-agent
        Invoke-Checked $service @('uninstall')
    }
    Get-ChildItem $Folder -ErrorAction SilentlyContinue | Where-Object { $Purge -or $_.Name -ne 'state' } | Remove-Item -Recurse -Force
    Write-Output $(if ($Purge) { 'Removed, with its state.' } else { "Removed. The state is still in $state." })
    return
}

if (-not $PSCmdlet.ShouldProcess($Folder, 'install the smime-sync agent')) { return }
if (Get-Service smime-sync-agent -ErrorAction SilentlyContinue) { Stop-Service smime-sync-agent }
New-Item -ItemType Directory -Force $Folder, $state | Out-Null
if (-not (Test-Path $python)) { Invoke-Checked 'py' @('-3', '-m', 'venv', (Join-Path $Folder 'venv')) }
Invoke-Checked $python @('-m', 'pip', 'install', '--require-hashes', '-r', (Join-Path $Source 'requirements\agent.txt'))
Invoke-Checked $python @('-m', 'pip', 'install', '--no-deps', $Source)

# The state holds names and addresses of people; SIDs, since names of groups are translated on other systems.
Invoke-Checked 'icacls' @($state, '/inheritance:r', '/grant:r', '*S-1-5-18:(OI)(CI)F', '*S-1-5-32-544:(OI)(CI)F', "${Account}:(OI)(CI)M")
Copy-Item $WinSW $service -Force
Copy-Item (Join-Path $PSScriptRoot 'smime-sync-agent.xml') $Folder -Force
if (-not (Get-Service smime-sync-agent -ErrorAction SilentlyContinue)) { Invoke-Checked $service @('install') }
Invoke-Checked 'sc.exe' @('config', 'smime-sync-agent', 'obj=', $Account)
Write-Output 'Installed. Set the settings, try them with "smime-sync agent check", then Start-Service smime-sync-agent.'
