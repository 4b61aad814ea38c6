"""Settings: what is refused, and whether the text names the setting and the remedy."""

from __future__ import annotations

import pytest

from cdp_pipelines.config import ConfigError, HubSpotConnection, MarketoConnection, Settings, connection_from_config, connection_from_env

SALESFORCE = {"client_id": "i", "client_secret": "s", "username": "u", "password": "hush"}


def test_the_guides_keys_make_a_connection_of_each_kind():
    assert connection_from_config("salesforce", SALESFORCE).kind == "salesforce"
    assert connection_from_config("hubspot", {"access_token": "t"}).kind == "hubspot"
    marketo = connection_from_config("marketo", {"endpoint": "https://1-a-2.mktorest.com/rest/", "client_id": "i", "client_secret": "s"})
    assert isinstance(marketo, MarketoConnection)
    assert marketo.endpoint == "https://1-a-2.mktorest.com"


@pytest.mark.parametrize("missing", ["client_id", "client_secret", "username", "password"])
def test_a_missing_setting_is_named_with_the_place_to_find_it(missing):
    with pytest.raises(ConfigError, match=rf"^salesforce\.{missing} is missing\. Set it to the ") as error:
        connection_from_config("salesforce", {k: v for k, v in SALESFORCE.items() if k != missing})
    assert error.value.connection == "salesforce"


def test_a_missing_variable_is_named_with_the_connections_prefix(monkeypatch):
    monkeypatch.setenv("EMEA_CLIENT_ID", "i")
    with pytest.raises(ConfigError, match=r"^EMEA_CLIENT_SECRET is missing"):
        connection_from_env("emea", "salesforce")


def test_an_unknown_setting_is_refused_with_the_valid_ones():
    with pytest.raises(ConfigError, match=r"hubspot\.token is not a setting\. Settings of a hubspot connection: access_token, base_url"):
        connection_from_config("hubspot", {"token": "t"})


def test_an_unknown_kind_is_refused():
    with pytest.raises(ConfigError, match=r"eu\.kind is missing\. It must be one of salesforce, hubspot, marketo\."):
        connection_from_config("eu", {"access_token": "t"})


@pytest.mark.parametrize("url", ["http://api.example.com", "http://10.0.0.7", "ftp://127.0.0.1", "example.com"])
def test_plain_http_is_refused_except_for_loopback(url):
    with pytest.raises(ConfigError, match=r"hubspot\.base_url "):
        connection_from_config("hubspot", {"access_token": "t", "base_url": url})
    local = connection_from_config("hubspot", {"access_token": "t", "base_url": "http://127.0.0.1:8802/"})
    assert isinstance(local, HubSpotConnection)
    assert local.base_url == "http://127.0.0.1:8802"


def test_a_dictionary_does_not_mix_with_the_environment(monkeypatch):
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "from the environment")
    monkeypatch.setenv("ACCESS_TOKEN", "from the environment")
    with pytest.raises(ConfigError, match=r"hubspot\.access_token is missing"):
        connection_from_config("hubspot", {})


def test_connections_are_those_that_the_environment_speaks_of(monkeypatch):
    assert Settings().connection_kinds() == {}
    monkeypatch.setenv("HUBSPOT_ACCESS_TOKEN", "t")
    assert Settings().connection_kinds() == {"hubspot": "hubspot"}
    monkeypatch.setenv("CDP_CONNECTIONS", "emea:salesforce, apac:salesforce, hubspot")
    assert Settings().connection_kinds() == {"emea": "salesforce", "apac": "salesforce", "hubspot": "hubspot"}


@pytest.mark.parametrize(("value", "says"), [("emea:siebel", "not name:kind"), ("hubspot,hubspot", "names 'hubspot' twice")])
def test_a_wrong_list_of_connections_is_refused(monkeypatch, value, says):
    monkeypatch.setenv("CDP_CONNECTIONS", value)
    with pytest.raises(ConfigError, match=f"^CDP_CONNECTIONS .*{says}"):
        Settings().connection_kinds()


def test_secrets_are_not_shown():
    connection = connection_from_config("salesforce", SALESFORCE)
    assert "hush" not in repr(connection) + str(connection.model_dump()) + connection.model_dump_json()
    with pytest.raises(ConfigError) as error:
        connection_from_config("salesforce", {**SALESFORCE, "timeout_seconds": "hush"})
    assert "hush" not in str(error.value)
