// Queues, tables and containers, and who may do what with each. Shared keys are off: only identities get in.
param name string
param location string
param tags object

@description('Object id of the function\'s identity.')
param functionPrincipalId string

@description('Object id of the agent\'s identity; empty for none yet.')
param agentPrincipalId string

@description('Subnet for private endpoints; empty: the account is reached over the internet, by identities only.')
param endpointSubnetId string = ''

@description('The network that resolves the private endpoints\' names.')
param networkId string = ''

var private = !empty(endpointSubnetId)
var changes = 'smime-sync-changes'
var requests = 'smime-sync-requests'
var runs = ['smime-sync-runs', 'smime-sync-runs-poison']
var tables = ['SmimeSyncLedger', 'SmimeSyncFailures', 'SmimeSyncHistory', 'SmimeSyncPace', 'SmimeSyncAudit']
var services = ['blob', 'queue', 'table']
var ours = ['deployment', 'smime-sync-work']

// Built-in roles, by their ids.
var blobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var blobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
var queueDataContributor = '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
var queueDataMessageSender = 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
var queueDataMessageProcessor = '8a0f0c08-91a1-4084-bc3d-661d67233fed'
var tableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_ZRS' }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      bypass: 'None'
      defaultAction: private ? 'Deny' : 'Allow'
    }
  }
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2023-05-01' = {
  parent: account
  name: 'default'
}

resource changeQueue 'Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01' = {
  parent: queues
  name: changes
}

resource poisonQueue 'Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01' = {
  parent: queues
  name: '${changes}-poison'
}

resource requestQueue 'Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01' = {
  parent: queues
  name: requests
}

resource runQueue 'Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01' = [
  for each in runs: {
    parent: queues
    name: each
  }
]

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2023-05-01' = {
  parent: account
  name: 'default'
}

resource table 'Microsoft.Storage/storageAccounts/tableServices/tables@2023-05-01' = [
  for each in tables: {
    parent: tableService
    name: each
  }
]

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 14
    }
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = [
  for each in ours: {
    parent: blobs
    name: each
    properties: { publicAccess: 'None' }
  }
]

resource claims 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: 'smime-sync-claims'
  properties: { publicAccess: 'None' }
}

resource lease 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: 'smime-sync-lease'
  properties: { publicAccess: 'None' }
}

// The function. The host keeps its own leases, keys and the deployed package in blobs of the account.
resource functionBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, functionPrincipalId, blobDataOwner)
  scope: account
  properties: {
    principalId: functionPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobDataOwner)
  }
}

resource functionTakes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, changes, functionPrincipalId, queueDataContributor)
  scope: changeQueue
  properties: {
    principalId: functionPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', queueDataContributor)
  }
}

resource functionBuries 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, '${changes}-poison', functionPrincipalId, queueDataContributor)
  scope: poisonQueue
  properties: {
    principalId: functionPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', queueDataContributor)
  }
}

resource functionRuns 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (each, place) in runs: {
    name: guid(account.id, each, functionPrincipalId, queueDataContributor)
    scope: runQueue[place]
    properties: {
      principalId: functionPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', queueDataContributor)
    }
  }
]

resource functionAsks 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, requests, functionPrincipalId, queueDataMessageSender)
  scope: requestQueue
  properties: {
    principalId: functionPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', queueDataMessageSender)
  }
}

resource functionTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (each, place) in tables: {
    name: guid(account.id, each, functionPrincipalId, tableDataContributor)
    scope: table[place]
    properties: {
      principalId: functionPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', tableDataContributor)
    }
  }
]

// The agent: it may send, take requests, keep large events and its lease, and nothing else. It reads no ledger.
resource agentSends 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(agentPrincipalId)) {
  name: guid(account.id, changes, agentPrincipalId, queueDataMessageSender)
  scope: changeQueue
  properties: {
    principalId: agentPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', queueDataMessageSender)
  }
}

resource agentTakes 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(agentPrincipalId)) {
  name: guid(account.id, requests, agentPrincipalId, queueDataMessageProcessor)
  scope: requestQueue
  properties: {
    principalId: agentPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', queueDataMessageProcessor)
  }
}

resource agentClaims 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(agentPrincipalId)) {
  name: guid(account.id, 'claims', agentPrincipalId, blobDataContributor)
  scope: claims
  properties: {
    principalId: agentPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobDataContributor)
  }
}

resource agentLeases 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(agentPrincipalId)) {
  name: guid(account.id, 'lease', agentPrincipalId, blobDataContributor)
  scope: lease
  properties: {
    principalId: agentPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobDataContributor)
  }
}

// Its heartbeat and its list of everybody lie beside what only the function may change: it gets those two folders alone.
var reported = [for folder in ['census', 'heartbeat']: {
  path: '@Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path] StringLike \'${folder}/*\''
  prefix: '@Request[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:prefix] StringLike \'${folder}/*\''
}]
var reading = 'ActionMatches{\'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read\'}'
var listing = 'SubOperationMatches{\'Blob.List\'}'
var changing = [for action in ['write', 'add/action', 'delete', 'move/action']: '!(ActionMatches{\'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/${action}\'})']
var ownPaths = '((!(${reading} AND NOT ${listing}) AND ${join(changing, ' AND ')}) OR (${reported[0].path} OR ${reported[1].path}))'
var ownLists = '((!(${reading} AND ${listing})) OR (${reported[0].prefix} OR ${reported[1].prefix}))'

resource agentReports 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(agentPrincipalId)) {
  name: guid(account.id, ours[1], agentPrincipalId, blobDataContributor)
  scope: container[1]
  properties: {
    principalId: agentPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobDataContributor)
    condition: '${ownPaths} AND ${ownLists}'
    conditionVersion: '2.0'
  }
}

module endpoints 'endpoints.bicep' = if (private) {
  name: 'endpoints'
  params: {
    resourceId: account.id
    resourceName: account.name
    location: location
    tags: tags
    subnetId: endpointSubnetId
    networkId: networkId
    groups: services
    zones: [for each in services: 'privatelink.${each}.${environment().suffixes.storage}']
  }
}

output name string = account.name
output deploymentContainer string = ours[0]
output queueEndpoint string = account.properties.primaryEndpoints.queue
output blobEndpoint string = account.properties.primaryEndpoints.blob
