"""`cdp contacts`: the contacts of all CRMs, and one contact made or changed in all of them."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cdp_pipelines.cli import output, reading
from cdp_pipelines.cli.options import Json

if TYPE_CHECKING:
    from cdp_pipelines.config import Settings
    from cdp_pipelines.writeback.contact_calls import ContactResult

Set = Annotated[list[str] | None, typer.Option("--set", "-s", help="field=value, in our names (lead_score=75). Repeat for more.")]

app = typer.Typer(invoke_without_command=True, help="Show the contacts of all CRMs; create or update one in all of them.")


@app.callback(epilog="Example: cdp contacts --where source_system=salesforce --where lead_score__gt=50 --format csv")
def contacts(
    context: typer.Context,
    where: reading.Where = None,
    limit: reading.Limit = None,
    format: reading.As = "table",
    include_deleted: reading.Deleted = False,
) -> None:
    """Show the contacts of all CRMs, each with the key of its customer; `create` and `update` write one contact to all CRMs."""
    if context.invoked_subcommand is None:
        reading.show("contacts", where, limit, format, include_deleted)


@app.command(epilog='Example: cdp contacts create --email john@example.com --first-name John --last-name Doe --company "Example Corp"')
def create(
    email: Annotated[str, typer.Option(help="By it every CRM is asked whether it has the contact already.")],
    first_name: str | None = None,
    last_name: str | None = None,
    company: str | None = None,
    phone: str | None = None,
    title: str | None = None,
    more: Set = None,
    json: Json = False,
) -> None:
    """Make a contact in every CRM that does not have it; empty fields of one that is there are filled, nothing is overwritten.

    Exits with 1 when a CRM refused it or could not be reached.
    """
    from cdp_pipelines.crm_integrations.base_crm import CRMContact
    from cdp_pipelines.writeback import contact_calls

    given = {"email": email, "first_name": first_name, "last_name": last_name, "company": company, "phone": phone, "title": title}
    contact = CRMContact.from_row(given | _fields(more))

    async def call(settings: Settings, sessions: Any) -> dict[str, ContactResult]:
        return await contact_calls.create_contact(settings, sessions, contact)

    _print(_in_all_crms(call), json)


@app.command(epilog="Example: cdp contacts update john@example.com --set lead_score=75 --set title=CEO")
def update(
    contact: Annotated[str, typer.Argument(help="A customer key, connection:id, an e-mail address, or a CRM's id.")],
    set_: Set = None,
    clear: Annotated[list[str] | None, typer.Option(help="A field to empty. Repeat for more.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also where somebody changed the value in the CRM since we wrote it.")
    ] = False,
    json: Json = False,
) -> None:
    """Write fields of one person to every record that the CRMs have of them.

    Exits with 1 when a CRM refused it, has a newer value of its own, or could not be reached, and when nobody is known by that name.
    """
    from cdp_pipelines.crm_integrations.writes import CLEAR
    from cdp_pipelines.writeback import contact_calls

    data: dict[str, Any] = _fields(set_) | dict.fromkeys(clear or (), CLEAR)

    async def call(settings: Settings, sessions: Any) -> dict[str, ContactResult]:
        return await contact_calls.update_contact(settings, sessions, contact, data, overwrite=overwrite)

    _print(_in_all_crms(call), json)


def _in_all_crms(call: Any) -> dict[str, ContactResult]:
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.connections import configured
    from cdp_pipelines.writeback.sessions import opened

    settings = load_settings()

    async def run(connections: list[Any]) -> dict[str, ContactResult]:
        async with opened(connections) as sessions:
            return await call(settings, sessions)

    with configured(settings) as connections:
        return asyncio.run(run(connections))


def _fields(texts: list[str] | None) -> dict[str, str]:
    fields = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"{text!r} is not field=value.")
        fields[name.strip()] = value
    return fields


def _print(results: dict[str, ContactResult], json: bool) -> None:
    if json:
        output.print_json({name: asdict(result) for name, result in results.items()})
    else:
        table = output.table("connection", "outcome", "object", "id", "written", "kept", "reason")
        for name, r in results.items():
            kept = "; ".join(f"{field}: {why}" for field, why in r.kept.items())
            reason = " ".join(filter(None, (r.reason, f"Try again: {r.retry}" if r.retry else None)))
            table.add_row(*map(output.cell, (name, r.outcome, r.object, r.id, ", ".join(r.written), kept, reason)))
        output.console().print(table)
    outcomes = {r.outcome for r in results.values()}
    if outcomes & {"conflict", "rejected", "pending"} or outcomes == {"skipped"}:
        raise typer.Exit(1)
