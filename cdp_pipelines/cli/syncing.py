"""`cdp demo`, `cdp sync`, `cdp status`: run the pipeline and see how it went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cdp_pipelines.cli import output
from cdp_pipelines.cli.options import Json

if TYPE_CHECKING:
    from cdp_pipelines.config import ConfigError, Connection
    from cdp_pipelines.summary import SyncSummary


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: cdp demo")(demo)
    app.command(epilog="Example: cdp sync hubspot --full (or: cdp sync --reconcile)")(sync)
    app.command(epilog="Example: cdp status --json")(status)
    app.command(epilog="Example: cdp metrics --to /var/lib/node_exporter/cdp.prom")(metrics)


def demo() -> None:
    """Run everything once against the sandbox, three CRMs with made-up people on this machine; no account is needed."""
    from cdp_pipelines import demo as demonstration
    from cdp_pipelines.config import load_settings

    raise typer.Exit(demonstration.run(load_settings()))


def sync(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Connections to sync (default: all).")] = None,
    full: Annotated[bool, typer.Option("--full", help="Read everything anew, not only what changed since the last sync.")] = False,
    reconcile: Annotated[
        bool,
        typer.Option("--reconcile", help="Also mend what a sync cannot see: purged records, calculated fields, links, missed merges."),
    ] = False,
    json: Json = False,
) -> None:
    """Read the CRMs, build and check the tables, and publish them. Exits with 1 when anything is incomplete."""
    from cdp_pipelines import sync as pipeline
    from cdp_pipelines.cli.progress import progress
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.connections import configured
    from cdp_pipelines.summary import summarize

    settings = load_settings()
    with configured(settings) as connections:
        chosen = _chosen(connections, names or [])
        with progress(output.console(stderr=True)) as shown:
            report = pipeline.sync(settings, chosen, full=full, reconcile=reconcile, on_progress=shown.rows, on_stage=shown.stage)
    summary = summarize(report)
    if json:
        output.print_json(summary)
    else:
        _print_summary(summary)
    if not summary["complete"] or any(check["blocking"] for check in summary["checks"]["failed"]):
        raise typer.Exit(1)


def status(json: Json = False) -> None:
    """Show the last sync of every connection and object, how far behind they are, and the checks that fail.

    Exits with 1 when something is incomplete.
    """
    from cdp_pipelines import status as state
    from cdp_pipelines.config import load_settings

    found = state.read(load_settings())
    if json:
        output.print_json(found)
    else:
        _print_status(found)
    if found["state"] != "complete":
        raise typer.Exit(1)


def metrics(
    to: Annotated[Path | None, typer.Option(help="Write them to this file, whole or not at all, instead of printing them.")] = None,
) -> None:
    """Show the numbers of the last syncs and checks as Prometheus reads them: rows, calls, lag, state, failed checks. Nobody's values."""
    from cdp_pipelines import metrics as numbers
    from cdp_pipelines.config import ConfigError, load_settings

    settings = load_settings()
    if to is None:
        typer.echo(numbers.exposition(settings).decode(), nl=False)
    else:
        try:
            numbers.write(settings, to)
        except OSError as error:
            raise ConfigError(
                "--to", f"cannot be written: {to}: {error.strerror}", "Name a file in a folder that you may write to."
            ) from None


def _chosen(connections: list[Connection | ConfigError], names: list[str]) -> list[Connection | ConfigError]:
    from cdp_pipelines.config import ConfigError

    by_name = {(c.connection or c.setting) if isinstance(c, ConfigError) else c.name: c for c in connections}
    for name in names:
        if name not in by_name:
            raise ConfigError(name, "is not a connection", f"Connections: {', '.join(by_name)}.")
    return [connection for name, connection in by_name.items() if not names or name in names]


def _print_summary(summary: SyncSummary) -> None:
    console = output.console()
    table = output.table("connection", "object", "mode", "#read", "#new", "#updated", "#deleted", "#rejected", "#calls", "state")
    for name, connection in summary["connections"].items():
        for object_name, found in (*connection["objects"].items(), *connection["reconciled"].items()):
            counts = (output.cell(found[f"rows_{what}"]) for what in ("read", "inserted", "updated", "deleted", "rejected"))
            state = output.mark(found["state"] == "ok", no=found["state"])
            table.add_row(name, object_name, found["mode"], *counts, output.cell(found["calls"]), state)
    console.print(table)
    _print_reasons(summary["connections"])
    for name, connection in summary["connections"].items():
        for warning in connection["warnings"]:
            console.print(output.cell(f"{name}: {warning}", "yellow"))
    _print_checks(summary["checks"]["failed"], f"{summary['checks']['passed']:,} passed")
    calls = ", ".join(f"{name} {connection['calls']:,}" for name, connection in summary["connections"].items())
    console.print(f"API calls: {calls or 'none'}.")
    if summary["published"]:
        console.print(output.cell(f"Published: {summary['published']}"))
    else:
        console.print(output.cell(f"Not published: {summary['problem']}.", "bold red"))
    word = output.mark(summary["complete"], "complete", "INCOMPLETE")
    console.print("Sync", word, f"in {output.duration(summary['seconds'])}.")


def _print_status(found: dict[str, Any]) -> None:
    console = output.console()
    table = output.table("connection", "object", "state", "last run", "mode", "read up to", "lag", "#rows", "#read", "#rejected", "#calls")
    for name, connection in found["connections"].items():
        for object_name, one in connection["objects"].items():
            table.add_row(
                name, object_name, output.mark(one["state"] == "ok", no=one["state"]), output.moment(one["ended_at"]), one["mode"],
                output.moment(one["cursor"]), output.duration(one["lag_seconds"]),
                *(output.cell(one[key]) for key in ("rows_total", "rows_read", "rows_rejected", "calls")),
            )  # fmt: skip
    console.print(table)
    for name, connection in found["connections"].items():
        if (events := connection["events"])["last_day"]:
            half, most = output.duration(events["median_seconds"]), output.duration(events["p95_seconds"])
            console.print(
                output.cell(
                    f"{name}: told {events['last_day']:,} changes in the last day; half were published within {half}, 95 % within {most}."
                )
            )
    _print_reasons(found["connections"])
    _print_checks([{**check, "table": check["table_name"]} for check in found["failed_checks"]], "the others passed")
    word = output.mark(found["state"] == "complete", "complete", "INCOMPLETE")
    console.print(
        "State:", word, f"(last run {output.moment(found['ended_at'])}, lag {output.duration(found['lag_seconds']) or 'unknown'})."
    )
    for one in found["rejected_rows"]:
        keys = f" Records: {', '.join(one['example_keys'])}." if one["example_keys"] else ""
        console.print(
            output.cell(f"{one['connection']}: {one['rows']:,} rows of {one['object']} were not kept: {one['reason']}.{keys}", "yellow")
        )
    left = (
        f"{name} {connection['calls_left']:,} of {connection['calls_allowed']:,}"
        for name, connection in found["connections"].items()
        if connection["calls_left"] is not None
    )
    console.print(f"API calls of the day left after the last run: {', '.join(left) or 'not told'} (now: `cdp connections`).")


def _print_reasons(connections: dict[str, dict[str, Any]]) -> None:
    """Why objects are incomplete, each reason once for all the objects of a connection that share it."""
    from cdp_pipelines.summary import explain

    for name, connection in connections.items():
        reasons: dict[str, list[str]] = {}
        for object_name, one in (*connection["objects"].items(), *connection.get("reconciled", {}).items()):
            if one["state"] != "ok":
                reasons.setdefault(explain(one["problem"], one["remedy"]), []).append(object_name)
        for reason, objects in reasons.items():
            output.console().print(output.cell(f"{name}: incomplete ({', '.join(objects)}): {reason}", "red"))


def _print_checks(failed: list[dict[str, Any]], others: str) -> None:
    from cdp_pipelines.summary import describe_check

    console = output.console()
    console.print(f"Checks: {others}, {len(failed):,} failed.")
    for check in failed:
        text = f"  {check['table']}.{check['name']}: {describe_check({'sample_keys': [], **check})}"
        console.print(output.cell(text, "red" if check["blocking"] else "yellow"))
