"""The public clients that try the sandbox, in `clients/`: that they are as published, and that docs/sandbox.md says what they cover."""

from __future__ import annotations

import base64
import hashlib
from importlib.metadata import distribution

import pytest

from tests.sandbox.clients import calls

CLIENTS = ("simple-salesforce", "hubspot-api-client", "marketorestpython")
CONNECTORS = (
    "tap-salesforce (REST)", "tap-salesforce (BULK)", "tap-hubspot", "tap-marketo",
    "airbyte-source-salesforce", "airbyte-source-hubspot", "airbyte-source-marketo",
)  # fmt: skip


@pytest.mark.parametrize("name", CLIENTS)
def test_the_installed_client_is_the_published_one_to_the_byte(name: str) -> None:
    files = [file for file in distribution(name).files or () if file.hash]
    changed = [str(file) for file in files if file.hash and _digest(file.read_binary(), file.hash.mode) != file.hash.value]
    assert len(files) > 5
    assert changed == []


def test_the_page_lists_every_call_of_the_sandbox_and_no_other() -> None:
    listed = calls.listed()
    known = [call for found in calls.all_calls(listed).values() for call in found]
    remedy = "`python -m tests.sandbox.clients.calls` writes the table anew"
    assert set(known) - listed == set(), remedy
    assert listed - set(known) == set(), remedy


@pytest.mark.parametrize("label", [*CLIENTS, *(f"{name} (writing)" for name in CLIENTS), *CONNECTORS, calls.RECORDED])
def test_the_page_says_what_each_client_covers(label: str) -> None:
    assert calls.documented()[label]


def _digest(content: bytes, method: str) -> str:
    return base64.urlsafe_b64encode(hashlib.new(method, content).digest()).decode().rstrip("=")
