"""`cdp sandbox`: the three emulated CRMs on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cdp_pipelines.cli import output

if TYPE_CHECKING:
    from cdp_pipelines.sandbox.server import SandboxServer

app = typer.Typer(no_args_is_help=True, help="Salesforce, HubSpot and Marketo on this machine, with made-up people.")


@app.command(epilog="Example: cdp sandbox serve --people 20000")
def serve(
    port: Annotated[
        int | None, typer.Option(min=0, max=65532, help="First of four ports; 0 takes free ones (default: CDP_SANDBOX_PORT).")
    ] = None,
    people: Annotated[int | None, typer.Option(min=0, help="People in the world (default: CDP_SANDBOX_PEOPLE).")] = None,
    seed: Annotated[int | None, typer.Option(help="The world's seed (default: CDP_SANDBOX_SEED).")] = None,
) -> None:
    """Serve the three CRMs until Ctrl-C. Commands without credentials use them while they run."""
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.sandbox import server

    settings = load_settings()
    server.serve(
        people=settings.sandbox_people if people is None else people,
        seed=settings.sandbox_seed if seed is None else seed,
        port=settings.sandbox_port if port is None else port,
        state=settings.sandbox_dir,
        ready=_announce,
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


def _announce(server: SandboxServer) -> None:
    from cdp_pipelines.config import KINDS

    addresses = server.addresses
    console = output.console()
    console.print(f"The sandbox's page is {addresses.control_url} (Ctrl-C ends the sandbox).")
    for kind in KINDS:
        console.print(f"  {kind:<10} {addresses.url(kind)}")
