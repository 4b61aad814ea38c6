"""Where the sandbox can be reached, and how a command gets one: the one that runs, or its own for as long as it needs it.

A command's own sandbox is a child process on free ports. It ends when its standard input closes, so also when the command is killed.
Its state is the journal under the data directory (everyday changes, and what clients wrote through the CRMs' APIs), so the next one goes on
where it ended.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2

from cdp_pipelines.config import KINDS, PROJECT_DIR, ConfigError, Settings
from cdp_pipelines.sandbox import credentials

NAME = "cdp-sandbox"
HOST = "127.0.0.1"
# A sandbox that does a batch of changes in a large world answers nobody meanwhile.
ANSWER_SECONDS = 60


@dataclass(frozen=True)
class SandboxAddresses:
    """The four ports of a sandbox on this machine."""

    control: int
    salesforce: int
    hubspot: int
    marketo: int

    @property
    def control_url(self) -> str:
        """The page and the `/sandbox` routes."""
        return self.url("control")

    def url(self, name: str) -> str:
        """Base address of `control`, `salesforce`, `hubspot` or `marketo`."""
        return f"http://{HOST}:{getattr(self, name)}"

    def connections(self) -> dict[str, dict[str, Any]]:
        """Connection configurations as `CRMIntegrationManager` takes them, without the pauses that real CRMs need."""
        return {
            "salesforce": {
                **credentials.SALESFORCE, "login_url": self.url("salesforce"), "bulk_poll_seconds": 0.05, "visibility_lag_seconds": 0,
                "webhook_secret": credentials.WEBHOOK_SECRET,
            },
            "hubspot": {
                **credentials.HUBSPOT, "base_url": self.url("hubspot"), "calls_per_10_seconds": 180, "visibility_lag_seconds": 0,
                "webhook_secret": credentials.HUBSPOT_CLIENT_SECRET,
            },
            "marketo": {
                **credentials.MARKETO, "endpoint": self.url("marketo"), "bulk_poll_seconds": 0.05, "visibility_lag_seconds": 0,
                "calls_per_20_seconds": 900, "webhook_secret": credentials.WEBHOOK_SECRET,
            },
        }  # fmt: skip

    def environment(self) -> dict[str, str]:
        """The same as environment variables (`SALESFORCE_CLIENT_ID` and so on)."""
        return {f"{crm}_{key}".upper(): str(value) for crm, config in self.connections().items() for key, value in config.items()}


def running(settings: Settings, *, any_world: bool = False) -> SandboxAddresses | None:
    """The sandbox that runs on `settings.sandbox_port`; None when there is none, or something else has the port. One that is busy (with a
    large batch of changes, or on a loaded machine) is waited for.

    Raises ConfigError when its people or seed are not those of the settings, since a warehouse that was filled from one world must not go on
    with another; not with `any_world`.
    """
    try:
        answer = _http(httpx2.Timeout(ANSWER_SECONDS, connect=2)).get(f"http://{HOST}:{settings.sandbox_port}/sandbox/health")
        said = answer.json()
        if answer.status_code != 200 or said["name"] != NAME:
            return None
        addresses, world = SandboxAddresses(**said["ports"]), (said["people"], said["seed"])
    except httpx2.ReadTimeout:
        problem = f"is {settings.sandbox_port}, where something takes connections and has not answered for {ANSWER_SECONDS} seconds"
        raise ConfigError("CDP_SANDBOX_PORT", problem, "Wait until the sandbox there is done, end it, or choose another port.") from None
    except (httpx2.HTTPError, ValueError, KeyError, TypeError):
        return None
    asked = (settings.sandbox_people, settings.sandbox_seed)
    for setting, wanted, found in zip(("CDP_SANDBOX_PEOPLE", "CDP_SANDBOX_SEED"), asked, world, strict=True):
        if wanted != found and not any_world:
            problem = f"is {wanted}, but the sandbox that runs on port {settings.sandbox_port} has {found}"
            raise ConfigError(setting, problem, f"Set it to {found}, end that sandbox, or choose another CDP_SANDBOX_PORT.")
    return addresses


@contextmanager
def hosted(settings: Settings) -> Generator[SandboxAddresses]:
    """A sandbox for as long as this is held: the one on `settings.sandbox_port`, else a child process of our own.

    Raises RuntimeError with the end of its log when it does not start, ConfigError when the one that runs has another world.
    """
    if (found := running(settings)) is not None:
        yield found
        return
    with child(settings) as (addresses, _):
        yield addresses


@contextmanager
def child(settings: Settings) -> Generator[tuple[SandboxAddresses, subprocess.Popen[bytes]]]:
    """A sandbox of our own on free ports, with its process; see `hosted`."""
    state = settings.sandbox_dir
    state.mkdir(parents=True, exist_ok=True)
    log = state / "server.log"
    command = [sys.executable, "-m", "cdp_pipelines.sandbox", "--port", "0", "--people", str(settings.sandbox_people)]
    command += ["--seed", str(settings.sandbox_seed), "--state", str(state), "--child"]
    with log.open("ab") as errors:
        # A session of its own: Ctrl-C is for the command, which may still need the sandbox while it ends in order.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True, cwd=PROJECT_DIR
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"The sandbox did not start. The end of {log}:\n{_tail(log)}")
        yield SandboxAddresses(**json.loads(line)["ports"]), process
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def change(settings: Settings, seed: int, count: int = 60) -> list[dict[str, Any]]:
    """Do a seeded batch of everyday changes and give what was done. With no sandbox running they are kept in the log for the next one."""
    with hosted(settings) as sandbox:
        answer = _http(timeout=120).post(f"{sandbox.control_url}/sandbox/change", json={"seed": seed, "count": count})
        answer.raise_for_status()
        return answer.json()["changes"]


def ask(addresses: SandboxAddresses, method: str, path: str, body: Any = None, params: dict[str, str] | None = None) -> httpx2.Response:
    """The answer of one of the control routes."""
    return _http(timeout=ANSWER_SECONDS).request(method, f"{addresses.control_url}{path}", json=body, params=params)


def notify(addresses: SandboxAddresses, url: str | None) -> None:
    """Let the three CRMs tell a receiver at this base URL (on this machine) of every change from now on; None ends it."""
    at = {kind: f"{url}/webhooks/{kind}" if url else "" for kind in KINDS}
    calls: list[tuple[str, str, Any]] = [
        ("PATCH", "/sandbox/options/salesforce", {"events_url": at["salesforce"]}),
        ("PUT", "/sandbox/webhooks", {"url": at["hubspot"]}) if url else ("DELETE", "/sandbox/webhooks", None),
        (
            "PATCH",
            "/sandbox/options/marketo",
            {"webhook_url": at["marketo"], "webhook_on_change": bool(url), "webhook_form": "cloudevents"},
        ),
    ]
    for method, path, body in calls:
        answer = ask(addresses, method, path, body)
        if answer.status_code != 200:
            raise ConfigError(
                "the receiver's address", f"was refused by the sandbox: {answer.json()['error']}", "Give one of this machine."
            )


def ready_line(addresses: SandboxAddresses) -> str:
    """What a child prints when it is ready."""
    return json.dumps({"ports": asdict(addresses)})


def _http(timeout: float | httpx2.Timeout) -> httpx2.Client:
    # A proxy from the environment has no way to this machine's loopback.
    return httpx2.Client(timeout=timeout, trust_env=False)


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
