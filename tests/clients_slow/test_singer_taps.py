"""Singer taps, unmodified: each reads a world of 500 people, and its records are as many as the sandbox says it has."""

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


def sync(tap: Connector, config: dict[str, Any], streams: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Discover, select the streams whole, read them: records by stream."""
    settings = ("--config", tap.file("config.json", config))
    (catalog,) = tap.run(*settings, "--discover")
    wanted = set(streams)
    assert wanted <= {stream["tap_stream_id"] for stream in catalog["streams"]}
    for stream in catalog["streams"]:
        if stream["tap_stream_id"] in wanted:
            if all(entry["breadcrumb"] for entry in stream["metadata"]):
                stream["metadata"].append({"breadcrumb": [], "metadata": {}})
            for entry in stream["metadata"]:
                if not entry["breadcrumb"] or entry["metadata"].get("inclusion") == "available":
                    entry["metadata"]["selected"] = True
    messages = tap.run(*settings, "--properties", tap.file("catalog.json", catalog))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in wanted}
    for message in messages:
        if message["type"] == "RECORD":
            found[message["stream"]].append(message["record"])
    return found


@pytest.mark.parametrize("api", ["REST", "BULK"])
def test_tap_salesforce_reads_every_record(sandbox: SandboxServer, tmp_path: Path, api: str) -> None:
    tap = connector("tap-salesforce", sandbox.addresses, tmp_path)
    counts = sandbox.world.counts()["salesforce"]
    keys = {name: credentials.SALESFORCE[name] for name in ("client_id", "client_secret")}
    token = sandbox.options["salesforce"].refresh_token
    config = {**keys, "refresh_token": token, "start_date": START, "api_type": api, "select_fields_by_default": True}
    with calls.recording(f"tap-salesforce ({api})") as made:
        found = sync(tap, config, counts)
    live = {name: {r["Id"] for r in records if not r.get("IsDeleted")} for name, records in found.items()}
    assert {name: len(ids) for name, ids in live.items()} == counts
    assert len(found["Contact"]) > counts["Contact"], "deleted contacts are read too"
    people = {r["id"] for records in sandbox.world.truth()["people"].values() for r in records if r["crm"] == "salesforce"}
    assert live["Contact"] | live["Lead"] <= people
    assert not calls.missing(f"tap-salesforce ({api})", made)


def test_tap_hubspot_reads_every_record(sandbox: SandboxServer, tmp_path: Path) -> None:
    tap = connector("tap-hubspot", sandbox.addresses, tmp_path)
    counts = sandbox.world.counts()["hubspot"]
    with calls.recording("tap-hubspot") as made:
        found = sync(
            tap, {"api_key": credentials.HUBSPOT["access_token"], "start_date": START}, ("contacts", "companies", "deals", "owners")
        )
    keys = {"contacts": "id", "companies": "companyId", "deals": "dealId", "owners": "id"}
    assert {name: len({r[key] for r in found[name]}) for name, key in keys.items()} == counts | {"owners": len(found["owners"])}
    people = {r["id"] for records in sandbox.world.truth()["people"].values() for r in records if r["crm"] == "hubspot"}
    assert {r["id"] for r in found["contacts"]} <= people
    assert not calls.missing("tap-hubspot", made)


def test_tap_marketo_reads_every_record(sandbox: SandboxServer, tmp_path: Path) -> None:
    tap = connector("tap-marketo", sandbox.addresses, tmp_path)
    counts = sandbox.world.counts()["marketo"]
    config = {**credentials.MARKETO, "endpoint": "https://123-ABC-456.mktorest.com/rest", "start_date": START, "poll_interval": 0}
    with calls.recording("tap-marketo") as made:
        found = sync(tap, config, ("leads", "campaigns", "programs", "lists", "activity_types"))
    assert {name: len({r["id"] for r in found[name]}) for name in ("leads", "campaigns", "programs")} == {
        name: counts[name] for name in ("leads", "campaigns", "programs")
    }
    assert found["activity_types"]
    assert not calls.missing("tap-marketo", made)
