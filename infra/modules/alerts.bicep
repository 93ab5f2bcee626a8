// What an operator must hear of, as queries over the log lines and metrics that docs/operating.md names.
param location string
param tags object
param insightsId string
param address string

// Name, severity, minutes, and the query: one row or more is an alert.
var rules = [
  {
    name: 'guarded'
    says: 'Many people would lose their last certificate, and are held back: smime-sync guard, smime-sync reconcile.'
    severity: 1
    minutes: 15
    query: 'traces | where (message startswith "guarded " and severityLevel >= 3) or message has "reason=guarded"'
  }
  {
    name: 'failed'
    says: 'Messages failed: smime-sync failed lists them with the reason, docs/errors.md says what to do.'
    severity: 2
    minutes: 60
    query: 'traces | where message startswith "done " and message has "status=failed" and not(message has "reason=guarded")'
  }
  {
    name: 'poison'
    says: 'A message was delivered in vain too often and is recorded as failed: retries-exhausted.'
    severity: 2
    minutes: 60
    query: 'traces | where message startswith "buried "'
  }
  {
    name: 'throttled'
    says: 'Exchange Online asks us to slow down again and again: lower SMIME_SYNC_WRITES_PER_SECOND.'
    severity: 3
    minutes: 60
    query: 'traces | where message has "reason=tenant-throttled" | summarize times = count() | where times > 50'
  }
  {
    name: 'late'
    says: 'The slowest twentieth of changes took more than five minutes to be written.'
    severity: 3
    minutes: 60
    query: 'customMetrics | where name == "smime_sync.change_to_write" and tostring(customDimensions.cause) == "change" | summarize late = percentile(value, 95) | where late > 300'
  }
  {
    name: 'silent'
    says: 'Nothing was handled for a day, not even by the nightly reconciliation: see the agent and the app.'
    severity: 1
    minutes: 1440
    query: 'traces | where message startswith "done " or message startswith "run " | summarize heard = count() | where heard == 0'
  }
  {
    name: 'revocation'
    says: 'A revocation list is stale or cannot be had: smime-sync preflight tells which.'
    severity: 2
    minutes: 60
    query: 'traces | where message startswith "done " and (message has "crl-stale" or message has "revocation-unknown")'
  }
]

resource group 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(address)) {
  name: 'smime-sync'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'smime-sync'
    emailReceivers: [
      {
        name: 'operators'
        emailAddress: address
        useCommonAlertSchema: true
      }
    ]
  }
}

resource alert 'Microsoft.Insights/scheduledQueryRules@2022-06-15' = [
  for each in rules: {
    name: 'smime-sync-${each.name}'
    location: location
    tags: tags
    properties: {
      displayName: 'smime-sync: ${each.name}'
      description: each.says
      severity: each.severity
      enabled: true
      evaluationFrequency: each.minutes > 60 ? 'PT1H' : 'PT${each.minutes}M'
      windowSize: each.minutes == 1440 ? 'P1D' : each.minutes == 60 ? 'PT1H' : 'PT${each.minutes}M'
      scopes: [insightsId]
      criteria: {
        allOf: [
          {
            query: each.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
          }
        ]
      }
      autoMitigate: true
      actions: { actionGroups: empty(address) ? [] : [group.id] }
    }
  }
]
