"""The only place that joins ports to adapters, reads the clock and the environment, and builds clients (lazily)."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import urlsplit

from sync import __version__, settings
from sync.agent import Agent
from sync.core.judgement import Context
from sync.core.path import TrustStore
from sync.core.policy import POLICIES
from sync.core.rate import Rate
from sync.core.record import Failure, Outcome
from sync.errors import ErrorCode, PermanentError
from sync.ports import EventQueue, Failures, Ledger, Message
from sync.processor import Processor
from sync.receiver import Receiver
from sync.reconciler import Reconciler, Reconciliation
from sync.replayer import Replay, Replayer
from sync.restorer import Restorer

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from sync.adapters import entra
    from sync.adapters.embedded import EmbeddedQueue, EmbeddedRecipients
    from sync.adapters.exchange_online import ExchangeOnline
    from sync.adapters.storage_queue import StorageQueue


def now() -> datetime:
    """The clock, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The use cases, joined: what the triggers and the commands call."""

    receiver: Receiver
    reconciler: Reconciler
    replayer: Replayer
    restorer: Restorer
    failures: Failures

    def process(self, message: Message) -> Outcome:
        """Handle one message of the change queue. Raises TemporaryError when it must be delivered again."""
        return self.receiver.process(message)

    def bury(self, message: Message) -> Failure:
        """Record one message of the poison queue."""
        return self.receiver.bury(message)

    def reconcile(self, *, apply: bool = True) -> Reconciliation:
        """Compare everybody, and send again whoever differs; in report mode only compare."""
        return self.reconciler.reconcile(apply=apply and not self.receiver.processor.report_only)

    def failed(self) -> list[Failure]:
        """The failed messages, oldest first."""
        return list(self.failures.all())

    def replay(self, *, apply: bool, reason: str | None = None) -> Replay:
        """Put failed messages back on the change queue."""
        return self.replayer.replay(apply=apply, reason=reason)

    def health(self) -> dict[str, object]:
        """What may be said to whoever asks: that the settings are whole and the trust store is loaded."""
        context = self.receiver.processor.judging(now())
        return {"status": "ok", "version": __version__, "trustAnchors": len(context.trust.anchors)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded(App):
    """The whole product on one machine: agent and tenant too."""

    agent: Agent
    queue: EmbeddedQueue
    recipients: EmbeddedRecipients


def trust_store(anchors: Iterable[bytes], intermediates: Iterable[bytes] = ()) -> TrustStore:
    """Load a trust store. Raises PermanentError `trust-store-empty`, `trust-store-malformed`."""
    anchors = list(anchors)
    if not anchors:
        raise PermanentError(ErrorCode.TRUST_STORE_EMPTY, "no trust anchor is configured")
    try:
        return TrustStore.of(anchors, intermediates)
    except ValueError as error:
        raise PermanentError(ErrorCode.TRUST_STORE_MALFORMED, str(error)) from error


def read_values(path: Path) -> list[bytes]:
    """Every certificate of a file, as bytes that nobody judged yet. Raises PermanentError `file-unreadable`."""
    from sync.adapters import certificate_files

    return certificate_files.read_values(path)


def read_lists(path: Path) -> list[bytes]:
    """Every revocation list of a file, as bytes. Raises PermanentError `file-unreadable`."""
    from sync.adapters import certificate_files

    return certificate_files.read_values(path, most=certificate_files.MAX_LIST_BYTES)


def read_trust_store(anchors: Iterable[Path], intermediates: Iterable[Path] = ()) -> TrustStore:
    """Load a trust store from files. Raises PermanentError, `file-unreadable` besides the above."""
    return trust_store(
        *([value for path in paths for value in read_values(path)] for paths in (anchors, intermediates))
    )


def cloud() -> App:
    """The function's side, built once per process from the environment. Raises PermanentError `settings-invalid`."""
    with _building:  # two first messages at once must not make two token caches
        return _cloud()


_building = threading.Lock()


@cache
def _cloud() -> App:
    return cloud_from(settings.load(settings.CloudSettings, os.environ))


def cloud_from(config: settings.CloudSettings) -> App:
    """The function's side from given settings."""
    from sync.adapters.table_ledger import TableFailures, TableHistory, TableLedger, TablePace

    trust = read_trust_store([config.trust_anchors], [config.intermediates] if config.intermediates else [])
    if config.storage is not None:
        connection = config.storage.get_secret_value()
        ledger = TableLedger.from_connection_string(connection, config.ledger_table)
        failures = TableFailures.from_connection_string(connection, config.failures_table)
        history = TableHistory.from_connection_string(connection, config.history_table)
        pace = TablePace.from_connection_string(connection, config.pace_table)
    else:
        url, credential = str(config.storage__tableserviceuri), storage_credential(config)
        ca_file = str(config.ca_file) if config.ca_file else None
        ledger = TableLedger.from_identity(url, credential, config.ledger_table, ca_file=ca_file)
        failures = TableFailures.from_identity(url, credential, config.failures_table, ca_file=ca_file)
        history = TableHistory.from_identity(url, credential, config.history_table, ca_file=ca_file)
        pace = TablePace.from_identity(url, credential, config.pace_table, ca_file=ca_file)
    processor = Processor(
        recipients=exchange_online(config),
        ledger=ledger,
        history=history,
        judging=lambda moment: Context(now=moment, trust=trust, policy=POLICIES[config.policy]),
        now=now,
        pace=pace,
        rate=Rate(per_second=config.writes_per_second, at_once=config.writes_at_once),
        report_only=config.mode == "report",
        withdraw_disabled=config.withdraw_disabled,
        try_synchronised=config.try_synchronised,
    )
    return App(**_use_cases(processor, ledger, failures, storage_queue(config), now))


def embedded(
    state: Path | None, directory: Path, trust: TrustStore, *, clock: Callable[[], datetime] = now
) -> Embedded:
    """The whole product on one machine: `state` is its SQLite file (None: in memory), `directory` an LDIF file."""
    from sync.adapters.embedded import (
        Database,
        EmbeddedCheckpoints,
        EmbeddedFailures,
        EmbeddedHistory,
        EmbeddedLedger,
        EmbeddedQueue,
        EmbeddedRecipients,
    )
    from sync.adapters.ldif import LdifDirectory

    database = Database(state, clock)
    ledger, failures = EmbeddedLedger(database), EmbeddedFailures(database)
    queue, recipients, history = EmbeddedQueue(database), EmbeddedRecipients(database), EmbeddedHistory(database)
    processor = Processor(
        recipients=recipients,
        ledger=ledger,
        history=history,
        judging=lambda moment: Context(now=moment, trust=trust),
        now=clock,
    )
    return Embedded(
        **_use_cases(processor, ledger, failures, queue, clock),
        agent=Agent(
            directory=LdifDirectory(directory), checkpoints=EmbeddedCheckpoints(database), queue=queue, now=clock
        ),
        queue=queue,
        recipients=recipients,
    )


class _UseCases(TypedDict):
    """The cloud side's use cases, which deployed and embedded product have alike."""

    receiver: Receiver
    reconciler: Reconciler
    replayer: Replayer
    restorer: Restorer
    failures: Failures


def _use_cases(
    processor: Processor, ledger: Ledger, failures: Failures, queue: EventQueue, clock: Callable[[], datetime]
) -> _UseCases:
    # SystemRandom: instances that were started from one image must not draw the same pauses.
    jitter = random.SystemRandom().random
    receiver = Receiver(processor=processor, ledger=ledger, failures=failures, queue=queue, now=clock, jitter=jitter)
    return _UseCases(
        receiver=receiver,
        reconciler=Reconciler(ledger=ledger, queue=queue, processor=processor),
        replayer=Replayer(failures=failures, queue=queue),
        restorer=Restorer(ledger=ledger, history=processor.history, queue=queue),
        failures=failures,
    )


def agent(config: settings.AgentSettings) -> Agent:
    """The half beside Active Directory. Raises PermanentError `file-unreadable` besides what the adapters raise."""
    from sync.adapters.active_directory import ActiveDirectory
    from sync.adapters.embedded import Database, EmbeddedCheckpoints

    directory = ActiveDirectory(
        config.ldap_hosts,
        user=config.ldap_user,
        password=_read_secret(config.ldap_password_file),
        ca_file=config.ldap_ca_file,
        server_name=config.ldap_server_name,
        port=config.ldap_port,
        base=config.ldap_base,
    )
    checkpoints = EmbeddedCheckpoints(Database(config.state_file, now))
    return Agent(directory=directory, checkpoints=checkpoints, queue=storage_queue(config), now=now)


def _read_secret(path: Path) -> str:
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError(ErrorCode.FILE_UNREADABLE, f"{path}: {getattr(error, 'strerror', error)}") from error


def storage_queue(config: settings.StorageSettings) -> StorageQueue:
    """The change queue, by connection string or identity."""
    from sync.adapters.storage_queue import StorageQueue

    if config.storage is not None:
        return StorageQueue.from_connection_string(config.storage.get_secret_value(), config.queue)
    url, ca_file = str(config.storage__queueserviceuri), str(config.ca_file) if config.ca_file else None
    return StorageQueue.from_identity(url, storage_credential(config), config.queue, ca_file=ca_file)


def storage_credential(config: settings.StorageSettings) -> TokenCredential:
    """Who we are to the storage account: a managed identity when it is named, else whatever this machine offers.

    Few retries: the queue delivers again anyway, and the identity's own would hold a message for 17 s.
    """
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

    if config.storage__credential == "managedidentity":
        return ManagedIdentityCredential(client_id=config.storage__clientid, retry_total=2)
    return DefaultAzureCredential(retry_total=2)


def exchange_online(config: settings.CloudSettings) -> ExchangeOnline:
    """The tenant: one token source and one session per process."""
    from sync.adapters import entra
    from sync.adapters.exchange_online import AdminApi, AnswerFormat, Clearing, Codec, Encoding, ExchangeOnline

    cloud = entra.CLOUDS[config.cloud]
    login, host = config.login_url or cloud.login, config.exchange_url or cloud.admin
    suffixes = (str(urlsplit(host).hostname),) if config.exchange_url else cloud.suffixes
    ca_file = str(config.ca_file) if config.ca_file else None
    tokens = entra.TokenSource(
        _tenant_credential(config),
        tenant=config.tenant_id,
        cloud=replace(cloud, login=login, admin=host, suffixes=suffixes),
        ca_file=ca_file,
        instance_discovery=config.login_url is None,
    )
    api = AdminApi(
        tenant=config.tenant_id,
        tokens=tokens,
        host=host,
        suffixes=suffixes,
        answers=AnswerFormat(config.read_format),
        ca_file=ca_file,
    )
    codec = Codec(encoding=Encoding(config.write_encoding), clearing=Clearing(config.write_clearing))
    return ExchangeOnline(api, codec)


def _tenant_credential(config: settings.CloudSettings) -> entra.Credential:
    from sync.adapters import entra

    match config.credential:
        case "certificate":
            return entra.Certificate(client_id=str(config.client_id), pem=str(config.client_certificate))
        case "secret":
            assert config.client_secret is not None
            return entra.ClientSecret(client_id=str(config.client_id), secret=config.client_secret.get_secret_value())
    return entra.ManagedIdentity(client_id=config.client_id)
