// Everything that the cloud side of smime-sync needs, in one resource group. Plain resources, no registry modules.
targetScope = 'subscription'

@minLength(1)
@maxLength(32)
@description('Name of the environment; every resource bears it, and a hash of it where names are unique in the world.')
param environmentName string

@minLength(1)
@description('Azure region. It must offer Flex Consumption (az functionapp list-flexconsumption-locations).')
param location string

@description('Directory id of the tenant whose Exchange Online is written; empty: the subscription\'s own.')
param exchangeTenantId string = ''

@allowed(['worldwide', 'gcc-high', 'dod', 'china'])
@description('The national cloud of that tenant.')
param exchangeCloud string = 'worldwide'

@allowed(['managed-identity', 'certificate', 'secret'])
@description('How the function shows Exchange Online who it is. The last two ask for an app registration and make a Key Vault.')
param exchangeCredential string = 'managed-identity'

@description('Application (client) id of that app registration; empty with the managed identity.')
param exchangeClientId string = ''

@description('Object id of the identity of the agent beside Active Directory; empty: grant its rights later.')
param agentPrincipalId string = ''

@description('Where alerts go: an e-mail address; empty: the alerts are made and tell nobody.')
param alertAddress string = ''

@allowed(['report', 'write'])
@description('`report` decides and records and never writes: what a first deployment should do.')
param mode string = 'report'

@allowed(['off', 'soft', 'hard'])
@description('Whether revocation is looked at, and what doubt means; needs trust/revocation.toml.')
param revocation string = 'off'

@allowed(['private-ca', 'public-sbr'])
@description('The policy pack by which certificates are judged.')
param policy string = 'private-ca'

@description('Whether storage is reached through private endpoints in a network of its own.')
param privateNetwork bool = false

@description('NCRONTAB of the full reconciliation, in UTC, seconds first.')
param reconcileSchedule string = '0 0 3 * * *'

@description('ImmutableId of the canary, a test person by whom the time from a change to its write is measured; empty: none.')
param canary string = ''

@minValue(1)
@maxValue(1000)
@description('Most instances of the function app; one writes far more than a tenant takes.')
param maximumInstances int = 4

@description('Client id of the application by which people sign in to console and API (infra/README.md); empty: a function key.')
param signInClientId string = ''

var abbreviations = loadJsonContent('./abbreviations.json')
var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'azd-env-name': environmentName }

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: '${abbreviations.resourcesResourceGroups}${environmentName}'
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: '${abbreviations.managedIdentityUserAssignedIdentities}${token}'
    location: location
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    workspaceName: '${abbreviations.operationalInsightsWorkspaces}${token}'
    insightsName: '${abbreviations.insightsComponents}${token}'
    location: location
    tags: tags
    functionPrincipalId: identity.outputs.principalId
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  scope: group
  params: {
    name: '${abbreviations.networkVirtualNetworks}${token}'
    location: location
    tags: tags
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: '${abbreviations.storageStorageAccounts}${token}'
    location: location
    tags: tags
    functionPrincipalId: identity.outputs.principalId
    agentPrincipalId: agentPrincipalId
    endpointSubnetId: privateNetwork ? network!.outputs.endpointSubnetId : ''
    networkId: privateNetwork ? network!.outputs.networkId : ''
  }
}

module vault 'modules/vault.bicep' = if (exchangeCredential != 'managed-identity') {
  name: 'vault'
  scope: group
  params: {
    name: '${abbreviations.keyVaultVaults}${token}'
    location: location
    tags: tags
    functionPrincipalId: identity.outputs.principalId
    endpointSubnetId: privateNetwork ? network!.outputs.endpointSubnetId : ''
    networkId: privateNetwork ? network!.outputs.networkId : ''
  }
}

module function 'modules/function.bicep' = {
  name: 'function'
  scope: group
  params: {
    planName: '${abbreviations.webServerFarms}${token}'
    name: '${abbreviations.webSitesFunctions}${token}'
    location: location
    tags: union(tags, { 'azd-service-name': 'function' })
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    storageName: storage.outputs.name
    deploymentContainer: storage.outputs.deploymentContainer
    insightsConnectionString: monitoring.outputs.connectionString
    subnetId: privateNetwork ? network!.outputs.functionSubnetId : ''
    maximumInstances: maximumInstances
    exchangeTenantId: empty(exchangeTenantId) ? tenant().tenantId : exchangeTenantId
    exchangeCloud: exchangeCloud
    exchangeCredential: exchangeCredential
    exchangeClientId: exchangeClientId
    exchangeReference: exchangeCredential == 'managed-identity' ? '' : vault!.outputs.reference
    mode: mode
    policy: policy
    revocation: revocation
    reconcileSchedule: reconcileSchedule
    canary: canary
    signInClientId: signInClientId
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: tags
    insightsId: monitoring.outputs.insightsId
    address: alertAddress
  }
}

output AZURE_LOCATION string = location
output AZURE_RESOURCE_GROUP string = group.name
output SMIME_SYNC_FUNCTION_NAME string = function.outputs.name
output SMIME_SYNC_CONSOLE_URL string = function.outputs.consoleUrl
output SMIME_SYNC_FUNCTION_PRINCIPAL_ID string = identity.outputs.principalId
output SMIME_SYNC_FUNCTION_CLIENT_ID string = identity.outputs.clientId
output SMIME_SYNC_VAULT_NAME string = exchangeCredential == 'managed-identity' ? '' : vault!.outputs.name
output SMIME_SYNC_STORAGE__queueServiceUri string = storage.outputs.queueEndpoint
output SMIME_SYNC_STORAGE__blobServiceUri string = storage.outputs.blobEndpoint
