// A network of its own: one subnet for the function's way out, one for the private endpoints of storage.
param name string
param location string
param tags object

resource network 'Microsoft.Network/virtualNetworks@2023-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: ['10.77.0.0/24'] }
    subnets: [
      {
        name: 'function'
        properties: {
          addressPrefix: '10.77.0.0/26'
          delegations: [
            {
              name: 'flex'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: '10.77.0.64/26'
          privateEndpointNetworkPolicies: 'Disabled'
        }
      }
    ]
  }
}

output networkId string = network.id
output functionSubnetId string = network.properties.subnets[0].id
output endpointSubnetId string = network.properties.subnets[1].id
