"""docs/sandbox.md: its generated tables are those of the code, and its calls work as they stand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict

import pytest

from cdp_pipelines.config import KINDS, PROJECT_DIR, Settings
from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.faults import tables
from cdp_pipelines.sandbox.faults.switches import make_fault, parse_fault, parse_option
from tests.sandbox.faulty import Faulty, faulty

PAGE = (PROJECT_DIR / "docs" / "sandbox.md").read_text(encoding="utf-8")
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the machine has no curl")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with faulty(tmp_path_factory.mktemp("state")) as made:
        yield made


def at_its_ports(text: str, sandbox: Faulty) -> str:
    """A piece of the page with a running sandbox's ports in place of the default ones."""
    first = Settings().sandbox_port
    for number, port in enumerate(asdict(sandbox.addresses).values()):
        text = text.replace(f"127.0.0.1:{first + number}", f"127.0.0.1:{port}")
    return text


def answers(output: str) -> list[dict]:
    """The JSON objects that stand one after another in an output."""
    found, decoder = [], json.JSONDecoder()
    while output := output.strip():
        value, end = decoder.raw_decode(output)
        found.append(value)
        output = output[end:]
    return found


def test_the_generated_tables_are_up_to_date() -> None:
    assert tables.refreshed(PAGE) == PAGE, f"run `{tables.COMMAND}`"


def test_a_missing_place_for_a_table_is_named() -> None:
    with pytest.raises(ValueError, match="no place for faults"):
        tables.refreshed(PAGE.replace("<!-- end of faults -->", ""))


@needs_curl
@pytest.mark.parametrize("crm", KINDS)
def test_the_calls_of_each_api_work_as_they_stand(sandbox: Faulty, crm: str) -> None:
    script = PAGE.split(f"<!-- curl: {crm} -->\n```bash\n")[1].split("```")[0]
    done = subprocess.run(["bash", "-euc", at_its_ports(script, sandbox)], capture_output=True, text=True, timeout=60, check=True)
    first, second = answers(done.stdout)
    if crm == "salesforce":
        assert [record["attributes"]["type"] for record in first["records"]] == ["Contact"] * 3
        assert {"Id", "Email"} <= {field["name"] for field in second["fields"]}
    elif crm == "hubspot":
        assert [len(answer["results"]) for answer in (first, second)] == [3, 3]
    else:
        assert (first["success"], second["success"]) == (True, True)
        assert {lead["id"] for lead in second["result"]} <= {1, 2, 3}


@needs_curl
def test_the_call_that_sets_a_fault_works(sandbox: Faulty) -> None:
    (command,) = re.findall(r"^curl -s \S+/sandbox/faults -d .*$", PAGE, re.MULTILINE)
    done = subprocess.run(["bash", "-euc", at_its_ports(command, sandbox)], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["kind"] == "rate_limit"
    assert sandbox.call("hubspot").json()["policyName"] == "SECONDLY"


def test_the_faults_and_options_of_the_examples_exist() -> None:
    for text in re.findall(r'(?:--fault |faults set |" )"?((?:salesforce|hubspot|marketo):[^"`\s]+(?: [^"`]+)?)(?="|\s)', PAGE):
        parse_fault(text.strip())
    for text in re.findall(r"--option ([^`\s]+)", PAGE):
        parse_option(text)
    for body in re.findall(r"`POST /sandbox/faults` `(\{[^`]+\})`", PAGE):
        assert make_fault(json.loads(body))


def test_the_credentials_are_those_that_it_names() -> None:
    for values in (credentials.SALESFORCE, credentials.HUBSPOT, credentials.MARKETO):
        for value in values.values():
            assert f"`{value}`" in PAGE


def test_every_control_route_is_listed(sandbox: Faulty) -> None:
    routes = {re.sub(r"\{crm\}", "hubspot", re.sub(r"/\{id\}", "/3", route.path)) for route in sandbox.server.controls.routes()}
    assert [route for route in routes if route not in PAGE] == []


def test_the_tables_are_printed_by_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from cdp_pipelines.sandbox.faults.__main__ import main

    monkeypatch.setattr("sys.argv", ["faults", "--table"])
    main()
    printed = capsys.readouterr().out
    assert all(table in printed for table in tables.tables().values())
