"""`cdp alerts`: try the channels, and look now."""

from __future__ import annotations

import asyncio

import typer

app = typer.Typer(no_args_is_help=True, help="Tell people what is wrong, once, and when it is over. Dagster's sensor does it by itself.")


@app.command(epilog="Example: cdp alerts test")
def test() -> None:
    """Send a message to every channel of CDP_ALERT_CHANNELS. Exits with 1 when one does not take it."""
    from cdp_pipelines.alerting import Channels
    from cdp_pipelines.config import ConfigError, load_settings

    channels = Channels(load_settings())
    if not list(channels):
        raise ConfigError("CDP_ALERT_CHANNELS", "is missing", "Set it to the addresses that alerts go to.")
    failed = 0
    for number, channel in enumerate(channels, 1):
        taken = channels.send(channel, "CDP: a test", "Alerts of CDP Pipelines arrive here.")
        typer.echo(f"channel {number}: {'took it' if taken else 'did not take it'}")
        failed += not taken
    if failed:
        raise typer.Exit(1)


@app.command(epilog="Example: cdp alerts check")
def check() -> None:
    """Look as `cdp doctor` does, and tell the channels what is new. Exits with 1 when a message could not be sent."""
    from cdp_pipelines.alerting import Channels, tell
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.doctor import examine
    from cdp_pipelines.engine import cdp_engine

    settings = load_settings()
    told = tell(settings, Channels(settings), examine(settings, asyncio.run(cdp_engine.test_crm_connections())))
    for title in told.sent:
        typer.echo(f"sent: {title}")
    typer.echo(f"{len(told.sent)} messages sent, {told.unsent} could not be.")
    if told.unsent:
        raise typer.Exit(1)
