"""The receiver as a server of its own, apart from the pipeline, so that it answers while a run goes on."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

import uvicorn

from cdp_pipelines.config import ConfigError, Connection, Settings
from cdp_pipelines.webhooks.keeper import Keeper
from cdp_pipelines.webhooks.receiver import Receiver


def serve(settings: Settings, connections: Sequence[Connection | ConfigError], on_ready: Callable[[str, dict[str, bool]], None]) -> None:
    """Receive until the process is told to end (SIGINT, SIGTERM); calls that are under way are answered first.

    `on_ready` gets the address, and for each connection whether it has a secret: one without accepts nothing. Raises ConfigError when the
    address is in use, or when no connection can be used at all.
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
    with listener, Keeper(settings.inbox, settings.inbox_most) as keeper:
        # Access logs would have the secret of Salesforce's addresses in them.
        config = uvicorn.Config(Receiver(usable, keeper, public_url).app(), access_log=False, log_level="warning", server_header=False)
        host, port = listener.getsockname()[:2]
        on_ready(f"http://{host}:{port}", {name: bool(c.webhook_secrets()) for name, c in usable.items()})
        uvicorn.Server(config).run(sockets=[listener])
