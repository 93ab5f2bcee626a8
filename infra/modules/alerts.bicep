// What an operator must hear of, as queries over the log lines and metrics that docs/operating.md names.
param location string
param tags object
param insightsId string
param address string

// Name, severity, minutes, and the query: one row or more is an alert. A `concern` is one of `smime-sync status`, which
// the app says of itself every five minutes. tests/test_alerts.py holds each query against what the product logs.
var rules = [
  {
    name: 'guarded'
    says: 'Many people would lose their last certificate, and are held back: smime-sync guard, smime-sync reconcile.'
    severity: 1
    minutes: 15
    query: 'traces | where (message startswith "guarded " and severityLevel >= 3) or message has "reason=guarded"'
  }
  {
    name: 'agent-silent'
    says: 'An agent is not heard of any more: smime-sync agent status on its machine.'
    severity: 1
    minutes: 15
    query: 'traces | where message startswith "concern worry=agent-silent "'
  }
  {
    name: 'agent-holds'
    says: 'The directory is suddenly empty of many certificates, and the agent holds these events back: smime-sync agent release.'
    severity: 1
    minutes: 15
    query: 'traces | where message startswith "concern worry=agent-holds "'
  }
  {
    name: 'agent-error'
    says: 'The agent cannot read or send: its last error is in smime-sync status, docs/errors.md says what to do.'
    severity: 2
    minutes: 60
    query: 'traces | where message startswith "concern worry=agent-error " or message startswith "concern worry=agent-behind " | summarize times = count() | where times > 3'
  }
  {
    name: 'unwatched'
    says: 'The function app has not looked at itself for an hour: it does not run, or storage is away.'
    severity: 1
    minutes: 60
    query: 'traces | where message startswith "watched " | summarize heard = count() | where heard == 0'
  }
  {
    name: 'unreadable'
    says: 'The app cannot tell how it stands: what it reads for smime-sync status is away or broken.'
    severity: 2
    minutes: 60
    query: 'traces | where message startswith "concern worry=unreadable "'
  }
  {
    name: 'lag'
    says: 'A change has waited on the queue for a quarter of an hour, or for its turn to be written.'
    severity: 2
    minutes: 15
    query: 'traces | where message startswith "concern worry=queue-slow " or message startswith "concern worry=writes-behind "'
  }
  {
    name: 'late'
    says: 'Some changes of the last hour took more than five minutes to be written.'
    severity: 3
    minutes: 60
    query: 'customMetrics | where name == "smime_sync.change_to_write" and tostring(customDimensions.cause) == "change" | where valueMax > 300 | summarize minutes = count() | where minutes > 2'
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
    name: 'certificate'
    says: 'The certificate of the agent or of the app, or a CA of the trust store, ends soon: docs/upgrade.md.'
    severity: 2
    minutes: 60
    query: 'traces | where message startswith "concern worry=certificate-expires "'
  }
  {
    name: 'run'
    says: 'A reconciliation failed, or for two days none came to its end, or coverage was not counted: smime-sync reconcile --status.'
    severity: 2
    minutes: 60
    query: 'traces | where message startswith "concern worry=run-failed " or message startswith "concern worry=not-counted " or message startswith "concern worry=not-reconciled "'
  }
  {
    name: 'canary'
    says: 'Where a canary is set: its change was not written for two turns, took too long, or cannot be made: smime-sync status.'
    severity: 2
    minutes: 60
    query: 'traces | where message startswith "concern worry=canary-missing " or message startswith "concern worry=canary-late " or message startswith "concern worry=canary-error " | summarize times = count() | where times > 3'
  }
  {
    name: 'revocation'
    says: 'A revocation list is stale or cannot be had: smime-sync preflight tells which.'
    severity: 2
    minutes: 60
    query: 'traces | where message startswith "revocation list due " or (message startswith "done " and (message has "crl-stale" or message has "revocation-unknown"))'
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
      evaluationFrequency: each.minutes == 60 ? 'PT1H' : 'PT${each.minutes}M'
      windowSize: each.minutes == 60 ? 'PT1H' : 'PT${each.minutes}M'
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
