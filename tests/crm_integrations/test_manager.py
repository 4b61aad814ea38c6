import asyncio
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.crm_integrations.base_crm import CRMContact
from cdp_pipelines.crm_integrations.manager import CRMIntegrationManager
from cdp_pipelines.filters import FilterError
from cdp_pipelines.query import NotPublished
from cdp_pipelines.sandbox import hosting
from tests import published_file

MARKETO = {"endpoint": "https://123-abc-456.mktorest.com", "client_id": "id", "client_secret": "secret"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    # Port 1: a sandbox that happens to run on this machine must not be the one under test.
    return Settings(data_dir=tmp_path_factory.mktemp("data"), sandbox_port=1, sandbox_people=40)


@pytest.fixture(scope="module")
def configs(settings: Settings) -> Iterator[dict[str, dict[str, Any]]]:
    with hosting.hosted(settings) as sandbox:
        yield sandbox.connections()


@pytest.mark.parametrize(
    ("configs", "setting"),
    [
        ({}, "crm_configs"),
        ({"salesforce": {"client_id": "a", "client_secret": "b", "username": "c"}}, "salesforce.password"),
        ({"hubspot": {"acess_token": "a"}}, "hubspot.acess_token"),
        ({"hubspot": "token"}, "crm_configs['hubspot']"),
        ({"marketo": {**MARKETO, "endpoint": "http://123-abc-456.mktorest.com"}}, "marketo.endpoint"),
        ({"emea": MARKETO}, "emea.kind"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_at_once_and_named(tmp_path: Path, configs: dict[str, Any], setting: str) -> None:
    with pytest.raises(ConfigError) as error:
        CRMIntegrationManager(configs, Settings(data_dir=tmp_path))
    assert error.value.setting == setting
    assert error.value.remedy


def test_the_environment_does_not_leak_into_a_configuration_in_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "from the environment")
    with pytest.raises(ConfigError, match=r"hubspot\.access_token is missing"):
        CRMIntegrationManager({"hubspot": {}}, Settings(data_dir=tmp_path))


def test_connections_cannot_be_tested_before_the_manager_is_open(tmp_path: Path) -> None:
    manager = CRMIntegrationManager({"marketo": MARKETO}, Settings(data_dir=tmp_path))
    with pytest.raises(RuntimeError, match="async with"):
        asyncio.run(manager.test_all_connections())


def test_contacts_before_the_first_sync_say_what_to_do(tmp_path: Path) -> None:
    manager = CRMIntegrationManager({"marketo": MARKETO}, Settings(data_dir=tmp_path))
    with pytest.raises(NotPublished, match="cdp sync"):
        asyncio.run(manager.get_unified_contacts())


def test_contacts_are_found_with_the_guides_filters(tmp_path: Path) -> None:
    settings = published_file.settings_in(tmp_path)
    published_file.write(settings)
    manager = CRMIntegrationManager({"marketo": MARKETO}, settings)
    found = asyncio.run(manager.get_unified_contacts({"source_system": "salesforce", "lead_score__gt": 50}))
    assert isinstance(found, list)
    assert [(contact.customer_id, contact.email, contact.lead_score) for contact in found] == [("003A", "ann@example.com", 75.5)]
    with pytest.raises(FilterError):
        asyncio.run(manager.get_unified_contacts({"lead_score__over": 50}))


def test_all_connections_are_tested_and_one_that_fails_spares_the_others(settings: Settings, configs: dict[str, dict[str, Any]]) -> None:
    wrong = {**configs, "hubspot": {**configs["hubspot"], "access_token": "pat-na1-wrong"}}

    async def run() -> dict[str, dict[str, Any]]:
        async with CRMIntegrationManager(wrong, settings) as crm_manager:
            return await crm_manager.test_all_connections()

    status = asyncio.run(run())
    assert {name: test["ok"] for name, test in status.items()} == {"salesforce": True, "hubspot": False, "marketo": True}
    assert status["hubspot"]["remedy"]
    assert "pat-na1-wrong" not in str(status)


def test_the_guides_whole_example_runs(settings: Settings, configs: dict[str, dict[str, Any]]) -> None:
    async def run() -> tuple[Any, Any, Any]:
        async with CRMIntegrationManager(configs, settings) as crm_manager:
            first = await crm_manager.sync_all_crms()
            second = await crm_manager.sync_all_crms()
            return first, second, await crm_manager.get_unified_contacts()

    first, second, contacts = asyncio.run(run())
    assert first["complete"], str(first)
    assert first["connections"]["salesforce"]["objects"]["contact"]["mode"] == "full"
    assert second["connections"]["salesforce"]["objects"]["contact"]["mode"] == "incremental"
    assert f"published {settings.published}" in str(first)
    assert "salesforce.contact: full, " in str(first)
    assert {contact.source_system for contact in contacts} == {"salesforce", "hubspot", "marketo"}
    assert all(isinstance(contact, CRMContact) and contact.customer_key and contact.connection for contact in contacts)
    assert all(contact.created_date is None or contact.created_date.tzinfo is UTC for contact in contacts)
