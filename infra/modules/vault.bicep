// Made only where the application shows a certificate or a secret to Exchange Online in the place of the managed identity.
// The template puts nothing into it: an administrator does (infra/README.md), and the function reads it by reference.
param name string
param location string
param tags object

@description('Object id of the function\'s identity, which reads secrets and nothing else.')
param functionPrincipalId string

@description('Subnet for the private endpoint; empty: the vault is reached over the internet, by identities only.')
param endpointSubnetId string = ''

@description('The network that resolves the private endpoint\'s name.')
param networkId string = ''

var private = !empty(endpointSubnetId)
var secret = 'exchange'

// Key Vault Secrets User, by its id.
var secretsUser = '4633458b-17de-408a-b874-0445c86b69e6'

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enablePurgeProtection: true
    enableRbacAuthorization: true
    enableSoftDelete: true
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: private ? 'Deny' : 'Allow'
    }
  }
}

resource reads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, functionPrincipalId, secretsUser)
  scope: vault
  properties: {
    principalId: functionPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsUser)
  }
}

module endpoint 'endpoints.bicep' = if (private) {
  name: 'vault-endpoint'
  params: {
    resourceId: vault.id
    resourceName: vault.name
    location: location
    tags: tags
    subnetId: endpointSubnetId
    networkId: networkId
    groups: ['vault']
    // As .vault.azure.net becomes privatelink.vaultcore.azure.net, in every cloud.
    zones: [replace(environment().suffixes.keyvaultDns, '.vault.', 'privatelink.vaultcore.')]
  }
}

output name string = vault.name
// Without a version: the newest one is taken, within a day.
output reference string = '@Microsoft.KeyVault(SecretUri=${vault.properties.vaultUri}secrets/${secret})'
