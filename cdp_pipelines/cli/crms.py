"""`cdp connections` and `cdp mapping check`: whether the CRMs can be reached, and have what the mapping reads."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from cdp_pipelines.cli import output
from cdp_pipelines.cli.options import Json

if TYPE_CHECKING:
    from cdp_pipelines.config import ConfigError, Connection, Settings


mapping = typer.Typer(no_args_is_help=True, help="The mapping from the CRMs' fields to the standardized ones.")


def register(app: typer.Typer) -> None:
    """Add the command that stands at the top."""
    app.command(epilog="Example: cdp connections --json")(connections)
    app.command(epilog="Example: cdp doctor --json")(doctor)


def doctor(json: Json = False) -> None:
    """Look at the machine, packages, disk, locks, connections, calls left, last runs, freshness, checks, inbox, outbox and audit log, and say
    what to do.

    Exits with 1 when something is wrong.
    """
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.doctor import examine
    from cdp_pipelines.engine import cdp_engine

    findings = examine(load_settings(), asyncio.run(cdp_engine.test_crm_connections()))
    if json:
        output.print_json([asdict(finding) for finding in findings])
    else:
        table = output.table("what", "state", "finding", "what to do")
        styles = {"ok": "green", "warning": "yellow", "problem": "bold red"}
        for one in findings:
            table.add_row(one.what, output.cell(one.state, styles[one.state]), output.cell(one.says), output.cell(one.remedy))
        output.console().print(table)
    if any(one.state == "problem" for one in findings):
        raise typer.Exit(1)


def connections(json: Json = False) -> None:
    """Test every connection: ok, or the reason and the remedy. Exits with 1 when one fails.

    Says what each token may do, as far as the vendor tells, and warns of one that may do more than is needed or ends soon.
    """
    from cdp_pipelines.engine import cdp_engine
    from cdp_pipelines.summary import explain

    tests = asyncio.run(cdp_engine.test_crm_connections())
    if json:
        output.print_json(list(tests.values()))
    else:
        table = output.table("name", "kind", "state", "account", "#calls used", "#calls left", "problem")
        for test in tests.values():
            table.add_row(
                test["connection"], test["kind"], output.mark(test["ok"]), output.cell(test["account"]), output.cell(test["calls_used"]),
                output.cell(test["calls_left"]), output.cell(explain(test["problem"], test["remedy"])),
            )  # fmt: skip
        console = output.console()
        console.print(table)
        for test in tests.values():
            if test["scopes"]:
                console.print(output.cell(f"{test['connection']}: {', '.join(test['scopes'])}"))
        for test in tests.values():
            for warning in test["warnings"]:
                console.print(output.cell(f"{test['connection']}: the token {warning}", "yellow"))
    if not all(test["ok"] for test in tests.values()):
        raise typer.Exit(1)


@mapping.callback()
def _group() -> None:
    """Keep `mapping` a group although it has one command."""


@mapping.command(epilog="Example: cdp mapping check --json")
def check(json: Json = False) -> None:
    """Compare the mapping with what every CRM has: missing fields, changed types, custom fields that nothing maps.

    Exits with 1 when a field that the mapping reads, and that nothing can stand in for, is missing.
    """
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.connections import configured

    settings = load_settings()
    with configured(settings) as configured_connections:
        findings = asyncio.run(_compare_all(settings, configured_connections))
    if json:
        output.print_json(findings)
    else:
        _print_findings(findings)
    if any(finding["blocking"] for finding in findings):
        raise typer.Exit(1)


async def _compare_all(settings: Settings, connections: list[Connection | ConfigError]) -> list[dict[str, Any]]:
    found = await asyncio.gather(*(_compare(settings, connection) for connection in connections))
    return [finding for findings in found for finding in findings]


async def _compare(settings: Settings, connection: Connection | ConfigError) -> list[dict[str, Any]]:
    from cdp_pipelines import mapping as spec
    from cdp_pipelines.config import ConfigError
    from cdp_pipelines.crm_integrations.base_crm import CRMError
    from cdp_pipelines.mapping_check import Finding, compare
    from cdp_pipelines.sources import registry
    from cdp_pipelines.summary import explain

    if isinstance(connection, ConfigError):
        name = connection.connection or connection.setting
        findings = [Finding("", "unreadable", "", str(connection), blocking=True)]
    else:
        name, reader = connection.name, registry.reader(connection, settings)
        try:
            async with reader.client:
                findings = await compare(spec.load(), connection.kind, reader)
        except CRMError as error:
            findings = [Finding("", "unreadable", "", explain(error.problem, error.remedy), blocking=True)]
    return [{"connection": name, **asdict(finding)} for finding in findings]


def _print_findings(findings: list[dict[str, Any]]) -> None:
    console = output.console()
    table = output.table("connection", "table", "finding", "field", "used by", "detail", "near names")
    for one in findings:
        style = "red" if one["blocking"] else "" if one["what"] == "unmapped" else "yellow"
        table.add_row(
            *(output.cell(one[key], style) for key in ("connection", "table", "what", "field")),
            output.cell(", ".join(one["used_by"])), output.cell(one["detail"]), output.cell(", ".join(one["near_names"])),
        )  # fmt: skip
    if findings:
        console.print(table)
    blocking = sum(one["blocking"] for one in findings)
    if blocking:
        console.print(output.cell(f"{blocking} to mend: correct the names in cdp_pipelines/mapping.yml, then `make generate`.", "bold red"))
    else:
        console.print("Every field that the mapping needs is there.")
