"""`cdp customers`: why records are one person, and decisions that stick."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cdp_pipelines.cli.options import Json

if TYPE_CHECKING:
    from cdp_pipelines.identity.explain import Explanation

app = typer.Typer(no_args_is_help=True, help="Who is who: why records are one customer, and decisions that stick.")

_WHAT = "A customer key, a record as connection:id, or an e-mail address."
What = Annotated[str, typer.Argument(help=_WHAT)]
Who = Annotated[str, typer.Option(help="Who decides (default: the login name).")]
Why = Annotated[str, typer.Option(help="Why, for whoever asks later.")]
_SHOWN = ("connection", "customer_id", "email", "first_name", "last_name", "phone", "company", "rule")


@app.command(epilog="Example: cdp customers explain hubspot:101 salesforce:003Kx000001")
def explain(
    what: What,
    other: Annotated[str | None, typer.Argument(help="Another one: the path between the two, or why they are two.")] = None,
    json: Json = False,
) -> None:
    """Show the records of a customer, the evidence that joins them, and why near ones were kept apart."""
    from dataclasses import asdict

    from cdp_pipelines.cli import output
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.identity.explain import explain as explained

    found = explained(load_settings(), what, other)
    if json:
        output.print_json(asdict(found))
    else:
        _print(found)


@app.command(epilog='Example: cdp customers merge hubspot:101 salesforce:003Kx000001 --why "same person, asked by phone"')
def merge(one: What, other: What, why: Why, who: Who = "", json: Json = False) -> None:
    """Decide that two are one person, whatever the evidence says. Holds from the next sync on."""
    _decide("merge", one, other, who, why, json)


@app.command(epilog='Example: cdp customers split hubspot:101 salesforce:003Kx000001 --why "father and son"')
def split(one: What, other: What, why: Why, who: Who = "", json: Json = False) -> None:
    """Decide that two are not one person, whatever the evidence says. Holds from the next sync on."""
    _decide("split", one, other, who, why, json)


def _decide(kind: Literal["merge", "split"], one: str, other: str, who: str, why: str, json: bool) -> None:
    from cdp_pipelines.audit.log import login
    from cdp_pipelines.cli import output
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.identity.deciding import decide

    made = decide(load_settings(), kind, one, other, who=who or login(), why=why)
    if json:
        output.print_json(made)
        return
    left, right = (f"{made[f'{side}_connection']}:{made[f'{side}_customer_id']}" for side in ("left", "right"))
    undo = "split" if kind == "merge" else "merge"
    word = "one person" if kind == "merge" else "two people"
    output.console().print(
        output.cell(f"{left} and {right} are {word} from the next `cdp sync` on. `cdp customers {undo} {left} {right}` takes it back.")
    )


def _print(found: Explanation) -> None:
    from cdp_pipelines.cli import output

    console = output.console()
    table = output.table(*_SHOWN, title=f"Customer {found.customer_key}")
    for record in found.records:
        table.add_row(*(output.cell(record[name], "" if record["is_current"] else "dim") for name in _SHOWN))
    console.print(table)
    if found.path is not None:
        console.print("From the one to the other:")
    for step in found.steps if found.path is None else found.path:
        console.print(output.cell(f"  {step['left']} and {step['right']}: {step['rule']}{_because(step)}"))
    if found.apart:
        console.print("Kept apart:")
    for near in found.apart:
        evidence = f" [{near['evidence']}]" if near["evidence"] else ""
        text = f"  {near['record']} ({near['names'][0]}) and {near['other']} ({near['names'][1]}): {near['why']}{evidence}{_because(near)}"
        console.print(output.cell(text, "yellow"))
    for former in found.former_keys:
        console.print(output.cell(f"Was {former['old_key']} too ({former['reason']}, {output.moment(former['happened_at'])})."))


def _because(step: dict[str, Any]) -> str:
    return f"; both have {', '.join(step['shared'])}" if step["shared"] else ""
