"""The only place that joins ports to adapters, reads the clock and the environment, and builds clients (lazily)."""

from __future__ import annotations

from sync.wiring.agent_side import active_directory, agent, agent_lease, agent_state, examine, resend_requests, signing
from sync.wiring.app import App
from sync.wiring.cloud_side import cloud, cloud_from, opener
from sync.wiring.embedded_side import Embedded, embedded
from sync.wiring.judging import judging_policy, read_trust_store, revocation_sources, trust_store
from sync.wiring.machine import (
    cores,
    make_signing_key,
    now,
    read_lists,
    read_secret,
    read_settings,
    read_values,
    recording_session,
    service_manager,
    write_text,
)
from sync.wiring.serving import Hosted, hosted, hosted_embedded, serving
from sync.wiring.storage import claim_store, container, storage_credential, storage_queue
from sync.wiring.telemetry import telemetry
from sync.wiring.tenant import admin_api, exchange_online, preflight, prober, tenant_tokens

__all__ = [
    "App",
    "Embedded",
    "Hosted",
    "active_directory",
    "admin_api",
    "agent",
    "agent_lease",
    "agent_state",
    "claim_store",
    "cloud",
    "cloud_from",
    "container",
    "cores",
    "embedded",
    "examine",
    "exchange_online",
    "hosted",
    "hosted_embedded",
    "judging_policy",
    "make_signing_key",
    "now",
    "opener",
    "preflight",
    "prober",
    "read_lists",
    "read_secret",
    "read_settings",
    "read_trust_store",
    "read_values",
    "recording_session",
    "resend_requests",
    "revocation_sources",
    "service_manager",
    "serving",
    "signing",
    "storage_credential",
    "storage_queue",
    "telemetry",
    "tenant_tokens",
    "trust_store",
    "write_text",
]
