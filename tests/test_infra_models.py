"""The templates' properties, held against the models of Microsoft's own SDK: names, and words where a model has a fixed
set of them. A misspelt one would be found only by a deployment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import azure.mgmt.keyvault.models as vault_models
import azure.mgmt.monitor.models as monitor_models
import azure.mgmt.network.models as network_models
import azure.mgmt.storage.models as storage_models
import azure.mgmt.web.models as web_models
import pytest

from tests.test_infra import Expression, Tree, of_type, resources

_MODELS: Mapping[str, tuple[Any, str]] = {
    "Microsoft.Web/sites": (web_models, "Site"),
    "Microsoft.Web/serverfarms": (web_models, "AppServicePlan"),
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": (web_models, "CsmPublishingCredentialsPoliciesEntity"),
    "Microsoft.Web/sites/config": (web_models, "SiteAuthSettingsV2"),
    "Microsoft.Storage/storageAccounts": (storage_models, "StorageAccountCreateParameters"),
    "Microsoft.Storage/storageAccounts/blobServices": (storage_models, "BlobServiceProperties"),
    "Microsoft.Storage/storageAccounts/blobServices/containers": (storage_models, "BlobContainer"),
    "Microsoft.KeyVault/vaults": (vault_models, "VaultCreateOrUpdateParameters"),
    "Microsoft.Network/virtualNetworks": (network_models, "VirtualNetwork"),
    "Microsoft.Network/privateEndpoints": (network_models, "PrivateEndpoint"),
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": (network_models, "PrivateDnsZoneGroup"),
    "Microsoft.Insights/actionGroups": (monitor_models, "ActionGroupResource"),
    "Microsoft.Insights/scheduledQueryRules": (monitor_models, "ScheduledQueryRuleResource"),
}
_UNCHECKED = {
    "Microsoft.Authorization/roleAssignments": "tests/test_infra.py holds each one, word by word",
    "Microsoft.Insights/components": "no model of this version in a package of a reasonable size",
    "Microsoft.Insights/workbooks": "the same",
    "Microsoft.ManagedIdentity/userAssignedIdentities": "it has no properties",
    "Microsoft.Network/privateDnsZones": "it has no properties",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks": "a package of its own, for two properties",
    "Microsoft.OperationalInsights/workspaces": "a package of its own, for two properties",
    "Microsoft.Resources/resourceGroups": "it has no properties",
    "Microsoft.Storage/storageAccounts/queueServices": "it has no properties",
    "Microsoft.Storage/storageAccounts/queueServices/queues": "it has no properties",
    "Microsoft.Storage/storageAccounts/tableServices": "it has no properties",
    "Microsoft.Storage/storageAccounts/tableServices/tables": "it has no properties",
}
_OF_THE_TEMPLATE = {"name", "parent", "scope", "dependsOn"}


def test_every_kind_of_resource_is_checked_or_left_for_a_reason() -> None:
    """Whoever adds one decides."""
    made = {kind.partition("@")[0] for _, kind, _ in resources()}
    assert made == _MODELS.keys() | _UNCHECKED.keys()


@pytest.mark.parametrize("kind", _MODELS)
def test_properties_are_those_of_microsofts_models(kind: str) -> None:
    """Every name, and every word where the model has a fixed set of them."""
    module, name = _MODELS[kind]
    found = of_type(kind)
    assert found
    for body in found:
        wrong = list(_strange({k: v for k, v in body.items() if k not in _OF_THE_TEMPLATE}, module, name, kind))
        assert wrong == []


def test_a_property_that_is_none_is_found() -> None:
    """In both generations of the models, and below."""
    vault = {"properties": {"enableRbac": "true", "sku": {"name": "cheap"}}}
    told = list(_strange(vault, vault_models, "VaultCreateOrUpdateParameters", "vault"))
    assert [each.partition(" is ")[0] for each in told] == ["vault.properties.enableRbac", "vault.properties.sku.name"]
    rule = {"properties": {"criteria": {"allOf": [{"qery": "x", "operator": "More"}]}, "windows": "PT1H"}}
    told = list(_strange(rule, monitor_models, "ScheduledQueryRuleResource", "rule"))
    where = "rule.properties.criteria.allOf[]"
    assert {each.partition(" is ")[0] for each in told} == {f"{where}.qery", "rule.properties.windows"}


def _strange(body: Mapping[str, Tree], module: Any, name: str, where: str) -> Iterator[str]:
    model = getattr(module, name)
    if hasattr(model, "_attribute_map"):
        yield from _strange_to_the_older(body, module, model, where, "")
        return
    model()  # only an instance knows its names on the wire
    fields = {field._rest_name: attribute for attribute, field in model._attr_to_rest_field.items()}
    hints = {k: v for each in model.__mro__ for k, v in getattr(each, "__annotations__", {}).items()}
    for key, value in body.items():
        if key not in fields:
            yield f"{where}.{key} is none of {sorted(fields)}"
            continue
        hint = str(hints[fields[key]])
        inner = re.search(r"_models\.(\w+)", hint)
        words = re.search(r"Union\[str, ForwardRef\('_models\.(\w+)'\)", hint)
        if words:
            known = {each.value for each in getattr(module, words[1])}
            if isinstance(value, str) and not isinstance(value, Expression) and value not in known:
                yield f"{where}.{key} is {value}, none of {sorted(known)}"
        elif inner and isinstance(value, dict) and "ict[" not in hint:
            yield from _strange(value, module, inner[1], f"{where}.{key}")
        elif inner and isinstance(value, list):
            for each in value:
                if isinstance(each, dict):
                    yield from _strange(each, module, inner[1], f"{where}.{key}[]")


def _strange_to_the_older(body: Mapping[str, Tree], module: Any, model: Any, where: str, above: str) -> Iterator[str]:
    """Of the generation that keeps members of `properties` at the top, by dotted names."""
    known = {each["key"]: each["type"] for each in model._attribute_map.values()}
    for key, value in body.items():
        full = f"{above}{key}"
        if full in known:
            inner = getattr(module, known[full].strip("[]{}"), None)
            given = value if isinstance(value, list) else [value]
            mark = "[]" if isinstance(value, list) else ""
            for each in given:
                if inner is not None and isinstance(each, dict) and "{" not in known[full]:
                    yield from _strange(each, module, inner.__name__, f"{where}.{key}{mark}")
        elif isinstance(value, dict) and any(name.startswith(f"{full}.") for name in known):
            yield from _strange_to_the_older(value, module, model, f"{where}.{key}", f"{full}.")
        else:
            yield f"{where}.{key} is none of {sorted(known)}"
