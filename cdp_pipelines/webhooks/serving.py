"""The receiver as a server of its own, apart from the pipeline, so that it answers while a run goes on."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from cdp_pipelines.config import PROJECT_DIR, ConfigError, Connection, Settings
from cdp_pipelines.encryption import Sealer
from cdp_pipelines.webhooks.keeper import Keeper
from cdp_pipelines.webhooks.metrics import ReceiverMetrics, published
from cdp_pipelines.webhooks.receiver import Receiver


def serve(
    settings: Settings, connections: Sequence[Connection | ConfigError], on_ready: Callable[[str, dict[str, bool], str | None], None]
) -> None:
    """Receive until the process is told to end (SIGINT, SIGTERM); calls that are under way are answered first.

    `on_ready` gets the address, for each connection whether it has a secret (one without accepts nothing), and the address of the metrics, if
    they are served. Raises ConfigError when an address is in use, or when no connection can be used at all.
    """
    usable = {c.name: c for c in connections if isinstance(c, Connection)}
    if not usable:
        errors = [c for c in connections if isinstance(c, ConfigError)]
        raise errors[0] if errors else ConfigError("CDP_CONNECTIONS", "names no connection", "Set the credentials of a CRM.")
    public_url = str(settings.webhook_public_url) if settings.webhook_public_url else None
    try:
        listener = socket.create_server((settings.webhook_host, settings.webhook_port), backlog=1024)
    except OSError as error:
        where = f"{settings.webhook_host}:{settings.webhook_port}"
        raise ConfigError(
            "CDP_WEBHOOK_PORT", f"cannot be used: {where}: {error.strerror}", "Set another one, or end what listens there."
        ) from None
    metrics, sealer = ReceiverMetrics(), Sealer.of(settings)
    metrics.expect(usable)
    metrics.watch(settings.inbox, settings.inbox_most, sealer)
    with (
        listener,
        published(metrics, settings.metrics_host, settings.metrics_port) as metrics_url,
        Keeper(settings.inbox, settings.inbox_most, sealer) as keeper,
    ):
        # Access logs would have the secret of Salesforce's addresses in them.
        config = uvicorn.Config(
            Receiver(usable, keeper, public_url, metrics).app(), access_log=False, log_level="warning", server_header=False
        )
        host, port = listener.getsockname()[:2]
        on_ready(f"http://{host}:{port}", {name: bool(c.webhook_secrets()) for name, c in usable.items()}, metrics_url)
        uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def child(environment: Mapping[str, str], log: Path) -> Generator[tuple[str, subprocess.Popen[str]]]:
    """`cdp webhooks serve` as a process with this environment, for as long as this is held: its base URL, and the process.

    Raises RuntimeError with the end of its log when it does not start.
    """
    command = [sys.executable, "-c", "from cdp_pipelines.cli import main; main()", "webhooks", "serve"]
    with log.open("a") as errors:
        process = subprocess.Popen(command, env=dict(environment), cwd=PROJECT_DIR, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    try:
        # The first line is the address of the first connection.
        url, found, _ = process.stdout.readline().partition("/webhooks/")
        if not found:
            raise RuntimeError(f"The receiver did not start. The end of {log}:\n{log.read_text(errors='replace')[-2000:]}")
        yield url, process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
