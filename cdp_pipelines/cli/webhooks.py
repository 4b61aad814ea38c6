"""`cdp webhooks`: the receiver of change notifications, and its inbox."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import Annotated

import typer

from cdp_pipelines.cli import output
from cdp_pipelines.cli.options import Json

app = typer.Typer(no_args_is_help=True, help="Change notifications from the CRMs: receive them, see them, take them again.")


@app.command(epilog="Example: cdp webhooks serve --port 8090")
def serve(
    host: Annotated[str | None, typer.Option(help="Where to listen (CDP_WEBHOOK_HOST); this machine alone unless told otherwise.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (CDP_WEBHOOK_PORT).")] = None,
) -> None:
    """Receive change notifications at /webhooks/<connection> until stopped. Each is on the disk before it is answered."""
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.connections import configured
    from cdp_pipelines.webhooks import serving

    settings = load_settings()
    settings = settings.model_copy(update={k: v for k, v in (("webhook_host", host), ("webhook_port", port)) if v is not None})

    def ready(url: str, connections: dict[str, bool], metrics: str | None) -> None:
        console = output.console()
        for name, has_secret in connections.items():
            said = "" if has_secret else f"  (accepts nothing: {name.upper()}_WEBHOOK_SECRET is not set)"
            console.print(output.cell(f"{url}/webhooks/{name}{said}", "" if has_secret else "yellow"))
        if metrics:
            console.print(output.cell(f"{metrics}  (for Prometheus)"))
        console.print("Listening; stop with Ctrl-C.")

    with configured(settings) as connections:
        serving.serve(settings, connections, ready)


@app.command(epilog="Example: cdp webhooks status --json")
def status(json: Json = False) -> None:
    """Show what waits in the inbox, what is dead, and what was refused in the last seven days. Exits with 1 when an event is dead."""
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.encryption import Sealer
    from cdp_pipelines.webhooks.inbox import read_status

    settings = load_settings()
    found = read_status(settings.inbox, Sealer.of(settings)) or {"connections": {}, "refused": []}
    if json:
        output.print_json(found)
    else:
        table = output.table("connection", "#waiting", "oldest", "#done", "#dead", "newest", "why dead")
        for name, one in found["connections"].items():
            oldest, newest = (datetime.fromisoformat(one[key]) if one[key] else None for key in ("oldest_waiting", "newest"))
            table.add_row(
                name, output.cell(one["waiting"]), output.moment(oldest), output.cell(one["done"]), output.cell(one["dead"]),
                output.moment(newest), output.cell(one["last_reason"]),
            )  # fmt: skip
        console = output.console()
        console.print(table if found["connections"] else "Nothing has come yet.")
        for one in found["refused"]:
            console.print(
                output.cell(f"Refused: {one['calls']:,} calls to {one['connection'] or 'no connection of ours'}: {one['reason']}", "yellow")
            )
        if any(one["dead"] for one in found["connections"].values()):
            console.print("Dead events wait for `cdp webhooks replay --dead`.")
    if any(one["dead"] for one in found["connections"].values()):
        raise typer.Exit(1)


@app.command(epilog="Example: cdp webhooks replay --connection hubspot --since 2026-05-01T00:00:00Z")
def replay(
    since: Annotated[str | None, typer.Option(help="Events received at this time (ISO 8601, UTC) or later.")] = None,
    connection: Annotated[str | None, typer.Option(help="Events of this connection.")] = None,
    id: Annotated[str | None, typer.Option(help="Events about the record with this id.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Only events that were given up.")] = False,
) -> None:
    """Let events be taken again that were dealt with, or given up. The records are read as they are now, so that nothing becomes older."""
    from datetime import UTC

    from cdp_pipelines.config import ConfigError, load_settings
    from cdp_pipelines.encryption import Sealer
    from cdp_pipelines.webhooks.inbox import Inbox

    try:
        moment = datetime.fromisoformat(since) if since else None
    except ValueError:
        raise ConfigError("--since", f"is {since!r}, which is not a time", "Write it like 2026-05-01T12:00:00Z.") from None
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if moment is None and connection is None and id is None and not dead:
        raise ConfigError("replay", "needs to know which events", "Give --since, --connection, --id or --dead.")
    settings = load_settings()
    with closing(Inbox(settings.inbox, sealer=Sealer.of(settings))) as inbox:
        count = inbox.replay(since=moment, connection=connection, record_id=id, dead=dead)
    output.console().print(f"{count:,} events wait again.")
