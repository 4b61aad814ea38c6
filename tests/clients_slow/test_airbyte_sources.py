"""Airbyte sources, unmodified: each checks, discovers and reads a world of 500 people; its records are as many as the sandbox says it has."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.server import SandboxServer
from tests.clients_slow.connectors import Connector, connector
from tests.sandbox.clients import calls

pytestmark = pytest.mark.slow
START = "2015-01-01T00:00:00Z"


def read(source: Connector, config: dict[str, Any], streams: Iterable[str], mode: str = "full_refresh") -> dict[str, list[dict[str, Any]]]:
    """Check, discover, read these streams whole: records by stream."""
    settings = ("--config", source.file("config.json", config))
    (status,) = (m["connectionStatus"] for m in source.run("check", *settings) if m["type"] == "CONNECTION_STATUS")
    assert status["status"] == "SUCCEEDED", status
    (catalog,) = (m["catalog"] for m in source.run("discover", *settings) if m["type"] == "CATALOG")
    offered = {stream["name"]: stream for stream in catalog["streams"]}
    assert set(streams) <= offered.keys()
    chosen = [
        {"stream": offered[name], "sync_mode": mode if mode in offered[name]["supported_sync_modes"] else "full_refresh",
         "destination_sync_mode": "append", "cursor_field": offered[name].get("default_cursor_field")}
        for name in streams
    ]  # fmt: skip
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in streams}
    for message in source.run("read", *settings, "--catalog", source.file("catalog.json", {"streams": chosen})):
        if message["type"] == "RECORD":
            found[message["record"]["stream"]].append(message["record"]["data"])
    return found


def test_airbyte_salesforce_reads_every_record(sandbox: SandboxServer, tmp_path: Path) -> None:
    source = connector("airbyte-source-salesforce", sandbox.addresses, tmp_path)
    counts = sandbox.world.counts()["salesforce"]
    keys = {name: credentials.SALESFORCE[name] for name in ("client_id", "client_secret")}
    config = {**keys, "auth_type": "Client", "refresh_token": sandbox.options["salesforce"].refresh_token, "start_date": START}
    with calls.recording(source.name) as made:
        found = read(source, config, counts)
    live = {name: {r["Id"] for r in records if not r.get("IsDeleted")} for name, records in found.items()}
    assert {name: len(ids) for name, ids in live.items()} == counts
    assert not calls.missing(source.name, made)


def test_airbyte_hubspot_reads_every_record(sandbox: SandboxServer, tmp_path: Path) -> None:
    source = connector("airbyte-source-hubspot", sandbox.addresses, tmp_path)
    counts = sandbox.world.counts()["hubspot"]
    token = {"credentials_title": "Private App Credentials", **credentials.HUBSPOT}
    with calls.recording(source.name) as made:
        found = read(source, {"start_date": START, "credentials": token}, ("contacts", "companies", "deals", "owners"))
    assert {name: len({r["id"] for r in records}) for name, records in found.items() if name != "owners"} == {
        name: counts[name] for name in ("contacts", "companies", "deals")
    }
    assert found["owners"]
    assert not calls.missing(source.name, made)


def test_airbyte_marketo_reads_every_record(sandbox: SandboxServer, tmp_path: Path) -> None:
    source = connector("airbyte-source-marketo", sandbox.addresses, tmp_path)
    counts = sandbox.world.counts()["marketo"]
    config = {**credentials.MARKETO, "domain_url": sandbox.addresses.url("marketo"), "start_date": START}
    with calls.recording(source.name) as made:
        found = read(source, config, ("leads", "campaigns", "programs", "lists"))
    assert {name: len({r["id"] for r in found[name]}) for name in ("leads", "campaigns", "programs")} == {
        name: counts[name] for name in ("leads", "campaigns", "programs")
    }
    assert not calls.missing(source.name, made)
