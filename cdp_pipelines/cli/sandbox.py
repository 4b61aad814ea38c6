"""`cdp sandbox`: the three emulated CRMs on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cdp_pipelines.cli import output

if TYPE_CHECKING:
    from cdp_pipelines.config import Kind
    from cdp_pipelines.sandbox.hosting import SandboxAddresses
    from cdp_pipelines.sandbox.server import SandboxServer

app = typer.Typer(no_args_is_help=True, help="Salesforce, HubSpot and Marketo on this machine, with made-up people.")
faults_app = typer.Typer(help="Make a running sandbox misbehave as the real CRMs do. Alone: what is switched on.")
app.add_typer(faults_app, name="faults")


@app.command(epilog="Example: cdp sandbox serve --people 20000")
def serve(
    port: Annotated[
        int | None, typer.Option(min=0, max=65532, help="First of four ports; 0 takes free ones (default: CDP_SANDBOX_PORT).")
    ] = None,
    people: Annotated[int | None, typer.Option(min=0, help="People in the world (default: CDP_SANDBOX_PEOPLE).")] = None,
    seed: Annotated[int | None, typer.Option(help="The world's seed (default: CDP_SANDBOX_SEED).")] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CRM:KIND[:NAME=VALUE,...]", help="Misbehave from the start; repeatable. `cdp sandbox faults kinds` lists them."
        ),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="CRM:NAME=VALUE", help="Set an option of an emulated CRM (docs/sandbox.md); repeatable.")
    ] = None,
) -> None:
    """Serve the three CRMs until Ctrl-C. Commands without credentials use them while they run."""
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.sandbox import server

    faults = [_read(text) for text in fault or ()]
    options = [_read_option(text) for text in option or ()]

    def ready(made: SandboxServer) -> None:
        for given in faults:
            made.faults.set(given)
        for crm, values in options:
            made.controls.set_options(crm, values)
        _announce(made)

    settings = load_settings()
    server.serve(
        people=settings.sandbox_people if people is None else people,
        seed=settings.sandbox_seed if seed is None else seed,
        port=settings.sandbox_port if port is None else port,
        state=settings.sandbox_dir,
        ready=ready,
    )


@app.command(epilog="Example: cdp sandbox change --seed 7 --count 200")
def change(
    seed: Annotated[int, typer.Option(help="Another seed gives other changes.")] = 1,
    count: Annotated[int, typer.Option(min=0, max=100_000, help="How many changes.")] = 60,
    json: Annotated[bool, typer.Option("--json", help="Print every change as JSON instead.")] = False,
) -> None:
    """Make everyday changes in the three CRMs: new people, edits, deletions, merges, conversions, deals.

    They stay: a sandbox that starts later has them too.
    """
    from collections import Counter

    from cdp_pipelines.config import KINDS, load_settings
    from cdp_pipelines.sandbox import hosting

    changes = hosting.change(load_settings(), seed, count)
    if json:
        output.print_json(changes)
        return
    counts = Counter((done["op"], done["crm"]) for done in changes)
    table = output.table("change", *(f"#{kind}" for kind in KINDS))
    for operation in dict.fromkeys(done["op"] for done in changes):
        table.add_row(operation.replace("_", " "), *(output.cell(counts[operation, kind]) for kind in KINDS))
    console = output.console()
    console.print(table)
    console.print(f"{len(changes):,} changes made. `cdp sync` reads them.")


@app.command(epilog="Example: cdp sandbox notify http://127.0.0.1:8090")
def notify(url: Annotated[str | None, typer.Argument(help="Base URL of a receiver on this machine; none ends it.")] = None) -> None:
    """Let the sandbox that runs tell a receiver (`cdp webhooks serve`) of every change, as each of the three vendors does."""
    from cdp_pipelines.sandbox import hosting

    hosting.notify(_running(), url)
    output.console().print(f"Changes are told to {url}/webhooks/..." if url else "Changes are told to nobody.")


@faults_app.callback(invoke_without_command=True)
def faults(context: typer.Context) -> None:
    """List the faults that are on in the sandbox that runs."""
    if context.invoked_subcommand is None:
        _show(_ask("GET", "/sandbox/faults")["on"])


@faults_app.command("set", epilog='Example: cdp sandbox faults set "hubspot:rate_limit:path=/crm/v3/objects/contacts*,count=3"')
def set_faults(specs: Annotated[list[str], typer.Argument(metavar="CRM:KIND[:NAME=VALUE,...]", help="One or more faults.")]) -> None:
    """Switch faults on."""
    given = [_read(text) for text in specs]
    _show([_ask("POST", "/sandbox/faults", body) for body in given])


@faults_app.command("clear", epilog="Example: cdp sandbox faults clear 3")
def clear_faults(
    ids: Annotated[list[int] | None, typer.Argument(help="Numbers of faults; none for all.")] = None,
    crm: Annotated[str | None, typer.Option(help="Only those of one CRM.")] = None,
) -> None:
    """Switch faults off."""
    if ids:
        cleared = sum(_ask("DELETE", f"/sandbox/faults/{number}")["cleared"] for number in ids)
    else:
        cleared = _ask("DELETE", "/sandbox/faults", params={"crm": crm} if crm else None)["cleared"]
    output.console().print(f"{cleared} switched off.")


@faults_app.command("kinds", epilog="Example: cdp sandbox faults kinds")
def fault_kinds() -> None:
    """List the kinds of fault, their CRMs and parameters (all also take path, count, rate, seed and after)."""
    from cdp_pipelines.sandbox.faults.kinds import FAULTS
    from cdp_pipelines.sandbox.faults.settings import settings_of

    table = output.table("fault", "what happens", "parameters", "CRMs")
    for name, kind in FAULTS.items():
        parameters = ", ".join(f"{one.name}={output.plain(one.default)}" for one in settings_of(kind).values())
        table.add_row(name, " ".join((kind.__doc__ or "").split()), parameters, ", ".join(kind.crms))
    output.console().print(table)


def _show(faults: list[dict[str, Any]]) -> None:
    console = output.console()
    if not faults:
        console.print("No fault is on. `cdp sandbox faults kinds` lists what there is.")
        return
    table = output.table("#id", "crm", "fault", "set to", "#struck")
    for one in faults:
        rest = {k: v for k, v in one.items() if k not in ("id", "crm", "kind", "seen", "done") and v is not None}
        said = ", ".join(f"{k}={output.plain(v)}" for k, v in rest.items())
        table.add_row(*map(output.cell, (one["id"], one["crm"], one["kind"], said, one["done"])))
    console.print(table)


def _read(text: str) -> dict[str, Any]:
    from cdp_pipelines.sandbox.faults.settings import SwitchError
    from cdp_pipelines.sandbox.faults.switches import parse_fault

    try:
        return parse_fault(text)
    except SwitchError as error:
        raise typer.BadParameter(str(error)) from None


def _read_option(text: str) -> tuple[Kind, dict[str, str]]:
    from cdp_pipelines.sandbox.faults.settings import SwitchError
    from cdp_pipelines.sandbox.faults.switches import parse_option

    try:
        return parse_option(text)
    except SwitchError as error:
        raise typer.BadParameter(str(error)) from None


def _ask(method: str, path: str, body: dict[str, Any] | None = None, params: dict[str, str] | None = None) -> Any:
    """A control route of the sandbox that runs. Raises ConfigError when none does, BadParameter for what it refuses."""
    from cdp_pipelines.sandbox import hosting

    answer = hosting.ask(_running(), method, path, body, params)
    if answer.is_error:
        raise typer.BadParameter(answer.json()["error"])
    return answer.json()


def _running() -> SandboxAddresses:
    from cdp_pipelines.config import ConfigError, load_settings
    from cdp_pipelines.sandbox import hosting

    settings = load_settings()
    if (addresses := hosting.running(settings, any_world=True)) is None:
        raise ConfigError(
            "CDP_SANDBOX_PORT", f"is {settings.sandbox_port}, where no sandbox runs", "Start one with `cdp sandbox serve`, or set its port."
        )
    return addresses


def _announce(server: SandboxServer) -> None:
    from cdp_pipelines.config import KINDS

    addresses = server.addresses
    console = output.console()
    console.print(f"The sandbox's page is {addresses.control_url} (Ctrl-C ends the sandbox).")
    for kind in KINDS:
        console.print(f"  {kind:<10} {addresses.url(kind)}")
