"""Settings: read once from a mapping (the environment, in production), all problems told at once.

A name is `SMIME_SYNC_` and the field in upper case. Nothing else in the product reads the environment.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from sync.core.rule_settings import read_algorithms, read_levels
from sync.errors import ErrorCode, PermanentError

PREFIX = "SMIME_SYNC_"
STORAGE = "SMIME_SYNC_STORAGE"
"""The storage account's connection, by the Functions convention: a connection string, or `STORAGE__queueServiceUri`,
`STORAGE__tableServiceUri`, `STORAGE__credential` and `STORAGE__clientId` for a managed identity."""


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _split_dns(value: object) -> object:
    return tuple(part.strip() for part in value.split(";") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]


def _matching(pattern: str, what: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"is not {what}")
        return value

    return AfterValidator(check)


_ImmutableId = Annotated[str, _matching(r"[A-Za-z0-9+/]+={0,2}", "an ImmutableId (base64)")]
_HttpsUrl = Annotated[str, _matching(r"https://[^\s/]+(/\S*)?", "an https:// address")]
_HttpUrl = Annotated[str, _matching(r"https?://[^\s/]+(/\S*[^/\s])?", "an http:// or https:// address")]
_Guid = Annotated[str, _matching(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "a GUID")]
# A longer name, or one that ends in -poison, would have no poison queue.
_QueueName = Annotated[
    str, _matching(r"(?!.*-poison$)(?=.{3,56}$)[a-z0-9](-?[a-z0-9])*", "a queue name (3 to 56 of a-z, 0-9, -)")
]
_ContainerName = Annotated[
    str, _matching(r"(?=.{3,63}$)[a-z0-9](-?[a-z0-9])*", "a container name (3 to 63 of a-z, 0-9, -)")
]
_TableName = Annotated[str, _matching(r"[A-Za-z][A-Za-z0-9]{2,62}", "a table name (3 to 63 letters and digits)")]


def _rules(value: tuple[str, ...]) -> tuple[str, ...]:
    read_levels(value)
    return value


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def gaps(cls, given: Mapping[str, str]) -> Iterator[str]:  # noqa: ARG003 - the base has none to look for
        """What is missing because of what is there; asked even when single settings are wrong, to tell all at once."""
        yield from ()


class JudgingSettings(_Settings):
    """What certificates are judged by."""

    trust_anchors: Path = Field(description="PEM or DER file with the trust anchors; without one nothing starts")
    intermediates: Path | None = Field(None, description="PEM file with the intermediate CAs")
    policy: Literal["private-ca", "public-sbr"] = Field("private-ca", description="the policy pack")
    rules: Annotated[Names, AfterValidator(_rules)] = Field(
        (), description="levels of single rules, as `eku-absent=warn,ku-absent=refuse` (codes: findings.md)"
    )
    allow: Annotated[Names, AfterValidator(read_algorithms)] = Field(
        (), description="algorithms allowed besides: `sha1`, `brainpool`, `x25519`, `x448`"
    )
    overlap_days: float = Field(0, ge=0, le=3650, description="how long a predecessor stays beside its successor")
    expiry_grace_hours: float = Field(
        24, ge=0, le=8760, description="how long a published certificate stays, with a warning, when it has expired"
    )
    revocation: Literal["off", "soft", "hard"] = Field(
        "off", description="look at revocation; in doubt warn (`soft`) or refuse what is not published yet (`hard`)"
    )
    revocation_sources: Path | None = Field(None, description="TOML file: where to ask about which CA (operating.md)")
    revocation_private: Names = Field(
        (), description="hosts and networks inside that may be asked, as `pki.corp.example,10.1.0.0/16`"
    )
    revocation_refresh_hours: float = Field(
        12, gt=0, le=8760, description="lists are fetched again after this, and at their next update"
    )
    revocation_grace_hours: float = Field(
        0, ge=0, le=8760, description="how long past its next update a list still counts, with a warning"
    )
    revocation_max_megabytes: int = Field(256, ge=1, le=2048, description="the largest list that is fetched")
    revocation_cache: Path | None = Field(
        None, description="SQLite file that keeps what was fetched; else WORK_CONTAINER does, or only memory"
    )
    withdraw_disabled: bool = Field(False, description="withdraw the certificates of disabled accounts")

    @classmethod
    def gaps(cls, given: Mapping[str, str]) -> Iterator[str]:
        yield from super().gaps(given)
        if given.get("revocation", "off") != "off" and "revocation_sources" not in given:
            yield f"{PREFIX}REVOCATION={given['revocation']} needs {PREFIX}REVOCATION_SOURCES"


class StorageSettings(_Settings):
    """The storage account that holds queue and ledger."""

    storage: SecretStr | None = Field(None, description="connection string; for development, a lab or a SAS")
    storage__queueserviceuri: _HttpsUrl | None = Field(
        None, title=f"{STORAGE}__queueServiceUri", description="queue endpoint, with an identity"
    )
    storage__tableserviceuri: _HttpsUrl | None = Field(
        None, title=f"{STORAGE}__tableServiceUri", description="table endpoint, with an identity"
    )
    storage__blobserviceuri: _HttpsUrl | None = Field(
        None, title=f"{STORAGE}__blobServiceUri", description="blob endpoint, with an identity"
    )
    storage__credential: Literal["managedidentity", "certificate", "workloadidentity"] | None = Field(
        None,
        title=f"{STORAGE}__credential",
        description="how we show the storage account who we are: `managedidentity`, `certificate`, `workloadidentity`; "
        "else whatever azure-identity finds on this machine",
    )
    storage__clientid: _Guid | None = Field(
        None, title=f"{STORAGE}__clientId", description="application id, or client id of a user-assigned identity"
    )
    storage__tenantid: _Guid | None = Field(
        None, title=f"{STORAGE}__tenantId", description="the application's tenant: its directory id"
    )
    storage__clientcertificate: Path | None = Field(
        None, title=f"{STORAGE}__clientCertificate", description="PEM file with the application's certificate and key"
    )
    storage__assertionfile: Path | None = Field(
        None, title=f"{STORAGE}__assertionFile", description="workload identity: the file with the platform's token"
    )
    storage__loginurl: _HttpsUrl | None = Field(
        None,
        title=f"{STORAGE}__loginUrl",
        description="the login host of a national cloud, as `https://login.microsoftonline.us`",
    )
    ca_file: Path | None = Field(None, description="CA file for HTTPS, where a proxy or a lab has its own CA")
    queue: _QueueName = Field("smime-sync-changes", description="the change queue; its poison queue ends in -poison")

    work_container: _ContainerName = Field(
        "smime-sync-work",
        description="blob container of what instances share: guard, runs, revocation lists, the agent's heartbeat and "
        "its list of everybody",
    )
    requests_queue: _QueueName | None = Field(
        None, description="queue by which the cloud asks the agent for people again; set it on both sides"
    )
    claims_container: _ContainerName | None = Field(
        None, description="blob container for events over 48 KiB; without it such a person is refused"
    )

    @classmethod
    def gaps(cls, given: Mapping[str, str]) -> Iterator[str]:
        yield from super().gaps(given)
        if "storage__queueserviceuri" in given and "storage__blobserviceuri" not in given:
            yield f"{STORAGE}__blobServiceUri is missing beside {STORAGE}__queueServiceUri"
        if ("storage" in given) == ("storage__queueserviceuri" in given):
            yield f"set {STORAGE} (a connection string) or {STORAGE}__queueServiceUri, one of the two"
        credential = given.get("storage__credential", "")
        file = {"certificate": "clientCertificate", "workloadidentity": "assertionFile"}.get(credential)
        for name in ("tenantId", "clientId", file) if file else ():
            if f"storage__{name}".lower() not in given:
                yield f"{STORAGE}__credential={credential} needs {STORAGE}__{name}"


class TelemetrySettings(_Settings):
    """Where traces and metrics go."""

    telemetry: Literal["off", "otlp", "azure-monitor"] = Field(
        "off", description="where traces and metrics go: a collector (OTLP over HTTP), Application Insights, nowhere"
    )
    otlp_url: _HttpUrl | None = Field(None, description="the collector, as `http://localhost:4318`")
    application_insights: SecretStr | None = Field(
        None, description="connection string of Application Insights; with an identity it is no secret"
    )

    @classmethod
    def gaps(cls, given: Mapping[str, str]) -> Iterator[str]:
        yield from super().gaps(given)
        needed = {"otlp": "otlp_url", "azure-monitor": "application_insights"}.get(given.get("telemetry", "off"))
        if needed and needed not in given:
            yield f"{PREFIX}TELEMETRY={given['telemetry']} needs {PREFIX}{needed.upper()}"


class CanarySettings(_Settings):
    """The test person by whom the time from a change to its write is measured."""

    canary_minutes: int = Field(
        15, ge=1, le=30, description="how often the canary's certificate is changed; the same on both sides"
    )


class DirectorySettings(_Settings):
    """How Active Directory is read: the agent's settings, and the function's where it reads it itself."""

    ldap_hosts: Names = Field(
        (), description="domain controllers by DNS name, the preferred one first; else DNS names those of LDAP_DOMAINS"
    )
    ldap_domains: Names = Field(
        (), description="domains of the forest by DNS name; each is read from its own checkpoint"
    )
    ldap_site: str | None = Field(None, description="Active Directory site whose controllers are asked first")
    ldap_user: str | None = Field(None, description="bind name: UPN, DN or DOMAIN\\user; with a keytab the principal")
    ldap_password_file: Path | None = Field(
        None, description="file that holds the password, readable by the agent only; or else a keytab"
    )
    ldap_keytab: Path | None = Field(None, description="keytab: log on by Kerberos, bound to the TLS channel")
    ldap_start_tls: bool = Field(False, description="StartTLS on port 389 instead of LDAPS")
    ldap_ca_file: Path | None = Field(None, description="CA file of the domain controllers; else the system's roots")
    ldap_server_name: str | None = Field(None, description="the name in their certificates, when it is not the host's")
    ldap_port: int | None = Field(None, ge=1, le=65535, description="else 636, or 389 with StartTLS")
    ldap_base: str | None = Field(None, description="only people under this DN are in scope; else the whole domain")
    ldap_contacts: bool = Field(False, description="contacts too, not only users")
    ldap_filter: str | None = Field(None, description="LDAP filter that people in scope must match besides")
    ldap_excluded_groups: Annotated[tuple[str, ...], BeforeValidator(_split_dns)] = Field(
        (), description="DNs of groups whose members, nested ones too, are out of scope; separated by semicolons"
    )

    @staticmethod
    def missing(given: Mapping[str, str]) -> Iterator[str]:
        """What a directory cannot be read without."""
        if "ldap_user" not in given:
            yield f"{PREFIX}LDAP_USER is missing"
        if "ldap_hosts" not in given and "ldap_domains" not in given:
            yield f"set {PREFIX}LDAP_HOSTS or {PREFIX}LDAP_DOMAINS (their controllers are found by DNS), or both"
        if ("ldap_password_file" in given) == ("ldap_keytab" in given):
            yield f"set {PREFIX}LDAP_PASSWORD_FILE or {PREFIX}LDAP_KEYTAB, one of the two"


class CloudSettings(JudgingSettings, DirectorySettings, StorageSettings, TelemetrySettings, CanarySettings):
    """The function's settings."""

    tenant_id: _Guid = Field(description="the tenant's directory id")
    cloud: Literal["worldwide", "gcc-high", "dod", "china"] = Field("worldwide", description="the national cloud")
    credential: Literal["managed-identity", "certificate", "workload-identity", "secret"] = Field(
        "managed-identity", description="how the function shows the tenant who it is"
    )
    client_id: _Guid | None = Field(None, description="application id, or client id of a user-assigned identity")
    client_certificate: Path | None = Field(None, description="PEM file with certificate and private key")
    client_certificate_value: SecretStr | None = Field(
        None,
        description="the certificate with its key itself, in the place of a file: PEM, or PKCS#12 in base64, as a Key "
        "Vault reference gives them",
    )
    assertion_file: Path | None = Field(None, description="workload identity: the file with the platform's token")
    client_secret: SecretStr | None = Field(None, description="application secret; prefer an identity")
    mode: Literal["report", "write"] = Field(
        "report", description="`report` decides and records and never writes: the first run of a deployment"
    )
    try_synchronised: bool = Field(
        False, description="try to write where Entra Connect owns the attribute; a refusal is an ordinary outcome"
    )
    ledger_table: _TableName = Field("SmimeSyncLedger", description="the ledger's table")
    failures_table: _TableName = Field("SmimeSyncFailures", description="the table of failed messages")
    history_table: _TableName = Field("SmimeSyncHistory", description="the table of what recipients held before writes")
    pace_table: _TableName = Field("SmimeSyncPace", description="the table in which instances share the rate of writes")
    audit_table: _TableName = Field("SmimeSyncAudit", description="the table of the audit log: an entry per decision")
    audit_days: int = Field(400, ge=1, le=36_500, description="how many days an entry of the audit log is kept")
    writes_per_second: float = Field(2, gt=0, le=100, description="writes a second for the whole tenant, all instances")
    writes_at_once: int = Field(3, ge=1, le=100, description="writes together after a rest")
    require_signed_events: bool = Field(
        True, description="take only events signed with a key of `event_keys_file`; off for a demo or a lab"
    )
    event_keys_file: Path | None = Field(None, description="PEM file with the agents' public keys, several in turn")
    loss_guard_people: int = Field(
        20, ge=0, description="more people losing their last certificate within an hour, or in one run, are held back"
    )
    loss_guard_percent: float = Field(
        5.0, ge=0, le=100, description="and so is, in one run, a larger share in percent of those who have one"
    )
    change_guard_percent: float = Field(
        30.0, ge=0, le=100, description="a run that would change a larger share of people in percent asks first"
    )
    canary: _ImmutableId | None = Field(
        None, description="the canary's ImmutableId, as `smime-sync agent check` tells it: its writes are measured"
    )
    canary_seconds: float = Field(
        60, gt=0, le=86_400, description="within so many seconds the canary's change shall be written"
    )
    reconcile_schedule: str = Field("0 0 3 * * *", description="NCRONTAB of the full reconciliation (read by the host)")
    revalidate_schedule: str = Field(
        "0 30 * * * *", description="NCRONTAB of the look at whom time alone has changed (read by the host)"
    )
    runs_queue: _QueueName = Field(
        "smime-sync-runs", description="queue by which the pieces of a reconciliation go from one instance to the next"
    )
    directory: Literal["census", "ldap"] = Field(
        "census",
        description="how a full reconciliation learns whom the directory has: by the agent's list, or by reading it "
        "where the function reaches a domain controller, with the agent's `LDAP_` settings (operating.md)",
    )
    run_piece_seconds: float = Field(
        60,
        ge=1,
        le=500,
        description="how long a piece of a reconciliation takes, about; under the function's time limit",
    )
    read_format: Literal["json", "clixml", "counts"] = Field(
        "json",
        description="how bytes are read back; probe names it. `counts` where no format shows them: their number is "
        "compared, our memory in WORK_CONTAINER stands in for them, and outcomes say unverified",
    )
    write_encoding: Literal[
        "tagged-integers", "tagged-base64", "element-integers", "element-base64", "base64", "integers"
    ] = Field("tagged-integers", description="how bytes are sent; probe names it")
    write_clearing: Literal["null", "empty"] = Field("null", description="how an attribute is cleared; probe names it")
    sign_in: Literal["key", "entra"] = Field(
        "key",
        description="who may ask over HTTP: whoever has a function key, or people by app role in Entra, signed in "
        "by App Service authentication (security.md)",
    )
    docs_url: _HttpsUrl | None = Field(
        None,
        description="where the pages of docs/ can be read, as `https://wiki.example/docs/`; the console links there",
    )
    login_url: _HttpsUrl | None = Field(None, description="instead of the national cloud's login host (a lab's)")
    exchange_url: _HttpsUrl | None = Field(None, description="instead of the national cloud's Exchange host (a lab's)")

    @classmethod
    def gaps(cls, given: Mapping[str, str]) -> Iterator[str]:
        yield from super().gaps(given)
        if "storage__queueserviceuri" in given and "storage__tableserviceuri" not in given:
            yield f"{STORAGE}__tableServiceUri is missing beside {STORAGE}__queueServiceUri"
        if given.get("directory") == "ldap":
            yield from cls.missing(given)
        off = given.get("require_signed_events", "").lower() in {"false", "0", "no", "off", "n", "f"}
        if not off and "event_keys_file" not in given:
            yield f"{PREFIX}REQUIRE_SIGNED_EVENTS needs {PREFIX}EVENT_KEYS_FILE (or set it to false)"
        for name, value in given.items():
            if value.startswith("@Microsoft.KeyVault("):
                # The platform hands on the reference itself when it cannot resolve it.
                yield f"{PREFIX}{name.upper()} is a Key Vault reference that was not resolved: see the identity's role"
        forms = {"client_certificate", "client_certificate_value"} & given.keys()
        if given.get("credential") == "certificate" and len(forms) != 1:
            one = f"{PREFIX}CLIENT_CERTIFICATE or {PREFIX}CLIENT_CERTIFICATE_VALUE"
            yield f"{PREFIX}CREDENTIAL=certificate needs {one}, one of the two"
        needs = {
            "certificate": ("client_id",),
            "workload-identity": ("client_id", "assertion_file"),
            "secret": ("client_id", "client_secret"),
        }
        credential = given.get("credential", "")
        for name in needs.get(credential, ()):
            if name not in given:
                yield f"{PREFIX}CREDENTIAL={credential} needs {PREFIX}{name.upper()}"


class AgentSettings(DirectorySettings, StorageSettings, TelemetrySettings, CanarySettings):
    """The agent's settings."""

    state_file: Path = Field(description="the agent's memory: a SQLite file that survives restarts")
    state_limit_mb: int = Field(4096, ge=1, description="the state file's largest size, in MiB")
    signing_key_file: Path | None = Field(
        None, description="PEM file with the private key that signs events; `smime-sync agent key` makes one"
    )
    guard_people: int = Field(20, ge=0, description="more people losing their certificates in one read are held")
    guard_percent: float = Field(
        5.0, ge=0, le=100, description="and so is a larger share in percent, from three people on"
    )
    lease_container: _ContainerName | None = Field(
        None, description="blob container of the lease by which one of several agents is active"
    )
    lease_name: str = Field("agent", min_length=1, max_length=200, description="the lease's blob: one per directory")
    census_hours: float = Field(
        24, gt=0, le=168, description="how often the list of everybody is made anew; after each full import besides"
    )
    canary: str | None = Field(
        None,
        min_length=1,
        description="the canary by ImmutableId, UPN or DN: a test person with two certificates, of which the agent "
        "takes one away and puts it back (infra/agent)",
    )
    heartbeat_seconds: float = Field(
        60,
        ge=1,
        le=300,
        description="how often the agent says that it is alive; five times this is silence to `status`",
    )
    poll_seconds: float = Field(30, ge=1, le=3600, description="the timed round behind the notifications, in seconds")

    @classmethod
    def gaps(cls, given: Mapping[str, str]) -> Iterator[str]:
        yield from super().gaps(given)
        yield from cls.missing(given)


SettingsT = TypeVar("SettingsT", bound=_Settings)


def load(kind: type[SettingsT], environment: Mapping[str, str]) -> SettingsT:
    """Read settings. Raises PermanentError `settings-invalid` that names every problem; a value is never shown."""
    given = {name.upper(): value for name, value in environment.items() if name.upper().startswith(PREFIX)}
    fields = {name.removeprefix(PREFIX).lower(): value for name, value in given.items() if value != ""}
    elsewhere = {field for other in (CloudSettings, AgentSettings) for field in other.model_fields}
    # A setting of the other half is no mistake: a lab sets all of them in one place.
    ours = {name: value for name, value in fields.items() if name in kind.model_fields or name not in elsewhere}
    problems = list(kind.gaps(ours))
    try:
        settings = kind.model_validate(ours)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        problems = [_problem(str(each["loc"][0]), each["type"], each["msg"], elsewhere) for each in found] + problems
    if problems:
        raise PermanentError(ErrorCode.SETTINGS_INVALID, "; ".join(problems))
    return settings


def _problem(field: str, kind: str, message: str, known: set[str]) -> str:
    name = PREFIX + field.upper()
    if kind == "missing":
        return f"{name} is missing"
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(field, known, n=1)
        return f"{name} is unknown" + (f": did you mean {PREFIX}{near[0].upper()}?" if near else "")
    return f"{name} {message.removeprefix('Value error, ')}"
