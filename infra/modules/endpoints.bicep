// Private endpoints of the account's blob, queue and table services, and their names.
param accountId string
param accountName string
param location string
param tags object
param subnetId string
param networkId string

var services = ['blob', 'queue', 'table']

resource zone 'Microsoft.Network/privateDnsZones@2020-06-01' = [
  for each in services: {
    name: 'privatelink.${each}.${environment().suffixes.storage}'
    location: 'global'
    tags: tags
  }
]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = [
  for (each, place) in services: {
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
  for each in services: {
    name: 'pe-${accountName}-${each}'
    location: location
    tags: tags
    properties: {
      subnet: { id: subnetId }
      privateLinkServiceConnections: [
        {
          name: each
          properties: {
            privateLinkServiceId: accountId
            groupIds: [each]
          }
        }
      ]
    }
  }
]

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2023-11-01' = [
  for (each, place) in services: {
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
