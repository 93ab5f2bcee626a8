"""The only place that joins ports to adapters, reads the clock and the environment, and builds clients (lazily)."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import urlsplit

from sync import __version__, envelope, settings
from sync.agent import Agent
from sync.core.event import Event
from sync.core.guard import Guard
from sync.core.judgement import Context
from sync.core.path import TrustStore
from sync.core.policy import POLICIES, Policy, Revocation
from sync.core.rate import Rate
from sync.core.record import Failure, Outcome
from sync.core.rule_settings import adjusted
from sync.errors import ErrorCode, PermanentError
from sync.ports import Directory, EventQueue, Failures, Ledger, Message
from sync.processor import Processor
from sync.receiver import Receiver
from sync.reconciler import Reconciler, Reconciliation
from sync.replayer import Replay, Replayer
from sync.resend import ResendRequests
from sync.restorer import Restorer

if TYPE_CHECKING:
    import requests
    from azure.core.credentials import TokenCredential
    from azure.storage.blob import ContainerClient

    from sync.adapters import entra
    from sync.adapters.agent_state import StateFile
    from sync.adapters.blob_claims import BlobClaims
    from sync.adapters.blob_lease import BlobLease
    from sync.adapters.embedded import EmbeddedQueue, EmbeddedRecipients
    from sync.adapters.exchange_online import AdminApi, ExchangeOnline
    from sync.adapters.exchange_online.transcript import RecordingSession
    from sync.adapters.service_manager import ServiceManager
    from sync.adapters.storage_queue import StorageQueue
    from sync.examination import Line
    from sync.opening import Opener
    from sync.preflight import Preflight
    from sync.prober import Prober, Wire
    from sync.revocation_sources import RevocationSources

_log = logging.getLogger("smime_sync.wiring")


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


def cores() -> int:
    """How many processors this process may use."""
    # Not every system can tell which of them are ours.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def judging_policy(config: settings.JudgingSettings) -> Policy:
    """The policy pack with what the settings change of it."""
    return replace(
        adjusted(POLICIES[config.policy], rules=config.rules, allow=config.allow),
        overlap=timedelta(days=config.overlap_days),
        revocation=Revocation(config.revocation),
        crl_grace=timedelta(hours=config.revocation_grace_hours),
    )


def revocation_sources(
    config: settings.JudgingSettings, trust: TrustStore, *, ca_file: Path | None = None, clock: Callable[[], datetime]
) -> RevocationSources | None:
    """Where revocation is asked for, if anywhere. Raises PermanentError `file-unreadable`, `settings-invalid`."""
    if config.revocation_sources is None or config.revocation == "off":
        return None
    from sync.adapters.revocation_cache import SqliteCache
    from sync.adapters.revocation_http import HttpFetcher
    from sync.revocation_sources import RevocationSources, read_sources

    try:
        text = config.revocation_sources.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        told = f"{config.revocation_sources}: {getattr(error, 'strerror', error)}"
        raise PermanentError(ErrorCode.FILE_UNREADABLE, told) from error
    return RevocationSources(
        read_sources(text),
        trust=trust,
        fetcher=HttpFetcher(
            private=config.revocation_private,
            ca_file=str(ca_file) if ca_file else None,
            max_bytes=config.revocation_max_megabytes << 20,
        ),
        cache=SqliteCache(config.revocation_cache),
        now=clock,
        refresh=timedelta(hours=config.revocation_refresh_hours),
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
    policy = judging_policy(config)
    revocation = revocation_sources(config, trust, ca_file=config.ca_file, clock=now)
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
        judging=lambda moment: Context(now=moment, trust=trust, policy=policy),
        consult=revocation.consult if revocation else None,
        now=now,
        pace=pace,
        rate=Rate(per_second=config.writes_per_second, at_once=config.writes_at_once),
        report_only=config.mode == "report",
        withdraw_disabled=config.withdraw_disabled,
        try_synchronised=config.try_synchronised,
    )
    return App(**_use_cases(processor, ledger, failures, storage_queue(config), now, opener(config)))


def embedded(
    state: Path | None, directory: Path, trust: TrustStore, *, clock: Callable[[], datetime] = now
) -> Embedded:
    """The whole product on one machine: `state` is its SQLite file (None: in memory), `directory` an LDIF file."""
    from sync.adapters.agent_state import StateFile
    from sync.adapters.embedded import (
        Database,
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
            directory=LdifDirectory(directory),
            state=StateFile(state.with_name(f"{state.stem}-agent.sqlite") if state else None, clock),
            queue=queue,
            now=clock,
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


def _use_cases(  # noqa: PLR0917 - what every use case needs
    processor: Processor,
    ledger: Ledger,
    failures: Failures,
    queue: EventQueue,
    clock: Callable[[], datetime],
    opening: Callable[[str], Event] = envelope.parse,
) -> _UseCases:
    # SystemRandom: instances that were started from one image must not draw the same pauses.
    jitter = random.SystemRandom().random
    receiver = Receiver(
        processor=processor, ledger=ledger, failures=failures, queue=queue, now=clock, jitter=jitter, opening=opening
    )
    return _UseCases(
        receiver=receiver,
        reconciler=Reconciler(ledger=ledger, queue=queue, processor=processor, opening=opening),
        replayer=Replayer(failures=failures, queue=queue),
        restorer=Restorer(ledger=ledger, history=processor.history, queue=queue),
        failures=failures,
    )


def agent(config: settings.AgentSettings) -> Agent:
    """The half beside Active Directory. Raises PermanentError `file-unreadable` besides what the adapters raise."""
    directory = active_directory(config)
    return Agent(
        directory=directory,
        state=agent_state(config),
        queue=storage_queue(config),
        now=now,
        guard=Guard(people=config.guard_people, percent=config.guard_percent),
        claims=claim_store(config),
        lease=agent_lease(config),
        requests=resend_requests(config),
        sign=signing(config),
    )


def agent_state(config: settings.AgentSettings) -> StateFile:
    """The agent's memory. Raises PermanentError `file-unreadable`."""
    from sync.adapters.agent_state import StateFile

    return StateFile(config.state_file, now, limit_mb=config.state_limit_mb)


def agent_lease(config: settings.AgentSettings) -> BlobLease | None:
    """The lease of the active agent, where several share one."""
    if config.lease_container is None:
        return None
    from sync.adapters.blob_lease import BlobLease

    return BlobLease(_container(config, config.lease_container).get_blob_client(config.lease_name), now)


def claim_store(config: settings.StorageSettings) -> BlobClaims | None:
    """The container for large events, where one is set."""
    if config.claims_container is None:
        return None
    from sync.adapters.blob_claims import BlobClaims

    return BlobClaims(_container(config, config.claims_container))


def resend_requests(config: settings.AgentSettings) -> ResendRequests | None:
    """The request queue, where one is set."""
    if config.requests_queue is None:
        return None
    return ResendRequests(storage_queue(config.model_copy(update={"queue": config.requests_queue})))


def signing(config: settings.AgentSettings) -> Callable[[Event], Event]:
    """What signs an event; without a key it stays as it is. Raises PermanentError `key-malformed`."""
    if config.signing_key_file is None:
        return lambda event: event
    from sync.signature import Signer

    signer = Signer.load(_read_secret(config.signing_key_file).encode("utf-8"))
    return lambda event: replace(event, signature=signer.sign(envelope.signed_part(event)))


def opener(config: settings.CloudSettings) -> Opener:
    """What makes a message an event. Raises PermanentError `key-malformed`, `file-unreadable`."""
    from sync.opening import Opener
    from sync.signature import Verifier

    keys = config.event_keys_file
    return Opener(
        claims=claim_store(config),
        verifier=Verifier.load(_read_secret(keys).encode("utf-8")) if keys else None,
        required=config.require_signed_events,
    )


def make_signing_key(path: Path) -> tuple[str, str]:
    """Write a new private key, readable by this account only; return its id and its public half (PEM).

    Raises PermanentError `file-unreadable`, also when the file is there already.
    """
    from sync.signature import Signer

    signer = Signer.generate()
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(signer.private_pem())
    except OSError as error:
        raise PermanentError(ErrorCode.FILE_UNREADABLE, f"{path}: {error.strerror}") from error
    return signer.id, signer.public_pem().decode("ascii")


def examine(agent: Agent, config: settings.AgentSettings) -> Iterator[Line]:
    """Try everything that the agent needs."""
    from sync.examination import examine as lines
    from sync.signature import Signer

    def key() -> str | None:
        path = config.signing_key_file
        return Signer.load(_read_secret(path).encode("utf-8")).id if path else None

    return lines(agent, signing=key, queue=storage_queue(config).count)


def service_manager() -> ServiceManager:
    """systemd, where it started us."""
    from sync.adapters.service_manager import ServiceManager

    return ServiceManager(os.environ.get("NOTIFY_SOCKET"))


def _container(config: settings.StorageSettings, name: str) -> ContainerClient:
    from azure.storage.blob import ContainerClient

    options: dict[str, Any] = {"http_logging_level": logging.DEBUG}
    if config.ca_file:
        options["connection_verify"] = str(config.ca_file)
    if config.storage is not None:
        return ContainerClient.from_connection_string(config.storage.get_secret_value(), name, **options)
    return ContainerClient(str(config.storage__blobserviceuri), name, storage_credential(config), **options)


def active_directory(config: settings.AgentSettings) -> Directory:
    """One domain, or the forest's several as one. Raises PermanentError `file-unreadable`, `settings-invalid`.

    Hosts that are named belong to the domain in whose DNS name they end; a domain without any is looked up in DNS.
    """
    from sync.adapters.active_directory import Access, ActiveDirectory, Forest, Scope, discovery, hosts_by_domain

    scope = Scope(
        base=config.ldap_base,
        contacts=config.ldap_contacts,
        filter_=config.ldap_filter,
        excluded_groups=config.ldap_excluded_groups,
    )
    password = _read_secret(config.ldap_password_file) if config.ldap_password_file else ""

    def domain(hosts: tuple[str, ...] | Callable[[], Sequence[str]]) -> ActiveDirectory:
        access = Access(
            hosts=hosts,
            user=config.ldap_user,
            password=password,
            keytab=config.ldap_keytab,
            ca_file=config.ldap_ca_file,
            server_name=config.ldap_server_name,
            port=config.ldap_port,
            start_tls=config.ldap_start_tls,
        )
        return ActiveDirectory(access, scope)

    if not config.ldap_domains:
        return domain(config.ldap_hosts)
    named = hosts_by_domain(config.ldap_hosts, config.ldap_domains)
    domains = {
        name: domain(hosts or discovery.controllers(name, site=config.ldap_site)) for name, hosts in named.items()
    }
    return Forest(config.ldap_domains[0], domains) if len(domains) > 1 else domains[config.ldap_domains[0]]


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
    from sync.adapters.exchange_online import Clearing, Codec, Encoding, ExchangeOnline

    codec = Codec(encoding=Encoding(config.write_encoding), clearing=Clearing(config.write_clearing))
    return ExchangeOnline(admin_api(config, tenant_tokens(config), config.read_format), codec)


def tenant_tokens(config: settings.CloudSettings) -> entra.TokenSource:
    """Where bearer tokens for the tenant come from."""
    from sync.adapters import entra

    cloud = entra.CLOUDS[config.cloud]
    return entra.TokenSource(
        _tenant_credential(config),
        tenant=config.tenant_id,
        cloud=replace(cloud, login=config.login_url or cloud.login),
        ca_file=str(config.ca_file) if config.ca_file else None,
        instance_discovery=config.login_url is None,
    )


def admin_api(
    config: settings.CloudSettings, tokens: entra.TokenSource, answers: str, session: requests.Session | None = None
) -> AdminApi:
    """The tenant's admin API, asked for answers of one format."""
    from sync.adapters import entra
    from sync.adapters.exchange_online import AdminApi, AnswerFormat

    cloud = entra.CLOUDS[config.cloud]
    host = config.exchange_url or cloud.admin
    return AdminApi(
        tenant=config.tenant_id,
        tokens=tokens,
        session=session,
        host=host,
        suffixes=(str(urlsplit(host).hostname),) if config.exchange_url else cloud.suffixes,
        answers=AnswerFormat(answers),
        ca_file=str(config.ca_file) if config.ca_file else None,
    )


def prober(
    config: settings.CloudSettings,
    session: requests.Session,
    folder: Path,
    *,
    shielded: Callable[[], AbstractContextManager[object]],
    told: Callable[[str], None],
) -> Prober:
    """A probe of the tenant through `session`; what it must not lose it keeps in `folder`."""
    from sync.adapters import probe_files
    from sync.adapters.exchange_online import AnswerFormat, Clearing, Codec, Encoding, ExchangeOnline
    from sync.prober import MANY, Prober

    tokens = tenant_tokens(config)

    def connect(wire: Wire) -> ExchangeOnline:
        codec = Codec(encoding=Encoding(wire.write_encoding), clearing=Clearing(wire.write_clearing))
        return ExchangeOnline(admin_api(config, tokens, wire.read_format, session), codec)

    return Prober(
        connect=connect,
        read_formats=tuple(AnswerFormat),
        encodings=tuple(Encoding),
        clearings=tuple(Clearing),
        throwaways=probe_files.throwaways(MANY),
        blob=probe_files.throwaway_blob(),
        kept=probe_files.KeptValues(folder),
        pause=lambda wait: time.sleep(wait.total_seconds()),
        shielded=shielded,
        told=told,
    )


def preflight(config: settings.CloudSettings, outside: str | None) -> Preflight:
    """What the tenant lets us do, and what surrounds it."""
    from sync.adapters.revocation_http import HttpFetcher
    from sync.preflight import Preflight
    from sync.revocation_sources import read_sources

    lists: dict[str, tuple[str, ...]] = {}
    if config.revocation_sources is not None:
        try:
            sources = read_sources(config.revocation_sources.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            told = f"{config.revocation_sources}: {getattr(error, 'strerror', error)}"
            raise PermanentError(ErrorCode.FILE_UNREADABLE, told) from error
        lists = {each.issuer: (*each.crl, *each.delta) for each in sources}
    tokens = tenant_tokens(config)
    trust = read_trust_store([config.trust_anchors], [config.intermediates] if config.intermediates else [])
    return Preflight(
        token=tokens.token,
        cmdlets=admin_api(config, tokens, config.read_format),
        recipients=exchange_online(config),
        anchors=[each.certificate for each in trust.anchors],
        intermediates=[each.certificate for each in trust.intermediates],
        fetch=HttpFetcher(
            private=config.revocation_private,
            ca_file=str(config.ca_file) if config.ca_file else None,
            max_bytes=config.revocation_max_megabytes << 20,
        ).fetch,
        now=now,
        lists=lists,
        outside=outside,
    )


def recording_session(*words: str) -> RecordingSession:
    """A session that writes down what goes over the wire, without these words and whatever else is not for others."""
    from sync.adapters.exchange_online.transcript import RecordingSession

    return RecordingSession(*words)


def write_text(path: Path, text: str) -> None:
    """Write a file whole. Raises PermanentError `file-unreadable`."""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise PermanentError(ErrorCode.FILE_UNREADABLE, f"{path} cannot be written: {error.strerror}") from error


def _tenant_credential(config: settings.CloudSettings) -> entra.Credential:
    from sync.adapters import entra

    match config.credential:
        case "certificate":
            return entra.Certificate(client_id=str(config.client_id), pem=str(config.client_certificate))
        case "workload-identity":
            token_file = config.assertion_file
            assert token_file is not None
            # Read for every token: the platform writes a new one before the old one expires.
            return entra.ClientAssertion(
                client_id=str(config.client_id), assertion=lambda: token_file.read_text("ascii").strip()
            )
        case "secret":
            _log.warning("the tenant is reached with a client secret: prefer a managed identity or a certificate")
            assert config.client_secret is not None
            return entra.ClientSecret(client_id=str(config.client_id), secret=config.client_secret.get_secret_value())
    return entra.ManagedIdentity(client_id=config.client_id)
