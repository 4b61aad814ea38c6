"""`cdp audit`: the record of every data operation."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cdp_pipelines.cli.options import Json

if TYPE_CHECKING:
    from cdp_pipelines.audit.showing import Wanted

app = typer.Typer(no_args_is_help=True, help="The record of every data operation: show it, verify it, hand it out.")

SHOWN = 50
What = Annotated[list[str] | None, typer.Option("--what", help="Only this operation (sync, read, writeback, erase ...). Repeat for more.")]
Since = Annotated[str | None, typer.Option(help="Only from this time on (ISO 8601, UTC unless it says otherwise).")]
Subject = Annotated[
    str | None, typer.Option(help="Only about this person: an e-mail address, connection:id, or a customer key (or a pseudonym).")
]


@app.command(epilog="Example: cdp audit show --what writeback --since 2026-05-01 --opened")
def show(
    what: What = None,
    since: Since = None,
    subject: Subject = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many entries.")] = SHOWN,
    opened: Annotated[bool, typer.Option("--opened", help="With sealed payloads opened, which is itself written down.")] = False,
    json: Json = False,
) -> None:
    """Show who did what, when, to how much, and with which result."""
    from cdp_pipelines.audit import showing
    from cdp_pipelines.cli import output
    from cdp_pipelines.config import load_settings

    found = showing.newest(load_settings(), _wanted(what, since, subject), limit, opened=opened)
    if json:
        output.print_json(found)
        return
    table = output.table("#n", "at", "who", "via", "what", "on", "#count", "result", "more")
    for entry in found:
        more = {**entry["about"], **({"payload": entry["payload"]} if entry.get("payload") is not None else {})}
        table.add_row(
            *(output.cell(entry[name]) for name in ("n", "at", "who", "via", "what", "on", "count", "result")), output.cell(_short(more))
        )
    output.console().print(table)


@app.command(epilog="Example: cdp audit verify")
def verify(
    expect: Annotated[
        str | None, typer.Option(help="count:hash, as an earlier `verify` printed it and you kept it: the log must still have it.")
    ] = None,
    json: Json = False,
) -> None:
    """Check every entry: changed, missing, moved and cut ones are named. Exits with 1 when something is wrong."""
    from dataclasses import asdict

    from cdp_pipelines.audit import verifying
    from cdp_pipelines.audit.log import AuditLog
    from cdp_pipelines.cli import output
    from cdp_pipelines.config import load_settings

    found = verifying.verify(AuditLog(load_settings()), expected=_expected(expect))
    if json:
        output.print_json({"ok": found.ok, **asdict(found)})
    else:
        console = output.console()
        for problem in found.problems:
            console.print(output.cell(problem, "red"))
        if found.more:
            console.print(f"and {found.more:,} places more.")
        for note in found.notes:
            console.print(output.cell(f"Note: {note}", "yellow"))
        console.print(f"{found.count:,} entries:", output.mark(found.ok, "as they were written", "NOT as they were written"))
        console.print(f"Last: {found.count}:{found.head} (keep it elsewhere, and give it as --expect later)")
    if not found.ok:
        raise typer.Exit(1)


@app.command(epilog="Example: cdp audit export audit-2026.jsonl --since 2026-01-01")
def export(
    file: Annotated[Path, typer.Argument(help="Where to write; it must not exist.")],
    what: What = None,
    since: Since = None,
    subject: Subject = None,
    opened: Annotated[bool, typer.Option("--opened", help="With sealed payloads opened.")] = False,
) -> None:
    """Write entries to a file, one JSON object a line, readable by its owner alone. That it was done is written down."""
    from cdp_pipelines.audit import showing
    from cdp_pipelines.cli import output
    from cdp_pipelines.config import load_settings

    count = showing.export(load_settings(), _wanted(what, since, subject), file, opened=opened)
    output.console().print(output.cell(f"{count:,} entries in {file}."))


@app.command(epilog='Example: cdp audit begin-anew --why "disk fault, see ticket 42"')
def begin_anew(why: Annotated[str, typer.Option(help="Why; it stands in the new log's first entry.")]) -> None:
    """Set a log that `verify` finds broken aside, and begin a new one that says so."""
    from cdp_pipelines.audit.log import AuditLog
    from cdp_pipelines.cli import output
    from cdp_pipelines.config import load_settings

    aside = AuditLog(load_settings()).begin_anew(why=why)
    output.console().print(output.cell(f"The old log is in {aside}; keep it."))


def _wanted(what: list[str] | None, since: str | None, subject: str | None) -> Wanted:
    from cdp_pipelines.audit.showing import Wanted

    return Wanted(frozenset(what or ()), _moment(since), subject)


def _moment(text: str | None) -> datetime | None:
    from cdp_pipelines.config import ConfigError

    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise ConfigError("--since", f"is {text!r}, which is not a time", "Write it like 2026-05-01T12:00:00Z.") from None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _expected(text: str | None) -> tuple[int, str] | None:
    from cdp_pipelines.config import ConfigError

    if text is None:
        return None
    count, _, head = text.partition(":")
    if not count.isdecimal() or not head:
        raise ConfigError("--expect", f"is {text!r}", "Write it as `cdp audit verify` prints it: a number, a colon and a hash.")
    return int(count), head


def _short(about: dict[str, Any]) -> str:
    from cdp_pipelines.cli import output

    text = output.to_json(about).decode() if about else ""
    return text if len(text) <= 200 else f"{text[:200]}…"
