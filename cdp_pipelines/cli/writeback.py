"""`cdp writeback`: see what would change in the CRMs, do it, take it back, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cdp_pipelines.cli import output
from cdp_pipelines.cli.options import Json

if TYPE_CHECKING:
    from cdp_pipelines.config import Settings
    from cdp_pipelines.writeback.plan import Plan
    from cdp_pipelines.writeback.service import RunReport
    from cdp_pipelines.writeback.sessions import Session

T = TypeVar("T")
LINES_SHOWN = 60
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show it: nothing is sent, and nothing is written down.")]

app = typer.Typer(no_args_is_help=True, help="Corrections and new contacts to the CRMs: plan, apply, undo.")


@app.command(epilog="Example: cdp writeback plan customers")
def plan(
    flows: Annotated[list[str] | None, typer.Argument(metavar="[FLOW]...", help="Flows of writeback.yml (default: all).")] = None,
    overwrite: Annotated[
        list[str] | None, typer.Option(metavar="CONNECTION:ID", help="Ours wins in this record, whoever changed it. Repeat for more.")
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Show, field by field, what would change in the CRMs as they are now, and keep it as a plan that can be applied.

    Exits with 1 when a CRM could not be asked or the plan goes beyond a guard.
    """
    from cdp_pipelines.writeback import service

    made, path = _with_sessions(
        lambda settings, sessions: service.make_plan(settings, sessions, flows=flows or (), overwrite=overwrite or (), dry_run=dry_run)
    )
    if json:
        output.print_json({"file": str(path) if path else None, "hash": made.hash, "counts": made.counts(), **asdict(made)})
    else:
        _print_plan(made)
        if path:
            output.console().print(f"Plan {path}\nApply it: cdp writeback apply {path.name}", markup=False)
    if made.problems or made.stopped:
        raise typer.Exit(1)


@app.command(epilog="Example: cdp writeback apply 20260301T120000-1a2b3c4d.json")
def apply(
    file: Annotated[Path | None, typer.Argument(metavar="[PLAN]", help="The plan's file (default: the newest).")] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Do what a plan says. A record that moved in its CRM since the plan is left alone. The same plan again goes on where it stopped.

    Exits with 1 when anything did not end as planned.
    """
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.writeback import plan as plans
    from cdp_pipelines.writeback import service

    settings = load_settings()
    path = plans.newest(settings) if file is None else _path(settings, file)
    if dry_run:
        _print_plan(plans.load(settings, path))
        return
    done = _with_sessions(lambda settings, sessions: service.apply_plan(settings, sessions, path, on_progress=_told))
    _print_reports([done], json)


@app.command(epilog="Example: cdp writeback undo w20260301T120000-1a2b --dry-run")
def undo(
    run: Annotated[str, typer.Argument(help="The run to take back; `cdp writeback status` lists them.")],
    keep_created: Annotated[bool, typer.Option("--keep-created", help="Contacts that the run made stay.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Put back what a run overwrote, where the CRM still holds what it wrote; what cannot be put back is listed first."""
    from cdp_pipelines.writeback import service

    async def make(settings: Settings, sessions: Mapping[str, Session]) -> Plan:
        return await service.undo_plan(settings, sessions, run, keep_created=keep_created)

    made = _with_sessions(make)
    if not json or dry_run:
        _print_plan(made)
    if dry_run or not made.writes:
        raise typer.Exit(1 if made.problems else 0)
    if not yes and not json:
        typer.confirm(f"Put back {len(made.writes):,} records?", abort=True)

    async def send(settings: Settings, sessions: Mapping[str, Session]) -> RunReport:
        return await service.apply_plan(settings, sessions, service.keep(settings, made), on_progress=_told)

    _print_reports([_with_sessions(send)], json)


@app.command(epilog="Example: cdp writeback retry w20260301T120000-1a2b --key 89f2fdac37672f2644d9")
def retry(
    run: Annotated[str | None, typer.Argument(help="Only this run (default: all that have something to send).")] = None,
    key: Annotated[list[str] | None, typer.Option(help="Send this rejected entry again. Repeat for more.")] = None,
    json: Json = False,
) -> None:
    """Send what is still to be sent: a CRM could not be reached, a limit was met, the process was stopped."""
    from cdp_pipelines.writeback import contact_calls, service

    async def again(settings: Settings, sessions: Mapping[str, Session]) -> list[RunReport]:
        calls = {} if run or key else await contact_calls.retry_calls(settings, sessions)
        reports = await service.retry(settings, sessions, run=run, keys=key or (), on_progress=_told)
        return [*reports, *(service.report(settings, one) for one in dict.fromkeys(r.run for r in calls.values() if r.run))]

    _print_reports(_with_sessions(again), json)


@app.command(epilog="Example: cdp writeback rejects --json")
def rejects(json: Json = False) -> None:
    """List every record that was not written as planned, with the reason and the command that tries it again."""
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.writeback import service

    found = service.rejects(load_settings())
    if json:
        output.print_json(found)
    else:
        _print_left(found)


@app.command(epilog="Example: cdp writeback status --json")
def status(json: Json = False) -> None:
    """List the runs, newest first, and how their records ended."""
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.writeback import service

    found = service.runs(load_settings())
    if json:
        output.print_json(found)
        return
    table = output.table("run", "kind", "started", "ended", "records", "undoes")
    for run in found:
        states = ", ".join(f"{number:,} {state}" for state, number in run["states"].items())
        table.add_row(
            *map(output.cell, (run["run"], run["kind"], run["started_at"][:19], (run["ended_at"] or "")[:19], states, run["undo_of"]))
        )
    output.console().print(table)


@app.command(epilog="Example: cdp writeback drift")
def drift(json: Json = False) -> None:
    """List the fields that no longer hold what we last wrote, as the last sync read them. Exits with 1 when there are any."""
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.writeback.drift import drift as differing

    found = differing(load_settings())
    if json:
        output.print_json([asdict(one) for one in found])
    else:
        table = output.table("connection", "id", "field", "we wrote", "it holds", "run")
        for d in found:
            theirs = "(record deleted)" if d.gone else d.theirs
            table.add_row(*map(output.cell, (d.connection, d.id, d.field, d.ours, theirs, d.run)))
        output.console().print(table)
    if found:
        raise typer.Exit(1)


def _with_sessions(work: Callable[[Settings, Mapping[str, Session]], Awaitable[T]]) -> T:
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.connections import configured
    from cdp_pipelines.writeback.sessions import opened

    settings = load_settings()

    async def run(connections: list[Any]) -> T:
        async with opened(connections) as sessions:
            return await work(settings, sessions)

    with configured(settings) as connections:
        return asyncio.run(run(connections))


def _path(settings: Settings, file: Path) -> Path:
    """A plan's file, also when only its name is given."""
    return file if file.exists() else settings.writeback_dir / "plans" / file.name


def _told(name: str, done: int, total: int) -> None:
    output.console(stderr=True).print(f"  {name}: {done:,} of {total:,} records", markup=False)


def _print_plan(plan: Plan) -> None:
    console = output.console()
    table = output.table("connection", "record", "action", "field", "old", "new", "why")
    lines = list(plan.lines())
    for line in lines[:LINES_SHOWN]:
        table.add_row(*map(output.cell, line))
    if lines:
        console.print(table)
    if len(lines) > LINES_SHOWN:
        console.print(f"{len(lines) - LINES_SHOWN:,} more lines are in the plan's file (--json shows them all).")
    for name, counts in plan.counts().items():
        said = ", ".join(f"{number:,} {action}" for action, number in sorted(counts.items())) or "nothing to do"
        console.print(output.cell(f"{name}: {plan.problems.get(name) or said}", "red" if name in plan.problems else ""))
    for note in plan.notes:
        console.print(output.cell(note))
    for stop in plan.stopped:
        console.print(output.cell(stop, "bold red"))


def _print_reports(reports: list[RunReport], json: bool) -> None:
    if json:
        output.print_json([asdict(one) for one in reports])
    for one in [] if json else reports:
        console = output.console()
        for name, counts in one.outcomes.items():
            console.print(output.cell(f"{one.run} {name}: " + ", ".join(f"{n:,} {state}" for state, n in sorted(counts.items()))))
        for name, problem in one.problems.items():
            console.print(output.cell(f"{name}: {problem} Then: cdp writeback retry {one.run}", "red"))
        _print_left(one.left)
    if not reports and not json:
        output.console().print("Nothing is waiting to be sent.")
    if not all(one.clean for one in reports):
        raise typer.Exit(1)


def _print_left(left: list[dict[str, str | None]]) -> None:
    table = output.table("run", "connection", "object", "id", "state", "code", "reason", "what to do")
    for one in left[:LINES_SHOWN]:
        names = ("run", "connection", "object", "id", "state", "code", "reason", "command")
        table.add_row(*(output.cell(one[name]) for name in names))
    if left:
        output.console().print(table)
    if len(left) > LINES_SHOWN:
        output.console().print(f"{len(left) - LINES_SHOWN:,} more; `cdp writeback rejects --json` has them all.")
