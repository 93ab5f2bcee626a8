"""The templates, held against what can be had without Azure and without its compiler.

Syntax by tree-sitter's grammar of Bicep; names and words of properties by the models of Microsoft's own SDK; the rules
that a security officer asks for; and the settings, which code and template must agree on, both ways.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tree_sitter_bicep
import yaml
from tree_sitter import Language, Node, Parser

from sync import census, heartbeat, sign_in
from sync.settings import PREFIX, CloudSettings, DirectorySettings
from tests.lab import ROOT

INFRA = ROOT / "infra"
FILES = sorted(INFRA.rglob("*.bicep"))
_PARSER = Parser(Language(tree_sitter_bicep.language()))
Tree = Any  # dict, list, or text


class Expression(str):
    """What only a deployment knows the value of."""


def parsed(path: Path) -> Node:
    return _PARSER.parse(path.read_bytes()).root_node


def walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from walk(child)


def text(node: Node) -> str:
    assert node.text is not None
    return node.text.decode("utf-8")


def tree(node: Node) -> Tree:
    """Objects as dictionaries, arrays as lists, a literal as its text without quotes, all else as an expression."""
    if node.type == "object":
        found: dict[str, Tree] = {}
        for child in node.named_children:
            if child.type == "object_property":
                key, value = child.named_children[0], child.named_children[-1]
                found[text(key).strip("'")] = tree(value)
        return found
    if node.type == "array":
        return [tree(child) for child in node.named_children if child.type != "comment"]
    shown = text(node)
    literal = node.type == "string" and "${" not in shown
    return shown.strip("'") if literal or node.type in {"boolean", "number"} else Expression(shown)


def resources() -> Iterator[tuple[str, str, dict[str, Tree]]]:
    """File, type with version, and body of every resource that is made (not only referred to)."""
    for path in FILES:
        for node in walk(parsed(path)):
            if node.type == "resource_declaration" and " existing " not in text(node).split("{")[0]:
                kind = re.search(r"'([^']+@[^']+)'", text(node))
                assert kind is not None, text(node)[:80]
                body = next(each for each in walk(node) if each.type == "object")
                yield path.name, kind[1], tree(body)


def of_type(kind: str) -> list[dict[str, Tree]]:
    return [body for _, named, body in resources() if named.partition("@")[0] == kind]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_syntax_is_bicep(path: Path) -> None:
    """By a grammar of its own; the compiler cannot be had here."""
    wrong = [text(node)[:60] for node in walk(parsed(path)) if node.type == "ERROR" or node.is_missing]
    assert wrong == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_parameter_is_used_and_every_name_is_known(path: Path) -> None:
    """A misspelt parameter would be found only by a deployment."""
    source = path.read_text("utf-8")
    for name in re.findall(r"^(?:param|var) (\w+)", source, re.MULTILINE):
        assert len(re.findall(rf"\b{name}\b", source)) > 1, f"{name} is not used"
    for module in re.findall(r"module (\w+) '([^']+)'", source):
        body = source[source.index(f"module {module[0]} ") :]
        given = set(re.findall(r"^ {4}(\w+):", body[: body.index("\n}\n")], re.MULTILINE))
        target = (path.parent / module[1]).read_text("utf-8")
        taken = dict(re.findall(r"^param (\w+) \w+(.*)$", target, re.MULTILINE))
        needed = {name for name, rest in taken.items() if "=" not in rest}
        assert given <= taken.keys(), f"{module[0]}: unknown {given - taken.keys()}"
        assert needed <= given, f"{module[0]}: missing {needed - given}"


def test_every_parameter_of_the_deployment_is_explained() -> None:
    """An administrator reads them in the portal and in azd's questions."""
    source = (INFRA / "main.bicep").read_text("utf-8")
    for name in re.findall(r"^param (\w+)", source, re.MULTILINE):
        before = source[: source.index(f"param {name}")].rstrip().splitlines()[-1]
        assert before.startswith("@description("), name
    given = json.loads((INFRA / "main.parameters.json").read_text("utf-8"))["parameters"]
    assert given.keys() <= set(re.findall(r"^param (\w+)", source, re.MULTILINE))
    needed = set(re.findall(r"^param (\w+) \w+$", source, re.MULTILINE))
    assert needed <= given.keys()


class TestRules:
    """What a security officer asks first."""

    def test_storage_opens_to_identities_only(self) -> None:
        """No shared key, no public blob, TLS 1.2."""
        (account,) = of_type("Microsoft.Storage/storageAccounts")
        properties = account["properties"]
        assert properties["allowSharedKeyAccess"] == "false"
        assert properties["allowBlobPublicAccess"] == "false"
        assert properties["supportsHttpsTrafficOnly"] == "true"
        assert properties["minimumTlsVersion"] == "TLS1_2"
        containers = of_type("Microsoft.Storage/storageAccounts/blobServices/containers")
        assert {each["properties"]["publicAccess"] for each in containers} == {"None"}

    def test_the_app_takes_https_and_no_password(self) -> None:
        """Neither FTP nor basic publishing."""
        (app,) = of_type("Microsoft.Web/sites")
        assert app["properties"]["httpsOnly"] == "true"
        assert app["properties"]["siteConfig"]["minTlsVersion"] == "1.2"
        assert app["properties"]["siteConfig"]["ftpsState"] == "Disabled"
        policies = of_type("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
        assert [each["properties"]["allow"] for each in policies] == ["false", "false"]

    def test_people_sign_in_where_the_app_is_told_that_they_do(self) -> None:
        """One parameter decides both: the app that believes the platform, and the platform that stands before it. Only
        this tenant's people, and everything but health, which keeps its key."""
        source = (INFRA / "modules" / "function.bicep").read_text("utf-8")
        assert "{ name: 'SMIME_SYNC_SIGN_IN', value: empty(signInClientId) ? 'key' : 'entra' }" in source
        assert "'Microsoft.Web/sites/config@2024-04-01' = if (!empty(signInClientId))" in source
        (settings,) = [each["properties"] for each in of_type("Microsoft.Web/sites/config")]
        assert settings["platform"]["enabled"] == "true"
        assert settings["globalValidation"]["requireAuthentication"] == "true"
        assert settings["globalValidation"]["excludedPaths"] == ["/api/health"]
        assert settings["httpSettings"]["requireHttps"] == "true"
        (provider,) = settings["identityProviders"].values()
        registration = provider["registration"]
        assert registration["openIdIssuer"].endswith("${tenant().tenantId}/v2.0'")
        (app,) = of_type("Microsoft.Web/sites")
        given = {each["name"]: each["value"] for each in app["properties"]["siteConfig"]["appSettings"]}
        assert given["WEBSITE_AUTH_AAD_ALLOWED_TENANTS"] == "tenant().tenantId"
        assert given[registration["clientSecretSettingName"]] == "identityClientId", "no secret: the app's identity"

    def test_the_roles_that_people_get_are_those_that_the_app_asks_for(self) -> None:
        """For people and for scripts."""
        roles = json.loads((INFRA / "app-roles.json").read_text("utf-8"))
        assert {each["value"] for each in roles} == set(sign_in.Role)
        assert {tuple(each["allowedMemberTypes"]) for each in roles} == {("User", "Application")}
        assert all(each["isEnabled"] for each in roles)
        assert len({uuid.UUID(each["id"]) for each in roles}) == len(roles)

    def test_there_is_no_secret(self) -> None:
        """No key is listed, read or passed on."""
        for path in FILES:
            source = path.read_text("utf-8")
            assert not re.search(r"listKeys|listAccountSas|AccountKey|SharedAccess|@secure", source), path

    def test_a_vault_is_made_only_for_a_secret_and_only_the_function_reads_it(self) -> None:
        """By role, on this vault alone; nothing in it can be purged, and the template holds nothing to put into it."""
        main = (INFRA / "main.bicep").read_text("utf-8")
        assert "module vault 'modules/vault.bicep' = if (exchangeCredential != 'managed-identity') {" in main
        assert "param exchangeCredential string = 'managed-identity'" in main
        (vault,) = of_type("Microsoft.KeyVault/vaults")
        assert vault["properties"]["enableRbacAuthorization"] == "true"
        assert vault["properties"]["enablePurgeProtection"] == "true"
        assert not of_type("Microsoft.KeyVault/vaults/secrets")
        source = (INFRA / "modules" / "vault.bicep").read_text("utf-8")
        assert re.findall(r"scope: (\w+)\n *properties: \{\n *principalId: (\w+)", source) == [
            ("vault", "functionPrincipalId")
        ]
        assert "var secretsUser = '4633458b-17de-408a-b874-0445c86b69e6'" in source
        (app,) = of_type("Microsoft.Web/sites")
        assert app["properties"]["keyVaultReferenceIdentity"] == "identityId"

    def test_a_private_network_leaves_no_door(self) -> None:
        """Whatever holds our data, vault included, is closed to the internet, and has a private endpoint for each
        service that the function speaks to, with the zone that resolves its name."""
        for kind in ("Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults"):
            (found,) = of_type(kind)
            assert found["properties"]["publicNetworkAccess"] == "private ? 'Disabled' : 'Enabled'"
            assert found["properties"]["networkAcls"] == {
                "bypass": "None",
                "defaultAction": "private ? 'Deny' : 'Allow'",
            }
        asked = {
            re.sub(r".*__|ServiceUri", "", name) for name in TestSettings().settings if name.endswith("ServiceUri")
        }
        storage = (INFRA / "modules" / "storage.bicep").read_text("utf-8")
        (services,) = re.findall(r"^var services = \[(.*)\]$", storage, re.MULTILINE)
        assert {each.strip(" '") for each in services.split(",")} == asked == {"blob", "queue", "table"}
        for name, groups in (("storage", "services"), ("vault", "['vault']")):
            source = (INFRA / "modules" / f"{name}.bicep").read_text("utf-8")
            (call,) = re.findall(r"module \w+ 'endpoints.bicep' = if \(private\) \{.*?\n\}", source, re.DOTALL)
            assert f"groups: {groups}" in call
            assert "zones: [" in call

    def test_each_identity_has_just_these_roles_on_just_these_resources(self) -> None:
        """The whole list: a role more is a change of this test. Nobody gets Owner, Contributor or a role on a group."""
        storage = (INFRA / "modules" / "storage.bicep").read_text("utf-8")
        granted = re.findall(
            r"scope: ([\w\[\]]+)\n  *properties: \{\n *principalId: (\w+)\n.*\n.*roleDefinitions', (\w+)\)", storage
        )
        assert sorted(granted) == sorted(
            [
                ("account", "functionPrincipalId", "blobDataOwner"),
                ("changeQueue", "functionPrincipalId", "queueDataContributor"),
                ("poisonQueue", "functionPrincipalId", "queueDataContributor"),
                ("requestQueue", "functionPrincipalId", "queueDataMessageSender"),
                ("runQueue[place]", "functionPrincipalId", "queueDataContributor"),
                ("table[place]", "functionPrincipalId", "tableDataContributor"),
                ("changeQueue", "agentPrincipalId", "queueDataMessageSender"),
                ("requestQueue", "agentPrincipalId", "queueDataMessageProcessor"),
                ("claims", "agentPrincipalId", "blobDataContributor"),
                ("lease", "agentPrincipalId", "blobDataContributor"),
                ("container[1]", "agentPrincipalId", "blobDataContributor"),
            ]
        )
        # And Application Insights, and the vault.
        assert len(of_type("Microsoft.Authorization/roleAssignments")) == len(granted) + 2

    def test_of_what_instances_share_the_agent_has_two_folders(self) -> None:
        """The guard's answers and the runs lie there too: every action of the role is bound to census or heartbeat."""
        storage = (INFRA / "modules" / "storage.bicep").read_text("utf-8")
        reports = storage[storage.index("resource agentReports") :]
        assert "condition: '${ownPaths} AND ${ownLists}'" in reports[: reports.index("\n}\n")]
        assert f"['{census.ROOT}', '{heartbeat.ROOT}']".replace("/", "") in storage
        bound = re.findall(r"blobs/(read|write|add/action|delete|move/action)'?\b", storage)
        assert set(re.findall(r"'(write|add/action|delete|move/action)'", storage)) | set(bound) == {
            "read",
            "write",
            "add/action",
            "delete",
            "move/action",
        }

    def test_roles_are_the_ones_that_their_names_say(self) -> None:
        """By Microsoft's published ids."""
        storage = (INFRA / "modules" / "storage.bicep").read_text("utf-8")
        assert dict(re.findall(r"^var (\w+) = '([0-9a-f-]{36})'$", storage, re.MULTILINE)) == {
            "blobDataOwner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
            "blobDataContributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
            "queueDataContributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
            "queueDataMessageSender": "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a",
            "queueDataMessageProcessor": "8a0f0c08-91a1-4084-bc3d-661d67233fed",
            "tableDataContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
        }


LEFT_TO_DEFAULTS = {
    "storage": "a connection string; the template uses an identity",
    "ca_file": "for a lab or an inspecting proxy",
    "ledger_table": "the template makes the table of the default",
    "failures_table": "the same",
    "history_table": "the same",
    "pace_table": "the same",
    "audit_table": "the same",
    "audit_days": "set by hand where another retention is asked for",
    "assertion_file": "for workload identity outside Azure",
    "client_certificate": "a file; the template's certificate lies in a Key Vault",
    "docs_url": "set by hand where a company keeps the pages",
    "exchange_url": "a lab's",
    "login_url": "a lab's",
    "otlp_url": "for another collector; the template sends to Application Insights",
    "allow": "what a company may know better, set by hand in the app's settings",
    "rules": "the same",
    "overlap_days": "the same",
    "expiry_grace_hours": "the same",
    "withdraw_disabled": "the same",
    "try_synchronised": "the same",
    "change_guard_percent": "the same",
    "canary_minutes": "the same",
    "canary_seconds": "the same",
    "loss_guard_people": "the same",
    "run_piece_seconds": "the same",
    "directory": "the template's app reaches no domain controller; the agent's list does",
    **dict.fromkeys(DirectorySettings.model_fields, "for directory=ldap alone"),
    "loss_guard_percent": "the same",
    "writes_at_once": "the same",
    "writes_per_second": "the same",
    "require_signed_events": "on, and stays so",
    "read_format": "what `smime-sync probe` names",
    "storage__tenantid": "the function has a managed identity; an agent elsewhere is an application",
    "storage__clientcertificate": "the same",
    "storage__assertionfile": "the same",
    "storage__loginurl": "the same",
    "write_clearing": "the same",
    "write_encoding": "the same",
    "revocation_cache": "the working container is the cache",
    "revocation_grace_hours": "set by hand where lists come late",
    "revocation_max_megabytes": "the same",
    "revocation_private": "set by hand where a list lies inside",
    "revocation_refresh_hours": "set by hand",
}
"""Settings of the function that the template leaves out, and why."""


class TestSettings:
    """Code and template name the same settings."""

    @property
    def settings(self) -> dict[str, str]:
        (app,) = of_type("Microsoft.Web/sites")
        return {each["name"]: each["value"] for each in app["properties"]["siteConfig"]["appSettings"]}

    def test_the_template_names_only_settings_that_there_are(self) -> None:
        """The function refuses to start on any other."""
        known = {field.title or PREFIX + name.upper() for name, field in CloudSettings.model_fields.items()}
        assert {name for name in self.settings if name.startswith(PREFIX)} <= known

    def test_every_setting_is_in_the_template_or_left_out_for_a_reason(self) -> None:
        """Whoever adds one: put it into infra/modules/function.bicep, or into LEFT_TO_DEFAULTS here with the reason."""
        named = {name: field.title or PREFIX + name.upper() for name, field in CloudSettings.model_fields.items()}
        left = {name for name, shown in named.items() if shown not in self.settings}
        assert left == LEFT_TO_DEFAULTS.keys()

    def test_names_that_the_host_resolves_are_set(self) -> None:
        """Queue names and schedules between per cent signs, and the connection by its prefix."""
        source = (ROOT / "function_app.py").read_text("utf-8")
        for name in set(re.findall(r"%(\w+)%", source)):
            assert name in self.settings
        assert {"SMIME_SYNC_STORAGE__queueServiceUri", "SMIME_SYNC_STORAGE__credential"} <= self.settings.keys()

    def test_stores_bear_the_names_of_the_settings(self) -> None:
        """The queue and its poison queue, the tables of the defaults, and the containers."""
        storage = (INFRA / "modules" / "storage.bicep").read_text("utf-8")
        tables = {field.default for name, field in CloudSettings.model_fields.items() if name.endswith("_table")}
        assert set(re.findall(r"'(SmimeSync\w+)'", storage)) == tables
        assert f"var changes = '{self.settings['SMIME_SYNC_QUEUE']}'" in storage
        for name in ("WORK", "CLAIMS"):
            assert f"'{self.settings[f'SMIME_SYNC_{name}_CONTAINER']}'" in storage


def test_the_developer_cli_finds_what_it_deploys() -> None:
    """azure.yaml, the service's tag, and the module it begins with."""
    project = yaml.safe_load((ROOT / "azure.yaml").read_text("utf-8"))
    assert (ROOT / project["infra"]["path"] / f"{project['infra']['module']}.bicep").exists()
    (service,) = project["services"]
    assert f"'azd-service-name': '{service}'" in (INFRA / "main.bicep").read_text("utf-8")
    assert (ROOT / project["services"][service]["project"] / "host.json").exists()
    # What azd uploads is the folder less .funcignore: what is judged by goes along, and Azure installs the rest.
    left_out = set((ROOT / ".funcignore").read_text("utf-8").splitlines())
    needed = {"trust", "sync", "function_app.py", "host.json", "requirements.txt", "*.pem", "*.toml"}
    assert not needed & left_out
    assert project["services"][service]["remoteBuild"] is True


def test_the_workbook_asks_for_words_that_the_product_says() -> None:
    """A log line or a metric that is renamed would empty its chart; of the alerts see tests/test_alerts.py."""
    workbook = (INFRA / "workbook.json").read_text("utf-8")
    code = "\n".join(path.read_text("utf-8") for path in [*(ROOT / "sync").rglob("*.py"), ROOT / "function_app.py"])
    for words in set(re.findall(r"message startswith '(\w+ )", workbook)):
        assert f'"{words}' in code, words
    for metric in set(re.findall(r"smime_sync\.[a-z_.]+", workbook)):
        assert f'"{metric}"' in code, metric
    for reason in set(re.findall(r"reason=([a-z-]+)", workbook)):
        assert f'"{reason}"' in code, reason
