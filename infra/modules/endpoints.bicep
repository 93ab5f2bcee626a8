// Private endpoints of one resource, one for each of its services, and the zones in which their names are resolved.
param resourceId string
param resourceName string
param location string
param tags object
param subnetId string
param networkId string

@description('The services, as private link names them.')
param groups string[]

@description('The private DNS zone of each.')
param zones string[]

resource zone 'Microsoft.Network/privateDnsZones@2020-06-01' = [
  for each in zones: {
    name: each
    location: 'global'
    tags: tags
  }
]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = [
  for (each, place) in groups: {
    parent: zone[place]
    name: 'smime-sync'
    location: 'global'
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: networkId }
    }
  }
]

resource endpoint 'Microsoft.Network/privateEndpoints@2023-11-01' = [
  for each in groups: {
    name: 'pe-${resourceName}-${each}'
    location: location
    tags: tags
    properties: {
      subnet: { id: subnetId }
      privateLinkServiceConnections: [
        {
          name: each
          properties: {
            privateLinkServiceId: resourceId
            groupIds: [each]
          }
        }
      ]
    }
  }
]

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2023-11-01' = [
  for (each, place) in groups: {
    parent: endpoint[place]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: each
          properties: { privateDnsZoneId: zone[place].id }
        }
      ]
    }
  }
]
