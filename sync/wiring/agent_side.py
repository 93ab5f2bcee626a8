"""The half beside Active Directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from sync import __version__, envelope, settings
from sync.agent import Agent
from sync.canary import Canary
from sync.core.event import Event
from sync.core.guard import Guard
from sync.ports import AgentState, Directory
from sync.reporting import Reporting
from sync.resend import ResendRequests
from sync.wiring import own_certificates
from sync.wiring.machine import now, read_secret
from sync.wiring.storage import blob_store, claim_store, container, storage_queue

if TYPE_CHECKING:
    from sync.adapters.active_directory import Access
    from sync.adapters.agent_state import StateFile
    from sync.adapters.blob_lease import BlobLease
    from sync.examination import Line
    from sync.signature import Signer


def agent(config: settings.AgentSettings) -> Agent:
    """The half beside Active Directory. Raises PermanentError `file-unreadable` besides what the adapters raise."""
    state = agent_state(config)
    return Agent(
        directory=active_directory(config),
        state=state,
        queue=storage_queue(config),
        now=now,
        guard=Guard(people=config.guard_people, percent=config.guard_percent),
        claims=claim_store(config),
        lease=agent_lease(config),
        requests=resend_requests(config),
        sign=signing(config),
        reporting=reporting(config, state),
        canary=canary(config, state),
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

    return BlobLease(container(config, config.lease_container).get_blob_client(config.lease_name), now)


def resend_requests(config: settings.AgentSettings) -> ResendRequests | None:
    """The request queue, where one is set."""
    if config.requests_queue is None:
        return None
    return ResendRequests(storage_queue(config, config.requests_queue))


def reporting(config: settings.AgentSettings, state: AgentState) -> Reporting:
    """What tells the cloud of the agent and of everybody. Raises PermanentError `key-malformed`."""
    signer = _signer(config)
    return Reporting(
        state,
        # What cannot be stored now is stored later: no change waits for a second try.
        blob_store(config, retry_total=0),
        now,
        version=__version__,
        sign=signer.sign if signer else None,
        every=timedelta(hours=config.census_hours),
        beat=timedelta(seconds=config.heartbeat_seconds),
        certificates=lambda: own_certificates.of_storage(config),
    )


def signing(config: settings.AgentSettings) -> Callable[[Event], Event]:
    """What signs an event; without a key it stays as it is. Raises PermanentError `key-malformed`."""
    signer = _signer(config)
    if signer is None:
        return lambda event: event
    return lambda event: replace(event, signature=signer.sign(envelope.signed_part(event)))


def _signer(config: settings.AgentSettings) -> Signer | None:
    if config.signing_key_file is None:
        return None
    from sync.signature import Signer

    return Signer.load(read_secret(config.signing_key_file).encode("utf-8"))


def examine(agent: Agent, config: settings.AgentSettings) -> Iterator[Line]:
    """Try everything that the agent needs."""
    from sync.examination import examine as lines

    def key() -> str | None:
        signer = _signer(config)
        return signer.id if signer else None

    return lines(
        agent,
        signing=key,
        queue=storage_queue(config).count,
        work=blob_store(config, retry_total=0),
        certificates=own_certificates.of_storage(config),
    )


def canary(config: settings.AgentSettings, state: AgentState) -> Canary:
    """Who changes the test person, if one is set. Raises what `active_directory` raises."""
    from sync.adapters.active_directory import ActiveDirectoryCanary

    person = ActiveDirectoryCanary([*_accesses(config).values()], config.canary)
    every = timedelta(minutes=config.canary_minutes)
    return Canary(person, state, now, every=every, wanted=config.canary is not None)


def active_directory(config: settings.DirectorySettings) -> Directory:
    """One domain, or the forest's several as one. Raises PermanentError `file-unreadable`, `settings-invalid`.

    Hosts that are named belong to the domain in whose DNS name they end; a domain without any is looked up in DNS.
    """
    from sync.adapters.active_directory import ActiveDirectory, Forest, Scope

    scope = Scope(
        base=config.ldap_base,
        contacts=config.ldap_contacts,
        filter_=config.ldap_filter,
        excluded_groups=config.ldap_excluded_groups,
    )
    domains = {name: ActiveDirectory(access, scope) for name, access in _accesses(config).items()}
    return Forest(next(iter(domains)), domains) if len(domains) > 1 else next(iter(domains.values()))


def _accesses(config: settings.DirectorySettings) -> dict[str, Access]:
    """How each domain is reached, by its name; "" where only hosts are named."""
    from sync.adapters.active_directory import Access, discovery, hosts_by_domain

    password = read_secret(config.ldap_password_file) if config.ldap_password_file else ""

    def access(hosts: tuple[str, ...] | Callable[[], Sequence[str]]) -> Access:
        return Access(
            hosts=hosts,
            user=config.ldap_user or "",
            password=password,
            keytab=config.ldap_keytab,
            ca_file=config.ldap_ca_file,
            server_name=config.ldap_server_name,
            port=config.ldap_port,
            start_tls=config.ldap_start_tls,
        )

    if not config.ldap_domains:
        return {"": access(config.ldap_hosts)}
    named = hosts_by_domain(config.ldap_hosts, config.ldap_domains)
    return {name: access(hosts or discovery.controllers(name, site=config.ldap_site)) for name, hosts in named.items()}
