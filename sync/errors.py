"""The two errors that handling can end in, and the codes that every refusal carries.

A `TemporaryError` asks the queue to deliver again; a `PermanentError` is recorded at once as failed and never retried
in vain. Foreign errors are translated into one of them at the edge, once, with their cause kept.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum


class ErrorCode(StrEnum):
    """Stable codes of what can go wrong outside the judgement; `HINTS` says what to do about each."""

    # the event
    EVENT_NOT_JSON = "event-not-json"
    EVENT_NOT_TEXT = "event-not-text"
    EVENT_TOO_LARGE = "event-too-large"
    EVENT_VERSION = "event-version"
    EVENT_MALFORMED = "event-malformed"
    EVENT_UNSIGNED = "event-unsigned"
    EVENT_SIGNATURE = "event-signature"
    CLAIM_UNAVAILABLE = "claim-unavailable"
    CLAIM_REFUSED = "claim-refused"
    CLAIM_MISSING = "claim-missing"
    CLAIM_ALTERED = "claim-altered"
    CENSUS_MALFORMED = "census-malformed"
    # the agent
    STATE_FULL = "state-full"
    STATE_BUSY = "state-busy"
    STATE_UNAVAILABLE = "state-unavailable"
    LEASE_HELD = "lease-held"
    LEASE_LOST = "lease-lost"
    LEASE_UNAVAILABLE = "lease-unavailable"
    LEASE_REFUSED = "lease-refused"
    KEY_MALFORMED = "key-malformed"
    # the directory
    DIRECTORY_UNAVAILABLE = "directory-unavailable"
    DIRECTORY_CREDENTIALS = "directory-credentials"
    DIRECTORY_RIGHTS = "directory-rights"
    DIRECTORY_TLS = "directory-tls"
    DIRECTORY_MALFORMED = "directory-malformed"
    CHECKPOINT_REFUSED = "checkpoint-refused"
    CANARY_UNKNOWN = "canary-unknown"
    CANARY_RIGHTS = "canary-rights"
    CANARY_UNFIT = "canary-unfit"
    # the queue and the ledger
    QUEUE_UNAVAILABLE = "queue-unavailable"
    QUEUE_REFUSED = "queue-refused"
    LEDGER_UNAVAILABLE = "ledger-unavailable"
    LEDGER_REFUSED = "ledger-refused"
    LEDGER_MALFORMED = "ledger-malformed"
    LEDGER_CONFLICT = "ledger-conflict"
    BLOBS_UNAVAILABLE = "blobs-unavailable"
    BLOBS_REFUSED = "blobs-refused"
    CLAIMED = "claimed"
    PACED = "paced"
    SNAPSHOT_MISSING = "snapshot-missing"
    PERSON_UNKNOWN = "person-unknown"
    RETRIES_EXHAUSTED = "retries-exhausted"
    # the tenant
    TOKEN_UNAVAILABLE = "token-unavailable"
    TOKEN_REFUSED = "token-refused"
    TENANT_UNAVAILABLE = "tenant-unavailable"
    TENANT_THROTTLED = "tenant-throttled"
    TENANT_UNAUTHORISED = "tenant-unauthorised"
    TENANT_ROLE = "tenant-role"
    TENANT_SCOPE = "tenant-scope"
    TENANT_PARAMETER = "tenant-parameter"
    TENANT_VALUE = "tenant-value"
    TENANT_ANSWER = "tenant-answer"
    TENANT_REDIRECT = "tenant-redirect"
    PAGE_EXPIRED = "page-expired"
    PROBE_NOT_RESTORED = "probe-not-restored"
    PROBE_UNREADABLE = "probe-unreadable"
    NO_RECIPIENT = "no-recipient"
    RECIPIENT_AMBIGUOUS = "recipient-ambiguous"
    RECIPIENT_KIND = "recipient-kind"
    READ_BACK_DIFFERS = "read-back-differs"
    READ_BACK_UNREADABLE = "read-back-unreadable"
    ON_PREMISES_MASTERED = "on-premises-mastered"
    REVERTED = "reverted"
    GUARDED = "guarded"
    RUN_ACTIVE = "run-active"
    RUN_UNKNOWN = "run-unknown"
    # configuration
    SCOPE_MALFORMED = "scope-malformed"
    SETTINGS_INVALID = "settings-invalid"
    TRUST_STORE_EMPTY = "trust-store-empty"
    TRUST_STORE_MALFORMED = "trust-store-malformed"
    FILE_UNREADABLE = "file-unreadable"
    REVOCATION_SOURCE = "revocation-source"
    # whoever asks over HTTP
    REQUEST_MALFORMED = "request-malformed"
    REQUEST_UNAUTHORISED = "request-unauthorised"
    REQUEST_FORBIDDEN = "request-forbidden"
    REQUEST_TOO_LARGE = "request-too-large"
    CASE_MALFORMED = "case-malformed"
    # us
    UNEXPECTED = "unexpected"


class SyncError(Exception):
    """An error with a stable code and a sentence; `hint` says what an administrator can do."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def hint(self) -> str:
        """What to do about it."""
        return HINTS[self.code]

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class TemporaryError(SyncError):
    """Try again, not before `retry_after` when the other side named a time."""

    def __init__(self, code: ErrorCode, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after


class PermanentError(SyncError):
    """Trying again cannot help until a person changes something."""


HINTS: dict[ErrorCode, str] = {
    ErrorCode.EVENT_NOT_JSON: "Something other than the agent wrote to the queue; see who holds its key, then replay or dismiss it.",
    ErrorCode.EVENT_NOT_TEXT: "Something other than the agent wrote to the queue; see who holds its key, then replay or dismiss it.",
    ErrorCode.EVENT_TOO_LARGE: "A queue message holds 48 KiB: remove superseded certificates from this person in Active Directory.",
    ErrorCode.EVENT_VERSION: "Agent and function are of different versions: upgrade the function first, then replay the message.",
    ErrorCode.EVENT_MALFORMED: "The event is not as docs/event.schema.json asks: upgrade agent and function to one version, then replay it.",
    ErrorCode.EVENT_UNSIGNED: "Only signed events are taken (require_signed_events): set the agent's signing key, or find out who else writes to the queue.",
    ErrorCode.EVENT_SIGNATURE: "The signature is of no key in event_keys_file, or the event was altered: add the agent's public key, then replay; else find who holds the queue's key.",
    ErrorCode.CLAIM_UNAVAILABLE: "The container for large events cannot be reached; it is tried again by itself.",
    ErrorCode.CLAIM_REFUSED: "The container for large events refuses us: the agent needs Storage Blob Data Contributor on it, the function Storage Blob Data Reader.",
    ErrorCode.CLAIM_MISSING: "The large event is not in the container, or no container is set (claims_container): see its lifecycle rules, then ask the agent for the person again.",
    ErrorCode.CLAIM_ALTERED: "The large event is not what its message names: somebody changed the blob. Find out who, then ask the agent for the person again.",
    ErrorCode.CENSUS_MALFORMED: "The agent's list of everybody is not as it signed it, or of another version: it makes a new one every day. Until then what was lost goes unseen.",
    ErrorCode.STATE_FULL: "The agent's disk is full, or its state file reached state_limit_mb: make room. Nothing is lost; reading goes on from the same place.",
    ErrorCode.STATE_BUSY: "Another process of the agent writes the same state file; it is tried again by itself.",
    ErrorCode.STATE_UNAVAILABLE: "The agent's state file cannot be written: see the disk and the rights of its folder.",
    ErrorCode.LEASE_HELD: "Another agent is the active one. No action needed: this one takes over when the other stops.",
    ErrorCode.LEASE_LOST: "The agent could not renew its lease in time and sends nothing until it has it again. No action needed.",
    ErrorCode.LEASE_UNAVAILABLE: "The container of the lease cannot be reached: see proxy, firewall (443 outbound) and the account's network rules.",
    ErrorCode.LEASE_REFUSED: "The container of the lease is not there or refuses us: the agent needs Storage Blob Data Contributor on it.",
    ErrorCode.KEY_MALFORMED: "A key file holds PEM: the agent's one private key (Ed25519 or P-256, unencrypted), the function's public ones. See `smime-sync agent key`.",
    ErrorCode.DIRECTORY_UNAVAILABLE: "No domain controller answers: see name resolution, the firewall (636 outbound) and the list of controllers.",
    ErrorCode.DIRECTORY_CREDENTIALS: "The domain controller refused user or password: see whether the account is locked, expired or renamed.",
    ErrorCode.DIRECTORY_RIGHTS: "Grant the agent's account list and read on CN=Deleted Objects; it needs no replication right.",
    ErrorCode.DIRECTORY_TLS: "The domain controller's certificate is not trusted, expired, or for another name: see the agent's ca_file.",
    ErrorCode.DIRECTORY_MALFORMED: "The directory answered something that it must not: see the named entry or line.",
    ErrorCode.CHECKPOINT_REFUSED: "The directory does not take our checkpoint any more; a full import follows by itself and sends only differences.",
    ErrorCode.CANARY_UNKNOWN: "SMIME_SYNC_CANARY names one test person of the directory, in the agent's scope: by ImmutableId, UPN or DN.",
    ErrorCode.CANARY_RIGHTS: "Let the agent's account write userCertificate of that one object, and of no other: infra/agent/README.md has the line.",
    ErrorCode.CANARY_UNFIT: "The canary needs two certificates in userCertificate, both valid and good for encryption: issue it another one. Nothing of it was touched.",
    ErrorCode.QUEUE_UNAVAILABLE: "The queue cannot be reached: see proxy, firewall (443 outbound) and the storage account's network rules.",
    ErrorCode.QUEUE_REFUSED: "The queue refuses us: the agent needs Storage Queue Data Message Sender, the function Queue Data Contributor.",
    ErrorCode.LEDGER_UNAVAILABLE: "The ledger's table cannot be reached; the message is delivered again by itself.",
    ErrorCode.LEDGER_REFUSED: "The ledger's table refuses us: the function's identity needs Storage Table Data Contributor on the account.",
    ErrorCode.LEDGER_MALFORMED: "A ledger record cannot be read: it was written by a newer version or changed by hand.",
    ErrorCode.LEDGER_CONFLICT: "Another processor was faster; the message is delivered again and looks again. No action needed.",
    ErrorCode.BLOBS_UNAVAILABLE: "The working container cannot be reached; it is tried again by itself.",
    ErrorCode.BLOBS_REFUSED: "The working container is not there or refuses us: function and agent need Storage Blob Data Contributor on it (work_container).",
    ErrorCode.CLAIMED: "Another processor is writing for this person; the message is delivered again. No action needed.",
    ErrorCode.PACED: "Many writes are waiting and this one has its turn later; raise SMIME_SYNC_WRITES_PER_SECOND with care.",
    ErrorCode.SNAPSHOT_MISSING: "Five earlier states are kept of each person: `smime-sync restore` lists them; restore another, or lift the hold.",
    ErrorCode.PERSON_UNKNOWN: "The ledger knows nobody by this ImmutableId, address or UPN: only people who had an event are in it.",
    ErrorCode.RETRIES_EXHAUSTED: "It failed each time it was delivered: cure the last error named here, then replay it.",
    ErrorCode.TOKEN_UNAVAILABLE: "The token service cannot be reached; the message is delivered again by itself.",
    ErrorCode.TOKEN_REFUSED: "Entra refuses the application: see its certificate or secret, its tenant and its managed identity.",
    ErrorCode.TENANT_UNAVAILABLE: "Exchange Online had a passing fault; the message is delivered again by itself.",
    ErrorCode.TENANT_THROTTLED: "Exchange Online asks us to slow down; the message is delivered again after the time that it named.",
    ErrorCode.TENANT_UNAUTHORISED: "Exchange Online refuses the token: grant Exchange.ManageAsApp and a role, then wait for an hour.",
    ErrorCode.TENANT_ROLE: "The application's Exchange role lacks this cmdlet or parameter: see infra/exchange.",
    ErrorCode.TENANT_SCOPE: "The recipient is outside the write scope of the application's role: widen the scope or leave the recipient out.",
    ErrorCode.TENANT_PARAMETER: "Exchange Online does not take our parameters: the role lacks one of them (infra/exchange), or another encoding is wanted (write_encoding).",
    ErrorCode.TENANT_VALUE: "Exchange Online does not take a value: see the fingerprint named here with explain.",
    ErrorCode.TENANT_ANSWER: "Exchange Online answered something that we cannot read: run probe and attach its transcript to an issue.",
    ErrorCode.TENANT_REDIRECT: "Exchange Online sent us to a host outside its own domain; we did not follow. See the proxy and national cloud.",
    ErrorCode.PAGE_EXPIRED: "Reading all recipients took longer than a page lives (half an hour); run it again when less else is asked of the tenant.",
    ErrorCode.PROBE_NOT_RESTORED: "Run the same probe with --apply again: it restores first, from the file that it kept; else set the values by hand.",
    ErrorCode.PROBE_UNREADABLE: "This mailbox holds values that cannot be read, so they could not be restored: name a test mailbox without certificates.",
    ErrorCode.NO_RECIPIENT: "Nobody in the tenant has one of these addresses yet: give the person a mailbox, or leave them out of scope.",
    ErrorCode.RECIPIENT_AMBIGUOUS: "More than one recipient answers to this address: remove the duplicate in Exchange Online.",
    ErrorCode.RECIPIENT_KIND: "This kind of recipient cannot hold certificates: only mailboxes, mail users and mail contacts can.",
    ErrorCode.READ_BACK_DIFFERS: "After the write the recipient does not hold what was sent: somebody else writes it too. See the audit log.",
    ErrorCode.READ_BACK_UNREADABLE: "The tenant does not return bytes: run probe and set the answer format that it names. With read_format=counts: this recipient holds values that we did not put there; clear them by hand or leave it out.",
    ErrorCode.ON_PREMISES_MASTERED: "The directory owns this recipient: Entra Connect writes it, or make its Exchange attributes cloud-managed.",
    ErrorCode.REVERTED: "Something takes our values away again: see whether Entra Connect still exports this recipient, then replay.",
    ErrorCode.GUARDED: "Many people lose their last certificate: look at the trust store, the directory and the clock. If it is right, `smime-sync guard --open 60 --apply`, then replay --reason guarded.",
    ErrorCode.RUN_ACTIVE: "Another reconciliation is at work. A dead one is taken over by itself after a few minutes.",
    ErrorCode.RUN_UNKNOWN: "Only a run that stopped as guarded can be approved: `smime-sync reconcile` tells its id.",
    ErrorCode.SCOPE_MALFORMED: "Name one person, a mail domain as @example.com, or an OU by its whole DN, as OU=Sales,DC=corp,DC=example.",
    ErrorCode.SETTINGS_INVALID: "Correct each setting named here; docs/settings.md lists them.",
    ErrorCode.TRUST_STORE_EMPTY: "Name at least one trust anchor: without it every certificate would be refused or, worse, none judged.",
    ErrorCode.TRUST_STORE_MALFORMED: "A trust anchor or intermediate is not a certificate: the file holds PEM blocks or one DER certificate.",
    ErrorCode.FILE_UNREADABLE: "The file is missing, not readable by this account, or not what its name says.",
    ErrorCode.REVOCATION_SOURCE: "A revocation source cannot be had: see its address, its server, and REVOCATION_PRIVATE if it is inside.",
    ErrorCode.CASE_MALFORMED: "The line is not as `smime-sync validate --help` describes: JSON with value and anchors in base64.",
    ErrorCode.REQUEST_UNAUTHORISED: "Send the key in the header x-functions-key, or as ?code=; smime-sync serve has it from --key-file. With SMIME_SYNC_SIGN_IN=entra: sign in; App Service authentication must be on.",
    ErrorCode.REQUEST_FORBIDDEN: "With SMIME_SYNC_SIGN_IN=entra: have the app role assigned (SmimeSync.Read to look, SmimeSync.Operate to act), and send the header x-requested-with: smime-sync with whatever acts. Pages of other sites are refused.",
    ErrorCode.REQUEST_TOO_LARGE: "A request has 64 KiB at most; nothing that can be asked for needs more.",
    ErrorCode.REQUEST_MALFORMED: "See what the message names: an unknown address, or a JSON object with other members than are known.",
    ErrorCode.UNEXPECTED: "This is a defect of smime-sync: please report it with the log lines around it; the message is kept.",
}
