"""`cdp privacy`: the rights of a person."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cdp_pipelines.cli.options import Json

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cdp_pipelines.config import ConfigError, Connection, Settings
    from cdp_pipelines.privacy.certificate import Certificate
    from cdp_pipelines.writeback.plan import Plan

app = typer.Typer(no_args_is_help=True, help="The rights of a person: erase, keep from coming back, hand out what is held.")

Email = Annotated[str | None, typer.Option(help="The person's e-mail address, in any spelling.")]
Id = Annotated[str | None, typer.Option("--id", help="A record of the person as connection:id.")]
Customer = Annotated[str | None, typer.Option(help="The customer key.")]


@app.command(epilog="Example: cdp privacy erase --email ann@acme.com --reference TICKET-42 --dry-run")
def erase(
    email: Email = None,
    id: Id = None,
    customer: Customer = None,
    reference: Annotated[str, typer.Option(help="What the request is filed under; it stands on the certificate. No personal data.")] = "",
    propagate: Annotated[
        bool, typer.Option("--propagate", help="Delete the person in the CRMs too: for good where they can. It cannot be taken back.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go from where; change nothing.")] = False,
    json: Json = False,
) -> None:
    """Erase a person, all records of the customer in all CRMs' data, from every table, file and log here, for good.

    The person is put on the suppression list, so that no sync brings them back. The CRMs themselves are not changed, but with --propagate,
    which --dry-run shows record by record. An erasure that was stopped is gone on with first. Exits with 1 when something is left.
    """
    from cdp_pipelines.audit.log import login
    from cdp_pipelines.cli import output
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.lock import warehouse_lock
    from cdp_pipelines.privacy import erasing
    from cdp_pipelines.privacy.person import look_up

    _one(email, id, customer)
    settings = load_settings()
    say = output.console(stderr=True).print
    with warehouse_lock(settings, "cdp privacy erase", say), _connections(settings, propagate) as connections:
        person = look_up(settings, email=email, record=id, customer=customer)
        if dry_run:
            counts = erasing.would_erase(settings, [person])
            removed = {place: dict(found) for place, found in counts.items() if found}
            if connections is None:
                _print_counts(removed, json)
            else:
                _print_deletions(removed, erasing.would_delete_in_crms(settings, [person], connections), json)
            return
        reference = _clean(reference, settings, person.asked)
        certificate = erasing.erase(settings, [person], asked_by=login(), reference=reference, connections=connections, say=say)
    _print(settings, certificate, json)
    if certificate.result != "complete":
        raise typer.Exit(1)


@app.command(epilog="Example: cdp privacy export --email ann@acme.com --to /secure/ann")
def export(
    email: Email = None,
    id: Id = None,
    customer: Customer = None,
    to: Annotated[
        Path | None, typer.Option(help="A folder that is not there yet (default: one under exports/ in the data directory).")
    ] = None,
    json: Json = False,
) -> None:
    """Write everything that is held on a person: person.json, and a CSV file for each table, with where each row comes from.

    Raw and unified rows, whose value won, write-backs, notifications and audit entries, opened. Exits with 1 when nothing is held.
    """
    from cdp_pipelines.cli import output
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.lock import warehouse_lock
    from cdp_pipelines.privacy.exporting import export as write
    from cdp_pipelines.privacy.person import look_up

    _one(email, id, customer)
    settings = load_settings()
    with warehouse_lock(settings, "cdp privacy export", output.console(stderr=True).print):
        found = write(settings, look_up(settings, email=email, record=id, customer=customer), to)
    if json:
        output.print_json({"folder": str(found.folder), "rows": found.rows})
    else:
        _print_counts({"": found.rows} if found.rows else {}, json)
        output.console().print(output.cell(f"Written to {found.folder}."))
    if not found.rows:
        raise typer.Exit(1)


@app.command(epilog="Example: cdp privacy finish")
def finish(json: Json = False) -> None:
    """Go on with an erasure that was stopped before its end, or that a CRM could not be asked for."""
    from cdp_pipelines.cli import output
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.privacy import erasing

    settings = load_settings()
    with _connections(settings, any(one.propagate for one in erasing.under_way(settings))) as connections:
        certificates = erasing.finish(settings, connections=connections, say=output.console(stderr=True).print)
    for certificate in certificates:
        _print(settings, certificate, json)
    if not certificates:
        output.console().print("No erasure is under way.")
    if any(certificate.result != "complete" for certificate in certificates):
        raise typer.Exit(1)


@app.command(epilog='Example: cdp privacy unsuppress --email ann@acme.com --reason "asked to be a customer again, TICKET-57"')
def unsuppress(
    reason: Annotated[str, typer.Option(help="Why; it is kept beside the list.")],
    email: Email = None,
    id: Id = None,
) -> None:
    """Take an erased person off the suppression list. What the CRMs have of them comes back with the next `cdp sync --full`."""
    from cdp_pipelines.audit.log import login
    from cdp_pipelines.cli import output
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.privacy.lifting import lift

    _one(email, id)
    erasures, hashes = lift(load_settings(), email=email, record=id, reason=reason, who=login())
    said = f"{hashes:,} hashes of {len(erasures):,} erasures are off the list. `cdp sync --full` reads what the CRMs have."
    output.console().print(output.cell(said))


@app.command(epilog="Example: cdp privacy retain --dry-run")
def retain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what is too old; change nothing.")] = False,
    json: Json = False,
) -> None:
    """Take away what is older than retention.yml keeps it: deleted records, histories, notifications, write-backs, logs, exports.

    Dagster's own runs are deleted by its job `retain` alone, which does all of this every day.
    """
    from dataclasses import asdict

    from cdp_pipelines.cli import output
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.privacy import retention

    settings = load_settings()
    done = retention.due(settings) if dry_run else retention.retain(settings)
    if json:
        output.print_json(asdict(done))
        return
    table = output.table("what", "older than", "#" + ("would go" if dry_run else "went"))
    for name, before in done.before.items():
        table.add_row(output.cell(name), f"{before:%Y-%m-%d}", output.cell(done.counts.get(name, 0)))
    output.console().print(table)
    for name, count in done.left.items():
        output.console().print(output.cell(f"{name}: {count:,} are left for the Dagster job `retain`."))


@app.command(epilog="Example: cdp privacy rekey")
def rekey(
    decrypt: Annotated[bool, typer.Option("--decrypt", help="Make every file plain; CDP_ENCRYPTION_KEY must not be set.")] = False,
    json: Json = False,
) -> None:
    """Bring every file to the encryption key that is set now: from plain files, or from CDP_ENCRYPTION_KEY_PREVIOUS.

    Stop the receiver and Dagster first, and start them anew with the key. After a kill, the same command goes on.
    """
    from cdp_pipelines.cli import output
    from cdp_pipelines.config import load_settings
    from cdp_pipelines.privacy import rekeying

    changed = rekeying.rekey(load_settings(), decrypt=decrypt, say=output.console(stderr=True).print)
    if json:
        output.print_json({"changed": changed})
        return
    state = "is plain" if decrypt else "has the key that is set"
    output.console().print(output.cell(f"{len(changed):,} files were written anew; every file {state} now."))


@app.command("file-key", epilog="Example: cdp privacy file-key cdp.duckdb")
def file_key(name: Annotated[str, typer.Argument(help="A DuckDB file's name.")] = "cdp.duckdb") -> None:
    """Print the key of one DuckDB file alone, for a program that opens it itself; the other files' keys cannot be told from it.

    In DuckDB: ATTACH 'cdp.duckdb' (READ_ONLY, ENCRYPTION_KEY '...'). A copy under another name keeps the key of the first name.
    """
    from cdp_pipelines import encryption
    from cdp_pipelines.audit.entry import Operation
    from cdp_pipelines.audit.recording import record
    from cdp_pipelines.config import ConfigError, load_settings

    settings = load_settings()
    key = encryption.load(settings)
    if key is None:
        raise ConfigError("CDP_ENCRYPTION_KEY", "is not set", "Files are plain then, and need no key.")
    record(settings, Operation("file_key", name, "ok", 1))
    typer.echo(key.of_database(Path(name)))


def _connections(settings: Settings, wanted: bool) -> AbstractContextManager[list[Connection | ConfigError] | None]:
    from cdp_pipelines.connections import configured

    return configured(settings) if wanted else nullcontext()


def _one(*named: str | None) -> None:
    from cdp_pipelines.config import ConfigError

    if sum(name is not None for name in named) != 1:
        raise ConfigError("Whom", "must be said in one way", "Give one of --email, --id and --customer (where there is one).")


def _clean(reference: str, settings: Settings, asked: str) -> str:
    from cdp_pipelines.config import ConfigError

    if "@" in reference or asked.lower() in reference.lower():
        raise ConfigError("--reference", "names the person", "It stays on the certificate: give a number of the request.")
    return reference


def _print(settings: Settings, certificate: Certificate, json: bool) -> None:
    from dataclasses import asdict

    from cdp_pipelines.cli import output
    from cdp_pipelines.privacy.certificate import folder_of

    if json:
        output.print_json({"result": certificate.result, **asdict(certificate)})
        return
    _print_counts(certificate.removed, json)
    console = output.console()
    records = ", ".join(f"{n:,} in {name}" for name, n in certificate.records.items()) or "none were held"
    console.print(output.cell(f"Records: {records}. On the suppression list: {certificate.suppressed:,} hashes."))
    console.print(f"Searched afterwards: {certificate.files_searched:,} files, {certificate.bytes_searched:,} bytes.")
    for place, kinds in certificate.found.items():
        console.print(output.cell(f"Left: {', '.join(kinds)} in {place}; remove it, and run this again.", "red"))
    for one in certificate.in_crms or ():
        wrong = one in certificate.left_in_crms
        said = " ".join(filter(None, (f"{one['connection']}: {one['count']:,} {one['object']} {one['outcome']}", one["code"])))
        console.print(output.cell(said, "red" if wrong else ""))
    console.print("Erasure", output.mark(certificate.result == "complete", "complete", "INCOMPLETE"))
    console.print(output.cell(f"Certificate: {folder_of(settings) / certificate.id}.html and .json"))


def _print_deletions(removed: dict[str, dict[str, int]], plan: Plan, json: bool) -> None:
    from dataclasses import asdict

    from cdp_pipelines.cli import output
    from cdp_pipelines.privacy.in_crms import HOW

    if json:
        output.print_json({"here": removed, "in_crms": [asdict(entry) for entry in plan.entries], "problems": plan.problems})
        return
    _print_counts(removed, json)
    table = output.table("connection", "object", "record", "what", "why")
    for one in plan.entries:
        what = HOW[one.kind] if one.action == "delete" else {"unchanged": "nothing"}.get(one.action, one.action)
        table.add_row(*map(output.cell, (one.connection, one.object, one.id, what, one.reason)))
    output.console().print(table if plan.entries else "The CRMs have no record of the person.")
    for name, problem in plan.problems.items():
        output.console().print(output.cell(f"{name}: {problem}", "red"))


def _print_counts(counts: dict[str, dict[str, int]], json: bool) -> None:
    from cdp_pipelines.cli import output

    if json:
        output.print_json(counts)
        return
    table = output.table("place", "what", "#rows, entries or files")
    for place, found in counts.items():
        for what, number in found.items():
            table.add_row(output.cell(place), output.cell(what), output.cell(number))
    output.console().print(table if counts else "Nothing is held.")
