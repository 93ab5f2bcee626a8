// The function app on Flex Consumption. Every setting is one of docs/settings.md or of the Functions host.
param planName string
param name string
param location string
param tags object
param identityId string
param identityClientId string
param storageName string
param deploymentContainer string
param insightsConnectionString string
param subnetId string
param maximumInstances int
param exchangeTenantId string
param exchangeCloud string
param exchangeCredential string
param exchangeClientId string
param exchangeReference string
param mode string
param policy string
param revocation string
param reconcileSchedule string
param canary string
param signInClientId string

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: storageName
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${account.properties.primaryEndpoints.blob}${deploymentContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: 2048
        maximumInstanceCount: maximumInstances
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
    }
    siteConfig: {
      ftpsState: 'Disabled'
      minTlsVersion: '1.2'
      appSettings: [
        { name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING', value: 'ClientId=${identityClientId};Authorization=AAD' }
        { name: 'APPLICATIONINSIGHTS_CONNECTION_STRING', value: insightsConnectionString }
        { name: 'AzureWebJobsStorage__accountName', value: storageName }
        { name: 'AzureWebJobsStorage__clientId', value: identityClientId }
        { name: 'AzureWebJobsStorage__credential', value: 'managedidentity' }
        // By this name App Service authentication shows Entra the app's identity instead of a secret.
        { name: 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID', value: identityClientId }
        { name: 'PYTHON_THREADPOOL_THREAD_COUNT', value: '24' }
        { name: 'SMIME_SYNC_APPLICATION_INSIGHTS', value: insightsConnectionString }
        { name: 'SMIME_SYNC_CANARY', value: canary }
        { name: 'SMIME_SYNC_CLAIMS_CONTAINER', value: 'smime-sync-claims' }
        { name: 'SMIME_SYNC_CLIENT_CERTIFICATE_VALUE', value: exchangeCredential == 'certificate' ? exchangeReference : '' }
        { name: 'SMIME_SYNC_CLIENT_ID', value: empty(exchangeClientId) ? identityClientId : exchangeClientId }
        { name: 'SMIME_SYNC_CLIENT_SECRET', value: exchangeCredential == 'secret' ? exchangeReference : '' }
        { name: 'SMIME_SYNC_CLOUD', value: exchangeCloud }
        { name: 'SMIME_SYNC_CREDENTIAL', value: exchangeCredential }
        { name: 'SMIME_SYNC_EVENT_KEYS_FILE', value: 'trust/agents.pem' }
        { name: 'SMIME_SYNC_INTERMEDIATES', value: 'trust/intermediates.pem' }
        { name: 'SMIME_SYNC_MODE', value: mode }
        { name: 'SMIME_SYNC_POLICY', value: policy }
        { name: 'SMIME_SYNC_QUEUE', value: 'smime-sync-changes' }
        { name: 'SMIME_SYNC_RECONCILE_SCHEDULE', value: reconcileSchedule }
        { name: 'SMIME_SYNC_REQUESTS_QUEUE', value: 'smime-sync-requests' }
        { name: 'SMIME_SYNC_REVALIDATE_SCHEDULE', value: '0 30 * * * *' }
        { name: 'SMIME_SYNC_REVOCATION', value: revocation }
        { name: 'SMIME_SYNC_REVOCATION_SOURCES', value: revocation == 'off' ? '' : 'trust/revocation.toml' }
        { name: 'SMIME_SYNC_RUNS_QUEUE', value: 'smime-sync-runs' }
        { name: 'SMIME_SYNC_SIGN_IN', value: empty(signInClientId) ? 'key' : 'entra' }
        { name: 'SMIME_SYNC_STORAGE__blobServiceUri', value: account.properties.primaryEndpoints.blob }
        { name: 'SMIME_SYNC_STORAGE__clientId', value: identityClientId }
        { name: 'SMIME_SYNC_STORAGE__credential', value: 'managedidentity' }
        { name: 'SMIME_SYNC_STORAGE__queueServiceUri', value: account.properties.primaryEndpoints.queue }
        { name: 'SMIME_SYNC_STORAGE__tableServiceUri', value: account.properties.primaryEndpoints.table }
        { name: 'SMIME_SYNC_TELEMETRY', value: 'azure-monitor' }
        { name: 'SMIME_SYNC_TENANT_ID', value: exchangeTenantId }
        { name: 'SMIME_SYNC_TRUST_ANCHORS', value: 'trust/anchors.pem' }
        { name: 'SMIME_SYNC_WORK_CONTAINER', value: 'smime-sync-work' }
        { name: 'WEBSITE_AUTH_AAD_ALLOWED_TENANTS', value: tenant().tenantId }
      ]
    }
  }
}

// People sign in before anything reaches the app, which then asks for their role. A monitor's health has the function key.
resource signIn 'Microsoft.Web/sites/config@2024-04-01' = if (!empty(signInClientId)) {
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: { enabled: true }
    globalValidation: {
      requireAuthentication: true
      unauthenticatedClientAction: 'RedirectToLoginPage'
      redirectToProvider: 'azureactivedirectory'
      excludedPaths: ['/api/health']
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: signInClientId
          clientSecretSettingName: 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID'
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: { allowedAudiences: [signInClientId, 'api://${signInClientId}'] }
      }
    }
    login: { tokenStore: { enabled: false } }
    httpSettings: { requireHttps: true }
  }
}

// No password opens it for deployment, by whichever door.
resource noFtp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: { allow: false }
}

resource noScm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: { allow: false }
}

output name string = app.name
output consoleUrl string = 'https://${app.properties.defaultHostName}/api/console'
