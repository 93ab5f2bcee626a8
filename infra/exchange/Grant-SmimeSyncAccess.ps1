<#
.SYNOPSIS
    Gives smime-sync's application the least that it needs in Exchange Online, or takes it back.

.DESCRIPTION
    1. Entra: the application role Exchange.ManageAsApp on "Office 365 Exchange Online".
    2. Exchange: a reference to the service principal.
    3. Exchange: a role copied from Mail Recipients and trimmed to the cmdlets and parameters that the product calls, and
       a second one with Get-SmimeConfig alone, by which 'smime-sync preflight' sees the tenant's trust store.
    4. Exchange: a recipient scope, and a role group that joins roles, scope and service principal.

    Run it as often as you like: it makes what is missing and corrects what differs. -WhatIf says what it would do and
    does nothing; -Remove takes everything back. What has one of its names but was made by somebody else is not touched.
    Afterwards try 'smime-sync preflight'; Exchange may take an hour or two until it knows a new role.

    It needs an administrator with Privileged Role Administrator (Entra) and Organization Management (Exchange).

.PARAMETER ClientId
    Application (client) id of the app registration, or of the user-assigned managed identity.

.PARAMETER RecipientFilter
    Whom the product may write, as an OPATH filter. By default every mailbox, mail user and mail contact.

.PARAMETER Name
    What roles, scope and role group are called, or begin with.

.PARAMETER Cloud
    The national cloud, in the words of the setting SMIME_SYNC_CLOUD.

.PARAMETER NoTrustStore
    Leave out Get-SmimeConfig: preflight then cannot compare the tenant's trust store with ours.

.PARAMETER Remove
    Take everything back, the application role included: the application must be the product's own.

.EXAMPLE
    ./Grant-SmimeSyncAccess.ps1 -ClientId 11111111-2222-4333-8444-555555555555 -WhatIf

.EXAMPLE
    ./Grant-SmimeSyncAccess.ps1 -ClientId 11111111-2222-4333-8444-555555555555 -RecipientFilter "CustomAttribute1 -eq 'smime'"

.EXAMPLE
    ./Grant-SmimeSyncAccess.ps1 -ClientId 11111111-2222-4333-8444-555555555555 -Remove
#>
#Requires -Version 5.1
#Requires -Modules ExchangeOnlineManagement, Microsoft.Graph.Authentication, Microsoft.Graph.Applications

[CmdletBinding(SupportsShouldProcess = $true, ConfirmImpact = 'Medium')]
param(
    [Parameter(Mandatory = $true)]
    [guid] $ClientId,

    [string] $RecipientFilter = ("RecipientType -eq 'UserMailbox' -or RecipientType -eq 'MailUser' -or " +
        "RecipientType -eq 'MailContact'"),

    # A role's name has at most 64 characters.
    [ValidatePattern('^[A-Za-z0-9][A-Za-z0-9 ._-]{0,47}$')]
    [string] $Name = 'smime-sync',

    [ValidateSet('worldwide', 'gcc-high', 'dod', 'china')]
    [string] $Cloud = 'worldwide',

    [switch] $NoTrustStore,

    [switch] $Remove
)

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

# Every cmdlet and parameter that the product calls, and nothing else: a test compares this table with the calls.
$WriterEntries = [ordered]@{
    'Get-Recipient'   = @('Identity', 'ResultSize')
    'Get-Mailbox'     = @('Identity', 'ResultSize')
    'Get-MailUser'    = @('Identity', 'ResultSize')
    'Get-MailContact' = @('Identity', 'ResultSize')
    'Set-Mailbox'     = @('Identity', 'Confirm', 'UserCertificate', 'UserSMimeCertificate')
    'Set-MailUser'    = @('Identity', 'Confirm', 'UserCertificate', 'UserSMimeCertificate')
    'Set-MailContact' = @('Identity', 'Confirm', 'UserCertificate', 'UserSMimeCertificate')
}
$TrustStoreEntries = [ordered]@{
    'Get-SmimeConfig' = @()
}

$ExchangeAppId = '00000002-0000-0ff1-ce00-000000000000'
$ManageAsApp = 'dc50a0fb-09a3-484d-be87-e023b12c6440'
$Mark = 'Made by Grant-SmimeSyncAccess.ps1 of smime-sync.'
$WriterRole = "$Name writer"
$TrustStoreRole = "$Name trust store"
$Scope = "$Name recipients"
$Group = $Name
$GraphEnvironments = @{ 'worldwide' = 'Global'; 'gcc-high' = 'USGov'; 'dod' = 'USGovDoD'; 'china' = 'China' }
$ExchangeEnvironments = @{
    'worldwide' = 'O365Default'; 'gcc-high' = 'O365USGovGCCHigh'; 'dod' = 'O365USGovDoD'; 'china' = 'O365China'
}

# All objects are listed and chosen from: asking for one that is missing is an error that looks like any other.
function Get-Role([string] $RoleName) {
    Get-ManagementRole | Where-Object { $_.Name -eq $RoleName }
}

function Assert-Ours($Found, [string] $Kind) {
    if ($Found -and $Found.Description -notlike "*$Mark*") {
        throw "The $Kind '$($Found.Name)' exists and was not made by this script. Choose another -Name."
    }
}

function Get-Granted($App, $Exchange) {
    Get-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $App.Id -All |
        Where-Object { $_.AppRoleId -eq $ManageAsApp -and $_.ResourceId -eq $Exchange.Id }
}

# Make the role if it is missing, then give it exactly these entries with exactly these parameters.
function Sync-Role([string] $RoleName, [string] $Parent, $Entries) {
    $role = Get-Role $RoleName
    Assert-Ours $role 'role'
    if (-not $role) {
        $cmdlets = @($Entries.Keys)
        if ($PSCmdlet.ShouldProcess($RoleName, "make a role from '$Parent' with $($cmdlets -join ', ')")) {
            New-ManagementRole -Name $RoleName -Parent $Parent -EnabledCmdlets $cmdlets -Description $Mark -Confirm:$false | Out-Null
        }
        else {
            return
        }
    }
    $held = @(Get-ManagementRoleEntry -Identity "$RoleName\*")
    foreach ($entry in $held | Where-Object { $Entries.Keys -notcontains $_.Name }) {
        if ($PSCmdlet.ShouldProcess("$RoleName\$($entry.Name)", 'remove the entry, which the product does not call')) {
            Remove-ManagementRoleEntry -Identity "$RoleName\$($entry.Name)" -Confirm:$false
        }
    }
    foreach ($cmdlet in $Entries.Keys) {
        $wanted = (@($Entries[$cmdlet]) | Sort-Object) -join ', '
        # A list of parameters replaces what is there; null leaves none.
        $parameters = if ($wanted) { @($Entries[$cmdlet]) } else { $null }
        $entry = $held | Where-Object { $_.Name -eq $cmdlet }
        if (-not $entry) {
            if ($PSCmdlet.ShouldProcess("$RoleName\$cmdlet", "add the entry with: $wanted")) {
                Add-ManagementRoleEntry -Identity "$RoleName\$cmdlet" -Parameters $parameters -Confirm:$false | Out-Null
            }
        }
        elseif (((@($entry.Parameters) | Sort-Object) -join ', ') -ne $wanted) {
            if ($PSCmdlet.ShouldProcess("$RoleName\$cmdlet", "leave only these parameters: $wanted")) {
                Set-ManagementRoleEntry -Identity "$RoleName\$cmdlet" -Parameters $parameters -Confirm:$false
            }
        }
    }
}

# The role to copy for Get-SmimeConfig: one that only looks, where there is one.
function Find-TrustStoreParent {
    $parents = @(Get-ManagementRole -Cmdlet 'Get-SmimeConfig' | Where-Object { $_.IsRootRole })
    $parents = @($parents | Where-Object { $_.Name -like 'View-Only*' }) + $parents
    if (-not $parents.Count) {
        throw 'No built-in role of this tenant holds Get-SmimeConfig. Run again with -NoTrustStore.'
    }
    $parents[0].Name
}

function Grant-Access($App, $Exchange) {
    # 1. The application role.
    $granted = Get-Granted $App $Exchange
    if (-not $granted -and $PSCmdlet.ShouldProcess($App.DisplayName, 'grant Exchange.ManageAsApp')) {
        New-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $App.Id -PrincipalId $App.Id -ResourceId $Exchange.Id `
            -AppRoleId $ManageAsApp | Out-Null
    }

    # 2. The service principal, as Exchange knows it.
    $principal = Get-ServicePrincipal | Where-Object { $_.AppId -eq "$ClientId" }
    if (-not $principal -and $PSCmdlet.ShouldProcess($App.DisplayName, 'make it known to Exchange')) {
        $principal = New-ServicePrincipal -AppId "$ClientId" -ObjectId $App.Id -DisplayName $App.DisplayName -Confirm:$false
    }

    # 3. The roles. A scope bears no mark of ours: it is ours when the role is.
    $scopeHeld = Get-ManagementScope | Where-Object { $_.Name -eq $Scope }
    if ($scopeHeld -and -not (Get-Role $WriterRole)) {
        throw "The recipient scope '$Scope' exists and was not made by this script. Choose another -Name."
    }
    Sync-Role $WriterRole 'Mail Recipients' $WriterEntries
    $roles = @($WriterRole)
    if (-not $NoTrustStore) {
        Sync-Role $TrustStoreRole (Find-TrustStoreParent) $TrustStoreEntries
        $roles += $TrustStoreRole
    }

    # 4. Scope and role group.
    if (-not $scopeHeld) {
        if ($PSCmdlet.ShouldProcess($Scope, "make a recipient scope: $RecipientFilter")) {
            New-ManagementScope -Name $Scope -RecipientRestrictionFilter $RecipientFilter -Confirm:$false | Out-Null
        }
    }
    elseif ($scopeHeld.RecipientFilter -ne $RecipientFilter) {
        # Exchange may write the same filter in other words: then it is set again each time.
        if ($PSCmdlet.ShouldProcess($Scope, "set the recipient scope to: $RecipientFilter")) {
            Set-ManagementScope -Identity $Scope -RecipientRestrictionFilter $RecipientFilter -Confirm:$false
        }
    }
    $groupHeld = Get-RoleGroup | Where-Object { $_.Name -eq $Group }
    Assert-Ours $groupHeld 'role group'
    if (-not $groupHeld) {
        if ($PSCmdlet.ShouldProcess($Group, "make a role group with $($roles -join ', ')")) {
            New-RoleGroup -Name $Group -Description $Mark -Roles $roles -CustomRecipientWriteScope $Scope -Confirm:$false | Out-Null
        }
        else {
            return
        }
    }
    $assignments = @(Get-ManagementRoleAssignment -RoleAssignee $Group)
    foreach ($role in $roles) {
        $assignment = $assignments | Where-Object { "$($_.Role)" -eq $role }
        if (-not $assignment) {
            if ($PSCmdlet.ShouldProcess($Group, "assign the role $role")) {
                New-ManagementRoleAssignment -SecurityGroup $Group -Role $role -CustomRecipientWriteScope $Scope -Confirm:$false | Out-Null
            }
        }
        elseif ("$($assignment.CustomRecipientWriteScope)" -ne $Scope) {
            if ($PSCmdlet.ShouldProcess($assignment.Name, "limit it to the scope $Scope")) {
                Set-ManagementRoleAssignment -Identity $assignment.Name -CustomRecipientWriteScope $Scope -Confirm:$false
            }
        }
    }
    foreach ($assignment in $assignments | Where-Object { $roles -notcontains "$($_.Role)" }) {
        Write-Warning "The role group '$Group' also holds the role '$($assignment.Role)', which the product does not need."
    }
    if ($principal -and $PSCmdlet.ShouldProcess($Group, "add the member $($App.DisplayName)")) {
        try {
            Add-RoleGroupMember -Identity $Group -Member $principal.Identity -Confirm:$false
        }
        catch {
            # How a service principal shows among the members is not documented, so it is added each time.
            if ("$_" -notmatch 'already a member') { throw }
        }
    }
}

function Revoke-Access($App, $Exchange) {
    # In the reverse order: nothing can be removed while something else holds it.
    $groupHeld = Get-RoleGroup | Where-Object { $_.Name -eq $Group }
    Assert-Ours $groupHeld 'role group'
    if ($groupHeld -and $PSCmdlet.ShouldProcess($Group, 'remove the role group and its assignments')) {
        foreach ($assignment in @(Get-ManagementRoleAssignment -RoleAssignee $Group)) {
            Remove-ManagementRoleAssignment -Identity $assignment.Name -Confirm:$false
        }
        Remove-RoleGroup -Identity $Group -BypassSecurityGroupManagerCheck -Confirm:$false
    }
    $scopeHeld = Get-ManagementScope | Where-Object { $_.Name -eq $Scope }
    if ($scopeHeld -and (Get-Role $WriterRole) -and $PSCmdlet.ShouldProcess($Scope, 'remove the recipient scope')) {
        Remove-ManagementScope -Identity $Scope -Confirm:$false
    }
    foreach ($roleName in $WriterRole, $TrustStoreRole) {
        $role = Get-Role $roleName
        Assert-Ours $role 'role'
        if ($role -and $PSCmdlet.ShouldProcess($roleName, 'remove the role')) {
            Remove-ManagementRole -Identity $roleName -Confirm:$false
        }
    }
    $principal = Get-ServicePrincipal | Where-Object { $_.AppId -eq "$ClientId" }
    if ($principal -and $PSCmdlet.ShouldProcess($principal.DisplayName, 'have Exchange forget the service principal')) {
        Remove-ServicePrincipal -Identity $principal.Identity -Confirm:$false
    }
    if ($App) {
        $granted = Get-Granted $App $Exchange
        if ($granted -and $PSCmdlet.ShouldProcess($App.DisplayName, 'take Exchange.ManageAsApp back')) {
            Remove-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $App.Id -AppRoleAssignmentId $granted.Id `
                -Confirm:$false
        }
    }
}

Connect-MgGraph -Environment $GraphEnvironments[$Cloud] -Scopes 'Application.Read.All', 'AppRoleAssignment.ReadWrite.All' -NoWelcome
Connect-ExchangeOnline -ExchangeEnvironmentName $ExchangeEnvironments[$Cloud] -ShowBanner:$false
try {
    $exchange = Get-MgServicePrincipal -Filter "appId eq '$ExchangeAppId'"
    $app = Get-MgServicePrincipal -Filter "appId eq '$ClientId'"
    if ($Remove) {
        # The application may be gone already; what it was given in Exchange is not.
        Revoke-Access $app $exchange
    }
    elseif (-not $app) {
        throw "Entra knows no service principal with the client id $ClientId."
    }
    else {
        Grant-Access $app $exchange
        Write-Output "Now try: smime-sync preflight --outside SOMEBODY@WHOM.THE.FILTER.LEAVES.OUT"
    }
}
finally {
    Disconnect-ExchangeOnline -Confirm:$false
    Disconnect-MgGraph | Out-Null
}
