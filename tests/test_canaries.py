"""No secret comes out: canaries in every secret setting, and a search through everything that failing and passing runs print and write."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import SecretStr
from starlette.types import ASGIApp
from typer.testing import CliRunner

from cdp_pipelines import dagster_home
from cdp_pipelines.cli import app
from cdp_pipelines.config import CONNECTION_CLASSES, KINDS, Kind, Settings
from cdp_pipelines.crm_integrations.manager import CRMIntegrationManager
from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.hubspot.options import HubSpotOptions
from cdp_pipelines.sandbox.marketo.options import MarketoOptions
from cdp_pipelines.sandbox.salesforce.options import SalesforceOptions
from cdp_pipelines.scrubbing import MARK
from cdp_pipelines.secret_sources import is_secret
from cdp_pipelines.webhooks import serving
from tests.canaries import Canaries, Echo, found, planted, settings_with
from tests.crm_integrations.test_tls import Serve as ServeTls
from tests.crm_integrations.test_tls import certificate, serve_tls
from tests.sandbox.faulty import faulty
from tests.webhooks.test_receiver import CHANGE, signed

__all__ = ["serve_tls"]
Serve = Callable[[ASGIApp], str]
CONNECTIONS = "salesforce,renewed:salesforce,signed:salesforce,hubspot,marketo"


@pytest.fixture(scope="module")
def key_pair() -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@dataclass
class Cage:
    """A place for runs: `root` is all that they write, `environment` what they are set to."""

    root: Path
    canaries: Canaries
    environment: dict[str, str]

    def at(self, url: str | dict[Kind, str], **more: str) -> dict[str, str]:
        """The environment for a server that stands for all vendors, or one for each."""
        of = dict.fromkeys(KINDS, url) if isinstance(url, str) else url
        addresses = {f"{name}_LOGIN_URL": of["salesforce"] for name in ("SALESFORCE", "RENEWED", "SIGNED")}
        return self.environment | addresses | {"HUBSPOT_BASE_URL": of["hubspot"], "MARKETO_ENDPOINT": of["marketo"]} | more

    def run(self, name: str, environment: dict[str, str], *arguments: str, program: str | None = None) -> int:
        """`cdp` with these arguments, or a program, in a process of its own that logs everything there is; gives the exit code.

        What it prints goes to files below the root.
        """
        log = self.root / f"{name}.debug.log"
        begin = f"import logging\nlogging.basicConfig(level=logging.DEBUG, filename={str(log)!r})\n"
        code = begin + (program or "from cdp_pipelines.cli import main\nmain()\n")
        with (self.root / f"{name}.stdout").open("w") as out, (self.root / f"{name}.stderr").open("w") as errors:
            command = [sys.executable, "-c", code, *arguments]
            return subprocess.run(command, env=environment, stdout=out, stderr=errors, check=False, timeout=300).returncode

    def said(self, name: str) -> str:
        """What a run printed and logged."""
        return "".join((self.root / f"{name}.{kind}").read_text() for kind in ("stdout", "stderr", "debug.log"))

    def leaks(self) -> list[str]:
        """Canaries in anything that was written."""
        key = self.environment.get("CDP_ENCRYPTION_KEY")
        return found(self.root, self.canaries, Settings(data_dir=self.root / "data", encryption_key=SecretStr(key) if key else None))


@pytest.fixture
def cage(tmp_path: Path, key_pair: tuple[str, str]) -> Cage:
    root = tmp_path / "written"
    (root / "tmp").mkdir(parents=True)
    canaries = Canaries()
    own = {
        "CDP_CONNECTIONS": CONNECTIONS, "CDP_DATA_DIR": str(root / "data"), "CDP_SANDBOX_DIR": str(tmp_path / "vendors"), "CDP_SANDBOX_PORT": "1",
        "TMPDIR": str(root / "tmp"), "SALESFORCE_CLIENT_ID": credentials.SALESFORCE["client_id"],
        "SALESFORCE_USERNAME": credentials.SALESFORCE["username"], "RENEWED_CLIENT_ID": credentials.SALESFORCE["client_id"],
        "SIGNED_CLIENT_ID": credentials.SALESFORCE["client_id"], "SIGNED_USERNAME": credentials.SALESFORCE["username"],
        "MARKETO_CLIENT_ID": credentials.MARKETO["client_id"], "CDP_WEBHOOK_PORT": "0",
    }  # fmt: skip
    for name in ("SALESFORCE", "RENEWED", "SIGNED", "HUBSPOT", "MARKETO"):
        own |= {f"{name}_MAX_ATTEMPTS": "1", f"{name}_VISIBILITY_LAG_SECONDS": "0"}
        if name not in ("HUBSPOT", "RENEWED", "SIGNED"):
            own[f"{name}_BULK_POLL_SECONDS"] = "0.05"
    secrets = settings_with(canaries, key_pair[0])
    # Of what is not signed in by a password it stands in the way.
    unused = {"RENEWED_PASSWORD", "SIGNED_PASSWORD", "SIGNED_CLIENT_SECRET"}
    return Cage(root, canaries, {**os.environ, **own, **{k: v for k, v in secrets.items() if k not in unused}})


def test_every_secret_setting_has_a_canary(key_pair: tuple[str, str]):
    environment = settings_with(Canaries(), key_pair[0])
    for kind, cls in CONNECTION_CLASSES.items():
        names = ("SALESFORCE", "RENEWED", "SIGNED") if kind == "salesforce" else (kind.upper(),)
        for name, of in cls.model_fields.items():
            if is_secret(of):
                assert any(f"{prefix}_{name}".upper() in environment for prefix in names), f"{kind}.{name}"
    assert {f"CDP_{name}".upper() for name, of in Settings.model_fields.items() if is_secret(of)} <= environment.keys()


def test_the_search_finds_what_it_looks_for(tmp_path: Path):
    canaries = Canaries()
    canaries.make("one")
    texts = planted(tmp_path / "written", canaries.values)
    places = {hit.partition(" in ")[2].partition(" in ")[2].partition(":")[0] or hit for hit in found(tmp_path / "written", canaries)}
    said = " ".join(found(tmp_path / "written", canaries))
    assert places
    for name in [*map(str, range(len(texts))), "compressed.gz", "some.duckdb", "some.sqlite"]:
        assert f" in {name}: " in said, name
    other = Canaries()
    other.make("another")
    assert found(tmp_path / "written", other) == []


@pytest.fixture
def logged(cage: Cage) -> Iterator[Path]:
    """Everything that anybody logs in this process, in a file among the rest."""
    path = cage.root / "process.log"
    handler, root = logging.FileHandler(path), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield path
    root.setLevel(before)
    root.removeHandler(handler)
    handler.close()


@pytest.mark.parametrize(("status", "tokens"), [(401, False), (400, True), (401, True), (403, True), (500, True), (200, True)])
def test_a_vendor_that_repeats_the_request_in_its_error_makes_nobody_tell_a_secret(
    cage: Cage, serve: Serve, monkeypatch: pytest.MonkeyPatch, logged: Path, status: int, tokens: bool
):
    echo = Echo(cage.canaries, status, tokens)
    for variable, value in cage.at(serve(echo.app())).items():
        monkeypatch.setenv(variable, value)
    for arguments in (["connections"], ["mapping", "check", "--json"]):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 1
        (cage.root / f"{arguments[0]}.out").write_text(result.output)
    assert echo.seen >= 8
    assert cage.leaks() == []


def test_errors_that_python_callers_get_hold_no_secret(cage: Cage, serve: Serve, logged: Path):
    for number, (status, secret) in enumerate([(401, "plain"), (500, "plain"), (403, "with a\nline break")]):
        echo = Echo(cage.canaries, status)
        url = serve(echo.app())
        token = cage.canaries.make(f"token {number}") + ("\n" if "line" in secret else "")

        async def go(url: str = url, token: str = token, number: int = number) -> dict[str, Any]:
            configs = {"hubspot": {"access_token": token, "base_url": url, "max_attempts": 1}}
            async with CRMIntegrationManager(configs, Settings(data_dir=cage.root / "data")) as manager:
                (client,) = manager._clients.values()
                try:
                    await client.describe_fields("contacts")
                except Exception as error:  # noqa: BLE001 - whatever the caller would see
                    (cage.root / f"error-{number}").write_text("".join(traceback.format_exception(error)) + repr(error) + repr(vars(error)))
                return await manager.test_all_connections()

        (cage.root / f"tests-{number}").write_text(json.dumps(asyncio.run(go()), default=str))
    assert "Traceback" in (cage.root / "error-2").read_text()
    assert cage.leaks() == []


FAILING_STEP = """
from pathlib import Path
import sys
from cdp_pipelines import sync
from cdp_pipelines.defs.launch import main
def fails(settings, connection, **more):
    secrets = [v.get_secret_value() for v in vars(connection).values() if hasattr(v, "get_secret_value")]
    try:
        raise KeyError(*secrets)
    except KeyError as error:
        raise RuntimeError(f"{connection.name} does not take {secrets} nor Bearer {secrets[0]}") from error
sync.ingest = fails
sys.exit(main("sync", Path(sys.argv[1])))
"""
JOB = "import sys\nfrom pathlib import Path\nfrom cdp_pipelines.defs.launch import main\nsys.exit(main('sync', Path(sys.argv[1])))\n"


COMMANDS = """
import sys
from cdp_pipelines.cli import app
for line in ("sync hubspot --json", "status", "webhooks status", "writeback plan", "writeback status", "connections --json",
             "audit show --opened", "audit verify", f"audit export {sys.argv[1]}"):
    try:
        app(line.split(), standalone_mode=False)
    except SystemExit as ended:
        assert line.startswith(("status", "writeback")) or not ended.code, (line, ended.code)
"""


@pytest.mark.slow
def test_failing_runs_tell_no_secret(cage: Cage, serve: Serve, serve_tls: ServeTls, tmp_path: Path):
    """Wrong secrets, an API that repeats them, a step that raises them, a server with a certificate of nobody."""
    home = dagster_home.prepare(Settings(data_dir=cage.root / "data"))
    with faulty(tmp_path / "state", people=20) as strange:
        assert cage.run("wrong", cage.at({kind: strange.addresses.url(kind) for kind in KINDS}), "connections") == 1
    echo = Echo(cage.canaries, 403, tokens=True)
    repeating = cage.at(serve(echo.app()), DAGSTER_HOME=home["DAGSTER_HOME"])
    assert cage.run("job", repeating, str(cage.root / "job.log"), program=JOB) == 1
    assert cage.run("step", repeating, str(cage.root / "step.log"), program=FAILING_STEP) == 1
    assert cage.run("tls", cage.at(serve_tls(certificate(tmp_path))), "connections") == 1
    assert "certificate that is not accepted" in cage.said("tls")
    for name in ("job", "step"):
        assert MARK in cage.said(name) + (cage.root / f"{name}.log").read_text(), name
    events = b"".join(path.read_bytes() for path in (cage.root / "data" / "dagster").rglob("*.db"))
    assert b"does not take" in events
    assert MARK.encode() in events
    assert cage.leaks() == []


@pytest.mark.slow
def test_passing_runs_tell_no_secret(cage: Cage, key_pair: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The same secrets, which the sandbox accepts: syncs by command and by Dagster, notifications, write-back, exports, the audit log."""
    env = cage.environment
    for name in ("client_secret", "password"):
        monkeypatch.setitem(credentials.SALESFORCE, name, env[f"SALESFORCE_{name}".upper()])
    options: dict[Kind, Any] = {
        "salesforce": SalesforceOptions(refresh_token=env["RENEWED_REFRESH_TOKEN"], rotate_refresh_tokens=True, jwt_public_key=key_pair[1]),
        "hubspot": HubSpotOptions(access_token=env["HUBSPOT_ACCESS_TOKEN"], client_secret=env["HUBSPOT_WEBHOOK_SECRET"]),
        "marketo": MarketoOptions(client_secret=env["MARKETO_CLIENT_SECRET"]),
    }
    settings = Settings(data_dir=cage.root / "data")
    home = dagster_home.prepare(settings)
    with faulty(tmp_path / "state", people=20, options=options) as sandbox:
        addresses = {kind: sandbox.addresses.url(kind) for kind in KINDS}
        at = cage.at(addresses, DAGSTER_HOME=home["DAGSTER_HOME"], RENEWED_CLIENT_SECRET=env["SALESFORCE_CLIENT_SECRET"])
        at["RENEWED_REFRESH_TOKEN_FILE"] = str(tmp_path / "renewed-token")  # outside of what is searched: it is where the token is kept
        assert cage.run("job", at, str(cage.root / "job.log"), program=JOB) == 0, (cage.root / "job.log").read_text()
        with serving.child(at, cage.root / "receiver.log") as (url, _), httpx2.Client(trust_env=False) as http:
            call(http, f"{url}/webhooks/hubspot", env["HUBSPOT_WEBHOOK_SECRET"], cage.canaries.make("a forger's secret"))
            for path, headers in (("salesforce", {"X-Webhook-Secret": env["SALESFORCE_WEBHOOK_SECRET"]}),):
                assert (
                    http.post(f"{url}/webhooks/{path}", content=b"[", headers=headers | {"Content-Type": "application/json"}).status_code
                    == 400
                )
            in_address = httpx2.URL(url).copy_with(path=f"/webhooks/salesforce/{env['SALESFORCE_WEBHOOK_SECRET']}")
            assert http.post(in_address, content=b"<", headers={"Content-Type": "text/xml"}).status_code in (400, 401, 404)
        export = str(cage.root / "audit-export.jsonl")
        assert cage.run("commands", at, export, program=COMMANDS) == 0, cage.said("commands")
        for number, token in enumerate(sandbox.server.apps["salesforce"].state.org._tokens):
            cage.canaries.add(f"a session of Salesforce {number}", token)
        cage.canaries.add("Marketo's token", sandbox.server.apps["marketo"].state.gate._token)
    assert len([name for name in cage.canaries.values if name.startswith("a session")]) >= 6
    assert "sync" in (cage.root / "audit-export.jsonl").read_text()
    assert cage.leaks() == []


def call(http: httpx2.Client, address: str, right: str, wrong: str) -> None:
    """A call that is signed as it should be, and one that is not."""
    body = json.dumps([CHANGE]).encode()
    for secret, status in ((right, 200), (wrong, 503)):
        answer = http.post(address, content=body, headers={"Content-Type": "application/json", **signed(address, body, secret)})
        assert answer.status_code == status, answer.text
